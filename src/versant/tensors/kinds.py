"""PyTorch's first names for tensors of one dtype: `FloatTensor(2, 3)`, `LongTensor([1, 2])`."""

from typing import Any

from versant import _core
from versant._core import Tensor

DTYPES = {
    "Bool": _core.bool,
    "Byte": _core.uint8,
    "Char": _core.int8,
    "Short": _core.int16,
    "Int": _core.int32,
    "Long": _core.int64,
    "Half": _core.float16,
    "BFloat16": _core.bfloat16,
    "Float": _core.float32,
    "Double": _core.float64,
    "ComplexFloat": _core.complex64,
    "ComplexDouble": _core.complex128,
}
_NAMES = {dtype.name: f"versant.{word}Tensor" for word, dtype in DTYPES.items()}


def made(dtype: Any, *args: Any) -> Tensor:
    """A tensor of the sizes or of the data that are given; without either, an empty one."""
    if len(args) == 1 and not isinstance(args[0], (int, _core.Size)):
        if not hasattr(args[0], "__len__"):
            raise TypeError(f"[Tensor] expected sizes or a sequence, got {type(args[0]).__name__}")
        return _core.tensor(args[0], dtype, False)
    if not args:
        args = (0,)
    sizes = args[0] if isinstance(args[0], (tuple, _core.Size)) else args
    return _core.full(sizes, None, dtype, False)


class Kind(type):
    """A class whose instances are the tensors of one dtype."""

    dtype: Any

    def __call__(cls, *args: Any) -> Tensor:
        return made(cls.dtype, *args)

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, Tensor) and value.dtype is cls.dtype


KINDS = {
    f"{word}Tensor": Kind(f"{word}Tensor", (), {"dtype": dtype, "__module__": "versant"})
    for word, dtype in DTYPES.items()
}


def name_of(dtype: Any) -> str:
    """The name of the tensors of a dtype: "versant.FloatTensor"."""
    return _NAMES[dtype.name]


def dtype_of(kind: Any) -> Any:
    """The dtype that is meant by a name such as "torch.FloatTensor", by a Kind or by the dtype itself."""
    if isinstance(kind, Kind):
        return kind.dtype
    if not isinstance(kind, str):
        return kind
    module, _, name = kind.rpartition(".")
    if module not in ("torch", "versant") or name not in KINDS:
        raise ValueError(f"[type] invalid type {kind!r}: expected one such as 'versant.FloatTensor'")
    return KINDS[name].dtype


def __getattr__(name: str) -> Any:
    if name in KINDS:
        return KINDS[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
