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
