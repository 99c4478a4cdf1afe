"""Activation functions that work element by element."""

import math
from functools import partial

from versant._core import ShapeError, Tensor
from versant.ops.expression import Expression, m
from versant.ops.lazy import np
from versant.ops.record import Choice, add_variant, composite, elementwise
from versant.ops.samples import array, call

activation = partial(elementwise, rule="float", places="nn.functional")

# --- ramps ------------------------------------------------------------------------------------------------

relu = elementwise(
    "relu",
    lambda x: m.max(x, 0),
    "max(input, 0)",
    d=lambda x, y: m.select(y <= 0, 0, 1),
    ref=lambda x: np.maximum(x, 0),
    places="versant Tensor nn.functional",
    onnx="Relu",
)
relu6 = elementwise(
    "relu6",
    lambda x: m.min(m.max(x, 0), 6),
    "min(max(input, 0), 6)",
    d=lambda x, y: m.select((x <= 0) | (x >= 6), 0, 1),
    ref=lambda x: np.clip(x, 0, 6),
    corners=[6.0, 7.0],
    places="nn.functional",
)
leaky_relu = activation(
    "leaky_relu",
    lambda x, slope: m.select(x > 0, x, x * slope),
    "input where positive, negative_slope * input elsewhere",
    d=lambda x, slope, y: m.select(x > 0, 1, slope),
    signature="input, negative_slope: number = 0.01",
    ref=lambda x, slope=0.01: np.where(x > 0, x, x * slope),
    settings=[{"negative_slope": 0.2}],
    onnx="LeakyRelu",
)
threshold = elementwise(
    "threshold",
    lambda x, threshold, value: m.select(x <= threshold, value, x),
    "input where above threshold, value elsewhere",
    signature="input, threshold: number, value: number",
    ref=lambda x, threshold, value: np.where(x <= threshold, value, x),
    settings=[{"threshold": 0.3, "value": -2.0}],
    places="versant nn.functional",
)
hardtanh = elementwise(
    "hardtanh",
    lambda x, low, high: m.min(m.max(x, low), high),
    "input between min_val and max_val",
    d=lambda x, low, high, y: m.select((x <= low) | (x >= high), 0, 1),
    signature="input, min_val: number = -1.0, max_val: number = 1.0",
    refuses="falling",
    ref=lambda x, low=-1.0, high=1.0: np.clip(x, low, high),
    settings=[{"min_val": -1, "max_val": 2}],
    places="nn.functional",
)
hardsigmoid = activation(
    "hardsigmoid",
    lambda x: m.min(m.max(x + 3, 0), 6) / 6,
    "min(max(input + 3, 0), 6) / 6",
    d=lambda x, y: m.select((x <= -3) | (x >= 3), 0, 1 / 6),
    ref=lambda x: np.clip(x + 3, 0, 6) / 6,
    corners=[3.0, -3.0, 4.0, -4.0],
    onnx=lambda x: m.min(m.max(x + 3, 0), 6) / 6,
)
hardswish = activation(
    "hardswish",
    lambda x: x * m.min(m.max(x + 3, 0), 6) / 6,
    "input * hardsigmoid(input) (Howard et al. 2019)",
    d=lambda x, y: m.select(x <= -3, 0, m.select(x >= 3, 1, (2 * x + 3) / 6)),
    ref=lambda x: x * np.clip(x + 3, 0, 6) / 6,
    corners=[3.0, -3.0, 4.0, -4.0],
    onnx="HardSwish",
)
hardshrink = activation(
    "hardshrink",
    lambda x, limit: m.select((x >= -limit) & (x <= limit), 0, x),
    "0 between -lambd and lambd, input elsewhere",
    signature="input, lambd: number = 0.5",
    ref=lambda x, limit=0.5: np.where(np.abs(x) <= limit, 0, x),
    settings=[{"lambd": 1.5}],
    places="versant Tensor nn.functional",
    in_place=False,
)
softshrink = activation(
    "softshrink",
    lambda x, limit: m.select(x > limit, x - limit, m.select(x < -limit, x + limit, x * 0)),
    "input, moved by lambd toward 0",
    d=lambda x, limit, y: m.select((x >= -limit) & (x <= limit), 0, 1),
    signature="input, lambd: number = 0.5",
    refuses="falling",
    ref=lambda x, limit=0.5: np.sign(x) * np.maximum(np.abs(x) - limit, 0),
    settings=[{"lambd": 1.5}],
    in_place=False,
)
prelu_slopes = elementwise(
    "prelu.slopes",
    lambda x, slope: m.select(x > 0, x, x * slope),
    "input where positive, slope * input elsewhere",
    ref=lambda x, slope: np.where(x > 0, x, x * slope),
    signature="input, slope",
)


@composite(
    autocast="lower",
    ref=lambda x, weight: np.where(x > 0, x, x * weight.reshape(-1, *[1] * (x.ndim - 2))),
    samples=[call(array(2, 3, 4), array(3)), call(array(2, 3), array(1))],
    places="versant Tensor nn.functional",
)
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """input where positive, weight * input elsewhere.  input: (N, C, ...), weight: (C,), (1,) or ()"""
    if weight.ndim > 1:
        raise ShapeError(f"[prelu] expected a number or a vector of weights, got shape {tuple(weight.shape)}")
    if weight.numel() != 1:
        channels = input.shape[1] if input.ndim > 1 else 1
        if input.ndim == 0 or weight.shape[0] != channels:
            raise ShapeError(
                f"[prelu] expected 1 weight or one for each of {channels} channels, got "
                f"{weight.shape[0]} for input of shape {tuple(input.shape)}"
            )
        weight = weight.view(-1, *[1] * (input.ndim - 2))
    elif weight.ndim:
        weight = weight.view(())
    return prelu_slopes(input, weight)


# --- sigmoids ---------------------------------------------------------------------------------------------

sigmoid = elementwise(
    "sigmoid",
    m.sigmoid,
    "1 / (1 + exp(-input))",
    d=lambda x, y: y * (1 - y),
    rule="float",
    ref=lambda x: np.exp(-np.logaddexp(0.0, -x)),
    corners=[100.0, -100.0],
    also="nn.functional.sigmoid special.expit",
    onnx="Sigmoid",
    stablehlo="logistic",
)
logsigmoid = activation(
    "logsigmoid",
    lambda x: m.min(x, 0) - m.log1p(m.exp(-m.abs(x))),
    "log(sigmoid(input)), stable",
    d=lambda x, y: m.sigmoid(-x),
    ref=lambda x: -np.logaddexp(0.0, -x),
    corners=[100.0, -100.0],
    in_place=False,
)
softsign = activation(
    "softsign",
    lambda x: x / (1 + m.abs(x)),
    "input / (1 + |input|)",
    ref=lambda x: x / (1 + np.abs(x)),
    in_place=False,
    onnx="Softsign",
)
tanhshrink = activation(
    "tanhshrink",
    lambda x: x - m.tanh(x),
    "input - tanh(input)",
    ref=lambda x: x - np.tanh(x),
    in_place=False,
)
silu = activation(
    "silu",
    lambda x: x * m.sigmoid(x),
    "input * sigmoid(input), also called swish (Elfwing et al. 2017)",
    d=lambda x, y: m.sigmoid(x) * (1 + x * (1 - m.sigmoid(x))),
    ref=lambda x: x * np.exp(-np.logaddexp(0.0, -x)),
    corners=[100.0, -100.0],
)


def softplus_of(x: Expression) -> Expression:
    """log(1 + exp(x)), stable for large |x|."""
    return m.log1p(m.exp(-m.abs(x))) + m.max(x, 0.0)


mish = activation(
    "mish",
    lambda x: x * m.tanh(softplus_of(x)),
    "input * tanh(softplus(input)) (Misra 2019)",
    d=lambda x, y: m.tanh(softplus_of(x)) + x * m.sigmoid(x) * (1 - m.square(m.tanh(softplus_of(x)))),
    ref=lambda x: x * np.tanh(np.logaddexp(x, 0.0)),
    corners=[100.0, -100.0],
    onnx="Mish",
)
softplus = activation(
    "softplus",
    lambda x, beta, limit: m.select(beta * x > limit, x, softplus_of(beta * x) / beta),
    "log(1 + exp(beta * input)) / beta; input itself where beta * input is above threshold",
    d=lambda x, beta, limit, y: m.select(beta * x > limit, 1, m.sigmoid(beta * x)),
    signature="input, beta: number = 1.0, threshold: number = 20.0",
    ref=lambda x, beta=1.0, limit=20.0: np.where(beta * x > limit, x, np.logaddexp(beta * x, 0.0) / beta),
    settings=[{"beta": 2.0, "threshold": 3.0}],
    corners=[100.0, -100.0],
    in_place=False,
)

# --- exponential units ------------------------------------------------------------------------------------


elu = activation(
    "elu",
    lambda x, alpha: m.select(x > 0, x, m.expm1(m.min(x, 0)) * alpha),
    "input where positive, alpha * (exp(input) - 1) elsewhere (Clevert et al. 2015)",
    d=lambda x, alpha, y: m.select(x > 0, 1, m.exp(m.min(x, 0)) * alpha),
    signature="input, alpha: number = 1.0",
    ref=lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
    settings=[{"alpha": 0.3}],
    onnx="Elu",
)
celu = activation(
    "celu",
    lambda x, alpha: m.select(x > 0, x, m.expm1(m.min(x, 0) / alpha) * alpha),
    "input where positive, alpha * (exp(input / alpha) - 1) elsewhere (Barron 2017)",
    d=lambda x, alpha, y: m.select(x > 0, 1, m.exp(m.min(x, 0) / alpha)),
    signature="input, alpha: number = 1.0",
    ref=lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha)),
    settings=[{"alpha": 0.3}],
    places="versant nn.functional",
    onnx="Celu",
)
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017
selu = activation(
    "selu",
    lambda x: SELU_SCALE * m.select(x > 0, x, m.expm1(m.min(x, 0)) * SELU_ALPHA),
    "The self-normalising exponential unit (Klambauer et al. 2017).",
    d=lambda x, y: m.select(x > 0, SELU_SCALE, m.exp(m.min(x, 0)) * (SELU_SCALE * SELU_ALPHA)),
    ref=lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0))),
    places="versant nn.functional",
    onnx="Selu",
)

# --- gelu -------------------------------------------------------------------------------------------------


def gelu_tanh_of(x: Expression) -> Expression:
    return m.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))  # sqrt(2 / pi)


def gelu_tanh_slope(x: Expression) -> Expression:
    """The derivative of tanh's part of gelu, x times half that of its argument's."""
    t = gelu_tanh_of(x)
    return 0.3989422804014327 * x * (1 - t * t) * (1 + 0.134145 * x * x)


gelu_tanh = activation(
    "gelu.tanh",
    lambda x: 0.5 * x * (1 + gelu_tanh_of(x)),
    "The approximation of gelu by tanh.",
    d=lambda x, y: 0.5 * (1 + gelu_tanh_of(x)) + gelu_tanh_slope(x),
    ref=lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    complex=False,
)
gelu = activation(
    "gelu",
    lambda x: 0.5 * x * (1 + m.erf(x * math.sqrt(0.5))),
    'input * Phi(input), Phi the normal distribution (Hendrycks, Gimpel 2016).  approximate: "none", "tanh"',
    d=lambda x, y: (
        0.5 * (1 + m.erf(x * math.sqrt(0.5))) + x * m.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))
    ),
    ref=lambda x: 0.5 * x * np.vectorize(math.erfc, otypes=[float])(-x * math.sqrt(0.5)),
    in_place=False,
    onnx="Gelu",
)
add_variant("gelu", "approximate", Choice("approximate", {"none": gelu, "tanh": gelu_tanh}))
