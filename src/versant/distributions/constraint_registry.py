"""Which transform leads from all real numbers to those that satisfy a constraint."""

from collections.abc import Callable
from typing import Any

from versant.distributions import constraints
from versant.distributions.constraints import Constraint
from versant.distributions.transforms import (
    AffineTransform,
    CatTransform,
    ComposeTransform,
    CorrCholeskyTransform,
    ExpTransform,
    IndependentTransform,
    LowerCholeskyTransform,
    PositiveDefiniteTransform,
    SigmoidTransform,
    SoftmaxTransform,
    StackTransform,
    StickBreakingTransform,
    Transform,
    identity_transform,
)

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]

Factory = Callable[[Any], Transform]


class ConstraintRegistry:
    """Transforms by constraint: registry(constraint) gives one onto the values that satisfy it.

    >>> from versant.distributions import biject_to, constraints
    >>> biject_to(constraints.positive)
    ExpTransform()
    """

    def __init__(self) -> None:
        self._factories: dict[type[Constraint], Factory] = {}

    def register(self, constraint: Any, factory: Factory | None = None) -> Any:
        """Registers a function of the constraint for its class; without `factory`, the decorated one."""
        if factory is None:
            return lambda function: self.register(constraint, function)
        kind = constraint if isinstance(constraint, type) else type(constraint)
        if not issubclass(kind, Constraint):
            raise TypeError(
                "[ConstraintRegistry] Expected constraint to be either a Constraint subclass or instance, "
                f"but got {constraint!r}"
            )
        self._factories[kind] = factory
        return factory

    def __call__(self, constraint: Constraint) -> Transform:
        factory = self._factories.get(type(constraint))
        if factory is None:
            raise NotImplementedError(
                f"[ConstraintRegistry] Cannot transform {type(constraint).__name__} constraints"
            )
        return factory(constraint)


biject_to = ConstraintRegistry()
transform_to = ConstraintRegistry()


def _bounded(c: Any) -> Transform:
    low, high = c.lower_bound, c.upper_bound
    if c.is_discrete:
        raise NotImplementedError(f"[ConstraintRegistry] Cannot transform {c!r} constraints")
    if low is None or high is None:
        step = AffineTransform(high, -1) if low is None else AffineTransform(low, 1)
        exp = ExpTransform()
        return exp if isinstance(low, float) and low == 0 else ComposeTransform([exp, step])
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and (low, high) == (0, 1):
        return SigmoidTransform()
    return ComposeTransform([SigmoidTransform(), AffineTransform(low, high - low)])


def _register_parts(registry: ConstraintRegistry) -> None:
    """Constraints of which the registry knows a part, and those that both registries treat alike."""
    registry.register(constraints.real, lambda c: identity_transform)
    registry.register(constraints.positive, _bounded)
    registry.register(constraints.lower_cholesky, lambda c: LowerCholeskyTransform())
    registry.register(constraints.positive_definite, lambda c: PositiveDefiniteTransform())
    registry.register(constraints.positive_semidefinite, lambda c: PositiveDefiniteTransform())
    registry.register(constraints.corr_cholesky, lambda c: CorrCholeskyTransform())
    registry.register(
        constraints.independent,
        lambda c: IndependentTransform(registry(c.base_constraint), c.reinterpreted_batch_ndims),
    )
    registry.register(
        constraints.cat, lambda c: CatTransform([registry(part) for part in c.cseq], c.dim, c.lengths)
    )
    registry.register(constraints.stack, lambda c: StackTransform([registry(part) for part in c.cseq], c.dim))


_register_parts(biject_to)
_register_parts(transform_to)
biject_to.register(constraints.simplex, lambda c: StickBreakingTransform())
transform_to.register(constraints.simplex, lambda c: SoftmaxTransform())
