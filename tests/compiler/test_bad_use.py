"""Compiled functions that raise, call themselves, run in threads, after a fork, and at the very end."""

import gc
import os
import subprocess
import sys
import threading
import time
import weakref

import pytest
from compiler.comparison import bits, once

import versant as vs
from versant import nn
from versant.compiler import CompileError
from versant.nn import functional as F

X = vs.linspace(-1, 1, 6).reshape(2, 3)


def test_what_raises_halfway_leaves_what_eager_leaves():
    def run(compiled):
        vs.manual_seed(0)
        table, state = vs.randn(5, 3).requires_grad_(), vs.zeros(3)
        table.grad = vs.ones(5, 3)

        def f(rows):
            table.grad = None
            state.add_(vs.rand(3))
            loss = F.embedding(rows, table).sum()
            loss.backward()
            state.mul_(2)
            return loss.detach()

        function = vs.compile(f) if compiled else f
        found = []
        for rows in ([0, 1], [2, 3], [4, 9], [1, 1], [-7, 0], [0, 0]):
            try:
                result = function(vs.tensor(rows))
            except IndexError:
                result = "out of range"
            found.append(bits([result, state, table.grad, vs.rand(2)]))
        return found, function

    expected, _ = run(False)
    found, function = run(True)
    assert found == expected
    once(function)


LENGTHS = vs.tensor([4, 4]), vs.tensor([2, 2])
ROWS = vs.randn(5, 3)
CHECKED = {
    "ctc_loss": lambda x, i: F.ctc_loss(x.log_softmax(2), i, *LENGTHS),
    "multilabel_margin_loss": lambda x, i: F.multilabel_margin_loss(x[0], F.pad(i, (0, 1), value=-1)),
    "multi_margin_loss": lambda x, i: F.multi_margin_loss(x[0], i[:, 0]),
    "nll_loss": lambda x, i: F.nll_loss(x[0], i[:, 0]),
    "cross_entropy": lambda x, i: F.cross_entropy(x[0], i[:, 0]),
    "one_hot": lambda x, i: F.one_hot(i, 3),
    "embedding": lambda x, i: F.embedding(i, ROWS[:3]),
    "embedding_bag": lambda x, i: F.embedding_bag(i, ROWS[:3]),
    "max_unpool2d": lambda x, i: F.max_unpool2d(vs.ones(1, 1, 2, 2), i.reshape(1, 1, 2, 2), 1),
    "gather": lambda x, i: x[0].gather(1, i),
    "take": lambda x, i: x[0, 0].take(i),
    "take_along_dim": lambda x, i: vs.take_along_dim(x[0], i, 1),
    "index": lambda x, i: x[0].T[i],
    "two indices": lambda x, i: ROWS[i, i - 1],
    "setting by index": lambda x, i: vs.zeros(3, 2).index_put((i,), vs.ones(2, 2, 2)),
    "index_select": lambda x, i: x[0].T.index_select(0, i[1]),
    "index_add": lambda x, i: vs.zeros(3, 3).index_add(0, i[1], x[0]),
    "index_copy": lambda x, i: vs.zeros(3, 3).index_copy(0, i[1], x[0]),
    "index_fill": lambda x, i: vs.zeros(3, 3).index_fill(0, i[1], 2.0),
    "scatter": lambda x, i: vs.zeros(3, 3).scatter(0, i, x[0]),
    "scatter_add": lambda x, i: vs.zeros(3, 3).scatter_add(0, i, x[0]),
    "scatter_reduce": lambda x, i: vs.zeros(3, 3).scatter_reduce(0, i, x[0], "amax"),
    "repeat_interleave": lambda x, i: x[0].repeat_interleave(i[1] - 1, 0),
    "bernoulli": lambda x, i: vs.bernoulli(i / 8.5),
    "binary_cross_entropy": lambda x, i: F.binary_cross_entropy(i / 8.5, i / 9.5),
}


@pytest.mark.parametrize("name", CHECKED)
def test_values_that_are_checked(name):
    f = CHECKED[name]
    g = vs.compile(f)
    x, good, bad = vs.randn(4, 2, 3), vs.tensor([[1, 2], [2, 1]]), vs.tensor([[1, 2], [9, 1]])
    raised = 0
    for indices in (good, bad, good, bad, good):
        vs.manual_seed(0)
        try:
            expected = bits(f(x, indices))
        except (IndexError, RuntimeError, ValueError) as error:
            raised += 1
            with pytest.raises(type(error)):
                g(x, indices)
        else:
            vs.manual_seed(0)
            assert bits(g(x, indices)) == expected
    assert raised == 2 or name == "repeat_interleave"


def test_an_error_while_tracing_ends_the_trace():
    fails = [True]

    def f(x):
        y = x * 2
        if fails[0]:
            raise KeyError("mine")
        return y

    g = vs.compile(f)
    with pytest.raises(KeyError, match="mine"):
        g(X)
    fails[0] = False
    assert bits(g(X)) == bits(g(X)) == bits(X * 2)
    refused = vs.compile(lambda x: x + vs.from_numpy(x.numpy()))
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"test_bad_use.py:.*outside"):
            refused(X)
    assert bits(g(X)) == bits(X * 2)


def test_recursion():
    @vs.compile
    def power(x, n):
        return x if n == 1 else x * power(x, n - 1)

    for n in (1, 3, 3, 2):
        assert bits(power(X, n)) == bits(X**n if n == 1 else (X * X if n == 2 else X * (X * X)))
    endless = vs.compile(lambda x: endless(x))
    with pytest.raises(RecursionError):
        endless(X)
    assert bits(power(X, 3)) == bits(X * (X * X))


def test_a_function_that_is_called_while_it_runs():
    w = vs.ones(3, requires_grad=True)
    optimizer = vs.optim.SGD([w], lr=0.5)
    inner = []

    @vs.compile
    def step(x):
        optimizer.zero_grad()
        loss = (w * x).sum()
        loss.backward()
        optimizer.step()
        return loss.detach()

    # Runs in every replay, for steps of optimizers are called again.
    optimizer.register_step_pre_hook(lambda *_: inner.append(bits(vs.compile(lambda x: x + 1)(X))))
    optimizer.register_step_pre_hook(lambda *_: inner.append(bits(step(X)) if len(inner) == 3 else None))
    for _ in range(4):
        step(X)
    assert len(inner) == 10
    w_alone = vs.ones(3)
    for _ in range(5):
        w_alone = w_alone - 0.5 * X.sum(0)
    assert vs.allclose(w, w_alone)


def test_many_threads():
    layer = nn.Linear(8, 8)
    g = vs.compile(lambda x: F.softmax(layer(x) * 2, -1))
    inputs = [vs.randn(n, 8) for n in (1, 2, 3, 4)]
    expected = [bits(F.softmax(layer(x) * 2, -1)) for x in inputs]
    wrong = []

    def work(k):
        for i in range(40):
            at = (i + k) % 4
            result = g(inputs[at])
            if bits(result)[3] != expected[at][3]:
                wrong.append(at)
            result.sum().backward()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    once(g, 4)


def test_a_trace_beside_other_threads():
    go, stop = threading.Event(), threading.Event()

    def work():
        while not stop.is_set():
            vs.ones(3).add_(1)
            go.set()

    def f(x):
        for _ in range(50):
            x = x + 1
            time.sleep(0)  # lets the other one run
        return x

    thread = threading.Thread(target=work)
    thread.start()
    go.wait()
    g = vs.compile(f)
    try:
        assert bits(g(X)) == bits(g(X)) == bits(f(X))
    finally:
        stop.set()
        thread.join()


def test_a_traced_function_that_waits_for_a_thread():
    helper = vs.compile(lambda x: x * 2)
    seen = [None]

    def f(x):
        thread = threading.Thread(target=lambda: seen.__setitem__(0, bits(helper(X))))
        thread.start()
        thread.join(timeout=60)
        assert not thread.is_alive()
        return x + 1

    with pytest.raises(CompileError, match=r"seen\[0\] was None"):
        vs.compile(f)(X)
    assert seen[0] == bits(X * 2)
    assert bits(helper(X)) == bits(helper(X)) == bits(X * 2)


def test_after_a_fork():
    g = vs.compile(lambda x: (x @ x.T).tanh())
    expected = bits(g(X))
    child = os.fork()
    if child == 0:
        same = bits(g(X)) == expected and bits(vs.compile(lambda x: x + 1)(X)) == bits(X + 1)
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert bits(g(X)) == expected


@pytest.mark.filterwarnings("ignore:.*fork")
def test_at_the_end_of_a_process():
    program = """
import atexit, versant as vs

class Last:
    def __del__(self):
        print(g(vs.ones(2)).tolist())

@vs.compile
def g(x):
    return x * 2

last = Last()
g(vs.ones(2))
atexit.register(lambda: print(g(vs.ones(2)).tolist()))
held = g(vs.ones(2, requires_grad=True))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("[2.0, 2.0]")


def test_what_a_function_holds_goes_with_it():
    def used():
        model = nn.Linear(3, 3)
        g = vs.compile(lambda x: model(x))
        for _ in range(3):
            g(X).sum().backward()
        return weakref.ref(model.weight)

    gone = used()
    gc.collect()
    assert gone() is None


def test_arguments_are_not_kept():
    g = vs.compile(lambda x, w: ((x * w).sum().backward(), w.grad)[1])
    w = vs.ones(3, requires_grad=True)
    x = vs.ones(3)
    gone = weakref.ref(x), weakref.ref(w)
    g(x, w)
    del x, w
    gc.collect()
    assert gone[0]() is None
    assert gone[1]() is None


def test_values_after_what_cannot_be_undone():
    w = vs.ones(3, requires_grad=True)
    optimizer = vs.optim.SGD([w], lr=0.5)

    def reads_late(x):
        (w * x).sum().backward()
        optimizer.step()
        return x * 2 if w.sum() > 0 else x

    with pytest.raises(RuntimeError, match=r"reads a value behind SGD.step"):
        vs.compile(reads_late)(X)

    def reads_early(x):
        optimizer.zero_grad()
        loss = (w * x).sum()
        loss.backward()
        optimizer.step()
        return loss.detach() * 2 if loss > 0 else loss.detach()

    def run(compiled):
        with vs.no_grad():
            w.fill_(1)
        function = vs.compile(reads_early) if compiled else reads_early
        return [bits([function(X + i), w]) for i in (1, -2, 1, 3, -5)]

    assert run(True) == run(False)


def test_branches_that_need_what_others_do_not():
    state = vs.zeros(3)

    def f(x):
        y = x * 2
        z = y.exp()
        state.add_(1)
        if x.sum() > 0:
            return state + 1
        state.mul_(3)
        if z.sum() > 4:
            return y - 1
        return z * y

    def run(compiled):
        state.zero_()
        function = vs.compile(f) if compiled else f
        return [
            bits([function(x), state]) for k in (1, -1, -0.1, 2, -1, -0.1, 0.5, -2) for x in (vs.ones(3) * k,)
        ]

    assert run(True) == run(False)


def test_tensors_in_place_that_become_part_of_a_graph():
    w = vs.ones(3, requires_grad=True)
    state = vs.zeros(3)
    with pytest.raises(RuntimeError, match="clone"):
        vs.compile(lambda x: state.copy_(x * w).sum())(vs.ones(3))
    x = (vs.ones(3, requires_grad=True)) * 1
    with pytest.raises(RuntimeError, match="clone"):
        vs.compile(lambda x: x.mul_(2).sum())(x)


def test_results_that_require_gradients_and_have_some():
    def f(x):
        leaf = x.detach().clone().requires_grad_()
        other = x.detach().requires_grad_()
        (leaf * other * 3).sum().backward()
        return leaf, other, nn.Parameter(x * 1)

    g = vs.compile(f)
    for i in range(3):
        expected, found = f(X + i), g(X + i)
        assert bits(found) == bits(expected)
        assert bits([r.grad for r in found]) == bits([r.grad for r in expected])
        assert all(r.is_leaf for r in found)
    once(g)


def test_a_hook_is_never_run_by_the_trace_alone():
    runs = []
    w = vs.ones(3, requires_grad=True)
    w.register_hook(lambda g: runs.append(1))
    vs.compile(lambda x: (w * x).sum())(vs.ones(3))
    assert not runs


def test_refusals_name_the_line():
    numbers = iter([1])
    with pytest.raises(CompileError, match="numbers is an iterator"):
        vs.compile(lambda x: x * next(numbers))(X)
    with pytest.raises(RuntimeError, match=r"test_bad_use.py:\d+"):
        vs.compile(lambda x: vs.tensor(x.numpy()))(X)
