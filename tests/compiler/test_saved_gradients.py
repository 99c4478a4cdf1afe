"""Ways back in saved programs: those of recurrent layers, and those that draw random numbers."""

import copy
from pathlib import Path

import pytest
from compiler.comparison import bits
from compiler.saved_files import loaded, saved

import versant as vs
from versant import nn

F = nn.functional

LAYERS = {
    "LSTM": (lambda: nn.LSTM(3, 4, num_layers=2, bidirectional=True), (5, 2, 3)),
    "without biases": (lambda: nn.LSTM(3, 4, bias=False), (5, 2, 3)),
    "projected": (lambda: nn.LSTM(3, 6, proj_size=2), (4, 2, 3)),
    "of float64": (lambda: nn.LSTM(3, 4, dtype=vs.float64), (4, 2, 3)),
    "of many rows": (lambda: nn.LSTM(2, 3), (2, 1100, 2)),
    "GRU": (lambda: nn.GRU(3, 4), (5, 2, 3)),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_a_recurrent_layer_is_trained_by_a_program(layer: str, tmp_path: Path) -> None:
    make, shape = LAYERS[layer]
    vs.manual_seed(0)
    model = make()
    other = copy.deepcopy(model)
    steps = []
    for each in (model, other):
        optimizer = vs.optim.SGD(each.parameters(), lr=0.1)

        def step(x, each=each, optimizer=optimizer):
            optimizer.zero_grad()
            outputs, _ = each(x)
            loss = outputs.square().mean()
            loss.backward()
            optimizer.step()
            return loss.detach(), each.weight_hh_l0.grad

        steps.append(step)
    x = [vs.randn(shape, dtype=model.weight_hh_l0.dtype) for _ in range(4)]
    program = loaded(saved(vs.compile(steps[0]), tmp_path, x[0]), tmp_path)
    other.load_state_dict(model.state_dict())  # saving calls the function
    for each in x:
        assert bits(program(each)) == bits(steps[1](each))


@pytest.mark.parametrize("bias", [False, True])
def test_gradients_of_cells_are_continued(bias: bool, tmp_path: Path) -> None:
    """Several steps add to one gradient, and the states have gradients."""
    vs.manual_seed(0)
    cell = nn.LSTMCell(2, 3, bias=bias)

    def f(x, h, c):
        state = h.requires_grad_(), c.requires_grad_()
        for t in range(3):
            state = cell(x[t], state)
        return vs.autograd.grad((state[0] * state[1]).sum(), [h, c, *cell.parameters()])

    args = vs.randn(3, 4, 2), vs.randn(4, 3), vs.randn(4, 3)
    expected = bits(f(*args))
    program = loaded(saved(vs.compile(f), tmp_path, *args), tmp_path)
    assert bits(program(*args)) == expected


class Noisy(vs.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        return grad * vs.rand_like(grad)


layer = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2))
DRAWS = {
    "in a custom function": lambda x: Noisy.apply(layer[0](x)).sum(),
    "in a checkpoint": lambda x: vs.utils.checkpoint.checkpoint(layer, x, use_reentrant=False).sum(),
}


@pytest.mark.parametrize("goes_back", [True, False])
@pytest.mark.parametrize("draw", DRAWS)
def test_random_numbers_on_the_way_back(draw: str, goes_back: bool, tmp_path: Path) -> None:
    """Of a function that goes back itself; the way back from results is no part of a program."""

    def f(x):
        layer.zero_grad()
        loss = DRAWS[draw](x)
        if not goes_back:
            return loss
        loss.backward()
        return loss.detach(), layer[0].weight.grad, vs.rand(2)

    x = vs.ones(2, 3)
    program = loaded(saved(vs.compile(f), tmp_path, x), tmp_path)
    for seed in (0, 1):
        vs.manual_seed(seed)
        expected = f(x)
        vs.manual_seed(seed)
        assert bits(program(x)) == bits(expected if goes_back else expected.detach())
