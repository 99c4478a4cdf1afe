"""Variable: a tensor that keeps its identity while its value changes."""

import threading
from typing import Any, Self

import versant
from versant import Tensor, _core
from versant.compiler import written
from versant.tf import dtypes
from versant.tf.dtypes import as_dtype
from versant.tf.tensors import array_text, convert, identity

__all__ = ["Variable", "VariableAggregation", "VariableSynchronization"]

_NO_AUGMENTED = (
    "[Variable] `variable {0} value` would leave a tensor in the variable's place; use variable.{1}(value), "
    "or variable = variable {2} value"
)


class VariableCreated(RuntimeError):
    """A compiled function that is no tf.function created a variable."""


class Lifting(threading.local):
    """The tf.function that runs, whose first call may create variables."""

    by: Any = None


lifting = Lifting()


def creates(message: str) -> None:
    """Told before a variable is made in a function that is being traced: its call goes on as it is written.

    Raises VariableCreated where no tf.function allows that.
    """
    if lifting.by is None:
        raise VariableCreated(message)
    lifting.by.created = True
    written.leave("it creates variables")


class VariableSynchronization:
    """Accepted by Variable; there is one device."""

    AUTO, NONE, ON_WRITE, ON_READ = range(4)


class VariableAggregation:
    """Accepted by Variable; there is one device."""

    NONE, SUM, MEAN, ONLY_FIRST_REPLICA = range(4)


class Variable(_core.TensorLike):
    """A value that `assign` changes, and that gradient tapes watch when it is trainable.

    initial_value: a tensor, or what becomes one, or a function without arguments that gives it.
    trainable: whether tapes watch it once an op reads it.  validate_shape, caching_device and the like
    are accepted and ignored: there is one device.
    """

    name: str
    trainable: bool
    constraint: Any

    def __new__(
        cls,
        initial_value: Any = None,
        trainable: bool | None = None,
        validate_shape: bool = True,
        caching_device: Any = None,
        name: str | None = None,
        variable_def: Any = None,
        dtype: Any = None,
        import_scope: Any = None,
        constraint: Any = None,
        synchronization: Any = None,
        aggregation: Any = None,
        shape: Any = None,
        experimental_enable_variable_lifting: bool = True,
    ) -> Self:
        if initial_value is None:
            raise ValueError("[Variable] initial_value must be given")
        if _core.is_tracing():
            creates(
                "[Variable] a compiled function creates a variable, which a replay would not do again: "
                "create it before, or use tf.function, whose first call may create variables"
            )
        if callable(initial_value):
            initial_value = initial_value()
        with versant.no_grad():
            if isinstance(initial_value, Tensor):
                value = _core.plain(initial_value).detach().clone()
                if dtype is not None:
                    value = value.to(as_dtype(dtype))
            else:
                value = _core.plain(convert(initial_value, dtype)).contiguous()
            if not value._is_row_major():
                value = value.contiguous()
        trainable = trainable is None or bool(trainable)
        wants = trainable and (value.dtype.is_floating_point or value.dtype.is_complex)
        self: Self = Tensor._make_subclass(cls, value, wants)
        if wants:
            _core.tape_variable(self)
        self.name = (name or "Variable") + ":0"
        self.trainable = trainable
        self.constraint = constraint
        return self

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    # Reading ------------------------------------------------------------------------------------------------

    def value(self) -> Any:
        """The value as a tensor that later changes do not reach."""
        return identity(self)

    read_value = value

    @property
    def handle(self) -> Self:
        """What ops that change variables are given: the variable."""
        return self

    def initialized_value(self) -> Any:
        """The value."""
        return identity(self)

    # Changing -----------------------------------------------------------------------------------------------

    def _taken(self, op: str, value: Any) -> Tensor:
        """value as an ordinary tensor that fits."""
        if isinstance(value, Tensor):
            if value.dtype is not self.dtype:
                raise ValueError(
                    f"[{op}] the variable {self.name!r} has dtype {self.dtype.name}, the value "
                    f"{value.dtype.name}; use tf.cast"
                )
            found = _core.plain(value).detach()
        else:
            found = _core.plain(convert(value, self.dtype))
        if found.size() != self.size():
            raise ValueError(
                f"[{op}] the variable {self.name!r} has shape {tuple(self.shape)}, the value "
                f"{tuple(found.shape)}"
            )
        return found

    def assign(
        self, value: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True
    ) -> Self:
        """Set the value, of the same shape and dtype; the change is not differentiated."""
        taken = self._taken("assign", value)
        before = _core.set_grad_mode(False)
        try:
            self.copy_(taken)
        finally:
            _core.set_grad_mode(before)
        return self

    def assign_add(
        self, delta: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True
    ) -> Self:
        """Add delta to the value."""
        taken = self._taken("assign_add", delta)
        before = _core.set_grad_mode(False)
        try:
            self.add_(taken)
        finally:
            _core.set_grad_mode(before)
        return self

    def assign_sub(
        self, delta: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True
    ) -> Self:
        """Subtract delta from the value."""
        taken = self._taken("assign_sub", delta)
        before = _core.set_grad_mode(False)
        try:
            self.sub_(taken)
        finally:
            _core.set_grad_mode(before)
        return self

    def scatter_nd_update(self, indices: Any, updates: Any, name: str | None = None) -> Self:
        """Set the places that indices name, (..., depth), to updates."""
        return self._scattered("scatter_nd_update", indices, updates, accumulate=False)

    def scatter_nd_add(self, indices: Any, updates: Any, name: str | None = None) -> Self:
        """Add updates to the places that indices name, (..., depth)."""
        return self._scattered("scatter_nd_add", indices, updates, accumulate=True)

    def scatter_nd_sub(self, indices: Any, updates: Any, name: str | None = None) -> Self:
        """Subtract updates from the places that indices name, (..., depth)."""
        return self._scattered("scatter_nd_sub", indices, -convert(updates, self.dtype), accumulate=True)

    def _scattered(self, op: str, indices: Any, updates: Any, accumulate: bool) -> Self:
        with versant.no_grad():
            at = _core.plain(convert(indices)).to(dtypes.int64)
            new = _core.plain(convert(updates, self.dtype)).detach()
            target = _core.plain(self).detach()
            target.index_put_(tuple(at.unbind(-1)), new, accumulate=accumulate)
        return self

    def __iadd__(self, other: Any) -> Self:
        raise RuntimeError(_NO_AUGMENTED.format("+=", "assign_add", "+"))

    def __isub__(self, other: Any) -> Self:
        raise RuntimeError(_NO_AUGMENTED.format("-=", "assign_sub", "-"))

    def __imul__(self, other: Any) -> Self:
        raise RuntimeError(_NO_AUGMENTED.format("*=", "assign", "*"))

    def __itruediv__(self, other: Any) -> Self:
        raise RuntimeError(_NO_AUGMENTED.format("/=", "assign", "/"))

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError("[Variable] does not support item assignment; use scatter_nd_update or assign")

    # Python -------------------------------------------------------------------------------------------------

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self, trainable=self.trainable, name=self.name.removesuffix(":0"))
        copied: Self = memo[id(self)]
        return copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _restored, (_core.plain(self).detach(), self.trainable, self.name.removesuffix(":0"))

    def __repr__(self) -> str:
        return (
            f"<tf.Variable {self.name!r} shape={self.shape} dtype={self.dtype.name}, "
            f"numpy={array_text(self)}>"
        )

    __str__ = __repr__


def _restored(value: Tensor, trainable: bool, name: str) -> Variable:
    return Variable(value, trainable=trainable, name=name)
