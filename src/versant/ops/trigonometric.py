"""Trigonometric and hyperbolic functions. Angles are in radians."""

import math
from functools import partial

from versant.ops.expression import m
from versant.ops.lazy import np
from versant.ops.record import elementwise
from versant.ops.samples import above_one, inside_unit

smooth = partial(elementwise, rule="float")

# --- trigonometric ----------------------------------------------------------------------------------------

sin = smooth(
    "sin",
    m.sin,
    "The sine.",
    d=lambda x, y: m.cos(x),
    ref=np.sin,
    corners=[3.1415927, 1e5, 1e10],
    onnx="Sin",
    stablehlo="sine",
)
cos = smooth(
    "cos",
    m.cos,
    "The cosine.",
    d=lambda x, y: -m.sin(x),
    ref=np.cos,
    corners=[3.1415927, 1e5, 1e10],
    onnx="Cos",
    stablehlo="cosine",
)
tan = smooth(
    "tan",
    m.tan,
    "The tangent.",
    d=lambda x, y: 1 + y * y,
    ref=np.tan,
    sample=inside_unit,
    corners=[1e5],
    onnx="Tan",
    stablehlo="tan",
)
asin = smooth(
    "asin",
    m.asin,
    "The inverse sine, in [-pi/2, pi/2]; NaN outside of [-1, 1].",
    d=lambda x, y: m.rsqrt(1 - x * x),
    ref=np.arcsin,
    sample=inside_unit,
    also="arcsin",
    onnx="Asin",
    stablehlo="chlo.asin",
)
acos = smooth(
    "acos",
    m.acos,
    "The inverse cosine, in [0, pi]; NaN outside of [-1, 1].",
    d=lambda x, y: -m.rsqrt(1 - x * x),
    ref=np.arccos,
    sample=inside_unit,
    also="arccos",
    onnx="Acos",
    stablehlo="chlo.acos",
)
atan = smooth(
    "atan",
    m.atan,
    "The inverse tangent, in [-pi/2, pi/2].",
    d=lambda x, y: 1 / (x * x + 1),
    ref=np.arctan,
    also="arctan",
    onnx="Atan",
    stablehlo="chlo.atan",
)
atan2 = smooth(
    "atan2",
    m.atan2,
    "The angle of the point (other, input), in [-pi, pi].",
    # At the origin the gradient is 0.
    d=lambda y, x, z: (
        m.select(m.eq(x * x + y * y, 0), 0, x / (x * x + y * y)),
        m.select(m.eq(x * x + y * y, 0), 0, -y / (x * x + y * y)),
    ),
    ref=np.arctan2,
    also="arctan2",
    onnx=lambda y, x: m.atan(y / x) + m.select(x < 0, m.select(m.signbit(y), -math.pi, math.pi), 0.0),
    stablehlo="atan2",
)
sinc = smooth(
    "sinc",
    lambda x: m.select(m.eq(x, 0), 1, m.sin(math.pi * x) / (math.pi * x)),
    "sin(pi * input) / (pi * input); 1 at 0",
    d=lambda x, y: m.select(m.eq(x, 0), 0, (m.cos(math.pi * x) - y) / x),
    ref=np.sinc,
    also="special.sinc",
)
deg2rad = smooth(
    "deg2rad",
    lambda x: x * (math.pi / 180),
    "Degrees to radians.",
    ref=np.deg2rad,
)
rad2deg = smooth(
    "rad2deg",
    lambda x: x * (180 / math.pi),
    "Radians to degrees.",
    ref=np.rad2deg,
)

# --- hyperbolic -------------------------------------------------------------------------------------------

sinh = smooth(
    "sinh",
    m.sinh,
    "The hyperbolic sine.",
    d=lambda x, y: m.cosh(x),
    ref=np.sinh,
    corners=[89.0, -89.0, 1e-6],
    onnx="Sinh",
    stablehlo="chlo.sinh",
)
cosh = smooth(
    "cosh",
    m.cosh,
    "The hyperbolic cosine.",
    d=lambda x, y: m.sinh(x),
    ref=np.cosh,
    corners=[89.0, -89.0],
    onnx="Cosh",
    stablehlo="chlo.cosh",
)
tanh = smooth(
    "tanh",
    m.tanh,
    "The hyperbolic tangent.",
    d=lambda x, y: 1 - y * y,
    ref=np.tanh,
    corners=[90.0, -90.0, 1e-6],
    also="nn.functional.tanh",
    onnx="Tanh",
    stablehlo="tanh",
)
asinh = smooth(
    "asinh",
    m.asinh,
    "The inverse hyperbolic sine.",
    d=lambda x, y: m.rsqrt(x * x + 1),
    ref=np.arcsinh,
    corners=[1e-6, 1e30],
    also="arcsinh",
    onnx="Asinh",
    stablehlo="chlo.asinh",
)
acosh = smooth(
    "acosh",
    m.acosh,
    "The inverse hyperbolic cosine; NaN below 1.",
    d=lambda x, y: m.rsqrt(x * x - 1),
    ref=np.arccosh,
    sample=above_one,
    corners=[1e30],
    also="arccosh",
    onnx="Acosh",
    stablehlo="chlo.acosh",
)
atanh = smooth(
    "atanh",
    m.atanh,
    "The inverse hyperbolic tangent; infinite at -1 and 1, NaN outside.",
    d=lambda x, y: 1 / (1 - x * x),
    ref=np.arctanh,
    sample=inside_unit,
    corners=[1e-6],
    also="arctanh",
    onnx="Atanh",
    stablehlo="chlo.atanh",
)
