"""Versant: tensors, gradients and networks.

>>> import versant as vs
>>> x = vs.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
tensor([2., 4., 6.])
"""

import os as _os

from versant import _openmp as _openmp  # isort: split

from versant import _core
from versant._core import (
    AxisError,
    DTypeError,
    Generator,
    ProgramError,
    ShapeError,
    Size,
    Tensor,
    default_generator,
    device,
    dtype,
    get_default_dtype,
    get_num_threads,
    promote_types,
    result_type,
    set_default_dtype,
    set_num_threads,
)
from versant._core import version as __version__
from versant.autograd.modes import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from versant.tensors import dtypes, formats, methods
from versant.tensors.methods import as_tensor, asarray, from_dlpack, from_numpy, frombuffer, tensor
from versant.tensors.random import get_rng_state, initial_seed, manual_seed, seed, set_rng_state

_core.set_package(_os.path.dirname(__file__) + "/")
methods.install()
globals().update(dtypes.NAMES)
globals().update(formats.NAMES)
newaxis = None

from versant import ops  # noqa: E402  (the op table builds on the names above)

ops.install()
_functions = ops.Namespace("versant", __name__)
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any as _Any

    from versant._functions import *  # noqa: F403  (the same, for type checkers)
del TYPE_CHECKING

# Rooms that are opened when somebody walks in.
_ROOMS = {
    "accelerator",
    "amp",
    "array_api",
    "autograd",
    "backends",
    "compiler",
    "cpu",
    "cuda",
    "data",
    "debug",
    "distributed",
    "distributions",
    "fft",
    "func",
    "hub",
    "io",
    "jit",
    "linalg",
    "memory",
    "mps",
    "multiprocessing",
    "nn",
    "optim",
    "profiler",
    "profiling",
    "random",
    "signal",
    "special",
    "testing",
    "tf",
    "types",
    "utils",
    "version",
    "xpu",
}
_BORROWED = {
    "GradientTape": "versant.autograd.tape",
    "UnconnectedGradients": "versant.autograd.tape",
    "compile": "versant.compiler",
    "compile_disabled": "versant.compiler",
    "load_program": "versant.compiler",
    "cond": "versant.control_flow",
    "while_loop": "versant.control_flow",
    "scan": "versant.control_flow",
    "profile": "versant.profiling",
    "check": "versant.checking",
    "save": "versant.io",
    "load": "versant.io",
    "set_printoptions": "versant.tensors.printing",
    "GradScaler": "versant.amp",
    "OutOfMemoryError": "versant.cuda",
    "vmap": "versant.func",
}
_SETTINGS = """are_deterministic_algorithms_enabled get_default_device get_float32_matmul_precision
set_default_device set_default_tensor_type set_float32_matmul_precision set_flush_denormal
typename use_deterministic_algorithms"""
_BORROWED.update(dict.fromkeys(_SETTINGS.split(), "versant.settings"))
_KINDS = """BFloat16Tensor BoolTensor ByteTensor CharTensor DoubleTensor FloatTensor HalfTensor IntTensor
LongTensor ShortTensor"""
_BORROWED.update(dict.fromkeys(_KINDS.split(), "versant.tensors.kinds"))
_AUTOCAST = """autocast is_autocast_enabled set_autocast_enabled get_autocast_dtype set_autocast_dtype
is_autocast_cache_enabled set_autocast_cache_enabled clear_autocast_cache is_autocast_cpu_enabled
set_autocast_cpu_enabled get_autocast_cpu_dtype set_autocast_cpu_dtype autocast_increment_nesting
autocast_decrement_nesting"""
_BORROWED.update(dict.fromkeys(_AUTOCAST.split(), "versant.amp.regions"))
_BORROWED["is_anomaly_enabled"] = "versant.autograd.anomaly"
_BORROWED["bilinear"] = "versant.nn.functional"
_OTHERS = """constant_pad_nd detach_ fill fill_ get_device get_device_module get_num_interop_threads
group_norm is_inference is_storage pca_lowrank resize_as_ set_num_interop_threads svd_lowrank
zero_"""
_BORROWED.update(dict.fromkeys(_OTHERS.split(), "versant.tensors.borrowed"))
_BORROWED["UntypedStorage"] = "versant.tensors.storage"


def __getattr__(name: str) -> "_Any":
    from importlib import import_module

    if name in _ROOMS:
        return import_module(f"versant.{name}")
    if name in _BORROWED:
        return getattr(import_module(_BORROWED[name]), name)
    if name.startswith("_foreach_"):
        from versant.tensors.foreach import function

        found = function(name)
        if found is not None:
            globals()[name] = found
            return found
    return _functions.get(name)


def __dir__() -> list[str]:
    return sorted({*_functions.dir(), *_ROOMS, *_BORROWED})


def is_tensor(obj: "_Any") -> bool:
    """Whether obj is a Tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is a floating-point one."""
    return input.dtype.is_floating_point


def is_nonzero(input: Tensor) -> bool:
    """Whether the only element is not zero."""
    return input.is_nonzero()


def is_signed(input: Tensor) -> bool:
    """Whether the dtype holds negative numbers."""
    return input.is_signed()


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether both shapes are equal."""
    return input.is_same_size(other)


def numel(input: Tensor) -> int:
    """How many elements the tensor has."""
    if not isinstance(input, Tensor):
        raise TypeError(f"[numel] expected a tensor, got {type(input).__name__}")
    return input.numel()


__all__ = [
    "AxisError",
    "DTypeError",
    "Generator",
    "ProgramError",
    "ShapeError",
    "Size",
    "Tensor",
    "__version__",
    "as_tensor",
    "asarray",
    "default_generator",
    "device",
    "dtype",
    "enable_grad",
    "from_dlpack",
    "from_numpy",
    "frombuffer",
    "get_default_dtype",
    "get_num_threads",
    "get_rng_state",
    "inference_mode",
    "initial_seed",
    "is_floating_point",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "is_nonzero",
    "is_same_size",
    "is_signed",
    "is_tensor",
    "manual_seed",
    "no_grad",
    "numel",
    "promote_types",
    "result_type",
    "seed",
    "set_default_dtype",
    "set_grad_enabled",
    "set_num_threads",
    "set_rng_state",
    "tensor",
]
