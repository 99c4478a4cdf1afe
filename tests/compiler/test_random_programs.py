"""Random programs: compiled, they do what they do eagerly, bit for bit, call after call.

A program works on a few tensors of one shape: ops, views, changes in place, branches on values, random
numbers, gradients. It is drawn as a list of instructions and run by one interpreter, eagerly and compiled.
"""

from compiler.comparison import bits
from hypothesis import given, settings
from hypothesis import strategies as st

import versant as vs

SHAPE = (3, 4)
PLACES = 4  # values that a program holds; 0 and 1 are the arguments at first
STATES = 2  # tensors that live on from call to call

place, state = st.integers(0, PLACES - 1), st.integers(0, STATES - 1)
unary = st.sampled_from(["sin", "tanh", "exp", "relu", "neg", "sigmoid", "abs", "square", "clone", "detach"])
binary = st.sampled_from(["add", "sub", "mul", "maximum", "atan2"])
number = st.sampled_from([0.5, -1.0, 2.0, 0.0, 3])

SIMPLE = st.one_of(
    st.tuples(st.just("unary"), place, unary, place),
    st.tuples(st.just("binary"), place, binary, place, place),
    st.tuples(st.just("number"), place, binary, place, number),
    st.tuples(st.just("product"), place, place, place),
    st.tuples(st.just("sum"), place, place, st.sampled_from([0, 1, None])),
    st.tuples(st.just("softmax"), place, place),
    st.tuples(
        st.just("view"), place, place, st.sampled_from(["t", "flip", "roll", "where", "sort", "cumsum"])
    ),
    st.tuples(st.just("row in place"), place, st.integers(0, 2), number),
    st.tuples(st.just("in place"), place, binary, place),
    st.tuples(st.just("slice in place"), place, place, st.integers(0, 2)),
    st.tuples(st.just("masked"), place, number),
    st.tuples(
        st.just("random"), place, st.sampled_from(["rand", "randn", "dropout", "bernoulli", "randperm"])
    ),
    st.tuples(st.just("read state"), place, state),
    st.tuples(st.just("write state"), state, place),
    st.tuples(st.just("move state"), state, place, number),
    st.tuples(st.just("gradient"), place, place),
    st.tuples(st.just("backward"), place),
    st.tuples(st.just("clear")),
)
INSTRUCTION = st.one_of(
    SIMPLE,
    SIMPLE,
    st.tuples(st.just("if"), place, st.lists(SIMPLE, max_size=3), st.lists(SIMPLE, max_size=3)),
    st.tuples(st.just("while"), place, st.lists(SIMPLE, max_size=2)),
)


VIEWS = {
    "t": lambda x: x.T.reshape(SHAPE),
    "flip": lambda x: x.flip(1),
    "roll": lambda x: vs.cat([x[1:], x[:1]]),
    "where": lambda x: vs.where(x > 0, x, -x * 2),
    "sort": lambda x: x.sort(1).values,
    "cumsum": lambda x: x.cumsum(0),
}
DRAWS = {
    "rand": lambda x: vs.rand(SHAPE),
    "randn": lambda x: vs.randn(SHAPE),
    "dropout": lambda x: vs.nn.functional.dropout(x, 0.4),
    "bernoulli": lambda x: vs.bernoulli(x.detach().sigmoid()) + x,
    "randperm": lambda x: x[vs.randperm(3)],
}


def execute(program, held, states, weight):
    for kind, *rest in program:
        if kind == "unary":
            to, name, a = rest
            held[to] = getattr(held[a], name)()
        elif kind == "binary":
            to, name, a, b = rest
            held[to] = getattr(held[a], name)(held[b])
        elif kind == "number":
            to, name, a, value = rest
            held[to] = held[a] * value + weight if name == "mul" else held[a] + value
        elif kind == "product":
            to, a, b = rest
            held[to] = (held[a] @ held[b].T @ held[a]) * 0.1
        elif kind == "sum":
            to, a, dim = rest
            total = held[a].sum() if dim is None else held[a].sum(dim, keepdim=True)
            held[to] = (held[a] * 0.5 + total).tanh()
        elif kind == "softmax":
            to, a = rest
            held[to] = held[a].softmax(1)
        elif kind == "view":
            to, a, how = rest
            held[to] = VIEWS[how](held[a])
        elif kind == "row in place":
            a, row, value = rest
            held[a] = held[a].clone()
            held[a][row].add_(value)
        elif kind == "in place":
            a, name, b = rest
            held[a] = held[a] * 1
            held[a] += held[b] if name != "mul" else held[b].detach()
        elif kind == "slice in place":
            a, b, row = rest
            held[a] = held[a].clone()
            held[a][row : row + 1, ::2] = held[b][row, 1:3]
        elif kind == "masked":
            a, value = rest
            held[a] = held[a].clone()
            held[a][held[a] > 0.5] = value
        elif kind == "random":
            to, name = rest
            held[to] = DRAWS[name](held[to])
        elif kind == "read state":
            to, at = rest
            held[to] = held[to] * 0.5 + states[at]
        elif kind == "write state":
            at, a = rest
            states[at].copy_(held[a].detach())
        elif kind == "move state":
            at, a, value = rest
            states[at].T[1:].mul_(0.5).add_(held[a].detach().T[1:], alpha=value)
        elif kind == "gradient":
            to, a = rest
            held[to] = slope(held[a], weight)
        elif kind == "backward":
            loss = (held[rest[0]] * weight).sum()
            loss.backward(retain_graph=True)
        elif kind == "clear":
            weight.grad = None
        elif kind == "if":
            a, then, otherwise = rest
            execute(then if held[a].sum() > 0 else otherwise, held, states, weight)
        elif kind == "while":
            a, body = rest
            for _ in range(2):
                if held[a].detach().abs().mean() > 0.6:
                    execute(body, held, states, weight)


def slope(y, weight):
    """Of the mean of what depends on the weight, by it; with a graph of its own."""
    y = y * weight
    (found,) = vs.autograd.grad(y.square().mean(), weight, create_graph=True)
    return found


def calls(program, compiled):
    vs.manual_seed(7)
    weight = (vs.rand(SHAPE) - 0.3).requires_grad_()
    states = [vs.rand(SHAPE), vs.zeros(SHAPE)]

    def f(x, y):
        held = [x, y, x.detach() * 0.5, weight * 0.5]
        execute(program, held, states, weight)
        return held

    function = vs.compile(f) if compiled else f
    found = []
    for i in range(4):
        x, y = vs.randn(SHAPE) + (i % 2 - 0.5), vs.randn(SHAPE)
        results = function(x, y)
        found.append(bits([results, states, weight.grad, vs.rand(1)]))
        live = [r for r in results if r.requires_grad]
        if live and i != 2:
            weight.grad = None
            try:
                vs.autograd.backward([r.sum() for r in live])
            except RuntimeError as error:
                found.append("freed" if "freed" in str(error) else str(error))
            found.append(bits(weight.grad))
    return found


@settings(max_examples=200)
@given(st.lists(INSTRUCTION, min_size=2, max_size=9))
def test_compiled_programs_do_what_eager_ones_do(program):
    assert calls(program, True) == calls(program, False)
