"""Constraints: which values a parameter or a sample may have, checked event by event."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import versant
from versant import Tensor


class Constraint:
    """check(value) says which values satisfy it: a bool tensor over all axes but the last event_dim."""

    is_discrete = False
    event_dim = 0

    def check(self, value: Tensor) -> Tensor:
        raise NotImplementedError(f"[{type(self).__name__}] define check(self, value)")

    def __repr__(self) -> str:
        return type(self).__name__.lstrip("_")


Constraints = Mapping[str, Constraint]  # of parameters by name


class _Dependent(Constraint):
    """Depends on other parameters, so that nothing can be checked."""

    def __init__(self, *, is_discrete: bool = False, event_dim: int = 0) -> None:
        self.is_discrete = is_discrete
        self.event_dim = event_dim

    def __call__(self, *, is_discrete: bool | None = None, event_dim: int | None = None) -> "_Dependent":
        """The same of other properties: `dependent(event_dim=1)`."""
        return _Dependent(
            is_discrete=self.is_discrete if is_discrete is None else is_discrete,
            event_dim=self.event_dim if event_dim is None else event_dim,
        )

    def check(self, value: Tensor) -> Tensor:
        raise ValueError("[constraints] what depends on other values cannot be checked")


class dependent_property(property, _Dependent):
    """A property that gives a constraint, which on the class itself stands for one that depends on others.

    A decorator, also with arguments: `@dependent_property(is_discrete=False, event_dim=0)`.
    """

    def __init__(
        self, fn: Callable[[Any], Constraint] | None = None, *, is_discrete: bool = False, event_dim: int = 0
    ) -> None:
        property.__init__(self, fn)
        _Dependent.__init__(self, is_discrete=is_discrete, event_dim=event_dim)

    def __call__(self, fn: Any = None, **properties: Any) -> Any:
        return dependent_property(fn, is_discrete=self.is_discrete, event_dim=self.event_dim)


def is_dependent(constraint: Constraint) -> bool:
    """Whether the constraint depends on other parameters."""
    return isinstance(constraint, _Dependent)


class independent(Constraint):
    """A constraint of several axes: all their elements satisfy `base_constraint`."""

    def __init__(self, base_constraint: Constraint, reinterpreted_batch_ndims: int) -> None:
        self.base_constraint = base_constraint
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        self.is_discrete = base_constraint.is_discrete
        self.event_dim = base_constraint.event_dim + reinterpreted_batch_ndims

    def check(self, value: Tensor) -> Tensor:
        result = self.base_constraint.check(value)
        if result.ndim < self.reinterpreted_batch_ndims:
            raise ValueError(
                f"[constraints] expected at least {self.event_dim} axes, got shape {tuple(value.shape)}"
            )
        for _ in range(self.reinterpreted_batch_ndims):
            result = result.all(-1)
        return result

    def __repr__(self) -> str:
        return f"independent({self.base_constraint!r}, {self.reinterpreted_batch_ndims})"


class _Real(Constraint):
    def check(self, value: Tensor) -> Tensor:
        return value == value  # not NaN


class _Boolean(Constraint):
    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        return (value == 0) | (value == 1)


class _OneHot(Constraint):
    is_discrete = True
    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        return ((value == 0) | (value == 1)).all(-1) & (value.sum(-1) == 1)


class _Simplex(Constraint):
    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        return (value >= 0).all(-1) & ((value.sum(-1) - 1).abs() < 1e-6)


class _Matrix(Constraint):
    event_dim = 2

    def square(self, value: Tensor) -> Tensor:
        result: Tensor = versant.full(
            value.shape[:-2], value.shape[-1] == value.shape[-2], dtype=versant.bool
        )
        return result


class _Square(_Matrix):
    def check(self, value: Tensor) -> Tensor:
        return self.square(value)


class _Symmetric(_Matrix):
    def check(self, value: Tensor) -> Tensor:
        if value.shape[-1] != value.shape[-2]:
            return self.square(value)
        result: Tensor = versant.isclose(value, value.mT, atol=1e-6).all(-1).all(-1)
        return result


class _PositiveSemidefinite(_Symmetric):
    def check(self, value: Tensor) -> Tensor:
        symmetric = super().check(value)
        if not symmetric.all():
            return symmetric
        result: Tensor = (versant.linalg.eigvalsh(value) >= 0).all(-1)
        return result


class _LowerTriangular(_Matrix):
    def check(self, value: Tensor) -> Tensor:
        return (value.tril() == value).all(-1).all(-1)


class _LowerCholesky(_Matrix):
    def check(self, value: Tensor) -> Tensor:
        lower = (value.tril() == value).all(-1).all(-1)
        return lower & (value.diagonal(dim1=-2, dim2=-1) > 0).all(-1)


class _CorrCholesky(_LowerCholesky):
    def check(self, value: Tensor) -> Tensor:
        tolerance = versant.finfo(value.dtype).eps * value.shape[-1] * 10
        lengths = versant.linalg.vector_norm(value.detach(), dim=-1)
        result: Tensor = super().check(value) & ((lengths - 1).abs() <= tolerance).all(-1)
        return result


class _PositiveDefinite(_Symmetric):
    def check(self, value: Tensor) -> Tensor:
        symmetric = super().check(value)
        if not symmetric.all():
            return symmetric
        result: Tensor = versant.linalg.cholesky_ex(value).info == 0
        return result


class multinomial(Constraint):
    """Counts along the last axis of at most upper_bound together."""

    is_discrete = True
    event_dim = 1

    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound

    def check(self, value: Tensor) -> Tensor:
        result: Tensor = (value >= 0).all(-1) & (value.sum(-1) <= self.upper_bound)
        return result


class cat(Constraint):
    """One constraint for each piece of an axis, of these lengths (1 each)."""

    def __init__(
        self, cseq: Sequence[Constraint], dim: int = 0, lengths: Sequence[int] | None = None
    ) -> None:
        self.cseq = list(cseq)
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)
        if len(self.lengths) != len(self.cseq):
            raise ValueError("[constraints] expected a length for each constraint")
        self.dim = dim
        self.is_discrete = any(c.is_discrete for c in self.cseq)
        self.event_dim = max(c.event_dim for c in self.cseq)

    def check(self, value: Tensor) -> Tensor:
        pieces = zip(self.cseq, value.split(self.lengths, self.dim), strict=True)
        return versant.cat([c.check(piece) for c, piece in pieces], self.dim)


class stack(Constraint):
    """One constraint for each index of an axis."""

    def __init__(self, cseq: Sequence[Constraint], dim: int = 0) -> None:
        self.cseq = list(cseq)
        self.dim = dim
        self.is_discrete = any(c.is_discrete for c in self.cseq)
        inner = max(c.event_dim for c in self.cseq)
        self.event_dim = inner + (dim + inner < 0)

    def check(self, value: Tensor) -> Tensor:
        pieces = zip(self.cseq, value.unbind(self.dim), strict=True)
        return versant.stack([c.check(piece) for c, piece in pieces], self.dim)


class _Bounded(Constraint):
    """Numbers, or integers, between two bounds, each of which may be included."""

    def __init__(
        self, text: str, low: Any = None, high: Any = None, *, open: str = "", discrete: bool = False
    ):
        self.text = text
        self.lower_bound = low
        self.upper_bound = high
        self.open = open
        self.is_discrete = discrete

    def check(self, value: Tensor) -> Tensor:
        result = value % 1 == 0 if self.is_discrete else value == value
        if self.lower_bound is not None:
            low = self.lower_bound
            result = result & (value > low if "low" in self.open else value >= low)
        if self.upper_bound is not None:
            high = self.upper_bound
            result = result & (value < high if "high" in self.open else value <= high)
        return result

    def __repr__(self) -> str:
        return self.text


def greater_than(lower_bound: Any) -> Constraint:
    """Above the bound."""
    return _Bounded(f"GreaterThan(lower_bound={lower_bound})", lower_bound, open="low")


def greater_than_eq(lower_bound: Any) -> Constraint:
    """The bound or above it."""
    return _Bounded(f"GreaterThanEq(lower_bound={lower_bound})", lower_bound)


def less_than(upper_bound: Any) -> Constraint:
    """Below the bound."""
    return _Bounded(f"LessThan(upper_bound={upper_bound})", None, upper_bound, open="high")


def interval(lower_bound: Any, upper_bound: Any) -> Constraint:
    """Between the bounds, both included."""
    text = f"Interval(lower_bound={lower_bound}, upper_bound={upper_bound})"
    return _Bounded(text, lower_bound, upper_bound)


def half_open_interval(lower_bound: Any, upper_bound: Any) -> Constraint:
    """Between the bounds, the upper one excluded."""
    text = f"HalfOpenInterval(lower_bound={lower_bound}, upper_bound={upper_bound})"
    return _Bounded(text, lower_bound, upper_bound, open="high")


def integer_interval(lower_bound: Any, upper_bound: Any) -> Constraint:
    """Integers between the bounds, both included."""
    text = f"IntegerInterval(lower_bound={lower_bound}, upper_bound={upper_bound})"
    return _Bounded(text, lower_bound, upper_bound, discrete=True)


dependent = _Dependent()
real = _Real()
real_vector = independent(real, 1)
boolean = _Boolean()
one_hot = _OneHot()
simplex = _Simplex()
square = _Square()
symmetric = _Symmetric()
lower_triangular = _LowerTriangular()
lower_cholesky = _LowerCholesky()
corr_cholesky = _CorrCholesky()
positive_semidefinite = _PositiveSemidefinite()
positive_definite = _PositiveDefinite()
positive = greater_than(0.0)
nonnegative = greater_than_eq(0.0)
unit_interval = interval(0.0, 1.0)
nonnegative_integer = _Bounded("IntegerGreaterThan(lower_bound=0)", 0, discrete=True)
positive_integer = _Bounded("IntegerGreaterThan(lower_bound=1)", 1, discrete=True)
