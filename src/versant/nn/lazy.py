"""Lazy layers: they learn the number of their inputs from the first of them, and then are ordinary layers."""

from inspect import signature
from typing import Any, ClassVar

import versant
from versant import Tensor, _core
from versant.nn.conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from versant.nn.linear import Linear
from versant.nn.module import Module
from versant.nn.normalization import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
)
from versant.nn.parameter import UninitializedParameter

__all__ = [
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
    "LazyLinear",
]


class _Lazy(Module):
    """Keeps the arguments of the layer that it becomes, all but the number of inputs."""

    becomes: ClassVar[Any]
    # Of batches: their channels stand before the last rank - 2 axes. None: behind all. 0: they are axis 1.
    rank: ClassVar[int | None] = None
    _awaits_input = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        Module.__init__(self)
        self._arguments = args, kwargs
        given = signature(self.becomes).bind(1, *args, **kwargs).arguments
        likeness = self._made(given.get("groups", 1))
        for name, kept in list(likeness._parameters.items()):
            waiting = None if kept is None else UninitializedParameter(dtype=kept.dtype)
            self.register_parameter(name, waiting)
        for name, kept in likeness._buffers.items():
            self.register_buffer(name, kept if kept is None or kept.ndim == 0 else kept.new_empty(0))
        self._handle = self.register_forward_pre_hook(_Lazy._learn)

    def _made(self, inputs: int) -> Module:
        """The layer for a number of inputs, made without moving the stream of random numbers."""
        args, kwargs = self._arguments
        state = versant.get_rng_state()
        layer: Module = self.becomes(inputs, *args, **kwargs)
        versant.set_rng_state(state)
        return layer

    def reset_parameters(self) -> None:
        """Nothing: there is nothing to set yet."""

    def has_uninitialized_params(self) -> bool:
        """Whether any shape is not known yet."""
        return any(isinstance(p, UninitializedParameter) for p in self.parameters(recurse=False))

    def initialize_parameters(self, input: Tensor) -> None:
        """Take the number of inputs from a batch, draw the parameters and become the ordinary layer."""
        axis = -1 if self.rank is None else 1 if self.rank == 0 else 1 - self.rank
        least = -axis if axis < 0 else 2
        if input.ndim < least:
            raise versant.ShapeError(
                f"[{type(self).__name__}] expected at least {least} axes, got {tuple(input.shape)}"
            )
        args, kwargs = self._arguments
        kept = dict(self._parameters)
        loaded = {} if self.has_uninitialized_params() else dict(self._buffers)
        dtype = next((p.dtype for p in kept.values() if p is not None), None)
        training = self.training
        self._handle.remove()
        del self._handle, self._arguments
        self.__class__ = self.becomes
        self.__init__(input.shape[axis], *args, **(kwargs | ({} if dtype is None else {"dtype": dtype})))  # type: ignore[misc]
        self.training = training
        for name, parameter in kept.items():
            if parameter is None:
                continue
            fresh = self._parameters[name]
            if isinstance(parameter, UninitializedParameter):
                parameter.materialize(fresh.shape)
                parameter.data.copy_(fresh.data)
            self._parameters[name] = parameter
        for name, buffer in loaded.items():
            if buffer is not None and buffer.shape == self._buffers[name].shape:
                self._buffers[name] = buffer

    def _learn(self, args: Any) -> None:
        if _core.is_tracing():
            raise RuntimeError(
                f"[{type(self).__name__}] call the module once before it is compiled: its first input tells "
                "the shapes of its parameters"
            )
        self.initialize_parameters(args[0])

    def extra_repr(self) -> str:
        args, kwargs = self._arguments
        return ", ".join([*map(str, args), *(f"{name}={value}" for name, value in kwargs.items())])


def _lazy(layer: type[Module], rank: int | None) -> Any:
    """The lazy form of a layer, which counts as one of its kind."""
    fields = {
        "__doc__": f"{layer.__name__} without its first argument: the first input tells it.",
        "__module__": __name__,
        "becomes": layer,
        "rank": rank,
    }
    return type(f"Lazy{layer.__name__}", (_Lazy, layer), fields)


LazyLinear = _lazy(Linear, None)
LazyConv1d = _lazy(Conv1d, 3)
LazyConv2d = _lazy(Conv2d, 4)
LazyConv3d = _lazy(Conv3d, 5)
LazyConvTranspose1d = _lazy(ConvTranspose1d, 3)
LazyConvTranspose2d = _lazy(ConvTranspose2d, 4)
LazyConvTranspose3d = _lazy(ConvTranspose3d, 5)
LazyBatchNorm1d = _lazy(BatchNorm1d, 0)
LazyBatchNorm2d = _lazy(BatchNorm2d, 4)
LazyBatchNorm3d = _lazy(BatchNorm3d, 5)
LazyInstanceNorm1d = _lazy(InstanceNorm1d, 3)
LazyInstanceNorm2d = _lazy(InstanceNorm2d, 4)
LazyInstanceNorm3d = _lazy(InstanceNorm3d, 5)
