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

    primals: tensors, nested. tangents: the direction, nested as primals, of their shapes and dtypes.

    The vjp is linear in its weight; its derivative by the weight is the jvp (Townsend, "A new trick for
    calculating Jacobian vector products", 2017). So what is computed inside is recorded until the
    accumulator is gone.
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
        self._tape = GradientTape(persistent=True, watch_accessed_variables=False)

    def __enter__(self) -> "ForwardAccumulator":
        self._tape.__enter__()
        self._tape.watch(self._primals)
        return self

    def __exit__(self, *exception: Any) -> None:
        self._tape.__exit__(*exception)

    def jvp(self, primals: Any, unconnected_gradients: str = "none") -> Any:
        """The derivatives of these results along the direction, in their structure; None without a way."""
        if unconnected_gradients not in ("none", "zero"):
            raise ValueError(
                f"[jvp] unconnected_gradients must be 'none' or 'zero', got {unconnected_gradients!r}"
            )
        return map_structure(lambda y: self._one(y, unconnected_gradients == "zero"), primals)

    def _one(self, y: Any, zeros: bool) -> Any:
        for p, t in zip(self._primals, self._tangents, strict=True):
            if p is y:
                return t
        weight = versant.zeros_like(_core.plain(y))
        with GradientTape(watch_accessed_variables=False) as second:
            second.watch(weight)
            pulled = self._tape.gradient(y, self._primals, weight)
            pairs = [(g, t) for g, t in zip(pulled, self._tangents, strict=True) if g is not None]
        found = None
        if pairs:
            found = second.gradient([g for g, _ in pairs], weight, [_core.plain(t) for _, t in pairs])
            if found is None:
                found = versant.zeros_like(_core.plain(y))
        if found is None:
            return brand(versant.zeros_like(_core.plain(y))) if zeros else None
        return brand(found)
