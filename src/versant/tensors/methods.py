"""Tensor methods that are not ops: dtypes, numpy and DLPack, copies and pickles, hooks, iteration."""

from __future__ import annotations

from versant import _core
from versant._core import Tensor
from versant.tensors import formats

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    import numpy as np

_type = type  # the method of that name hides it


def to(
    self: Tensor,
    *args: Any,
    dtype: Any = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """The tensor with another dtype: to(dtype), to("cpu"), to("cpu", dtype), to(other).

    copy: always a new tensor. memory_format: the order of axes in memory. non_blocking changes nothing here.
    """
    flags = []
    for arg in args:
        if isinstance(arg, Tensor):
            dtype = arg.dtype
        elif isinstance(arg, _core.dtype) or arg in (float, int, bool, complex):
            dtype = arg
        elif isinstance(arg, (str, _core.device)):
            device = arg
        elif isinstance(arg, bool):
            flags.append(arg)  # non_blocking, then copy
        elif arg is not None:
            raise TypeError(f"[to] expected a dtype, a device or a tensor, got {_type(arg).__name__}")
    if device is not None:
        _core.device(device)
    result = self if dtype is None else self.cast(dtype)
    if memory_format is not None:
        result = formats.laid_out(result, memory_format, "to")
    return result.clone() if result is self and (copy or flags[1:] == [True]) else result


def type(self: Tensor, dtype: Any = None) -> Any:
    """The tensor in another dtype, which may go by the name of its kind; without one, that name:
    "versant.FloatTensor".
    """
    from versant.tensors import kinds

    return kinds.name_of(self.dtype) if dtype is None else self.cast(kinds.dtype_of(dtype))


def _convert(dtype: Any) -> Callable[..., Tensor]:
    def convert(self: Tensor, memory_format: Any = None) -> Tensor:
        return self.cast(dtype) if memory_format is None else self.to(dtype, memory_format=memory_format)

    convert.__doc__ = f"The tensor as {dtype.name}.  memory_format: the order of its axes in memory"
    return convert


def type_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor with the dtype of `other`."""
    return self.cast(other.dtype)


def cpu(self: Tensor) -> Tensor:
    """The tensor itself: it lives in main memory."""
    return self


def numpy(self: Tensor, *, force: bool = False) -> np.ndarray[Any, Any]:
    """A numpy array over the same memory.

    force: detach first. Raises RuntimeError when gradients are recorded, TypeError for bfloat16.
    """
    import numpy as np

    if self.requires_grad and not force:
        raise RuntimeError(
            "[numpy] can't call numpy() on a tensor that requires grad; use tensor.detach().numpy() instead"
        )
    if self.dtype is _core.bfloat16:
        raise TypeError("[numpy] numpy has no bfloat16; convert with .float() first")
    return np.asarray(memoryview(self.detach()))


def __array__(self: Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
    array = self.numpy()
    if dtype is not None and array.dtype != dtype:
        if copy is False:
            raise ValueError("[__array__] another dtype needs a copy")
        return array.astype(dtype)
    return array.copy() if copy else array


def __array_wrap__(self: Tensor, array: Any, context: Any = None, return_scalar: bool = False) -> Tensor:
    import numpy as np

    return _core.as_tensor(np.asarray(array))


def __dlpack__(
    self: Tensor,
    *,
    stream: Any = None,
    max_version: Any = None,
    dl_device: Any = None,
    copy: bool | None = None,
) -> Any:
    if dl_device is not None and tuple(dl_device) != (1, 0):
        raise BufferError(
            f"[__dlpack__] the memory is the CPU's, (1, 0); device {tuple(dl_device)} is not known"
        )
    return _core.to_dlpack(self.clone() if copy else self, max_version is not None and max_version[0] >= 1)


def __dlpack_device__(self: Tensor) -> tuple[int, int]:
    return (1, 0)


def __array_namespace__(self: Tensor, *, api_version: str | None = None) -> Any:
    """The array API standard's functions over tensors. Raises ValueError for a version that is not known."""
    from versant import array_api

    known = ("2021.12", "2022.12", "2023.12", array_api.__array_api_version__)
    if api_version is not None and api_version not in known:
        raise ValueError(f"[__array_namespace__] expected an api_version of {known}, got {api_version!r}")
    return array_api


def to_device(self: Tensor, device: Any, /, *, stream: Any = None) -> Tensor:
    """The tensor itself: the only device is the CPU, which has no streams."""
    _core.device(device)
    if stream is not None:
        raise ValueError("[to_device] the CPU has no streams; expected stream=None")
    return self


def from_numpy(array: Any) -> Tensor:
    """A tensor over a numpy array's memory: a change of one shows in the other."""
    return _core.from_buffer(array)


def from_dlpack(source: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor over the memory of any object with `__dlpack__`, or of a DLPack capsule."""
    if device is not None:
        _core.device(device)
    capsule = source
    if hasattr(source, "__dlpack__"):
        try:
            capsule = source.__dlpack__(max_version=(1, 0))
        except TypeError:  # a library from before version 1 of DLPack
            capsule = source.__dlpack__()
    result = _core.from_dlpack_capsule(capsule)
    return result.clone() if copy else result


def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A one-dimensional tensor over raw memory.  offset: in bytes; count: elements, -1 for all that fit."""
    result = _core.frombuffer(buffer, dtype, count, offset)
    return result.requires_grad_() if requires_grad else result


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Tensor:
    """A tensor of its own from numbers, nested sequences, arrays or tensors.

    dtype: by default that of the data; Python floats give the default dtype, ints int64.
    """
    if device is not None:
        _core.device(device)
    return _core.tensor(data, dtype, requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor of the data, sharing its memory where it can."""
    if device is not None:
        _core.device(device)
    return _core.as_tensor(data, dtype)


def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of the data: a copy of its own with copy=True, sharing its memory where it can otherwise."""
    if copy:
        return tensor(obj, dtype=dtype, device=device, requires_grad=requires_grad)
    result = as_tensor(obj, dtype, device)
    return result.detach().requires_grad_() if requires_grad else result


def __iter__(self: Tensor) -> Iterator[Tensor]:
    if self.dim() == 0:
        raise TypeError("iteration over a 0-d tensor")
    return iter([self[i] for i in range(len(self))])


def __reversed__(self: Tensor) -> Tensor:
    return self.flip(0) if self.dim() else self


def __contains__(self: Tensor, value: Any) -> bool:
    if not isinstance(value, (Tensor, int, float)) and not hasattr(value, "__float__"):
        raise RuntimeError(f"[contains] expected a number or a tensor, got {_type(value).__name__}")
    return bool((self == value).any())


def __format__(self: Tensor, spec: str) -> str:
    if self.dim() == 0 and _type(self) is Tensor:
        return format(self.item(), spec)
    return object.__format__(self, spec)


def __repr__(self: Tensor) -> str:
    from versant.tensors.printing import represent

    return represent(self)


def _memory_order(self: Tensor) -> list[int] | None:
    """The axes in the order in which they lie in memory; None where that is row by row or leaves gaps."""
    strides = self.stride()
    order = sorted(range(self.dim()), key=lambda d: -strides[d])
    return None if self.is_contiguous() or not self.permute(order).is_contiguous() else order


def _rebuild(
    data: bytes, dtype: Any, shape: tuple[int, ...], order: Any, requires_grad: bool, kind: Any, extra: Any
) -> Tensor:
    flat = _core.frombuffer(bytearray(data), dtype, -1, 0)
    result = flat.view(shape)
    if order is not None:
        result = result.permute([order.index(d) for d in range(len(order))]).detach()
    if kind is not Tensor:
        result = Tensor._make_subclass(kind, result, requires_grad)
    elif requires_grad:
        result.requires_grad_()
    if extra:
        result.__dict__.update(extra)
    return result


def __reduce_ex__(self: Tensor, protocol: Any) -> Any:
    if self.requires_grad and not self.is_leaf:
        raise RuntimeError("[pickle] only leaf tensors can be pickled or deep-copied; detach() it first")
    order = _memory_order(self)
    plain = self.detach() if order is None else self.detach().permute(order)
    return _rebuild, (
        plain._to_bytes(),
        self.dtype,
        tuple(plain.shape),
        order,
        self.requires_grad,
        _type(self),
        dict(self.__dict__) or None,
    )


def __copy__(self: Tensor) -> Tensor:
    result: Tensor = Tensor._make_subclass(_type(self), self.detach(), self.requires_grad)
    result.__dict__.update(self.__dict__)
    return result


def _copied_memory(self: Tensor, memo: dict[Any, Any]) -> Tensor:
    """A copy that shares memory with the copies of its base and of the base's other views."""
    base = self if self._base is None else self._base
    key = ("versant.Tensor", id(base))
    if key not in memo:
        memo[key] = base.detach().clone()
    copied: Tensor = memo[key]
    if base is self:
        return copied
    if copied.stride() != base.stride():  # the base had gaps
        return self.detach().clone()
    shift = self.storage_offset() - base.storage_offset()
    return copied.as_strided(self.shape, self.stride(), shift).detach()


def __deepcopy__(self: Tensor, memo: dict[int, Any]) -> Tensor:
    if id(self) in memo:
        found: Tensor = memo[id(self)]
        return found
    if self.requires_grad and not self.is_leaf:
        raise RuntimeError("[deepcopy] only leaf tensors can be deep-copied; detach() or clone() it first")
    import copy

    result: Tensor = Tensor._make_subclass(_type(self), _copied_memory(self, memo), self.requires_grad)
    memo[id(self)] = result
    result.__dict__.update(copy.deepcopy(self.__dict__, memo))
    if self.grad is not None:
        result.grad = copy.deepcopy(self.grad, memo)
    return result


def register_hook(self: Tensor, hook: Callable[[Tensor], Tensor | None]) -> Any:
    """Calls hook(grad) when the gradient of this tensor is known; a tensor returned replaces it."""
    return _core.register_hook(self, hook)


def register_post_accumulate_grad_hook(self: Tensor, hook: Callable[[Tensor], None]) -> Any:
    """Calls hook(tensor) after .grad of this leaf was accumulated."""
    return _core.register_post_accumulate_grad_hook(self, hook)


def retain_grad(self: Tensor) -> None:
    """Keeps .grad of this non-leaf tensor at the next backward."""
    _core.retain_grad(self)


def is_contiguous(self: Tensor, memory_format: Any = None) -> bool:
    """Whether elements lie in memory row by row without gaps; or in that memory_format."""
    return self._is_row_major() if memory_format is None else formats.is_laid(self, memory_format)


def is_same_size(self: Tensor, other: Tensor) -> bool:
    """Whether both shapes are equal."""
    return self.shape == other.shape


_shared: dict[int, int] = {}  # memory that forked processes share: where it begins and ends


def share_memory_(self: Tensor) -> Tensor:
    """Moves the tensor into memory that processes share which are forked from this one; returns it.

    Views that were made before stay where they are. Through queues and to fresh processes it goes as a copy.
    """
    if not is_shared(self):
        import mmap
        import weakref

        memory = mmap.mmap(-1, max(self.numel() * self.itemsize, 1))
        weakref.finalize(memory, _shared.pop, _address(memory)).atexit = False
        flat = _core.frombuffer(memory, self.dtype, self.numel(), 0)
        self.data = flat.view(self.shape).copy_(self.detach())
    return self


def _address(memory: Any) -> int:
    begin = _core.frombuffer(memory, _core.uint8, -1, 0).data_ptr()
    _shared[begin] = begin + len(memory)
    return begin


def is_shared(self: Tensor) -> bool:
    """Whether forked processes share its memory: `share_memory_` was called."""
    place = self.data_ptr()
    return any(begin <= place < end for begin, end in _shared.items())


def get_device(self: Tensor) -> int:
    """-1, the number of the CPU."""
    return -1


def cuda(self: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
    """Raises RuntimeError: the only device is the CPU."""
    return self.to(_core.device("cuda" if device is None else device))


def is_nonzero(self: Tensor) -> bool:
    """Whether the only element is not zero."""
    if self.numel() != 1:
        raise RuntimeError(f"[is_nonzero] expected one element, got shape {tuple(self.shape)}")
    return bool(self)


def is_signed(self: Tensor) -> bool:
    """Whether its dtype holds negative numbers."""
    return self.dtype not in (_core.uint8, _core.bool)


def untyped_storage(self: Tensor) -> Any:
    """The tensor's memory, in bytes."""
    from versant.tensors.storage import UntypedStorage

    return UntypedStorage(self)


def storage(self: Tensor) -> Any:
    """The tensor's memory, in elements."""
    from versant.tensors.storage import UntypedStorage

    return UntypedStorage(self, self.dtype)


def is_pinned(self: Tensor, device: Any = None) -> bool:
    """Whether its memory is page-locked."""
    return False


def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """Raises RuntimeError: page-locked memory serves devices, of which there is none."""
    formats.check_pinned(True, "pin_memory")
    return self


def new(self: Tensor, *args: Any) -> Tensor:
    """A tensor of this dtype: of the given sizes, or of the given data."""
    from versant.tensors.kinds import made

    return made(self.dtype, *args)


def install() -> None:
    """Gives Tensor these methods."""
    own: list[Callable[..., Any]] = [
        to, type, type_as, cpu, numpy, __array__, __array_wrap__, __dlpack__, __dlpack_device__, __iter__,
        __array_namespace__, to_device,
        __reversed__, __contains__, __format__, __repr__, __reduce_ex__, __copy__, __deepcopy__,
        register_hook, register_post_accumulate_grad_hook, retain_grad, is_contiguous, is_same_size,
        share_memory_, get_device, cuda, is_nonzero, is_signed, is_shared, is_pinned, pin_memory, new,
        untyped_storage, storage,
    ]  # fmt: skip
    for function in own:
        setattr(Tensor, function.__name__, function)
    names = {
        "bool": _core.bool, "byte": _core.uint8, "char": _core.int8, "short": _core.int16, "int": _core.int32,
        "long": _core.int64, "half": _core.float16, "bfloat16": _core.bfloat16, "float": _core.float32,
        "double": _core.float64, "cfloat": _core.complex64, "cdouble": _core.complex128,
    }  # fmt: skip
    for name, dtype in names.items():
        setattr(Tensor, name, _convert(dtype))
    Tensor.layout = property(lambda self: formats.strided, doc="How its elements lie: by strides.")
    Tensor.__array_priority__ = 1000
