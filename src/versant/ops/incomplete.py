"""Incomplete gamma functions; draws of gamma and Dirichlet distributions, with their derivatives."""

from __future__ import annotations

from functools import partial

from versant import _core
from versant._core import Tensor
from versant.autograd.function import Function
from versant.ops.expression import m
from versant.ops.lazy import np
from versant.ops.normalization import softmax
from versant.ops.random import drawn
from versant.ops.record import composite, elementwise, primitive
from versant.ops.references import (
    beta_slope_reference,
    gamma_slope_reference,
    gammainc_reference,
    gammaincc_reference,
)
from versant.ops.rounding import clamp, clamp_min
from versant.ops.samples import Domain, array, call, fixed, positive
from versant.ops.shape import broadcast_tensors
from versant.tensors.dtypes import finfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from versant.ops.expression import Expression

# --- the functions ----------------------------------------------------------------------------------------

part = partial(
    elementwise,
    rule="float",
    places="",
    in_place=False,
    without={
        "onnx": "ONNX has no gamma functions",
        "stablehlo": "StableHLO and CHLO have no incomplete gamma function",
    },
)


def density(a: Expression, x: Expression) -> Expression:
    """x**(a - 1) * exp(-x) / gamma(a)"""
    return m.exp(m.select(m.eq(a, 1), 0, (a - 1) * m.log(x)) - x - m.lgamma(a))


def two(reference: Any) -> Any:
    return lambda a, x: np.vectorize(reference, otypes=[float])(a, x)


shapes = Domain(1, 6, "int")  # numbers by which the records below give no gradient

lower = part(
    "igamma.lower",
    m.gammainc,
    "The regularised lower incomplete gamma function; no derivative by input.",
    d=lambda a, x, y: (0, density(a, x)),
    signature="input, other",
    ref=two(gammainc_reference),
    sample=(shapes, positive),
    corners=[30.0, 0.01],
)
upper = part(
    "igammac.upper",
    m.gammaincc,
    "The regularised upper incomplete gamma function; no derivative by input.",
    d=lambda a, x, y: (0, -density(a, x)),
    signature="input, other",
    ref=two(gammaincc_reference),
    sample=(shapes, positive),
    corners=[30.0, 0.01],
)
gamma_slope = part(
    "_standard_gamma_grad",
    m.gamma_slope,
    """The derivative by `input` of a draw `output` of the gamma distribution of shape `input`.

    The draw moves so that its place in the distribution stays (Figurnov, Mohamed and Mnih 2018).
    """,
    signature="input, output",
    differentiable=False,
    ref=two(gamma_slope_reference),
    sample=positive,
    corners=[3.0, 0.01],
    places="versant",
)
beta_slope = part(
    "_dirichlet_grad",
    lambda x, alpha, total: m.beta_slope(x, alpha, total - alpha),
    "The derivative by alpha of a draw x of the beta distribution of alpha and total - alpha, over 1 - x.",
    signature="x, alpha, total",
    differentiable=False,
    ref=lambda x, a, total: np.vectorize(beta_slope_reference, otypes=[float])(x, a, total - a),
    sample=(Domain(0.03, 0.6), Domain(0.2, 2.0), Domain(2.2, 5.0)),
    places="versant",
)


class Once(Function):
    """A slope as a factor of first derivatives, which has no derivative itself."""

    @staticmethod
    def forward(ctx: Any, slope: Any, *inputs: Tensor) -> Any:
        return slope(*inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise RuntimeError(
            "[igamma] there is no second derivative by the shape of a gamma or beta distribution"
        )


class ByShape(Function):
    """An incomplete gamma function with the derivative by the shape too, of first order."""

    sign: int

    @staticmethod
    def forward(ctx: Any, a: Tensor, x: Tensor, sign: int) -> Tensor:
        ctx.save_for_backward(a, x)
        ctx.sign = sign
        return lower(a, x) if sign > 0 else upper(a, x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        a, x = ctx.saved_tensors
        by_x = grad * ctx.sign * ((a - 1).xlogy(x) - x - a.lgamma()).exp()
        by_a = -Once.apply(gamma_slope, a, x) * by_x
        return by_a.sum_to_size(a.shape), by_x.sum_to_size(x.shape), None


def by_both(name: str, a: Tensor, x: Tensor, sign: int) -> Tensor:
    if not (isinstance(a, Tensor) and isinstance(x, Tensor)):
        raise TypeError(f"[{name}] expected two tensors, got {type(a).__name__} and {type(x).__name__}")
    if a.requires_grad and _core.is_grad_enabled():
        return ByShape.apply(a, x, sign)
    return lower(a, x) if sign > 0 else upper(a, x)


@composite(
    ref=two(gammainc_reference),
    samples=[
        call(fixed(3, 4, domain=positive), array(4, domain=positive)),
        call(fixed(5, domain=Domain(10.0, 40.0)), array(5, domain=Domain(10.0, 40.0))),
    ],
    also="special.gammainc",
    in_place=True,
)
def igamma(input: Tensor, other: Tensor) -> Tensor:
    """The regularised lower incomplete gamma function.

    The integral from 0 to other of t**(input - 1) * exp(-t), divided by gamma(input). By input it has a first
    derivative, and no second one.
    """
    return by_both("igamma", input, other, 1)


@composite(
    ref=two(gammaincc_reference),
    samples=[
        call(fixed(3, 4, domain=positive), array(4, domain=positive)),
        call(fixed(5, domain=Domain(10.0, 40.0)), array(5, domain=Domain(10.0, 40.0))),
    ],
    also="special.gammaincc",
    in_place=True,
)
def igammac(input: Tensor, other: Tensor) -> Tensor:
    """The regularised upper incomplete gamma function, 1 - igamma(input, other)."""
    return by_both("igammac", input, other, -1)


# --- draws ------------------------------------------------------------------------------------------------

gamma_draw = primitive(
    "_standard_gamma.draw",
    "input, logarithms: bool = False, *, generator: generator? = None",
    "Draws of the gamma distributions of these shapes and rate 1, or their logarithms.",
    target="gamma",
    differentiable=False,
    places="",
    without=drawn,
)
binomial = primitive(
    "binomial.draw",
    "count, prob, *, generator: generator? = None",
    "Numbers of successes in `count` trials, each of probability prob.",
    target="binomial",
    differentiable=False,
    places="",
    without=drawn,
)


class GammaDraw(Function):
    """Draws that move with their shapes, each at its place in the distribution."""

    @staticmethod
    def forward(ctx: Any, shape: Tensor, generator: Any) -> Tensor:
        y = clamp_min(gamma_draw(shape, generator=generator), smallest(shape))
        ctx.save_for_backward(shape, y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return grad * Once.apply(gamma_slope, *ctx.saved_tensors), None


class DirichletDraw(Function):
    """Draws of which each part moves with its concentration, and the others in proportion."""

    @staticmethod
    def forward(ctx: Any, concentration: Tensor, generator: Any) -> Tensor:
        # By logarithms: draws of small concentrations may all be too small for floating-point numbers.
        parts = softmax(gamma_draw(concentration, True, generator=generator), -1)
        eps = finfo(concentration.dtype).eps
        y = clamp(parts, smallest(concentration), 1 - eps / 2)
        ctx.save_for_backward(concentration, y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        concentration, y = ctx.saved_tensors
        slope = Once.apply(beta_slope, y, concentration, concentration.sum(-1, keepdim=True))
        return slope * (grad - (y * grad).sum(-1, keepdim=True)), None


def smallest(x: Tensor) -> float:
    """The smallest normal number of x's dtype: draws are not 0."""
    return float(finfo(x.dtype).tiny)


@composite(name="_standard_gamma", differentiable=False, places="versant", without=drawn)
def standard_gamma(input: Tensor, generator: Any = None) -> Tensor:
    """Draws of the gamma distributions of shapes `input` and rate 1, with gradient (first order).

    Marsaglia and Tsang 2000; the gradient is that of Figurnov, Mohamed and Mnih 2018.
    """
    return GammaDraw.apply(input, generator)


@composite(name="_sample_dirichlet", differentiable=False, places="versant", without=drawn)
def sample_dirichlet(input: Tensor, generator: Any = None) -> Tensor:
    """Draws of the Dirichlet distributions of concentrations (..., n), with gradient (first order)."""
    return DirichletDraw.apply(input, generator)


@composite(name="binomial", differentiable=False, places="versant", without=drawn)
def binomial_of(count: Tensor, prob: Tensor, generator: Any = None) -> Tensor:
    """Numbers of successes in `count` trials, each of probability prob; both of one floating-point dtype."""
    return binomial(*broadcast_tensors(count, prob), generator=generator)
