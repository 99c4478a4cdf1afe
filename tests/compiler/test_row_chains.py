"""Steps that work row by row, run by threads that do not wait for each other, with the same bits."""

import pytest

import versant as vs
from tests.compiler.comparison import bits, once
from versant import nn
from versant.nn import functional as F

ROWS = 256


def weights(*sizes, dtype=vs.float32):
    vs.manual_seed(1)
    return [vs.randn(*size, dtype=dtype) / 8 for size in sizes]


def perceptron(x):
    w1, b1, w2, b2 = weights((64, 96), (96,), (96, 64), (64,), dtype=x.dtype)
    return F.linear((F.linear(x, w1.T, b1)).tanh() * 2, w2.T, b2).relu() + x


def narrow(x):
    """A column, whose bias is added apart, and one column for all."""
    w, b, up = weights((1, 64), (1,), (1, 64), dtype=x.dtype)
    column = F.linear(x, w, b)
    return (column @ up).tanh() * column + x


def read_whole(x):
    """What one step writes row by row the next one reads whole: the chain ends there."""
    (w,) = weights((64, 64), dtype=x.dtype)
    y = (x @ w).tanh()
    return (y @ y[:64]).sigmoid() @ w


def read_whole_first(x):
    """What the chain reads whole dies in it, and nothing may be written in its place meanwhile."""
    (w,) = weights((64, 64), dtype=x.dtype)
    y = (x[:128] @ w).tanh()
    z = x[:128] @ y[:64]
    return (z.tanh() + y * 3) @ w


def columns(x):
    """Views of columns, a row for all, and a column for each row."""
    w, row = weights((32, 64), (64,), dtype=x.dtype)
    y = (x[:, 32:] @ w + row) * x[:, :1]
    y[:, :32] += (x[:, :32] @ w)[:, 32:].exp()
    return y @ w.T


def one_row(x):
    """The same row again and again."""
    w, row = weights((64, 64), (1, 64), dtype=x.dtype)
    return (row.expand(ROWS, 64) @ w + x).tanh() @ w


def changed_in_place(x):
    """Values that are replaced while others still read the ones before."""
    (w,) = weights((64, 64), dtype=x.dtype)
    total = x @ w
    parts = []
    for _ in range(4):
        parts.append((total @ w).tanh())
        total = total.mul_(0.5).add_(parts[-1])
    return sum(parts) + total


def gradients(x):
    """Forward and backward, weights' gradients between them."""
    net = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 32), nn.GELU(), nn.Linear(32, 1)).to(
        x.dtype
    )
    with vs.no_grad():
        for i, p in enumerate(net.parameters()):
            p.copy_(vs.linspace(-1, 1, p.numel(), dtype=p.dtype).reshape(p.shape).sin() * (i + 1) / 9)
    x = x.detach().requires_grad_()
    (slope,) = vs.autograd.grad(net(x).sum(), x, create_graph=True)
    return vs.autograd.grad(slope.square().mean() + net(x).mean(), list(net.parameters()))


def weight_gradients(x):
    """Products of columns, of parts of rows too, that are added up; one is read by rows after it."""
    w, v = (each.requires_grad_() for each in weights((64, 96), (33, 64), dtype=x.dtype))
    y = (x @ w).tanh()
    z = y[:, 3:36] @ v + (x[:, 31:] @ v) * y[:, 20:84]
    of_w, of_v = vs.autograd.grad((z * z).mean() + (x.flip(0) @ w).sin().mean(), [w, v])
    return of_w, of_v, (of_w @ of_w.T).exp()


def turned_into_rows(x):
    """What the columns of one step are, the next one reads by rows: each thread needs all of it."""
    (w,) = weights((64, 64), dtype=x.dtype)
    total = x.T @ x
    return ((total @ w).T @ total).tanh() + total.T @ w


PROGRAMS = [
    perceptron,
    narrow,
    read_whole,
    read_whole_first,
    columns,
    one_row,
    changed_in_place,
    gradients,
    weight_gradients,
    turned_into_rows,
]


@pytest.mark.parametrize("dtype", [vs.float32, vs.float64], ids=str)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_chains_have_the_bits_of_their_steps(program, dtype, threads):
    inputs = []
    for seed in range(3):
        vs.manual_seed(seed)
        inputs.append(vs.randn(ROWS, 64, dtype=dtype))
    expected = [bits(program(x)) for x in inputs]
    compiled = vs.compile(program)
    for _ in range(3):
        assert [bits(compiled(x)) for x in inputs] == expected
    once(compiled)


def test_rows_that_no_thread_count_divides(threads):
    for rows in (129, 131, 257):
        x = vs.randn(rows, 64)
        compiled = vs.compile(perceptron)
        for _ in range(2):
            assert bits(compiled(x)) == bits(perceptron(x))


def test_an_index_error_in_the_middle_leaves_what_eager_mode_leaves():
    (w,) = weights((64, 64))
    state = vs.zeros(ROWS, 64)

    def step(x, index):
        state.add_((x @ w).tanh() @ w)
        picked = w[index]
        state.mul_(2)
        return picked

    x, good, bad = vs.randn(ROWS, 64), vs.tensor([1, 2]), vs.tensor([1, 64])
    compiled = vs.compile(step)
    compiled(x, good)
    outcomes = []
    for function in (step, compiled):
        state.zero_()
        with pytest.raises(IndexError):
            function(x, bad)
        outcomes.append(bits(state))
    assert outcomes[0] == outcomes[1]
