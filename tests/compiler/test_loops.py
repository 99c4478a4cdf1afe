"""cond, while_loop and scan in compiled functions: real control flow, with the bits of eager mode."""

import dataclasses

import pytest
from compiler.comparison import bits, once

import versant as vs
from versant import nn

X = vs.linspace(-1, 1, 6).reshape(2, 3)


def rows(n, width=4, scale=1.0):
    vs.manual_seed(n)
    return vs.randn(n, width) * scale


def left(function, inputs, parameters):
    """What a call leaves behind: its result, gradients, and random numbers that follow."""
    given = [x.detach().clone().requires_grad_(x.is_floating_point()) for x in inputs]
    for p in parameters:
        p.grad = None
    vs.manual_seed(5)
    result = function(*given)
    return bits([result, [x.grad for x in (*given, *parameters)], vs.rand(2)])


def agree(f, calls, parameters=(), traces=1):
    """f compiled leaves what it leaves in eager mode, in every call, and is traced once."""
    g = vs.compile(f)
    for inputs in calls:
        expected = left(f, inputs, parameters)
        assert left(g, inputs, parameters) == expected
    once(g, traces)
    return g


@pytest.fixture
def w():
    vs.manual_seed(1)
    return (vs.randn(4, 4) * 0.7).requires_grad_()


@pytest.fixture
def b():
    vs.manual_seed(2)
    return vs.randn(4).requires_grad_()


# Values and gradients -------------------------------------------------------------------------------------


def test_cond_takes_either_branch(w, b):
    def f(x):
        y = vs.cond(x.sum() > 0, lambda x: (x @ w).exp() * w[0] + x, lambda x: x * b - x.sin(), x)
        (y.sum() + (w * b).sum()).backward()
        return y.detach()

    agree(f, [(rows(i)[0],) for i in range(1, 9)], [w, b])


def test_while_loop_turns_as_often_as_values_say(w, b):
    def f(x):
        n, y = vs.while_loop(lambda s: s[1].norm() < 50, lambda s: (s[0] + 1, s[1] @ w * 1.6 + x), (0, x))
        (y.sum() + (w * b).sum()).backward()
        return n, y.detach()

    scales = (1.0, 0.1, 30.0, 1e3, 0.01, 1.0)
    counts = {int(f(rows(1, scale=s)[0].requires_grad_())[0]) for s in scales}
    assert len(counts) > 3
    assert 0 in counts
    agree(f, [(rows(1, scale=s)[0],) for s in scales], [w, b])


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_with_shared_weights(w, b, reverse):
    def f(h, xs):
        h, ys = vs.scan(lambda h, x: (((h @ w + x @ w).tanh() * b), h * x), h, xs, reverse=reverse)
        (ys.square().sum() + h.sum() + w.square().sum()).backward()
        return h.detach(), ys.detach()

    agree(f, [(vs.zeros(5, 4) + i, rows(35).reshape(7, 5, 4) * i) for i in (1, 2, 3)], [w, b])


def test_carry_and_output_may_be_the_same_tensor(w):
    def f(h, xs):
        (h, again), ys = vs.scan(lambda c, x: (((h := (c[0] @ w + x).tanh()), h), (h, h)), (h, h), xs)
        (ys[0].square().sum() + ys[1].sum() + h.sum() * again.sum()).backward()
        return h.detach()

    agree(f, [(rows(1)[0], rows(6) * i) for i in (1, 2)], [w])


def test_layers_in_a_loop(w):
    cell = nn.LSTMCell(4, 5)
    norm = nn.LayerNorm(5)

    def f(xs):
        def turn(state, x):
            h, c = cell(x, state)
            return (norm(h), c), h

        (_, c), ys = vs.scan(turn, (vs.zeros(2, 5), vs.zeros(2, 5)), xs)
        (ys.square().sum() + c.sum()).backward()
        return ys.detach()

    agree(f, [(rows(12).reshape(6, 2, 4) * i,) for i in (1, 2, 3)], [*cell.parameters(), *norm.parameters()])


@pytest.mark.parametrize("width", [4, 300])
def test_values_of_the_call_are_reached_by_bodies(width, b):
    """They lie where other values of the call come to lie later."""
    weight = rows(width, width, 0.05).requires_grad_()

    def f(x):
        doubled, shift = weight * 2, x.sin()
        y = vs.scan(lambda h, _: ((h @ doubled + shift).tanh(), h), x, length=4)[1]
        z = (y * 3).exp().cos().sum(0) + shift * 2
        for _ in range(4):
            z = (z * 1.1 + 1).tanh()
        z = vs.cond(z.sum() > 0, lambda: z * shift, lambda: z @ doubled)
        z.sum().backward()
        return z.detach()

    agree(f, [(rows(1, width, s)[0],) for s in (1.0, 2.0, -3.0, 0.5)], [weight])


def test_loops_in_loops(w, b):
    def f(xs):
        def turn(h, x):
            n, h = vs.while_loop(
                lambda s: s[1].norm() > 1, lambda s: (s[0] + 1, s[1] * b * 0.3), (0, h + x @ w)
            )
            return h, n

        h, counts = vs.scan(turn, vs.zeros(4), xs)
        y = vs.cond(h.sum() > 0, lambda: h * b, lambda: vs.cond(h[0] > 0, lambda: h @ w, lambda: -h))
        y.sum().backward()
        return counts, y.detach()

    agree(f, [(rows(5, scale=s),) for s in (1.0, 3.0, 0.1, 10.0, -1.0)], [w, b])


def test_gradients_outside_of_the_function(w):
    def f(xs):
        h, ys = vs.scan(lambda h, x: ((h @ w + x).tanh(),) * 2, vs.zeros(4), xs)
        return ys, vs.while_loop(lambda h: h.norm() < 9, lambda h: h * 1.5 + w[1], h)

    g = vs.compile(f)
    for scale in (1.0, 2.0, 0.1):
        results = []
        for function in (f, g):
            w.grad = None
            xs = rows(5, scale=scale).requires_grad_()
            ys, last = function(xs)
            (ys.square().sum() + last.prod()).backward(retain_graph=True)
            last.sum().backward()
            results.append(bits([ys, last, w.grad, xs.grad]))
        assert results[0] == results[1]
    once(g)


ASKED = {
    "outputs": lambda w, b, xs: vs.scan(lambda h, x: ((h @ w + x).tanh() * b, h * x * w[0]), vs.zeros(4), xs)[
        1
    ],
    "the carry": lambda w, b, xs: vs.scan(
        lambda h, x: ((h @ w + x).tanh() * b, (h * 1e38).exp() * w[0]), vs.zeros(4) + 1, xs
    )[0],
    "one of three": lambda w, b, xs: vs.scan(
        lambda c, x: ((c[1] * b, c[2] @ w, x * w[1] - c[0]), x * b), (xs[0], xs[1], xs[2]), xs
    )[0][0],
    "the way of a carry that ends": lambda w, b, xs: vs.scan(
        lambda c, x: ((c[0] * b + x, x.exp() * w[2]), c[1]), (xs[0], xs[1]), xs, reverse=True
    )[1],
    "one of a loop's": lambda w, b, xs: vs.while_loop(
        lambda s: s[0] < 4,
        lambda s: (s[0] + 1, s[2] * b, s[1] @ w * 0.5 + xs[0], (s[3] * 1e30).exp() * w[0]),
        (0, xs[0], xs[1], xs[2]),
    )[1],
    "one of a branch's": lambda w, b, xs: vs.cond(
        xs.sum() > 0, lambda x: (x @ w * b, (x * 1e38).exp() * w), lambda x: (x * b @ w, x.sin()), xs
    )[0],
}


@pytest.mark.parametrize("name", ASKED)
def test_nothing_flows_where_nobody_asks(name, w, b):
    """No zeros either: they would be NaN behind what overflows."""

    def f(xs):
        ASKED[name](w, b, xs).square().sum().backward()
        return xs.sum().detach()

    g = agree(f, [(rows(n, scale=s),) for n, s in ((4, 1.0), (4, -1.0), (4, 0.3))], [w, b])
    assert g.stats()["replays"] == 2
    assert bool(w.grad.isfinite().all())


def test_two_ways_back_from_other_results(w, b):
    def f(xs):
        h, ys = vs.scan(lambda h, x: ((h @ w + x).tanh() * b, h * x), vs.zeros(4), xs)
        y = vs.cond(h.sum() > 0, lambda: (h * b, h @ w), lambda: (h @ w, h.sin()))
        ys.sum().backward(retain_graph=True)
        (y[0].sum() * 2).backward(retain_graph=True)
        (h * 3 + y[1]).sum().backward()
        return h.detach()

    g = vs.compile(f)
    for scale in (1.0, -1.0, 0.2):
        results = []
        for function in (f, g):
            w.grad = b.grad = None
            xs = rows(5, scale=scale).requires_grad_()
            function(xs)
            results.append([xs.grad, w.grad, b.grad])
        for theirs, ours in zip(*results, strict=True):
            assert (theirs - ours).abs().max() <= 1e-5 * theirs.abs().max()


def test_training_step(w):
    def trained(compiled):
        vs.manual_seed(0)
        cell, head = nn.GRUCell(3, 8), nn.Linear(8, 1)
        model = nn.ModuleList([cell, head])
        optimizer = vs.optim.AdamW(model.parameters(), lr=1e-2)

        def step(xs, y):
            h, _ = vs.scan(lambda h, x: (cell(x, h), None), vs.zeros(len(y), 8), xs)
            loss = (head(h) - y).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.detach()

        function = vs.compile(step) if compiled else step
        losses = [function(vs.randn(5, 4, 3), vs.randn(4, 1)) for _ in range(5)]
        if compiled:
            once(function)
        return bits([losses, model.state_dict()])

    assert trained(True) == trained(False)


def random_order(f, x, parameters, order):
    """The sum of a gradient of some order, and its own gradients."""
    x = x.detach().clone().requires_grad_()
    value = f(x)
    for _ in range(order - 1):
        (value,) = vs.autograd.grad(value.square().sum(), x, create_graph=True)
    return vs.autograd.grad(value.square().sum(), [x, *parameters], allow_unused=True, materialize_grads=True)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_gradients_of_gradients(order):
    vs.manual_seed(0)
    w, b = (
        (vs.randn(3, 3, dtype=vs.float64) * 0.5).requires_grad_(),
        vs.randn(3, dtype=vs.float64).requires_grad_(),
    )

    def scans(x):
        inner = w * 2
        return vs.scan(lambda h, x: ((h @ w + x @ inner).tanh(), h * b), b * 0.1, x, reverse=True)

    def walks(x):
        h, ys = scans(x)
        return h.sum() + ys

    def branches(x):
        scaled = x * b
        return vs.cond(x.sum() > 0, lambda x: (x * scaled).tanh() @ w, lambda x: (x @ w).sigmoid() * x, x)

    for f in (walks, branches):
        g = vs.compile(lambda x, f=f: random_order(f, x, [w, b], order))
        for scale in (1.0, -1.0, 0.3):
            x = rows(4, 3, scale).double()
            for ours, theirs in zip(g(x), random_order(f, x, [w, b], order), strict=True):
                assert (ours - theirs).abs().max() <= 1e-12 * (1 + theirs.abs().max())
        once(g)


# Random numbers -------------------------------------------------------------------------------------------


def test_random_numbers_are_those_of_eager_mode():
    drop = nn.Dropout(0.5)

    def f(x):
        first = vs.rand(3)
        n, y = vs.while_loop(
            lambda s: s[1].norm() < 50, lambda s: (s[0] + 1, drop(s[1]) * 1.7 + vs.rand_like(x)), (0, x)
        )
        z = vs.cond(n > 3, lambda y: y + vs.randn(4) + vs.rand(40)[:4], lambda y: y * 2, y) + vs.randn(4)
        z.sum().backward()
        return first, n, z.detach()

    agree(f, [(rows(1, scale=s)[0],) for s in (1.0, 0.1, 30.0, 1e3, 0.01)])


# What bodies are given and give ---------------------------------------------------------------------------


@dataclasses.dataclass
class State:
    position: vs.Tensor
    steps: int = 0


CONTAINERS = {
    "numbers": lambda x: vs.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * 2), (0, x)),
    "dict": lambda x: vs.scan(
        lambda c, x: ({"a": c["a"] + x["x"], "n": c["n"] + 1}, {"y": x["x"] * c["n"]}),
        {"a": vs.zeros(3), "n": 0},
        {"x": x},
    ),
    "dataclass": lambda x: (
        vs.while_loop(
            lambda s: s.steps < 3, lambda s: State(s.position * 2, s.steps + 1), State(x, 0)
        ).position
    ),
    "none": lambda x: vs.scan(lambda c, _: (None, None), None, x),
    "no xs": lambda x: vs.scan(lambda c, _: (c * 2, c[0].sum()), x, length=4),
    "no operands": lambda x: vs.cond(x.sum() > 0, lambda: 1, lambda: 2),
    "no turn": lambda x: vs.scan(lambda c, x: (c + x, c.double()), vs.zeros(3), x[:0]),
    "max_steps": lambda x: vs.while_loop(lambda s: True, lambda s: s * 2, x, max_steps=3),
    "whole numbers": lambda x: vs.scan(
        lambda c, x: (c + x, c % 2 == 0), vs.tensor(0), (x * 9)[0].int().long()
    ),
    "complex": lambda x: vs.scan(lambda c, x: (c * x * 1j, c), vs.ones(3, dtype=vs.complex64), x),
    "turned": lambda x: vs.while_loop(lambda s: s.sum() < 9, lambda s: (s + 1).T.T, x.T),
    "bool pred": lambda x: vs.cond(True, lambda x: x, lambda x: x[0], x),
    "numpy's": lambda x: vs.scan(
        lambda c, x: (c + vs.linalg.inv(x.diag() + vs.eye(3) * 5)[0], c), vs.ones(3), x
    ),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers(name):
    f = CONTAINERS[name]
    g = vs.compile(f)
    for i in (1.0, 2.0):
        assert bits(vars(r) if dataclasses.is_dataclass(r := f(X * i)) else r) == bits(g(X * i))
    once(g)


@pytest.mark.parametrize("compiled", [False, True])
def test_results_are_new_tensors(compiled):
    kept = vs.zeros(3)

    def f(x):
        return [
            vs.cond(x.sum() < 99, lambda x: x, lambda x: -x, x),
            vs.cond(x.sum() < 99, lambda x: x[0], lambda x: x[1], x),
            vs.cond(x.sum() < 99, lambda: kept, lambda: kept * 2),
            vs.while_loop(lambda x: x.sum() > 99, lambda x: -x, x),
            *vs.scan(lambda c, _: (c, c), kept, length=2),
        ]

    g = vs.compile(f) if compiled else f
    for _ in range(2):
        x = X.clone()
        for result in g(x):
            result.add_(1)
        assert bits(x) == bits(X)
        assert bits(kept) == bits(vs.zeros(3))


def test_modes():
    layer = nn.Linear(3, 3)

    def f(x):
        return vs.scan(lambda c, x: (layer(layer(c)).float() + x, c), vs.ones(3), x)

    for mode in (vs.no_grad, vs.inference_mode, lambda: vs.autocast("cpu", dtype=vs.bfloat16)):
        g = vs.compile(f)
        for i in range(3):
            with mode():
                assert bits(f(X + i)) == bits(g(X + i))

    def step(x):
        with vs.autocast("cpu", dtype=vs.bfloat16):
            loss = f(x)[1].square().sum()
        loss.backward()
        return loss.detach()

    agree(step, [(X + i,) for i in range(3)], list(layer.parameters()))


def test_debug_in_bodies_is_repeated_for_each_turn():
    seen = []

    def f(x):
        def turn(c, x):
            vs.debug.callback(lambda x: seen.append(x.item()), x)
            inner = vs.while_loop(lambda n: n < 2, lambda n: (vs.debug.callback(seen.append, n), n + 1)[1], 0)
            return c + inner, None

        return vs.scan(turn, 0, x)[0]

    g = vs.compile(f)
    for i in range(3):
        seen.clear()
        g(vs.tensor([1.0, 2.0]) + i)
        assert [float(x) for x in seen] == [1.0 + i, 0.0, 1.0, 2.0 + i, 0.0, 1.0]


def test_errors_in_a_turn_leave_the_function_whole():
    g = vs.compile(lambda x: vs.scan(lambda c, x: (c + vs.linalg.inv(x.diag())[0], c), vs.ones(3), x)[0])
    expected = bits(g(X))
    with pytest.raises(vs.linalg.LinAlgError, match="singular"):
        g(X * 0)
    assert bits(g(X)) == expected


# Errors ---------------------------------------------------------------------------------------------------

BAD_ANYWHERE = {
    "shape": (
        vs.ShapeError,
        r"shape \(3,\), and f gives \(6,\)",
        lambda x: vs.scan(lambda c, x: (vs.cat([c, x]), c), vs.zeros(3), x),
    ),
    "dtype": (
        vs.DTypeError,
        "begins as .*float32, and f gives .*float64",
        lambda x: vs.scan(lambda c, x: (c.double(), c), vs.zeros(3), x),
    ),
    "structure": (
        TypeError,
        "was a tensor, now a tuple",
        lambda x: vs.scan(lambda c, x: ((c, c), c), vs.zeros(3), x),
    ),
    "no pair": (TypeError, "a pair", lambda x: vs.scan(lambda c, x: c, vs.zeros(3), x)),
    "turn": (
        vs.ShapeError,
        r"body_fn gives \(1, 2, 3\)",
        lambda x: vs.while_loop(lambda c: c.sum() < 3, lambda c: c[None], x),
    ),
    "goes on": (
        vs.ShapeError,
        r"cond_fn gives a tensor of one element, got shape \(2, 3\)",
        lambda x: vs.while_loop(lambda c: c < 3, lambda c: c, x),
    ),
    "goes on too": (
        TypeError,
        "cond_fn gives a bool",
        lambda x: vs.while_loop(lambda c: "yes", lambda c: c, x),
    ),
    "pred": (
        vs.ShapeError,
        r"pred has one element, got shape \(2, 3\)",
        lambda x: vs.cond(x > 0, abs, abs, x),
    ),
    "pred too": (TypeError, "pred is a bool", lambda x: vs.cond("yes", abs, abs, x)),
    "function": (TypeError, "false_fn is a function, got Tensor", lambda x: vs.cond(x.sum() > 0, abs, x)),
    "no length": (ValueError, "length is needed", lambda x: vs.scan(lambda c, x: (c, x), x)),
    "length": (
        vs.ShapeError,
        r"has shape \(2, 3\), expected a first axis of 4",
        lambda x: vs.scan(lambda c, x: (c, x), 0, x, length=4),
    ),
    "negative": (ValueError, "0 or more", lambda x: vs.scan(lambda c, x: (c, x), 0, length=-1)),
    "no axis": (vs.ShapeError, "no axis", lambda x: vs.scan(lambda c, x: (c, x), 0, x.sum())),
    "max_steps": (
        TypeError,
        "max_steps is an int",
        lambda x: vs.while_loop(lambda c: True, lambda c: c, 0, max_steps=1.5),
    ),
}


@pytest.mark.parametrize("name", BAD_ANYWHERE)
@pytest.mark.parametrize("compiled", [False, True])
def test_bad_use(name, compiled):
    kind, message, f = BAD_ANYWHERE[name]
    with pytest.raises(kind, match=message):
        (vs.compile(f) if compiled else f)(X)


KEPT = vs.zeros(3)
WEIGHT = vs.ones(3, requires_grad=True)
NORM = nn.BatchNorm1d(3)
GENERATOR = vs.Generator()


def adds_up(x):
    def turn(c, x):
        (c * WEIGHT).sum().backward()
        return c + x, None

    return vs.scan(turn, vs.zeros(3), x)


def second_order(x):
    x = x.detach().requires_grad_()
    y = vs.while_loop(lambda s: s.sum() < 5, lambda s: s * s + 1, x).sum()
    return vs.autograd.grad(y, x, create_graph=True)


def leaks(x):
    kept = []
    c, _ = vs.scan(lambda c, x: (kept.append(c * 2) or c + x, None), vs.zeros(3), x)
    return c + kept[0]


BAD_COMPILED = {
    "value": (
        "test_loops.py.*reads a value",
        lambda x: vs.scan(lambda c, x: (c + x if x.sum() > 0 else c, None), vs.zeros(3), x),
    ),
    "number": (
        "test_loops.py.*reads a value",
        lambda x: vs.scan(lambda c, x: (c + float(x[0]), None), vs.zeros(3), x),
    ),
    "statistics": ("test_loops.py.*changes a tensor in place", lambda x: vs.cond(x.sum() > 0, NORM, NORM, x)),
    "operand": (
        "test_loops.py.*changes a tensor in place",
        lambda x: vs.scan(lambda c, x: (c.add_(x), None), vs.zeros(3), x),
    ),
    "reached": (
        "test_loops.py.*changes a tensor in place",
        lambda x: vs.scan(lambda c, x: (c + KEPT.add_(1), None), vs.zeros(3), x),
    ),
    "gradients": ("test_loops.py.*sets gradients", adds_up),
    "second order": ("test_loops.py.*gradients of gradients through while_loop", second_order),
    "leak": ("in a body|cannot be replayed", leaks),
    "generator": (
        "generator of its own",
        lambda x: vs.scan(lambda c, x: (c + vs.rand(3, generator=GENERATOR), None), vs.zeros(3), x),
    ),
}


@pytest.mark.parametrize("name", BAD_COMPILED)
def test_what_bodies_may_not_do(name):
    message, f = BAD_COMPILED[name]
    kept = KEPT.clone()
    with pytest.raises(RuntimeError, match=message):
        vs.compile(f)(X)
    assert not vs._core.is_tracing()
    KEPT.copy_(kept)
    assert bits(vs.compile(lambda x: x * 2)(X)) == bits(X * 2)


BRANCHES = {
    "shape": (vs.ShapeError, r"\(2, 3\) from true_fn and \(3,\) from false_fn", lambda x: x, lambda x: x[0]),
    "dtype": (vs.DTypeError, "float32 from true_fn and .*bool from false_fn", lambda x: x, lambda x: x > 0),
    "structure": (TypeError, "was a tensor, now a tuple", lambda x: x, lambda x: (x, x)),
}


@pytest.mark.parametrize("name", BRANCHES)
def test_branches_are_compared(name):
    kind, message, true_fn, false_fn = BRANCHES[name]
    with pytest.raises(kind, match=message):
        vs.compile(lambda x: vs.cond(x.sum() > 0, true_fn, false_fn, x))(X)
