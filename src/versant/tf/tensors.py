"""Tensors of the dialect: the class, what becomes one, and constant, convert_to_tensor, cast.

They are Versant's tensors under another type, whose operators are strict about dtypes
(core/python/dialect_type.cc). Any op given such a tensor gives such a tensor.
"""

from typing import Any

import versant
from versant import _core
from versant._core import DTypeError
from versant.tf import dtypes
from versant.tf.dtypes import DType, as_dtype
from versant.tf.errors import InvalidArgumentError
from versant.tf.shapes import TensorShape

__all__ = [
    "Tensor",
    "brand",
    "cast",
    "constant",
    "convert",
    "convert_like",
    "convert_to_tensor",
    "identity",
    "is_tensor",
    "same_dtype",
]

Tensor = _core.EagerTensor
brand = _core.brand
_INT32 = range(-(2**31), 2**31)


def _first_leaf(value: Any) -> Any:
    while isinstance(value, list | tuple):
        if not value:
            return None
        value = value[0]
    return value


def _leaves(value: Any) -> Any:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _packed(value: Any, dtype: DType | None) -> _core.Tensor:
    """A nested list with tensors in it, stacked; gradients flow to these."""
    parts = [
        _packed(item, dtype) if isinstance(item, list | tuple) else convert(item, dtype) for item in value
    ]
    return versant.stack([_core.plain(part) for part in parts])


def _array(value: Any, dtype: DType | None) -> _core.Tensor:
    """Python numbers and lists, numpy arrays."""
    if isinstance(value, str | bytes) or value is None:
        raise ValueError(f"[convert_to_tensor] cannot convert {value!r} to a tensor: there are numbers only")
    leaf = _first_leaf(value)
    if isinstance(value, list | tuple):
        leaves = list(_leaves(value))
        if any(isinstance(item, _core.Tensor) for item in leaves):
            return _packed(value, dtype)
        if any(item is None or isinstance(item, str) for item in leaves):
            raise ValueError(f"[convert_to_tensor] cannot convert {value!r:.60} to a tensor of numbers")
    else:
        leaves = [value]
    python = isinstance(leaf, bool | int | float | complex) and not hasattr(leaf, "dtype")
    if python:
        kinds = {type(item) for item in leaves}
        if bool in kinds and len(kinds) > 1:
            raise ValueError("[convert_to_tensor] cannot convert a sequence of bools and numbers to a tensor")
        if dtype is None:
            if complex in kinds:
                dtype = dtypes.complex128
            elif float in kinds:
                dtype = dtypes.float32
            elif int in kinds:
                small = all(item in _INT32 for item in leaves)
                dtype = dtypes.int32 if small else dtypes.int64
        elif dtype in dtypes.INTEGERS and float in kinds:
            raise TypeError(
                f"[convert_to_tensor] cannot convert {value!r:.60} to a tensor of dtype {dtype.name}"
            )
        elif dtype is dtypes.bool and kinds != {bool}:
            raise TypeError(f"[convert_to_tensor] cannot convert {value!r:.60} to a tensor of dtype bool")
    if leaf is None and dtype is None:
        dtype = dtypes.float32
    try:
        return _core.tensor(value, dtype)
    except DTypeError as error:
        raise TypeError(str(error)) from None


def convert(value: Any, dtype: Any = None) -> Any:
    """value as a tensor; a tensor stays as it is.  dtype: what a value that is no tensor becomes."""
    if isinstance(value, _core.Tensor):
        return value
    return brand(_array(value, None if dtype is None else as_dtype(dtype)))


def convert_like(value: Any, other: _core.Tensor) -> Any:
    """value as a tensor of the dtype of other, as operators take it."""
    try:
        return brand(_array(value, other.dtype))
    except TypeError as error:
        raise InvalidArgumentError(str(error)) from None


def convert_to_tensor(value: Any, dtype: Any = None, dtype_hint: Any = None, name: str | None = None) -> Any:
    """value as a tensor: numbers, nested lists, numpy arrays, variables, tensors.

    dtype: of the result; a tensor of another one raises ValueError. dtype_hint: taken where it fits.
    """
    if isinstance(value, _core.Tensor):
        if dtype is not None and value.dtype is not as_dtype(dtype):
            raise ValueError(
                f"[convert_to_tensor] dtype {as_dtype(dtype).name} was requested for a tensor of dtype "
                f"{value.dtype.name}; use tf.cast"
            )
        return value if isinstance(value, Tensor) else identity(value)
    if dtype is None and dtype_hint is not None:
        try:
            return convert(value, dtype_hint)
        except (TypeError, ValueError):
            pass
    return convert(value, dtype)


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str = "Const") -> Any:
    """A new tensor of value, of that dtype and shape.

    Python floats become float32, ints int32. A single value fills the shape.

    >>> import versant.tf as tf
    >>> tf.constant([[1, 2], [3, 4]])
    <tf.Tensor: shape=(2, 2), dtype=int32, numpy=
    array([[1, 2],
           [3, 4]], dtype=int32)>
    """
    if isinstance(value, _core.Tensor):
        made = identity(value) if dtype is None else cast(identity(value), dtype)
    else:
        made = convert(value, dtype)
    if shape is None:
        return made
    sizes = tuple(int(n) for n in (shape if hasattr(shape, "__iter__") else [shape]))
    if made.numel() == 1:
        return brand(versant.reshape(_core.plain(made), ()).expand(sizes).clone())
    if made.numel() != TensorShape(sizes).num_elements():
        raise TypeError(
            f"[constant] {made.numel()} elements do not fill the shape {sizes}; give a single one, or all"
        )
    return brand(_core.plain(made).reshape(sizes))


def cast(x: Any, dtype: Any, name: str | None = None) -> Any:
    """x in another dtype. Fractions are cut off towards zero; what is not zero becomes True."""
    dtype = as_dtype(dtype)
    x = convert(x)
    if x.dtype is dtype:
        return x if isinstance(x, Tensor) else identity(x)
    if x.dtype.is_complex and not dtype.is_complex:
        x = versant.real(x)
    return brand(_core.plain(x).to(dtype))


def identity(input: Any, name: str | None = None) -> Any:
    """A tensor of the same value, which later changes of a variable do not reach."""
    return brand(_core.plain(convert(input)).clone())


def is_tensor(x: Any) -> bool:
    """Whether x is a tensor or a variable."""
    return isinstance(x, _core.Tensor)


def same_dtype(op: str, *values: Any) -> Any:
    """The values as tensors of one dtype: that of the first tensor.

    Raises InvalidArgumentError for tensors of different dtypes.
    """
    first = next((value for value in values if isinstance(value, _core.Tensor)), None)
    if first is None:
        first = convert(values[0])
        values = (first, *values[1:])
    dtype = first.dtype
    made = []
    for value in values:
        if not isinstance(value, _core.Tensor):
            value = convert_like(value, first)
        if value.dtype is not dtype:
            raise InvalidArgumentError(
                f"[{op}] the operands have different dtypes: {dtype.name} and {value.dtype.name}; "
                "tf.cast() one of them"
            )
        made.append(value)
    return made


# What tensors of the dialect have beside their operators ----------------------------------------------------


def _numpy(self: Any) -> Any:
    """The value as a numpy array, of a tensor without axes as a numpy scalar."""
    array = _core.plain(self).detach().numpy()
    return array[()] if array.ndim == 0 else array.copy()


def _shape(self: Any) -> TensorShape:
    return tuple.__new__(TensorShape, self.size())


def _text(self: Any) -> str:
    numbers = "<unprintable>" if self.dtype is dtypes.bfloat16 else str(_numpy(self))
    return f"tf.Tensor({numbers}, shape={_shape(self)}, dtype={self.dtype.name})"


def array_text(self: Any) -> str:
    """The value as numpy writes it."""
    if self.dtype is dtypes.bfloat16:
        return "<unprintable>"
    value = _numpy(self)
    return str(value) if not _shape(self) else _on_own_lines(repr(value))


def _on_own_lines(text: str) -> str:
    return "\n" + text if "\n" in text else text


def _represent(self: Any) -> str:
    return f"<tf.Tensor: shape={_shape(self)}, dtype={self.dtype.name}, numpy={array_text(self)}>"


def _iterate(self: Any) -> Any:
    if not _shape(self):
        raise TypeError("[iter] cannot iterate over a scalar tensor")
    return iter(brand(versant.unbind(_core.plain(self))))


class Reference:
    """A tensor by its identity, as a key: two are equal when they refer to one tensor."""

    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor

    def deref(self) -> Any:
        """The tensor."""
        return self._tensor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and other._tensor is self._tensor

    def __hash__(self) -> int:
        return id(self._tensor)


def _reference(self: Any) -> Reference:
    return Reference(self)


def _set_shape(self: Any, shape: Any) -> None:
    _shape(self).assert_is_compatible_with(shape)


def install() -> None:
    """Give the classes of the dialect TensorFlow's methods, and make ops give tensors of it."""
    base: Any = _core.TensorLike
    _core.open_dialect(convert_like, InvalidArgumentError)
    for name, value in {
        "shape": property(_shape),
        "numpy": _numpy,
        "get_shape": _shape,
        "set_shape": _set_shape,
        "ref": _reference,
        "__iter__": _iterate,
        "device": property(lambda self: "/job:localhost/replica:0/task:0/device:CPU:0"),
    }.items():
        setattr(base, name, value)
    result: Any = Tensor
    result.__repr__ = _represent
    result.__str__ = _text
    result.eval = _numpy
