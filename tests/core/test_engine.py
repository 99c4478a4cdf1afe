"""The backward pass as a machine: long chains, memory, leaks, order of work."""

import gc
import subprocess
import sys
import textwrap
import weakref

import numpy as np
import pytest

import versant as vs


def leaf(values):
    return vs.tensor(values, dtype=vs.float64, requires_grad=True)


def live():
    return vs.memory.stats()["live_bytes"]


# --- long chains --------------------------------------------------------------------------------------------

MILLION = 1_000_000


def test_a_chain_of_a_million_ops():
    x = leaf([1.0])
    y = x
    for _ in range(MILLION):
        y = y + 1e-6
    assert abs(y.item() - 2) < 1e-6
    y.backward()
    assert x.grad.item() == 1
    del y


def test_a_long_chain_is_destroyed_without_backward():
    x = leaf([1.0])
    y = x
    for _ in range(MILLION):
        y = y * 1.0
    node = y.grad_fn
    del y
    del node


def test_a_long_chain_with_saved_values():
    x = leaf([0.5])
    y = x
    for _ in range(MILLION // 4):
        y = y.sin()
    y.backward()
    assert 0 < x.grad.item() < 1
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_a_long_chain_of_changes_in_place():
    x = leaf([1.0, 1.0])
    a = x * 1
    v = a[:1]
    for _ in range(20_000):
        v.mul_(1.0)
        a.add_(1e-6)
    a.sum().backward()
    assert x.grad.tolist() == [1, 1]


def test_a_long_chain_of_custom_functions():
    class Step(vs.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, grad):
            return grad

    x = leaf([1.0])
    for use in (True, False):
        y = x
        for _ in range(50_000):
            y = Step.apply(y)
        if use:
            y.backward()
            assert x.grad.item() == 1
        del y


def test_a_long_chain_with_create_graph_and_grad():
    x = leaf([1.0])
    y = x
    for _ in range(50_000):
        y = y * 1.0
    (g,) = vs.autograd.grad(y * y, x, create_graph=True)
    (h,) = vs.autograd.grad(g, x)
    assert g.item() == 2
    assert h.item() == 2


def test_long_chains_run_on_a_small_stack():
    program = """
        import threading
        import versant as vs

        def run():
            x = vs.ones(1, requires_grad=True)
            y = x
            for _ in range(200_000):
                y = y * 1.0
            y.backward()
            z = x
            for _ in range(200_000):
                z = z.sin()
            del y, z

        threading.stack_size(256 * 1024)
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        print("done")
    """
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "done\n", done.stderr


def test_a_ladder_visits_every_node_once():
    x = leaf([1.0])
    visits = []
    y = x
    for _ in range(60):
        y = y * 0.5 + y * 0.5
        y.register_hook(lambda g: visits.append(g.item()))
    y.backward()
    assert visits == [1.0] * 60
    assert x.grad.item() == 1


# --- memory -------------------------------------------------------------------------------------------------

BIG = 1 << 16  # elements; 512 KiB of float64


def test_saved_values_are_freed_as_the_pass_goes():
    x = leaf(np.linspace(0, 1, BIG))
    sizes = []
    y = x
    for _ in range(10):
        y = y.sin()
        y.register_hook(lambda g: sizes.append(live()))
    loss = y.sum()
    del y
    loss.backward()
    one = BIG * 8
    assert sizes[0] - sizes[-1] >= 8 * one


def test_retain_graph_keeps_saved_values():
    x = leaf(np.linspace(0, 1, BIG))
    y = x
    for _ in range(10):
        y = y.sin()
    loss = y.sum()
    before = live()
    loss.backward(retain_graph=True)
    assert live() - before == BIG * 8  # x.grad
    loss.backward()
    assert before - live() >= 7 * BIG * 8


def test_a_pass_needs_few_gradients_at_a_time():
    x = leaf(np.linspace(0, 1, BIG))
    y = x
    for _ in range(40):
        y = y + 1.0
    loss = y.sum()
    before = live()
    vs.memory.reset_peak()
    loss.backward()
    assert vs.memory.stats()["peak_bytes"] - before <= 5 * BIG * 8


def test_dropping_a_graph_frees_it():
    before = live()
    x = leaf(np.linspace(0, 1, BIG))
    y = (x.sin() * x.exp() + x[: BIG // 2].repeat(2)).tanh().sum()
    assert live() > before
    del x, y
    assert live() == before


def loops():
    def plain(x):
        (x * x).sum().backward()

    def second(x):
        (g,) = vs.autograd.grad((x**3).sum(), x, create_graph=True)
        (g * g).sum().backward()

    def accumulated_with_graph(x):
        (x * x).sum().backward(create_graph=True)
        x.grad = None

    def in_place(x):
        a = x * 1
        a[1:].mul_(x[1:])
        a[0] = x[1]
        a.sin_()
        a.sum().backward()

    def unused(x):
        ((x * 2).sin() * x.exp()).sum()

    def raising(x):
        a = x * x
        a.register_hook(lambda g: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            (a * x).sum().backward()

    def refused(x):
        a = x * x
        b = a.sin()
        a.add_(1)
        with pytest.raises(RuntimeError, match="inplace"):
            b.sum().backward()

    def pruned(x):
        a = x * 2
        vs.autograd.grad((a * a + x).sum(), a)

    def frozen(x):
        y = (x * 2).sum()
        x.requires_grad_(False)
        x.requires_grad_(True)
        y.backward()

    def cyclic(x):
        a = x * 2
        a.register_hook(lambda g: print(a) if g is None else None)
        a.note = a
        a.sum().backward()

    return [
        plain, second, accumulated_with_graph, in_place, unused, raising, refused, pruned, frozen, cyclic,
    ]  # fmt: skip


@pytest.mark.parametrize("step", loops(), ids=lambda f: f.__name__)
def test_loops_leak_nothing(step):
    x = leaf(np.linspace(0.1, 1, 1000))

    def run(n):
        for _ in range(n):
            step(x)
            x.grad = None
        gc.collect()
        return live(), vs.memory.stats()["object_bytes"], len(gc.get_objects())

    run(10)
    bytes_before, objects_before, python_before = run(10)
    bytes_after, objects_after, python_after = run(200)
    assert bytes_after == bytes_before
    assert objects_after == objects_before
    assert python_after <= python_before + 5


def test_tensors_of_a_used_graph_are_released():
    x = leaf([1.0, 2.0])
    a = x * 2
    b = a.sin()
    gone = [weakref.ref(a), weakref.ref(b)]
    loss = b.sum()
    del a, b
    assert all(r() is None for r in gone)
    loss.backward()
    gone = weakref.ref(loss)
    del loss
    assert gone() is None


def test_reference_counts_of_what_is_passed_in_stay():
    x = leaf([1.0, 2.0])
    weight = vs.ones(2, dtype=vs.float64)
    roots = [x * 2]

    def counts():
        return (
            sys.getrefcount(x),
            sys.getrefcount(weight),
            sys.getrefcount(roots),
            sys.getrefcount(roots[0]),
        )

    before = counts()
    for _ in range(20):
        vs.autograd.backward(roots, [weight], retain_graph=True)
        vs.autograd.grad(roots, [x], [weight], retain_graph=True)
        with pytest.raises(RuntimeError):
            vs.autograd.grad(roots, [leaf([1.0])], [weight], retain_graph=True)
    gc.collect()
    assert counts() == before
    assert sys.getrefcount(None) > 100


def test_node_objects_do_not_outlive_their_use():
    x = leaf([1.0])
    y = x * 2
    node = y.grad_fn
    assert y.grad_fn is node
    del y
    assert node.name() == "MulBackward0"
    assert node.next_functions[0][0].variable is x


# --- random graphs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_random_graphs_against_forward_accumulation(seed):
    rng = np.random.default_rng(seed)
    inputs = [leaf(v) for v in rng.normal(size=4)]
    values = list(inputs)
    tangents = [np.eye(4)[i] for i in range(4)]
    for _ in range(200):
        i, j = rng.integers(len(values), size=2)
        a, b, kind = values[i], values[j], rng.integers(4)
        pa, pb = a.item(), b.item()
        if kind == 0:
            values.append(a + b)
            tangents.append(tangents[i] + tangents[j])
        elif kind == 1:
            values.append((a * b).tanh())
            slope = 1 - np.tanh(pa * pb) ** 2
            tangents.append(slope * (tangents[i] * pb + tangents[j] * pa))
        elif kind == 2:
            values.append(a.sin() - b)
            tangents.append(np.cos(pa) * tangents[i] - tangents[j])
        else:
            values.append(a * 0.5)
            tangents.append(0.5 * tangents[i])
    chosen = rng.integers(len(values), size=5)
    roots = [values[k] for k in chosen]
    got = vs.autograd.grad(roots, inputs, retain_graph=True, materialize_grads=True)
    expected = sum(tangents[k] for k in chosen)
    np.testing.assert_allclose([g.item() for g in got], expected, rtol=1e-9, atol=1e-9)
    sum(roots).backward()
    np.testing.assert_allclose(
        [0.0 if x.grad is None else x.grad.item() for x in inputs], expected, rtol=1e-9, atol=1e-9
    )
