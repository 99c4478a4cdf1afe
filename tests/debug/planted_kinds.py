"""More programs with a NaN or an Inf planted in them: one each of the kinds of programs that people write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from debug.planted import marked_line

import versant as vs
from versant import nn

F = nn.functional


@dataclass(frozen=True)
class Kind:
    """make() gives a step without arguments and a function that plants; the marked line stands in `make`,
    or in `function`. op, kind, back, module: what is reported.
    """

    make: Callable[[], tuple[Callable[[], Any], Callable[[], Any]]]
    op: str
    kind: str = "NaN"
    back: int = 0
    module: str = ""
    function: Any = None

    @property
    def name(self) -> str:
        return self.make.__name__

    @property
    def line(self) -> str:
        return marked_line(self.function or self.make)


KINDS: list[Kind] = []


def kind(op: str, **options: Any) -> Callable[..., Any]:
    def register(make: Callable[..., Any]) -> Callable[..., Any]:
        KINDS.append(Kind(make, op, **options))
        return make

    return register


def descent(net: nn.Module, loss_of: Callable[[], Any], **options: Any) -> Callable[[], Any]:
    optimizer = vs.optim.SGD(net.parameters(), lr=1e-2, **options)

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        optimizer.step()
        return loss

    return step


@kind("log")
def under_vmap() -> Any:
    scale, x = vs.ones(()), vs.rand(6, 4) + 0.5

    def of_one(row: Any) -> Any:
        return (row * scale).log().sum()  # planted

    return lambda: vs.func.vmap(of_one)(x), lambda: scale.neg_()


@kind("sqrt", kind="Inf", back=True)
def gradients_of_samples() -> Any:
    weight, x, scale = vs.rand(4), vs.rand(6, 4) + 0.5, vs.ones(())

    def loss_of(weight: Any, row: Any) -> Any:
        return ((weight * row).sum().square() * scale).sqrt()  # planted

    return lambda: vs.func.vmap(vs.func.grad(loss_of), (None, 0))(weight, x), lambda: scale.zero_()


@kind("div", kind="Inf")
def body_of_a_while_loop() -> Any:
    step_size, x = vs.ones(()), vs.ones(3)

    def turn(state: Any) -> Any:
        i, x = state
        return i + 1, x.tanh() + 1 / step_size  # planted

    def run() -> Any:
        return vs.while_loop(lambda state: state[0] < 4, turn, (vs.tensor(0), x))[1]

    return run, lambda: step_size.zero_()


@kind("sqrt", kind="Inf", back=True)
def gradient_in_a_scan() -> Any:
    net, rows, scale = nn.Linear(4, 4), vs.randn(5, 4), vs.ones(())

    def turn(h: Any, row: Any) -> Any:
        h = net(h + row).square() * scale
        h = h.sqrt()  # planted
        return h, h

    return descent(net, lambda: vs.scan(turn, vs.zeros(4), rows)[1].sum()), lambda: scale.zero_()


class Scores(nn.Module):
    """A layer whose scale may be 0, run again by a checkpoint on the way back."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("scale", vs.ones(()))

    def forward(self, x: Any) -> Any:
        x = self.linear(x).square() * self.scale
        return x**0.5  # planted


@kind("sqrt", kind="Inf", back=True, module="Scores", function=Scores.forward)
def gradient_in_a_checkpoint() -> Any:
    net, x = Scores(), vs.randn(6, 4)

    def loss_of() -> Any:
        return vs.utils.checkpoint.checkpoint(net, x, use_reentrant=False).sum()

    return descent(net, loss_of), lambda: net.scale.zero_()


@kind("matmul", kind="Inf", module="Linear")
def bfloat16_under_autocast() -> Any:
    net, x = nn.Linear(4, 4), vs.rand(6, 4) + 1

    def loss_of() -> Any:
        with vs.autocast("cpu", dtype=vs.bfloat16):
            return net(x).float().tanh().mean()  # planted

    return descent(net, loss_of), lambda: (net.weight.detach().fill_(3e38), x.fill_(10))


class Clamped(vs.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, width: Any) -> Any:
        ctx.save_for_backward(x, width)
        return x.clamp(-1, 1)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        x, width = ctx.saved_tensors
        return grad * (width - x.abs()).log(), None  # planted


@kind("log", back=True, function=Clamped.backward)
def gradient_of_the_users_own() -> Any:
    net, x, width = nn.Linear(4, 4), vs.rand(6, 4), vs.full((), 9.0)
    return descent(net, lambda: Clamped.apply(net(x), width).sum()), lambda: width.zero_()


@kind("sqrt")
def forward_derivative() -> Any:
    x, scale = vs.rand(4) + 0.5, vs.ones(())

    def root(x: Any) -> Any:
        return (x * scale).sqrt()  # planted

    return lambda: vs.func.jvp(root, (x,), (vs.ones(4),))[1], lambda: scale.zero_()


@kind("pow", kind="Inf", back=2)
def second_derivative() -> Any:
    x, shift = vs.ones(4, requires_grad=True), vs.ones(())

    def run() -> Any:
        y = (x - 1 + shift) ** 1.5  # planted
        (slope,) = vs.autograd.grad(y.sum(), x, create_graph=True)
        return vs.autograd.grad(slope.sum(), x)[0]

    return run, lambda: shift.zero_()


class Roots(nn.Module):
    def forward(self, x: Any) -> Any:
        return x**1.5  # planted


@kind("pow", kind="Inf", back=2, module="Sequential.1", function=Roots)
def second_derivative_of_a_module() -> Any:
    net = nn.Sequential(nn.Identity(), Roots())
    x, shift = vs.ones(4, requires_grad=True), vs.ones(())

    def run() -> Any:
        (slope,) = vs.autograd.grad(net(x - 1 + shift).sum(), x, create_graph=True)
        return vs.autograd.grad(slope.sum(), x)[0]

    return run, lambda: shift.zero_()


class Language(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(7, 4)
        self.rnn = nn.LSTM(4, 5, num_layers=2, batch_first=True)
        self.head = nn.Linear(5, 7)

    def forward(self, text: Any) -> Any:
        hidden, _ = self.rnn(self.tokens(text))  # planted
        return self.head(hidden)


@kind("lstm_cell", module="Language.rnn", function=Language.forward)
def states_of_an_lstm() -> Any:
    net, text = Language(), vs.arange(10).view(2, 5) % 7

    def loss_of() -> Any:
        return F.cross_entropy(net(text).flatten(0, 1), text.flatten())

    return descent(net, loss_of), lambda: net.rnn.weight_hh_l1.detach()[3].fill_(float("nan"))


@kind("embedding", module="Embedding")
def a_row_of_an_embedding() -> Any:
    table, tokens = nn.Embedding(7, 4), vs.tensor([[1, 2], [3, 1]])

    def loss_of() -> Any:
        return table(tokens).square().mean()  # planted

    return descent(table, loss_of), lambda: table.weight.detach()[3].fill_(float("nan"))


@kind("normalize_rows", module="LayerNorm")
def variance_of_equal_values() -> Any:
    net, x = nn.LayerNorm(4, eps=0.0), vs.randn(3, 4)

    def loss_of() -> Any:
        return net(x).square().mean()  # planted

    return descent(net, loss_of), lambda: x.fill_(0.5)


@kind("sgd_step", kind="Inf")
def decay_over_a_large_parameter() -> Any:
    net, x = nn.Linear(4, 1), vs.rand(3, 4) * 1e-3
    optimizer = vs.optim.SGD(net.parameters(), lr=1e-3, weight_decay=10.0)

    def step() -> Any:
        optimizer.zero_grad()
        loss = net(x).sum()
        loss.backward()
        optimizer.step()  # planted
        return loss

    return step, lambda: net.weight.detach().fill_(3e38)


@kind("softmax")
def a_row_without_keys() -> Any:
    q, k, mask = vs.randn(3, 4), vs.randn(5, 4), vs.ones(3, 5, dtype=vs.bool)

    def run() -> Any:
        scores = (q @ k.T).masked_fill(~mask, float("-inf"))
        return scores.softmax(-1) @ k  # planted

    return run, lambda: mask[1].fill_(False)


@kind("div")
def complex_numbers() -> Any:
    z = vs.randn(4, dtype=vs.complex64) + 3

    def run() -> Any:
        spectrum = vs.fft.fft(z)
        return (spectrum / spectrum.abs()).angle()  # planted

    return run, lambda: z.zero_()


@kind("div", kind="Inf")
def in_place_on_a_view() -> Any:
    x, scale = vs.rand(4, 4) + 1, vs.ones(())

    def run() -> Any:
        y = x * 2
        y[:, 1].div_(scale)  # planted
        return y.tanh()

    return run, lambda: scale.zero_()


@kind("solve_triangular")
def a_matrix_that_is_almost_singular() -> Any:
    scale = vs.ones(())

    def run() -> Any:
        square = vs.eye(3) * (0.5 + scale)
        return vs.linalg.solve_triangular(square - 0.5 * vs.eye(3), vs.ones(3, 1), upper=True)  # planted

    return run, lambda: scale.zero_()
