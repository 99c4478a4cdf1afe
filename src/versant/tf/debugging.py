"""tf.debugging: checks that raise, and a record of what ops compute."""

from collections.abc import Callable
from typing import Any

import versant
from versant import _core
from versant.tf import dtypes
from versant.tf.calls import plainly
from versant.tf.dtypes import as_dtype
from versant.tf.errors import InvalidArgumentError
from versant.tf.tensors import convert

__all__ = [
    "Assert",
    "assert_all_finite",
    "assert_equal",
    "assert_greater",
    "assert_greater_equal",
    "assert_integer",
    "assert_less",
    "assert_less_equal",
    "assert_near",
    "assert_negative",
    "assert_non_negative",
    "assert_non_positive",
    "assert_none_equal",
    "assert_positive",
    "assert_rank",
    "assert_rank_at_least",
    "assert_same_float_dtype",
    "assert_scalar",
    "assert_shapes",
    "assert_type",
    "check_numerics",
    "disable_check_numerics",
    "disable_dump_debug_info",
    "enable_check_numerics",
    "enable_dump_debug_info",
    "is_numeric_tensor",
]


def _told(op: str, message: Any, text: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"[{op}] {message + ': ' if message else ''}{text}")


def _comparison(name: str, holds: Callable[[Any, Any], Any], sign: str) -> Callable[..., None]:
    def check(x: Any, y: Any, message: Any = None, summarize: Any = None, name: str | None = None) -> None:
        a = convert(x)
        a, b = _core.plain(a), plainly(convert(y, a.dtype) if not isinstance(y, _core.Tensor) else y)
        good = holds(a, b)
        if not bool(good.all()):
            places = versant.nonzero(~good)
            raise _told(
                check.__name__,
                message,
                f"x {sign} y does not hold for {places.shape[0]} elements, first at {places[0].tolist()}: "
                f"x = {a.tolist()!r:.200}, y = {b.tolist()!r:.200}",
            )

    check.__name__ = check.__qualname__ = name
    check.__doc__ = f"Raise InvalidArgumentError unless x {sign} y for each element."
    return check


assert_equal = _comparison("assert_equal", lambda a, b: a == b, "==")
assert_none_equal = _comparison("assert_none_equal", lambda a, b: a != b, "!=")
assert_less = _comparison("assert_less", lambda a, b: a < b, "<")
assert_less_equal = _comparison("assert_less_equal", lambda a, b: a <= b, "<=")
assert_greater = _comparison("assert_greater", lambda a, b: a > b, ">")
assert_greater_equal = _comparison("assert_greater_equal", lambda a, b: a >= b, ">=")


def assert_positive(x: Any, message: Any = None, summarize: Any = None, name: str | None = None) -> None:
    """Raise InvalidArgumentError unless x > 0."""
    assert_greater(x, 0, message)


def assert_negative(x: Any, message: Any = None, summarize: Any = None, name: str | None = None) -> None:
    """Raise InvalidArgumentError unless x < 0."""
    assert_less(x, 0, message)


def assert_non_negative(x: Any, message: Any = None, summarize: Any = None, name: str | None = None) -> None:
    """Raise InvalidArgumentError unless x >= 0."""
    assert_greater_equal(x, 0, message)


def assert_non_positive(x: Any, message: Any = None, summarize: Any = None, name: str | None = None) -> None:
    """Raise InvalidArgumentError unless x <= 0."""
    assert_less_equal(x, 0, message)


def assert_near(
    x: Any,
    y: Any,
    rtol: Any = None,
    atol: Any = None,
    message: Any = None,
    summarize: Any = None,
    name: Any = None,
) -> None:
    """Raise InvalidArgumentError unless |x - y| <= atol + rtol * |y|; both are 10 units of rounding."""
    a = plainly(x)
    b = plainly(convert(y, a.dtype))
    eps = 10 * versant.finfo(a.dtype).eps
    limit = (eps if atol is None else float(atol)) + (eps if rtol is None else float(rtol)) * b.abs()
    if not bool(((a - b).abs() <= limit).all()):
        raise _told(
            "assert_near", message, f"x = {a.tolist()!r:.200} and y = {b.tolist()!r:.200} are not near"
        )


def assert_rank(x: Any, rank: Any, message: Any = None, name: str | None = None) -> None:
    """Raise ValueError unless x has that many axes."""
    found = convert(x).dim()
    if found != int(rank):
        raise ValueError(f"[assert_rank] {message or ''} expected rank {int(rank)}, got {found}")


def assert_rank_at_least(x: Any, rank: Any, message: Any = None, name: str | None = None) -> None:
    """Raise ValueError unless x has at least that many axes."""
    found = convert(x).dim()
    if found < int(rank):
        raise ValueError(
            f"[assert_rank_at_least] {message or ''} expected rank {int(rank)} or more, got {found}"
        )


def assert_scalar(tensor: Any, message: Any = None, name: str | None = None) -> Any:
    """tensor, which must have no axes.  Raises ValueError."""
    x = convert(tensor)
    if x.dim():
        raise ValueError(f"[assert_scalar] {message or ''} expected a scalar, got shape {tuple(x.shape)}")
    return x


def assert_type(tensor: Any, tf_type: Any, message: Any = None, name: str | None = None) -> None:
    """Raise TypeError unless tensor has that dtype."""
    if convert(tensor).dtype is not as_dtype(tf_type):
        raise TypeError(
            f"[assert_type] {message or ''} expected {as_dtype(tf_type).name}, "
            f"got {convert(tensor).dtype.name}"
        )


def assert_integer(x: Any, message: Any = None, name: str | None = None) -> None:
    """Raise TypeError unless x has an integer dtype."""
    if convert(x).dtype not in dtypes.INTEGERS:
        raise TypeError(f"[assert_integer] {message or ''} expected integers, got {convert(x).dtype.name}")


def assert_same_float_dtype(tensors: Any = None, dtype: Any = None) -> Any:
    """The floating-point dtype that all tensors have.  Raises ValueError for others."""
    found = {convert(t).dtype for t in tensors or []} | ({as_dtype(dtype)} if dtype is not None else set())
    if len(found) > 1 or any(not kind.is_floating_point for kind in found):
        raise ValueError(f"[assert_same_float_dtype] got dtypes {sorted(kind.name for kind in found)}")
    return found.pop() if found else dtypes.float32


def assert_shapes(
    shapes: Any, data: Any = None, summarize: Any = None, message: Any = None, name: Any = None
) -> None:
    """Raise ValueError unless each tensor has its shape, in which a letter stands for one size throughout."""
    known: dict[Any, int] = {}
    for tensor, symbols in shapes.items() if isinstance(shapes, dict) else shapes:
        sizes = tuple(convert(tensor).shape)
        wanted = (symbols,) if isinstance(symbols, int) else tuple(symbols)
        if len(sizes) != len(wanted):
            raise ValueError(
                f"[assert_shapes] {message or ''} expected rank {len(wanted)}, got shape {sizes}"
            )
        for size, symbol in zip(sizes, wanted, strict=True):
            if symbol is None:
                continue
            expected = symbol if isinstance(symbol, int) else known.setdefault(symbol, size)
            if size != expected:
                raise ValueError(
                    f"[assert_shapes] {message or ''} size {symbol} is {expected}, got shape {sizes}"
                )


def Assert(condition: Any, data: Any, summarize: Any = None, name: str | None = None) -> None:
    """Raise InvalidArgumentError, with data, unless condition holds."""
    if not bool(plainly(condition).all()):
        raise InvalidArgumentError(f"[Assert] assertion failed: {list(data)!r:.500}")


def check_numerics(tensor: Any, message: str = "", name: str | None = None) -> Any:
    """tensor, all of whose elements must be finite numbers.  Raises InvalidArgumentError."""
    x = convert(tensor)
    plain = _core.plain(x).detach()
    if not bool(versant.isfinite(plain).all()):
        parts = [
            what for what, test in (("NaN", versant.isnan), ("Inf", versant.isinf)) if bool(test(plain).any())
        ]
        raise _told("check_numerics", message, f"the tensor has {' and '.join(parts)} values")
    return x


def assert_all_finite(x: Any, message: Any = None, name: str | None = None) -> Any:
    """The same as check_numerics."""
    return check_numerics(x, message or "")


def is_numeric_tensor(tensor: Any) -> bool:
    """Whether tensor is a tensor of numbers."""
    return isinstance(tensor, _core.Tensor) and tensor.dtype is not dtypes.bool


# What every op computes -------------------------------------------------------------------------------------


def enable_check_numerics(stack_height_limit: int = 30, path_length_limit: int = 50) -> None:
    """Raise InvalidArgumentError where a function of this dialect gives NaN or Inf."""
    from versant.tf import watching

    watching.check(True)


def disable_check_numerics() -> None:
    """Check no more."""
    from versant.tf import watching

    watching.check(False)


def enable_dump_debug_info(
    dump_root: Any,
    tensor_debug_mode: str = "NO_TENSOR",
    circular_buffer_size: int = 1000,
    op_regex: Any = None,
    tensor_dtypes: Any = None,
) -> Any:
    """Write what functions of this dialect compute to dump_root/ops.jsonl, one line for each call.

    tensor_debug_mode: "NO_TENSOR" gives name, line, shapes and dtypes; "CONCISE_HEALTH", "SHAPE" and
    "FULL_HEALTH" also how many NaN and Inf there are, and the smallest and largest value; "FULL_TENSOR"
    also the values. op_regex: names of functions to write. circular_buffer_size: how many lines are kept;
    0 or less keeps all.
    """
    from versant.tf import watching

    return watching.dump(dump_root, tensor_debug_mode, circular_buffer_size, op_regex, tensor_dtypes)


def disable_dump_debug_info() -> None:
    """Write no more."""
    from versant.tf import watching

    watching.stop_dumping()
