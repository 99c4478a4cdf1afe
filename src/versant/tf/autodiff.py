"""tf.autodiff: derivatives along a direction, forward."""

from typing import Any

import versant
from versant import _core
from versant.autograd.tape import GradientTape
from versant.tensors.nest import assert_same_structure, flatten, map_structure
from versant.tf.tensors import brand, convert

__all__ = ["ForwardAccumulator", "GradientTape"]


class ForwardAccumulator:
    """Jacobian-vector products of what is computed inside a `with` block.

    primals: tensors and variables, nested. tangents: the direction, nested as primals, of their shapes and
    dtypes.

    Inside, each primal is a dual number, and every op computes the derivative of its result beside it.
    Derivatives are kept for the tensors that are still there when the block ends.
    """

    def __init__(self, primals: Any, tangents: Any) -> None:
        assert_same_structure(primals, tangents, op="ForwardAccumulator")
        self._primals = flatten(primals)
        self._tangents = [convert(t, p.dtype) for p, t in zip(self._primals, flatten(tangents), strict=True)]
        for p, t in zip(self._primals, self._tangents, strict=True):
            if tuple(p.shape) != tuple(t.shape) or p.dtype is not t.dtype:
                raise ValueError(
                    f"[ForwardAccumulator] a primal has shape {tuple(p.shape)} and dtype {p.dtype.name}, its "
                    f"tangent {tuple(t.shape)} and {t.dtype.name}"
                )
        self._level = 0
        # By id, with the tensor, so that the id stays its own.
        self._kept: dict[int, tuple[Any, Any]] = {}

    def __enter__(self) -> "ForwardAccumulator":
        if self._level:
            raise ValueError("[ForwardAccumulator] the accumulator is already recording")
        self._level = _core.level_enter(False, 0, 0)
        for p, t in zip(self._primals, self._tangents, strict=True):
            if p.dtype.is_floating_point or p.dtype.is_complex:
                _core.become_dual(p, _core.plain(t), self._level)
        return self

    def __exit__(self, *exception: Any) -> None:
        self._kept |= {id(y): (y, brand(t)) for y, t in _core.duals_of(self._level)}
        self._level = 0
        _core.level_leave()

    def jvp(self, primals: Any, unconnected_gradients: str = "none") -> Any:
        """The derivatives of these results along the direction, in their structure; None without a way."""
        if unconnected_gradients not in ("none", "zero"):
            raise ValueError(
                f"[jvp] unconnected_gradients must be 'none' or 'zero', got {unconnected_gradients!r}"
            )
        return map_structure(lambda y: self._one(y, unconnected_gradients == "zero"), primals)

    def _one(self, y: Any, zeros: bool) -> Any:
        found = _core.tangent_at(y, self._level) if self._level else None
        if found is None and id(y) in self._kept:
            return self._kept[id(y)][1]
        if found is None:
            return brand(versant.zeros_like(_core.plain(y))) if zeros else None
        return brand(found)
