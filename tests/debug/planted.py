"""Programs with a NaN or an Inf planted in them, in one line each, which is marked."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import versant as vs
from versant import nn

F = nn.functional
MARK = "# planted"


class Block(nn.Module):
    """A part of a network whose forward is given."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.scale = nn.Parameter(vs.ones(4))
        self.register_buffer("bad", vs.zeros(()))
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(self, x, self.bad)


class Net(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.blocks = nn.ModuleList([Block(lambda self, x, bad: self.linear(x).tanh()), Block(function)])

    def forward(self, x: Any) -> Any:
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return x


@dataclass(frozen=True)
class Planted:
    """A forward of the second block in which the first NaN or Inf appears when its `bad` is 1, not 0.

    op: what the report names; back: it is a gradient; function: where the marked line stands.
    """

    forward: Callable[..., Any]
    op: str
    kind: str = "NaN"
    back: bool = False
    function: Any = None
    module: str = "Net.blocks.1"

    @property
    def name(self) -> str:
        return self.forward.__name__

    @property
    def line(self) -> str:
        return marked_line(self.function or self.forward)


def marked_line(function: Any) -> str:
    """ "planted.py:12": the line of a function that is marked."""
    lines, first = inspect.getsourcelines(function)
    (number,) = [first + i for i, text in enumerate(lines) if MARK in text]
    return f"{Path(inspect.getsourcefile(function) or '').name}:{number}"


CASES: list[Planted] = []


def forward(op: str, **options: Any) -> Callable[..., Any]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        CASES.append(Planted(function, op, **options))
        return function

    return register


# In the forward pass, alone and among ops that a compiler joins with them.


@forward("log")
def logarithm(self: Any, x: Any, bad: Any) -> Any:
    x = self.linear(x).sigmoid()
    return (x - 2 * bad).log()  # planted


@forward("sqrt")
def square_root(self: Any, x: Any, bad: Any) -> Any:
    x = self.linear(x).sigmoid() * 0.5 + 0.1
    x = vs.sqrt(x - bad)  # planted
    return x * self.scale + 1


@forward("div", kind="Inf")
def quotient(self: Any, x: Any, bad: Any) -> Any:
    norm = x.square().sum(-1, keepdim=True) + 1
    x = x.abs() + 0.5
    x = x / (norm * (1 - bad))  # planted
    return x.tanh()


@forward("exp", kind="Inf")
def exponential(self: Any, x: Any, bad: Any) -> Any:
    x = x.tanh() * 0.1 + 1.5
    x = (x * (1 + 99 * bad)).exp()  # planted
    return 1 / x


@forward("sub")
def difference_of_infinities(self: Any, x: Any, bad: Any) -> Any:
    bound = vs.full((4,), float("inf")) * bad.where(bad > 0, vs.ones(()))
    x = x + 0
    return vs.where(bad > 0, bound, x) - vs.where(bad > 0, bound, x.tanh())  # planted


@forward("acos")
def arc_cosine(self: Any, x: Any, bad: Any) -> Any:
    x = x.tanh() * 0.5
    x = x + 3 * bad
    x = x.acos()  # planted
    return x.sin()


@forward("matmul", kind="Inf")
def product(self: Any, x: Any, bad: Any) -> Any:
    x = x.tanh() * (1 + 1e20 * bad)
    wide = self.linear.weight.detach().abs() * (1 + 1e20 * bad) + 1
    return (x.abs() @ wide).tanh()  # planted


@forward("softmax")
def fully_masked(self: Any, x: Any, bad: Any) -> Any:
    mask = vs.where(bad > 0, vs.full((4,), float("-inf")), vs.zeros(4))
    x = x + mask
    return x.softmax(-1)  # planted


@forward("sum", kind="Inf")
def total(self: Any, x: Any, bad: Any) -> Any:
    x = x.tanh().abs() + 1 + 2e38 * bad
    return x / x.sum(-1, keepdim=True)  # planted


@forward("pow")
def power(self: Any, x: Any, bad: Any) -> Any:
    x = x.sigmoid() + 0.5 - 9 * bad
    x = x**0.3  # planted
    return x.relu()


@forward("to", kind="Inf")
def to_half(self: Any, x: Any, bad: Any) -> Any:
    x = x.tanh() + 1.5
    x = x * (1 + 1e6 * bad)
    x = x.half()  # planted
    return x.float().tanh()


@forward("cumsum", kind="Inf")
def cumulative(self: Any, x: Any, bad: Any) -> Any:
    x = x.tanh().abs() + 0.1 + 2e38 * bad
    x = x.cumsum(-1)  # planted
    return x.tanh()


@forward("mul", kind="Inf")
def in_place(self: Any, x: Any, bad: Any) -> Any:
    y = x.tanh() + 2
    y = y * (1 + 1e30 * bad)
    z = y.clone()
    z.mul_(y)  # planted
    return z.tanh()


@forward("log_softmax")
def of_masked(self: Any, x: Any, bad: Any) -> Any:
    x = x.masked_fill(bad > 0, float("-inf"))
    return F.log_softmax(x, -1)  # planted


# In the backward pass alone.


@forward("sqrt", kind="Inf", back=True)
def slope_of_root(self: Any, x: Any, bad: Any) -> Any:
    x = self.linear(x).square() * (1 - bad)
    x = x.sqrt()  # planted
    return x + 1


@forward("sqrt", kind="Inf", back=True)
def slope_of_norm(self: Any, x: Any, bad: Any) -> Any:
    x = self.linear(x) * (1 - bad)
    x = x.square().sum(-1, keepdim=True)
    return x**0.5 + 1  # planted


@forward("pow", kind="Inf", back=True)
def slope_of_power(self: Any, x: Any, bad: Any) -> Any:
    x = self.linear(x).abs() * (1 - bad)
    return x**0.25 + self.scale  # planted


class Reversed(vs.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, bad: Any) -> Any:
        ctx.save_for_backward(bad)
        return x * 2

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        (bad,) = ctx.saved_tensors
        return (grad.abs() + 1) / (1 - bad), None  # planted


@forward("div", kind="Inf", back=True, function=Reversed.backward)
def own_gradient(self: Any, x: Any, bad: Any) -> Any:
    return Reversed.apply(self.linear(x), bad + 0)


# In larger parts.


@forward("normalize_rows")
def norm_without_variance(self: Any, x: Any, bad: Any) -> Any:
    x = self.linear(x) * (1 - bad)
    return F.layer_norm(x, (4,), self.scale, None, eps=0.0)  # planted


@forward("convolution", kind="Inf")
def convolution(self: Any, x: Any, bad: Any) -> Any:
    x = (x.tanh().abs() + 1) * (1 + 1e20 * bad)
    kernel = (self.scale.detach() + 1).view(1, 1, 4) * (1 + 1e20 * bad)
    return F.conv1d(x.unsqueeze(1), kernel, padding="same").squeeze(1).tanh()  # planted


@forward("scaled_dot_product_attention")
def attention(self: Any, x: Any, bad: Any) -> Any:
    q = (self.linear(x) * (1 + 1e25 * bad)).view(1, 1, -1, 4)
    q = F.scaled_dot_product_attention(q, q, x.view(1, 1, -1, 4))  # planted
    return q.view(-1, 4)


@forward("cross_entropy")
def loss_inside(self: Any, x: Any, bad: Any) -> Any:
    x = self.linear(x).masked_fill(bad > 0, float("-inf"))
    return self.linear.bias + F.cross_entropy(x, vs.zeros(x.shape[0], dtype=vs.int64))  # planted


@forward("log")
def in_a_scan(self: Any, x: Any, bad: Any) -> Any:
    def turn(h: Any, row: Any) -> Any:
        h = (h.sigmoid() + row.sigmoid() - 2 * bad).log()  # planted
        return h, h

    _, rows = vs.scan(turn, vs.zeros(4), self.linear(x))
    return rows


@forward("log")
def in_a_checkpoint(self: Any, x: Any, bad: Any) -> Any:
    def part(x: Any) -> Any:
        return (self.linear(x).sigmoid() - 2 * bad).log()  # planted

    return vs.utils.checkpoint.checkpoint(part, x, use_reentrant=False)


@forward("div", kind="Inf")
def gradient_penalty(self: Any, x: Any, bad: Any) -> Any:
    inner = x.detach().requires_grad_()
    (slope,) = vs.autograd.grad(self.linear(inner).tanh().sum(), inner, create_graph=True)
    slope = slope.abs() + 0.5
    return x + slope / (1 - bad)  # planted


@forward("matmul", kind="Inf")
def under_autocast(self: Any, x: Any, bad: Any) -> Any:
    with vs.autocast("cpu", dtype=vs.bfloat16):
        x = (x.tanh().abs() + 1) * (1 + 1e20 * bad)
        x = x.unsqueeze(0)
        x = vs.bmm(x, x.transpose(1, 2))  # planted
    return x[0, :, :4].float().tanh()


@forward("inv", kind="Inf")
def of_the_host(self: Any, x: Any, bad: Any) -> Any:
    square = vs.eye(4) * (1 - bad) + bad * 1e-44 * vs.eye(4)
    return x + vs.linalg.inv(square)[0]  # planted
