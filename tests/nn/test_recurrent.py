"""Recurrent cells against their formulas in numpy, and what they refuse."""

import numpy as np
import pytest

import versant as vs
from versant import nn


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def sums(cell, x, h):
    a = x @ cell.weight_ih.detach().numpy().T
    b = h @ cell.weight_hh.detach().numpy().T
    return (a + cell.bias_ih.detach().numpy(), b + cell.bias_hh.detach().numpy()) if cell.bias else (a, b)


def rnn(cell, x, h, c):
    a, b = sums(cell, x, h)
    return np.tanh(a + b) if cell.nonlinearity == "tanh" else np.maximum(a + b, 0)


def lstm(cell, x, h, c):
    i, f, g, o = np.split(np.add(*sums(cell, x, h)), 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(cell, x, h, c):
    (ar, az, an), (br, bz, bn) = (np.split(s, 3, -1) for s in sums(cell, x, h))
    z, n = sigmoid(az + bz), np.tanh(an + sigmoid(ar + br) * bn)
    return (1 - z) * n + z * h


CASES = [
    (nn.RNNCell, {}, rnn),
    (nn.RNNCell, {"nonlinearity": "relu", "bias": False}, rnn),
    (nn.LSTMCell, {}, lstm),
    (nn.LSTMCell, {"bias": False}, lstm),
    (nn.GRUCell, {}, gru),
]


@pytest.mark.parametrize("batch", [(5,), ()])
@pytest.mark.parametrize(("kind", "options", "formula"), CASES)
def test_cells_follow_their_formula(kind, options, formula, batch) -> None:
    vs.manual_seed(0)
    cell = kind(3, 4, dtype=vs.float64, **options)
    x, h, c = (vs.randn(*batch, n, dtype=vs.float64) for n in (3, 4, 4))
    expected = formula(cell, x.numpy(), h.numpy(), c.numpy())
    result = cell(x, (h, c) if kind is nn.LSTMCell else h)
    for got, wanted in zip(*((r if kind is nn.LSTMCell else (r,)) for r in (result, expected)), strict=True):
        np.testing.assert_allclose(got.detach().numpy(), wanted, rtol=1e-12, atol=1e-14)
    zeros = vs.zeros(*batch, 4, dtype=vs.float64)
    with_zeros = cell(x, (zeros, zeros) if kind is nn.LSTMCell else zeros)
    alone = cell(x)
    pairs = zip(alone, with_zeros, strict=True) if kind is nn.LSTMCell else [(alone, with_zeros)]
    assert all((a == b).all() for a, b in pairs)


def test_names_initial_values_and_text() -> None:
    cell = nn.LSTMCell(3, 16)
    assert list(cell.state_dict()) == ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
    assert all(p.abs().max().item() <= 0.25 for p in cell.parameters())
    assert repr(nn.GRUCell(3, 4, bias=False)) == "GRUCell(3, 4, bias=False)"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.LSTMCell(3, 4)(vs.zeros(2, 5)), r"\[LSTMCell\] expected input of shape \(N, 3\)"),
        (lambda: nn.GRUCell(3, 4)(vs.zeros(2, 2, 3)), r"got \(2, 2, 3\)"),
        (lambda: nn.RNNCell(3, 4)(vs.zeros(2, 3), vs.zeros(1, 4)), r"expected hx of shape \(2, 4\)"),
    ],
)
def test_wrong_shapes_raise(call, message) -> None:
    with pytest.raises(vs.ShapeError, match=message):
        call()


def lstm_arguments(rows, inputs, units, dtype=vs.float64):
    shapes = [(rows, inputs), (rows, units), (rows, units), (4 * units, units), (4 * units, inputs)]
    shapes += [(4 * units,)] * 2
    return [vs.randn(*shape, dtype=dtype).requires_grad_() for shape in shapes]


def lstm_as_ops(x, h, c, weight_hh, weight_ih, bias_ih, bias_hh):
    i, f, g, o = (x @ weight_ih.t() + bias_ih + h @ weight_hh.t() + bias_hh).chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def lstm_in_one_piece(x, h, c, weight_hh, weight_ih, bias_ih, bias_hh):
    return vs.lstm_cell(x, (h, c), weight_ih, weight_hh, bias_ih, bias_hh)


def over_steps(cell, steps, x, h, c, *weights):
    """Through several steps, so that gradients of weights are sums."""
    for t in range(steps):
        h, c = cell(x * (1 + t), h, c, *weights)
    return h, c


# By units, by rows (units too few to share), and alone.
SIZES = [(37, 50, 70), (400, 60, 9), (1100, 5, 12), (2, 3, 4)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("used", ["both", "h", "c"])
def test_a_cell_in_one_piece_has_the_gradients_of_its_ops(size, used) -> None:
    vs.manual_seed(1)
    arguments = lstm_arguments(*size)
    found = []
    for cell in (lstm_in_one_piece, lstm_as_ops):
        h, c = over_steps(cell, 3, *arguments)
        total = sum(s.square().sum() for s, name in ((h, "h"), (c, "c")) if used in ("both", name))
        found.append([h, c, *vs.autograd.grad(total, arguments)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one.detach().numpy(), other.detach().numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("rows", "units", "projected"), [(3, 4, 0), (40, 70, 0), (300, 9, 5), (400, 66, 20)])
def test_gradients_of_a_layer_are_those_of_its_steps(rows, units, projected) -> None:
    vs.manual_seed(6)
    layer = nn.LSTM(5, units, proj_size=projected, dtype=vs.float64)
    x = vs.randn(3, rows, 5, dtype=vs.float64).requires_grad_()
    h = vs.randn(1, rows, projected or units, dtype=vs.float64).requires_grad_()
    c = vs.randn(1, rows, units, dtype=vs.float64).requires_grad_()
    arguments = [x, h, c, *layer.parameters()]
    output, (_, last) = layer(x, (h, c))
    found = vs.autograd.grad(output.square().sum() + last.sum(), arguments)
    state, memory, total = h[0], c[0], 0.0
    weight_ih, weight_hh, bias_ih, bias_hh, *projection = layer.parameters()
    for part in x:
        state, memory = lstm_as_ops(part, state, memory, weight_hh, weight_ih, bias_ih, bias_hh)
        state = state @ projection[0].t() if projection else state
        total = total + state.square().sum()
    wanted = vs.autograd.grad(total + memory.sum(), arguments)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("wanted", [(0,), (2, 5), (3, 6), (1, 4)])
def test_a_cell_gives_only_the_gradients_that_are_asked_for(wanted) -> None:
    vs.manual_seed(2)
    arguments = lstm_arguments(40, 30, 66)
    for i, argument in enumerate(arguments):
        argument.requires_grad_(i in wanted)
    asked = [arguments[i] for i in wanted]
    one, other = (
        vs.autograd.grad(over_steps(cell, 2, *arguments)[0].sum(), asked)
        for cell in (lstm_in_one_piece, lstm_as_ops)
    )
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-9)


def test_second_derivatives_of_a_cell() -> None:
    vs.manual_seed(3)
    arguments = lstm_arguments(3, 2, 4)
    found = []
    for cell in (lstm_in_one_piece, lstm_as_ops):
        h, c = over_steps(cell, 2, *arguments)
        first = vs.autograd.grad((h * c).sum(), arguments, create_graph=True)
        found.append(vs.autograd.grad(sum(g.square().sum() for g in first), arguments))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("size", SIZES)
def test_a_cell_has_the_same_bits_on_any_number_of_threads(size) -> None:
    vs.manual_seed(4)
    arguments = lstm_arguments(*size, dtype=vs.float32)
    before, found = vs.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 4):
            vs.set_num_threads(threads)
            h, c = over_steps(lstm_in_one_piece, 3, *arguments)
            grads = vs.autograd.grad(h.square().sum() + c.sum(), arguments)
            found.append([t.detach().numpy().tobytes() for t in (h, c, *grads)])
    finally:
        vs.set_num_threads(before)
    assert all(other == found[0] for other in found[1:])


def test_one_weight_for_input_and_state() -> None:
    vs.manual_seed(5)
    x, h, c, weight, _, bias, _ = lstm_arguments(40, 70, 70)
    one, other = (
        vs.autograd.grad(over_steps(cell, 2, x, h, c, weight, weight, bias, bias)[0].sum(), [weight, bias])
        for cell in (lstm_in_one_piece, lstm_as_ops)
    )
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-9)


def test_a_cell_refuses_what_does_not_fit() -> None:
    x, h, c, weight_hh, weight_ih, bias, _ = lstm_arguments(2, 3, 4)
    with pytest.raises(vs.ShapeError, match=r"expected weight_ih of shape \[16, 3\]|\(16, 3\)"):
        vs.lstm_cell(x, (h, c), weight_hh, weight_hh, bias, bias)
    with pytest.raises(vs.ShapeError, match=r"expected bias_hh of shape"):
        vs.lstm_cell(x, (h, c), weight_ih, weight_hh, bias, h)
    with pytest.raises(vs.DTypeError, match=r"expected c of float64, got float32"):
        vs.lstm_cell(x, (h, c.float()), weight_ih, weight_hh, bias, bias)
