"""How names of TensorFlow are made from ops of the table: by rule, where the rule is all there is to it.

    FUNCTIONS = unary("floats", "acos asin exp ...")

gives functions f(x, name=None). A name that differs from ours is written `theirs=ours`.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import versant
from versant import _core
from versant._core import DTypeError, ShapeError
from versant.tf.dtypes import DType
from versant.tf.errors import InvalidArgumentError
from versant.tf.tensors import Tensor, brand, convert, same_dtype

Function = Callable[..., Any]


def _pairs(names: str) -> Iterator[tuple[str, str]]:
    for name in names.split():
        theirs, _, ours = name.partition("=")
        yield theirs, ours or theirs


def find(path: str) -> Function:
    """The function of that dotted name in versant."""
    found: Any = versant
    for part in path.split("."):
        found = getattr(found, part)
    function: Function = found
    return function


def _named(function: Function, name: str, path: str) -> Function:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name}, element by element: versant.{path} under TensorFlow's rules."
    return function


def is_float(dtype: DType) -> bool:
    """Whether numbers of the dtype are not whole."""
    return dtype.is_floating_point or dtype.is_complex


def refuse_integers(op: str, x: Any) -> None:
    """Raise InvalidArgumentError for integers and bools, where TensorFlow has the op for floats only."""
    if not is_float(x.dtype):
        raise InvalidArgumentError(
            f"[{op}] expected a floating-point tensor, got {x.dtype.name}; use tf.cast"
        )


# Ops are looked up at the first call, so that importing the dialect opens no family of the table.


def _unary(name: str, path: str, floats: bool, gradient: bool) -> Function:
    op: Any = None

    def call(x: Any, name: str | None = None) -> Any:
        nonlocal op
        if type(x) is not Tensor:
            x = convert(x)
        if op is None:
            op = find(path)
        if floats and not x.dtype.is_floating_point:
            refuse_integers(call.__name__, x)
        found = op(x if gradient else _core.plain(x).detach())
        return found if type(found) is Tensor else brand(found)

    return _named(call, name, path)


def unary(names: str, *, floats: bool = True, source: str = "", gradient: bool = True) -> dict[str, Function]:
    """Functions of one tensor.

    floats: integers are refused. source: where ours are in versant. gradient: whether there is one.
    """
    return {theirs: _unary(theirs, source + ours, floats, gradient) for theirs, ours in _pairs(names)}


def _binary(name: str, path: str, floats: bool) -> Function:
    op: Any = None

    def call(x: Any, y: Any, name: str | None = None) -> Any:
        nonlocal op
        if not (isinstance(x, _core.Tensor) and isinstance(y, _core.Tensor) and x.dtype is y.dtype):
            x, y = same_dtype(call.__name__, x, y)
        if op is None:
            op = find(path)
        if floats and not x.dtype.is_floating_point:
            refuse_integers(call.__name__, x)
        found = op(x, y)
        return found if type(found) is Tensor else brand(found)

    return _named(call, name, path)


def binary(names: str, *, floats: bool = False, source: str = "") -> dict[str, Function]:
    """Functions of two tensors of one dtype."""
    return {theirs: _binary(theirs, source + ours, floats) for theirs, ours in _pairs(names)}


def argument_errors(names: dict[str, Function]) -> dict[str, Function]:
    """The functions, whose exceptions about arguments are TensorFlow's class."""

    def named(function: Function) -> Function:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except InvalidArgumentError:
                raise
            except (ShapeError, DTypeError, IndexError) as error:
                raise InvalidArgumentError(str(error)) from error

        return call

    return {name: named(function) for name, function in names.items()}


def plainly(*values: Any) -> Any:
    """The values as ordinary tensors, converted where they are none."""
    made = [_core.plain(convert(value)) for value in values]
    return made[0] if len(made) == 1 else made


def axes_of(axis: Any) -> Any:
    """An axis argument as an int, a tuple of ints or None."""
    if axis is None or isinstance(axis, int):
        return axis
    if isinstance(axis, _core.Tensor):
        axis = axis.tolist()
        return axis if isinstance(axis, int) else tuple(axis)
    if hasattr(axis, "__iter__"):
        return tuple(int(a) for a in axis)
    return int(axis)


def sizes_of(shape: Any) -> tuple[int, ...]:
    """A shape argument as ints: a list, a tensor, numbers among tensors, a single number."""
    if isinstance(shape, _core.Tensor):
        shape = shape.tolist()
    if isinstance(shape, int):
        return (shape,)
    return tuple(int(n) for n in shape)
