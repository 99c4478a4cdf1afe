"""Special functions: error function, gamma function, and what follows from them."""

import math
from functools import partial

from versant._core import Tensor
from versant.ops.expression import m
from versant.ops.lazy import np
from versant.ops.record import composite, elementwise
from versant.ops.references import digamma_reference, each, erfinv_reference, polygamma_reference
from versant.ops.samples import array, call, counts, inside_unit, positive, probability

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


@composite(
    name="Tensor.polygamma",
    ref=lambda x, n: np.vectorize(polygamma_reference, otypes=[float])(n, x),
    samples=[call(array(3, 4, domain=positive), 1)],
)
def polygamma_method(input: Tensor, n: int) -> Tensor:
    """The derivative of order n + 1 of log gamma(input)."""
    return polygamma(n, input)


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
