"""Complex numbers: their parts, and how they are made from real ones."""

from __future__ import annotations

import math

from versant import _core
from versant._core import Tensor
from versant.ops.expression import m
from versant.ops.lazy import np
from versant.ops.record import composite, elementwise, primitive
from versant.ops.samples import array, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from versant.ops.expression import Program
    from versant.ops.pairs import Form, Pair

# --- from real numbers --------------------------------------------------------------------------------------


class Join:
    """An op that makes complex numbers of two real ones; its form is built when the machine asks for it."""

    def __init__(self, name: str, value: Callable[[Pair, Pair], Any]) -> None:
        self.name = name
        self.value = value
        self._form: Form | None = None
        names = ("first", "second")
        self.op = _core.define_elementwise(name, 2, 0, "complex", -1, 0, names, (), self)

    @property
    def form(self) -> Form:
        if self._form is None:
            from versant.ops.pairs import Form, as_pair, pair_source

            value = as_pair(self.value(pair_source(1), pair_source(2)))
            self._form = Form(self.name, 2, 0, value)
        return self._form

    def forward(self) -> Program:
        return self.form.forward()

    def derivative(self, i: int) -> Any:
        return self.form.derivative(i)

    def backward(self, mask: int) -> Program:
        return self.form.backward(mask)

    def __call__(self, first: Tensor, second: Tensor, out: Tensor | None = None) -> Tensor:
        for tensor in (first, second):
            if not isinstance(tensor, Tensor):
                raise TypeError(f"[{self.name}] expected two tensors, got {type(tensor).__name__}")
        for tensor in (first, second):
            if tensor.dtype not in (_core.float16, _core.float32, _core.float64):
                raise RuntimeError(
                    f"[{self.name}] expected float16, float32 or float64 tensors, got {first.dtype} and "
                    f"{second.dtype}"
                )
        if first.dtype is not second.dtype:
            raise RuntimeError(
                f"[{self.name}] expected tensors of one dtype, got {first.dtype} and {second.dtype}"
            )
        if out is not None and out.dtype is not first.dtype.to_complex():
            raise RuntimeError(
                f"[{self.name}] expected out of dtype {first.dtype.to_complex()}, got {out.dtype}"
            )
        return self.op(first, second, out=out)


join = Join("complex", lambda re, im: (re.re, im.re))
turn = Join("polar", lambda size, angle: (size.re * m.cos(angle.re), size.re * m.sin(angle.re)))
JOINS = (join, turn)


@composite(
    ref=lambda re, im: re + 1j * im,
    samples=[call(array(3, 4), array(3, 4)), call(array(3, 1), array(4))],
    places="versant",
)
def complex(real: Tensor, imag: Tensor, *, out: Tensor | None = None) -> Tensor:
    """real + i imag, of two float32 tensors (complex64) or two float64 tensors (complex128)."""
    return join(real, imag, out)


@composite(
    ref=lambda size, angle: size * np.exp(1j * angle),
    samples=[call(array(3, 4), array(3, 4)), call(array(3, 1), array(4))],
    places="versant",
)
def polar(abs: Tensor, angle: Tensor, *, out: Tensor | None = None) -> Tensor:
    """abs * (cos(angle) + i sin(angle)); angle in radians."""
    return turn(abs, angle, out)


# --- parts --------------------------------------------------------------------------------------------------

view_as_real = primitive(
    "view_as_real",
    "input",
    "A complex tensor as a view of real numbers, with a last axis of size 2: real part, imaginary part.",
    places="versant",
    without={
        "ref": "tests/core/test_complex.py compares it with numpy's view",
        "onnx": "ONNX has no complex numbers",
        "stablehlo": "StableHLO has no views of memory",
    },
)
view_as_complex = primitive(
    "view_as_complex",
    "input",
    "Pairs of real numbers along the last axis, of size 2 and stride 1, as a view of complex numbers.",
    places="versant",
    ref=lambda x: x[..., 0] + 1j * x[..., 1],
    samples=[call(array(3, 2)), call(array(2)), call(array(0, 2))],
    without={
        "layouts": "a view needs strides that allow it",
        "onnx": "ONNX has no complex numbers",
        "stablehlo": "StableHLO has no views of memory",
    },
)
real = primitive(
    "real",
    "input",
    "The real part: a view of a complex tensor, a real tensor itself.",
    ref=np.real,
    samples=[call(array(3, 4))],
    places="versant",
    onnx=lambda x: x,
    stablehlo="real",
)
imag = primitive(
    "imag",
    "input",
    "The imaginary part: a view of a complex tensor; real tensors have none.",
    places="versant",
    stablehlo="imag",
    without={
        "ref": "tests/core/test_complex.py compares it with numpy's",
        "onnx": "ONNX has no complex numbers",
    },
)
conj_physical = elementwise(
    "conj_physical",
    lambda x: x,
    "The complex conjugate, in new memory.",
    ref=np.conj,
    complex=lambda z: z.conj(),
)


@composite(ref=np.conj, samples=[call(array(3, 4))])
def conj(input: Tensor) -> Tensor:
    """The complex conjugate; a real tensor itself.  It is computed at once: is_conj() is False."""
    return conj_physical(input) if input.is_complex() else input


@composite(ref=lambda x: x, samples=[call(array(3, 4))])
def resolve_conj(input: Tensor) -> Tensor:
    """The tensor itself: conjugates are computed at once."""
    return input


@composite(ref=lambda x: x, samples=[call(array(3, 4))])
def resolve_neg(input: Tensor) -> Tensor:
    """The tensor itself: negatives are computed at once."""
    return input


@composite(ref=lambda x: np.swapaxes(x, -2, -1).conj(), samples=[call(array(3, 4)), call(array(2, 3, 4))])
def adjoint(input: Tensor) -> Tensor:
    """The last two axes exchanged, and for complex numbers their conjugates."""
    return conj(input.mT)


angle = elementwise(
    "angle",
    lambda x: m.select(m.isnan(x), x, m.select(x < 0, math.pi, 0.0)),
    "The angle of input in the complex plane, in (-pi, pi]; of real numbers 0 or pi.",
    d=lambda x, y: 0,
    rule="float",
    ref=lambda x: np.angle(x) if x.dtype.kind == "c" else np.where(np.isnan(x), x, math.pi * (x < 0)),
    complex=lambda z: m.atan2(z.im, z.re),
    in_place=False,
)


def unit(z: Pair) -> Pair:
    from versant.ops import pairs

    return pairs.unit(z)


sgn = elementwise(
    "sgn",
    lambda x: m.sign(x),
    "input / |input|, and 0 at 0; of real numbers the sign.",
    d=lambda x, y: 0,
    ref=np.sign,
    complex=unit,
)


@composite(differentiable=False, ref=np.iscomplexobj, samples=[call(array(3))], places="versant")
def is_complex(input: Tensor) -> bool:
    """Whether the dtype is complex."""
    return input.is_complex()


@composite(differentiable=False, ref=lambda x: False, samples=[call(array(3))], places="versant")
def is_conj(input: Tensor) -> bool:
    """False: conjugates are computed at once."""
    return input.is_conj()


@composite(differentiable=False, ref=lambda x: False, samples=[call(array(3))], places="versant")
def is_neg(input: Tensor) -> bool:
    """False: negatives are computed at once."""
    return input.is_neg()


@composite(differentiable=False, ref=np.isreal, samples=[call(array(3))])
def isreal(input: Tensor) -> Tensor:
    """Where the imaginary part is 0."""
    return imag(input) == 0 if input.is_complex() else input.new_ones(input.shape, dtype=_core.bool)
