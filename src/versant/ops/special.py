"""Special functions: error function, gamma function, and what follows from them."""

import math
from functools import partial

from versant._core import Tensor
from versant.ops.expression import m
from versant.ops.lazy import np
from versant.ops.record import composite, elementwise
from versant.ops.references import (
    bessel_reference,
    digamma_reference,
    each,
    erfcx_reference,
    erfinv_reference,
    log_ndtr_reference,
    polygamma_reference,
    zeta_reference,
)
from versant.ops.samples import Domain, array, call, counts, fixed, inside_unit, positive, probability

smooth = partial(elementwise, rule="float")

# --- the error function -----------------------------------------------------------------------------------

erf = smooth(
    "erf",
    m.erf,
    "The error function: 2 / sqrt(pi) * integral of exp(-t**2) from 0 to input.",
    d=lambda x, y: (2 / math.sqrt(math.pi)) * m.exp(-(x * x)),
    ref=each(math.erf),
    also="special.erf",
    onnx="Erf",
    stablehlo="chlo.erf",
)
erfc = smooth(
    "erfc",
    m.erfc,
    "1 - erf(input), exact for large input",
    d=lambda x, y: (-2 / math.sqrt(math.pi)) * m.exp(-(x * x)),
    ref=each(math.erfc),
    corners=[5.0, 9.0, 10.5, -6.0],
    also="special.erfc",
    onnx=lambda x: 1 - m.erf(x),
    stablehlo="chlo.erfc",
)
erfinv = smooth(
    "erfinv",
    m.erfinv,
    "The inverse of erf on [-1, 1].",
    d=lambda x, y: (math.sqrt(math.pi) / 2) * m.exp(y * y),
    ref=each(erfinv_reference),
    sample=inside_unit,
    also="special.erfinv",
    stablehlo="chlo.erf_inv",
    without={"onnx": "ONNX has no inverse error function"},
)
ndtr = smooth(
    "special.ndtr",
    lambda x: 0.5 * m.erfc(x * -math.sqrt(0.5)),
    "The normal distribution: the probability of a value below input.",
    d=lambda x, y: m.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi)),
    ref=each(lambda x: 0.5 * math.erfc(-x * math.sqrt(0.5))),
)
log_ndtr = smooth(
    "special.log_ndtr",
    # Below -1 by the scaled function, whose logarithm is that of no small number.
    lambda x: m.select(
        x < -1,
        m.log(m.erfcx(x * -math.sqrt(0.5)) * 0.5) - 0.5 * x * x,
        m.log1p(m.erfc(x * math.sqrt(0.5)) * -0.5),
    ),
    "log of the normal distribution, also where that is tiny",
    d=lambda x, y: math.sqrt(2 / math.pi) / m.erfcx(x * -math.sqrt(0.5)),
    ref=each(log_ndtr_reference),
    corners=[-1.5, -20.0, 6.0],
)
erfcx = smooth(
    "special.erfcx",
    m.erfcx,
    "exp(input**2) * erfc(input), without the overflow of the one and the underflow of the other",
    d=lambda x, y: 2 * x * y - 2 / math.sqrt(math.pi),
    ref=each(erfcx_reference),
    corners=[30.0, 1e10, -5.0, -30.0],
    onnx=lambda x: m.exp(x * x) * (1 - m.erf(x)),
    stablehlo=lambda x: m.exp(x * x) * (1 - m.erf(x)),
)
ndtri = smooth(
    "special.ndtri",
    lambda p: math.sqrt(2) * m.erfinv(2 * p - 1),
    "The inverse of the normal distribution.",
    ref=each(lambda p: math.sqrt(2) * erfinv_reference(2 * p - 1)),
    sample=probability,
)

# --- the gamma function -----------------------------------------------------------------------------------

lgamma = smooth(
    "lgamma",
    m.lgamma,
    "log |gamma(input)|",
    d=lambda x, y: m.digamma(x),
    ref=each(math.lgamma),
    sample=positive,
    corners=[-1.5, -2.0, 30.0, 1e10],
    also="special.gammaln",
    stablehlo="chlo.lgamma",
    without={"onnx": "ONNX has no gamma functions"},
)
digamma = smooth(
    "digamma",
    m.digamma,
    "The derivative of log gamma(input).",
    d=lambda x, y: m.polygamma(1, x),
    ref=each(digamma_reference),
    sample=positive,
    corners=[-1.5, 30.0, 1e10],
    also="special.digamma special.psi",
    stablehlo="chlo.digamma",
    without={"onnx": "ONNX has no gamma functions"},
)
polygamma = smooth(
    "polygamma",
    m.polygamma,
    "The derivative of order n + 1 of log gamma(input).",
    d=lambda n, x, y: (0, m.polygamma(n + 1, x)),
    signature="n, input",
    ref=lambda n, x: np.vectorize(polygamma_reference, otypes=[float])(n, x),
    sample=(counts, positive),
    places="versant special",
    in_place=False,
    stablehlo="chlo.polygamma",
    without={"onnx": "ONNX has no gamma functions"},
)


def polygamma_in_place(input: Tensor, n: int) -> Tensor:
    return input.copy_(polygamma(n, input.clone()))


@composite(
    name="Tensor.polygamma",
    ref=lambda x, n: np.vectorize(polygamma_reference, otypes=[float])(n, x),
    samples=[call(array(3, 4, domain=positive), 1)],
    in_place=polygamma_in_place,
)
def polygamma_method(input: Tensor, n: int) -> Tensor:
    """The derivative of order n + 1 of log gamma(input)."""
    return polygamma(n, input)


zeta_each = smooth(
    "special.zeta.each",
    m.zeta,
    "sum over k >= 0 of (other + k)**-input",
    d=lambda s, q, y: (0, -s * m.zeta(s + 1, q)),
    signature="input, other",
    ref=lambda s, q: np.vectorize(zeta_reference, otypes=[float])(s, q),
    sample=(Domain(2, 7, "int"), positive),
    in_place=False,
    stablehlo="chlo.zeta",
    places="",
    without={"onnx": "ONNX has no zeta function"},
)


@composite(
    name="special.zeta",
    ref=lambda s, q: np.vectorize(zeta_reference, otypes=[float])(s, q),
    samples=[
        call(fixed(3, 4, domain=Domain(1.5, 6.0)), array(4, domain=positive)),
        call(2.0, array(3, domain=positive)),
    ],
)
def zeta(input: Tensor | float, other: Tensor | float) -> Tensor:
    """The Hurwitz zeta function, sum over k >= 0 of (other + k)**-input; no derivative by input."""
    if isinstance(input, Tensor) and input.requires_grad:
        raise RuntimeError("[special.zeta] the derivative by the first argument is not known; detach it")
    return zeta_each(input, other)


# --- Bessel functions -------------------------------------------------------------------------------------

bessel = partial(smooth, without={"onnx": "ONNX has no Bessel functions"}, corners=[9.0, -9.0, 80.0, 1e5])

i0 = bessel(
    "i0",
    m.i0,
    "The modified Bessel function of the first kind, of order 0.",
    d=lambda x, y: m.i1(x),
    ref=each(lambda x: bessel_reference(0, x)),
    stablehlo=lambda x: m.i0e(x) * m.exp(m.abs(x)),
    also="special.i0 special.modified_bessel_i0",
)
i0e = bessel(
    "special.i0e",
    m.i0e,
    "exp(-|input|) * i0(input)",
    d=lambda x, y: m.i1e(x) - m.sign(x) * y,
    ref=each(lambda x: bessel_reference(0, x, scaled=True)),
    stablehlo="chlo.bessel_i0e",
)
i1 = bessel(
    "special.i1",
    m.i1,
    "The modified Bessel function of the first kind, of order 1.",
    d=lambda x, y: m.i0(x) - m.select(m.eq(x, 0), 0.5, y / x),
    ref=each(lambda x: bessel_reference(1, x)),
    stablehlo=lambda x: m.i1e(x) * m.exp(m.abs(x)),
    also="special.modified_bessel_i1",
)
i1e = bessel(
    "special.i1e",
    m.i1e,
    "exp(-|input|) * special.i1(input)",
    d=lambda x, y: m.i0e(x) - m.sign(x) * y - m.select(m.eq(x, 0), 0.5, y / x),
    ref=each(lambda x: bessel_reference(1, x, scaled=True)),
    stablehlo="chlo.bessel_i1e",
)

# --- probabilities ----------------------------------------------------------------------------------------

logit_within = smooth(
    "logit.eps",
    lambda p, eps: m.log(m.min(m.max(p, eps), 1 - eps) / (1 - m.min(m.max(p, eps), 1 - eps))),
    "log(p / (1 - p)) with p between eps and 1 - eps",
    d=lambda p, eps, y: m.select((p < eps) | (p > 1 - eps), 0, 1 / (p * (1 - p))),
    signature="input, eps: number",
    ref=lambda p, eps: np.log(np.clip(p, eps, 1 - eps) / (1 - np.clip(p, eps, 1 - eps))),
    sample=probability,
    settings=[{"eps": 0.1}],
)
logit_whole = smooth(
    "logit.whole",
    lambda p: m.log(p / (1 - p)),
    "log(input / (1 - input))",
    d=lambda p, y: 1 / (p * (1 - p)),
    ref=lambda p: np.log(p / (1 - p)),
    sample=probability,
)


@composite(
    ref=lambda a, p: (
        p * (p - 1) / 4 * math.log(math.pi) + np.sum([each(math.lgamma)(a - i / 2) for i in range(p)], 0)
    ),
    samples=[call(array(3, domain=Domain(2.1, 5.0)), 3), call(array(2, 2, domain=positive), 1)],
    also="special.multigammaln",
    in_place=True,
)
def mvlgamma(input: Tensor, p: int) -> Tensor:
    """log of the multivariate gamma function of dimension p, for input above (p - 1) / 2."""
    if p < 1:
        raise RuntimeError(f"[mvlgamma] expected p of at least 1, got {p}")
    half = input.is_floating_point() and input.dtype.itemsize == 2
    x = input.float() if half else input
    total = lgamma(x) + p * (p - 1) / 4 * math.log(math.pi)
    for i in range(1, p):
        total = total + lgamma(x - i / 2)
    return total.to(input.dtype) if half else total


def logit_in_place(input: Tensor, eps: float | None = None) -> Tensor:
    return logit_whole.in_place()(input) if eps is None else logit_within.in_place()(input, eps)


@composite(
    ref=lambda p, eps=None: np.log(p / (1 - p)),
    samples=[call(array(3, 4, domain=probability)), call(array(5, domain=probability), 1e-6)],
    also="special.logit",
    in_place=logit_in_place,
)
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(input / (1 - input)), the inverse of sigmoid.  eps: input is held between eps and 1 - eps"""
    return logit_whole(input) if eps is None else logit_within(input, eps)


entr = smooth(
    "special.entr",
    lambda x: m.select(m.eq(x, 0), 0, m.select(x < 0, -math.inf, -x * m.log(x))),
    "-input * log(input); 0 at 0, -inf below",
    d=lambda x, y: -m.log(x) - 1,
    ref=lambda x: np.where(x == 0, 0, np.where(x < 0, -math.inf, -x * np.log(x))),
    sample=positive,
)
