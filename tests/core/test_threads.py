"""Several Python threads on the tape."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import versant as vs


def leaf(values):
    return vs.tensor(values, dtype=vs.float64, requires_grad=True)


def in_threads(n, work):
    """Runs work(i) in n threads at once; an exception in one of them is raised here."""
    errors = []
    barrier = threading.Barrier(n)

    def run(i):
        try:
            barrier.wait()
            work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_separate_graphs():
    results = [None] * 4

    def work(i):
        for _ in range(20):
            x = leaf(np.full(5000, 1.0 + i))
            y = x
            for _ in range(30):
                y = y * 1.01 + 0.5
            (y * y).sum().backward()
            results[i] = x.grad.numpy().copy()

    in_threads(4, work)
    for i, got in enumerate(results):
        y, slope = 1.0 + i, 1.0
        for _ in range(30):
            y, slope = y * 1.01 + 0.5, slope * 1.01
        np.testing.assert_allclose(got, 2 * y * slope, rtol=1e-12)


def test_graphs_that_share_leaves():
    shared = leaf(np.ones(2000))

    def work(i):
        for _ in range(25):
            y = shared
            for _ in range(20):
                y = y + 1.0
            (y * (i + 1.0)).sum().backward()

    in_threads(4, work)
    np.testing.assert_array_equal(shared.grad.numpy(), 25.0 * (1 + 2 + 3 + 4))


def test_graphs_that_share_nodes():
    x = leaf(np.linspace(0.1, 1.0, 300_000))
    trunk = x
    for _ in range(5):
        trunk = trunk.sin()
    results = [None] * 4

    def work(i):
        for _ in range(5):
            (g,) = vs.autograd.grad((trunk * (i + 1.0)).sum(), x, retain_graph=True)
            results[i] = g.numpy()

    in_threads(4, work)
    for i in range(4):
        np.testing.assert_allclose(results[i], results[0] * (i + 1), rtol=1e-12)


def test_shared_nodes_with_hooks_that_switch_threads():
    x = leaf([1.0])
    trunk = x * 2
    pause = threading.Event()

    def hook(g):
        pause.wait(0.0005)  # lets other passes come by

    trunk.register_hook(hook)
    branch = trunk * 3
    branch.register_hook(hook)
    totals = []

    def work(i):
        for _ in range(10):
            (g,) = vs.autograd.grad(branch + trunk, x, retain_graph=True)
            totals.append(g.item())
            (branch + trunk).backward(retain_graph=True)

    in_threads(4, work)
    assert totals == [8.0] * 40
    assert x.grad.item() == 8 * 40


def test_another_thread_makes_progress_during_big_kernels():
    """While one thread is inside a single call of the machine, another one runs Python."""
    x = vs.ones(4_000_000, dtype=vs.float64)
    ticks = [0]
    stop = threading.Event()

    def tick():
        while not stop.is_set():
            ticks[0] += 1

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        gained = 0
        for _ in range(20):
            before = ticks[0]
            x.sin()
            gained += ticks[0] > before
    finally:
        stop.set()
        thread.join()
    assert gained >= 5


def test_a_pass_ends_in_the_thread_that_dropped_it():
    """Graphs made in one thread, used in another, destroyed in a third."""
    graphs = []

    def make(i):
        x = leaf(np.ones(100))
        y = x
        for _ in range(2000):
            y = y * 1.0
        graphs.append((x, y.sum()))

    in_threads(3, make)

    def use(i):
        x, loss = graphs[i]
        loss.backward()
        assert x.grad[0].item() == 1

    in_threads(3, use)

    def drop(i):
        graphs[i] = None

    in_threads(3, drop)
    assert graphs == [None] * 3


def test_exceptions_in_one_thread_leave_the_others_alone():
    x = leaf(np.ones(1000))

    class Boom(Exception):
        pass

    def work(i):
        for _ in range(20):
            y = x * 2
            if i % 2:

                def explode(g):
                    raise Boom

                y.register_hook(explode)
            try:
                y.sum().backward()
            except Boom:
                assert i % 2

    in_threads(4, work)
    assert x.grad.tolist() == [80.0] * 1000


def test_saved_values_freed_by_another_thread_during_a_kernel():
    """Two passes over one graph: the one that comes second finds values freed, and nothing worse."""
    messages = []
    for _ in range(5):
        x = leaf(np.linspace(0.1, 1.0, 1_000_000))
        loss = x.sin().exp().tanh().sum()

        def work(i, loss=loss):
            try:
                loss.backward()
            except RuntimeError as error:
                messages.append(str(error))

        in_threads(2, work)
        assert np.isfinite(x.grad.numpy()).all()
    assert all("second time" in message for message in messages)


@pytest.mark.parametrize(("variables", "count"), [({"OMP_NUM_THREADS": "3"}, 3), ({}, None)])
def test_threads_at_the_start(variables: dict[str, str], count: int | None) -> None:
    code = "import os, versant; print(versant.get_num_threads(), 'GOMP_SPINCOUNT' in os.environ)"
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))}
    path = {"PYTHONPATH": str(Path(vs.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=plain | path | variables, capture_output=True, text=True, check=True
    )
    threads, left = done.stdout.split()
    assert 1 <= int(threads) <= (count or len(os.sched_getaffinity(0)))
    assert count is None or int(threads) == count
    assert left == "False"


@pytest.mark.parametrize(
    "use",
    [
        lambda x: x @ x,
        lambda x: x.cumsum(0),
        lambda x: x.sort(0)[0],
        lambda x: x.exp(),
        lambda x: x.t().clone(),
        lambda x: x.sum(0),
    ],
    ids=["matmul", "scan", "sort", "elementwise", "copy", "reduce"],
)
def test_data_exchanged_during_a_kernel(use):
    """The kernel sees one of the two; what it reads is not freed under it."""
    sizes = (600, 500)
    x = vs.full((600, 600), 2.0)
    allowed = {use(vs.full((n, n), 2.0)).shape: use(vs.full((n, n), 2.0)) for n in sizes}
    done = threading.Event()

    def exchange():
        for i in range(100):
            n = sizes[i % 2]
            x.data = vs.full((n, n), 2.0)
            vs.full((n, n), -1.0)  # takes the place of memory that was freed
        done.set()

    def work(i):
        if i == 0:
            return exchange()
        while not done.is_set():
            found = use(x)
            assert found.equal(allowed[found.shape])

    in_threads(3, work)


def test_gradients_dropped_during_a_step():
    p = vs.zeros(500_000, requires_grad=True)
    optimizer = vs.optim.SGD([p], lr=1.0)
    done = threading.Event()

    def work(i):
        while i and not done.is_set():
            p.grad = None
        for _ in range(50 if not i else 0):
            p.grad = vs.ones(500_000)
            optimizer.step()
        done.set()

    in_threads(2, work)
    assert p.min().item() == p.max().item()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_fork_computes_on_one_thread() -> None:
    program = """
import os, signal, sys
import versant as vs
vs.set_num_threads(2)
x = vs.randn(300, 300)
y = x @ x
child = os.fork()
if child == 0:
    signal.alarm(20)  # ends a process that waits for threads it does not have
    same = bool((x @ x == y).all()) and vs.get_num_threads() == 1
    try:
        vs.set_num_threads(2)
    except RuntimeError as error:
        same = same and "runs on one thread" in str(error)
    os._exit(0 if same else 3)
sys.exit(os.waitpid(child, 0)[1])
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=False)
    assert done.returncode == 0
