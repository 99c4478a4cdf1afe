"""Recurrent layers against their cells, one step after another; packed sequences against each alone."""

import pytest

import versant as vs
from versant import nn
from versant.nn.utils import rnn

KINDS = [("RNN", nn.RNNCell), ("LSTM", nn.LSTMCell), ("GRU", nn.GRUCell)]


def cell_of(layer, kind, suffix):
    cell = kind(layer.input_size, layer.hidden_size, dtype=vs.float64)
    cell.load_state_dict(
        {key.removesuffix(suffix): getattr(layer, key) for key in layer.state_dict() if key.endswith(suffix)}
    )
    return cell


def hidden(state):
    return state[0] if isinstance(state, tuple) else state


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_a_layer_is_its_cell_over_time(name, kind, reverse) -> None:
    vs.manual_seed(0)
    layer = getattr(nn, name)(3, 4, bidirectional=True, dtype=vs.float64)
    x = vs.randn(5, 2, 3, dtype=vs.float64)
    output, last = layer(x)
    suffix = "_l0_reverse" if reverse else "_l0"
    cell, state, expected = cell_of(layer, kind, suffix), None, []
    for step in x.flip(0) if reverse else x:
        state = cell(step, state)
        expected.append(hidden(state))
    joined = vs.stack(expected[::-1] if reverse else expected)
    half = slice(4, 8) if reverse else slice(0, 4)
    vs.testing.assert_close(output[..., half], joined)
    vs.testing.assert_close(hidden(last)[int(reverse)], hidden(state))

    slope = vs.randn_like(joined)
    (output[..., half] * slope).sum().backward()
    (joined * slope).sum().backward()
    for key, parameter in cell.named_parameters():
        vs.testing.assert_close(getattr(layer, key + suffix).grad, parameter.grad)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_packed_sequences_run_as_each_alone(name, kind, bidirectional) -> None:
    vs.manual_seed(1)
    layer = getattr(nn, name)(3, 4, num_layers=2, bidirectional=bidirectional, dtype=vs.float64)
    sequences = [vs.randn(n, 3, dtype=vs.float64) for n in (3, 5, 1, 5)]
    output, last = layer(rnn.pack_sequence(sequences, enforce_sorted=False))
    for i, (sequence, result) in enumerate(zip(sequences, rnn.unpack_sequence(output), strict=True)):
        alone, state = layer(sequence)
        vs.testing.assert_close(result, alone)
        vs.testing.assert_close(hidden(last)[:, i], hidden(state))


def test_batch_first_moves_axes_of_input_and_output_only() -> None:
    vs.manual_seed(2)
    layer, swapped = nn.GRU(3, 4, 2), nn.GRU(3, 4, 2, batch_first=True)
    swapped.load_state_dict(layer.state_dict())
    x = vs.randn(5, 2, 3)
    (a, last), (b, same) = layer(x), swapped(x.transpose(0, 1))
    assert (a == b.transpose(0, 1)).all()
    assert (last == same).all()


def test_dropout_drops_between_layers_in_training_only() -> None:
    layer = nn.RNN(3, 4, 2, dropout=0.9)
    x = vs.randn(5, 2, 3)
    assert not (layer(x)[0] == layer(x)[0]).all()
    layer.eval()
    assert (layer(x)[0] == layer(x)[0]).all()
    with pytest.warns(UserWarning, match="drops nothing"):
        nn.RNN(3, 4, dropout=0.5)


def test_names_projection_and_text() -> None:
    layer = nn.LSTM(3, 16, 2, bidirectional=True, proj_size=5)
    assert list(layer.state_dict())[5:10] == [
        f"{key}_l0_reverse" for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    ]
    assert layer.weight_ih_l1.shape == (64, 10)
    assert layer.weight_hr_l1.shape == (5, 16)
    assert all(p.abs().max().item() <= 0.25 for p in layer.parameters())
    output, (h, c) = layer(vs.randn(7, 2, 3))
    assert output.shape == (7, 2, 10)
    assert h.shape == (4, 2, 5)
    assert c.shape == (4, 2, 16)
    assert repr(nn.GRU(3, 4, 2, bias=False)) == "GRU(3, 4, num_layers=2, bias=False)"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.LSTM(3, 4)(vs.zeros(5, 2, 7)), r"\[LSTM\] .*expected 3, got input of shape \(5, 2, 7\)"),
        (lambda: nn.GRU(3, 4)(vs.zeros(3)), r"\[GRU\] Expected input to be 2D or 3D, got 1D"),
        (
            lambda: nn.GRU(3, 4)(vs.zeros(5, 2, 3), vs.zeros(1, 3, 4)),
            r"hx of shape \(1, 2, 4\), got \(1, 3, 4\)",
        ),
        (lambda: nn.LSTM(3, 4)(vs.zeros(5, 3), (vs.zeros(1, 4), vs.zeros(1, 5))), r"cx of shape \(1, 1, 4\)"),
        (lambda: nn.RNN(3, 4)(vs.zeros(5, 3), vs.zeros(1, 1, 4)), r"hx should also be 2-D but got a 3-D"),
        (lambda: nn.RNN(3, 4)(vs.zeros(5, 3, dtype=vs.float64)), r"does not match weight dtype"),
        (lambda: nn.RNN(3, 4)(vs.zeros(0, 2, 3)), r"sequence length to be larger than 0"),
        (lambda: nn.RNN(3, 4, nonlinearity="elu"), r"Unknown nonlinearity 'elu'"),
        (lambda: nn.LSTM(3, 4, proj_size=4), r"proj_size has to be smaller than hidden_size 4"),
        (lambda: nn.LSTM(3, 0), r"hidden_size must be greater than zero"),
    ],
)
def test_wrong_arguments_raise(call, message) -> None:
    with pytest.raises((RuntimeError, ValueError), match=message):
        call()


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_and_back(side) -> None:
    sequences = [vs.arange(float(n)) + 1 for n in (2, 3)]
    padded = rnn.pad_sequence(sequences, batch_first=True, padding_value=-1.0, padding_side=side)
    assert padded.tolist() == ([[-1, 1, 2], [1, 2, 3]] if side == "left" else [[1, 2, -1], [1, 2, 3]])
    if side == "right":
        back = rnn.unpad_sequence(padded, vs.tensor([2, 3]), batch_first=True)
        assert [s.tolist() for s in back] == [[1, 2], [1, 2, 3]]


def test_packed_rows_stand_step_by_step() -> None:
    packed = rnn.pack_sequence([vs.tensor([1.0, 2, 3]), vs.tensor([4.0, 5])])
    assert packed.data.tolist() == [1, 4, 2, 5, 3]
    assert packed.batch_sizes.tolist() == [2, 2, 1]
    padded, lengths = rnn.pad_packed_sequence(packed, batch_first=True, padding_value=9.0, total_length=4)
    assert padded.tolist() == [[1, 2, 3, 9], [4, 5, 9, 9]]
    assert lengths.tolist() == [3, 2]
    assert packed.double().data.dtype is vs.float64
    assert rnn.invert_permutation(vs.tensor([2, 0, 1])).tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rnn.pack_padded_sequence(vs.zeros(3, 2), [1, 2]), "lengths must fall"),
        (lambda: rnn.pack_padded_sequence(vs.zeros(3, 2), [2]), r"expected 2 lengths"),
        (lambda: rnn.pack_padded_sequence(vs.zeros(3, 2), [4, 2]), r"from 1 to 3"),
        (lambda: rnn.pack_padded_sequence(vs.zeros(3, 2), [3, 0]), r"from 1 to 3"),
        (lambda: rnn.pad_sequence([vs.zeros(2, 3), vs.zeros(2, 4)]), r"got \(2, 4\)"),
        (lambda: rnn.pad_sequence([]), "empty list"),
    ],
)
def test_misfits_of_sequences_raise(call, message) -> None:
    with pytest.raises(RuntimeError, match=message):
        call()
