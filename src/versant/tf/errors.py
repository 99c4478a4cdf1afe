"""The exceptions of TensorFlow's dialect.

InvalidArgumentError is also the exception that the same mistake raises elsewhere in Versant: a ValueError,
TypeError, IndexError and RuntimeError.
"""

from versant import AxisError, DTypeError, ShapeError

__all__ = [
    "FailedPreconditionError",
    "InvalidArgumentError",
    "NotFoundError",
    "OpError",
    "OutOfRangeError",
    "UnimplementedError",
]


class OpError(Exception):
    """The base of what ops raise."""

    @property
    def message(self) -> str:
        """What went wrong."""
        return str(self.args[0]) if self.args else ""


class InvalidArgumentError(OpError, ShapeError, DTypeError, AxisError):
    """An argument's shape, dtype or value does not suit the op."""


class OutOfRangeError(OpError):
    """Something was read past its end."""


class NotFoundError(OpError):
    """A file or a name is not there."""


class FailedPreconditionError(OpError):
    """Something is not in the state that the call needs."""


class UnimplementedError(OpError, NotImplementedError):
    """The op does not exist for these arguments."""
