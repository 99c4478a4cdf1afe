"""GradientTape: gradients of what was computed inside a `with` block, in TensorFlow's manner.

What a tape records and what it watches is told in Note [Tapes] of the machine.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from versant import _core
from versant._core import Tensor
from versant.tensors.nest import assert_same_structure, flatten, pack_sequence_as

__all__ = ["GradientTape", "UnconnectedGradients"]


class UnconnectedGradients:
    """What `gradient` gives for a source on which the target does not depend."""

    NONE = "none"
    ZERO = "zero"


class GradientTape(_core.TapeBase):
    """Records the ops of a `with` block and gives gradients of their results.

    persistent: gradients may be asked several times; otherwise once, and memory is freed by it.
    watch_accessed_variables: trainable variables (tf.Variable, nn.Parameter, any leaf that requires
    gradients) are watched as soon as an op reads them; otherwise only what `watch` is given.

    Tapes may be nested: a gradient taken inside another tape is recorded by that one.

    >>> import versant as vs
    >>> x = vs.tensor(3.0)
    >>> with vs.GradientTape() as tape:
    ...     tape.watch(x)
    ...     y = x * x
    >>> tape.gradient(y, x)
    tensor(6.)
    """

    __slots__ = ()

    def watch(self, tensor: Any) -> None:
        """Watch a tensor, or each tensor of a nested structure; integers are passed over.

        Raises ValueError when the tape does not record, or something is no tensor.
        """
        if isinstance(tensor, Tensor):
            self._watch(tensor)
            return
        for item in flatten(tensor):
            self._watch(item)

    def watched_variables(self) -> tuple[Tensor, ...]:
        """The variables and tensors that the tape watches, in the order in which it came to know them."""
        return tuple(self._watched())

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Inside, this tape records nothing.  Raises ValueError when it does not record."""
        self._stop()
        try:
            yield
        finally:
            self._start()

    def _gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: str = UnconnectedGradients.NONE,
    ) -> Any:
        """What `gradient` gives for nested structures and with options."""
        if unconnected_gradients not in ("none", "zero"):
            raise ValueError(
                f"[gradient] unconnected_gradients must be 'none' or 'zero', got {unconnected_gradients!r}"
            )
        return self._gradient_of_structures(
            target, sources, output_gradients, unconnected_gradients == "zero"
        )

    def _gradient_of_structures(self, target: Any, sources: Any, weights: Any, zeros: bool) -> Any:
        targets, leaves = flatten(target), flatten(sources)
        given = [None] * len(targets)
        if weights is not None:
            given = flatten(weights)
            if len(given) != len(targets):
                assert_same_structure(target, weights, op="gradient")
        for leaf in (*targets, *leaves):
            if not isinstance(leaf, Tensor):
                raise TypeError(
                    f"[gradient] expected tensors as targets and sources, got {type(leaf).__name__}"
                )
        pairs = [
            (t, None if w is None else _as_weight(w, t))
            for t, w in zip(targets, given, strict=True)
            if _is_differentiable(t)
        ]
        places = [i for i, leaf in enumerate(leaves) if _is_differentiable(leaf)]
        found: list[Any] = [None] * len(leaves)
        taken = self._take([t for t, _ in pairs], [leaves[i] for i in places], [w for _, w in pairs])
        for i, grad in zip(places, taken, strict=True):
            found[i] = grad
        if zeros:
            found = [_zeros_like(x) if g is None else g for x, g in zip(leaves, found, strict=True)]
        return pack_sequence_as(sources, found)

    def jacobian(
        self,
        target: Tensor,
        sources: Any,
        unconnected_gradients: str = UnconnectedGradients.NONE,
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Any:
        """The derivative of each element of target by each element of sources.

        target: (*T); sources: a structure of tensors (*S), for which it gives one of tensors (*T, *S).
        experimental_use_pfor: all rows in one way back, as vmap does it; False takes one way back for each
        element of target, which needs a persistent tape. parallel_iterations: accepted.
        Raises ValueError where the way back cannot be taken for all rows at once.
        """
        count = _element(target).numel()
        rows = self._rows(target, sources, unconnected_gradients, count, experimental_use_pfor)
        return self._formed(rows, sources, tuple(target.shape), 0)

    def batch_jacobian(
        self,
        target: Tensor,
        source: Tensor,
        unconnected_gradients: str = UnconnectedGradients.NONE,
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Any:
        """The derivative of each row of target by the row of source in the same place.

        target: (B, *T), of which row i depends on row i of source (B, *S) only; gives (B, *T, *S).
        """
        t, s = tuple(target.shape), tuple(source.shape)
        if not t or not s or t[0] != s[0]:
            raise ValueError(
                f"[batch_jacobian] target and source must have one first dimension, got shapes {t} and {s}"
            )
        columns = math.prod(t[1:])
        rows = self._rows(target, source, unconnected_gradients, columns, experimental_use_pfor, batch=t[0])
        return self._formed(rows, source, t, 1)

    def _rows(
        self, target: Any, sources: Any, unconnected: str, count: int, together: bool, batch: int = 1
    ) -> list[Any]:
        """For each source the gradients of `count` elements of target (of each row of a batch)."""
        from versant import eye, stack  # the op table is above this room
        from versant.func.levels import batch_level

        if not together and not self._persistent:
            raise RuntimeError(
                "[jacobian] experimental_use_pfor=False asks the tape more than once; use "
                "GradientTape(persistent=True)"
            )
        shape = tuple(target.shape)
        unit = eye(count, dtype=target.dtype)
        weights = unit.unsqueeze(1).expand(count, batch, count).reshape((count, *shape))
        if count and not together:
            found = [flatten(self.gradient(target, sources, w, unconnected)) for w in weights]
            return [None if parts[0] is None else stack(parts) for parts in zip(*found, strict=True)]
        if not count:
            if not self._persistent:
                self._finish()
            return [_core.full((0, *source.shape), 0, source.dtype, False) for source in flatten(sources)]
        with batch_level(count, "error") as level:
            weight = _core.make_batch(weights, level)
            try:
                grads = flatten(self.gradient(target, sources, weight, unconnected))
            except RuntimeError as error:
                if "vmap" not in str(error):
                    raise
                raise ValueError(
                    f"[jacobian] not for all rows at once: {error}; say experimental_use_pfor=False"
                ) from error
            return [None if g is None else _core.samples_at(g, level) for g in grads]

    def _formed(self, rows: list[Any], sources: Any, shape: tuple[int, ...], axis: int) -> Any:
        """Rows as (*shape, *the rest of the source's shape); `axis` of a batch comes first."""
        made: list[Any] = []
        for source, row in zip(flatten(sources), rows, strict=True):
            if row is not None:
                row = row.movedim(0, axis).reshape((*shape, *tuple(source.shape)[axis:]))
            made.append(row)
        if _speaks_dialect(flatten(sources)):
            made = [g if g is None else _core.brand(_core.plain(g)) for g in made]
        return pack_sequence_as(sources, made)


def _element(target: Any) -> Tensor:
    if not isinstance(target, Tensor):
        raise TypeError(f"[jacobian] the target must be a tensor, got {type(target).__name__}")
    return target


def _is_differentiable(tensor: Tensor) -> bool:
    return tensor.dtype.is_floating_point or tensor.dtype.is_complex


def _speaks_dialect(tensors: list[Any]) -> bool:
    return any(isinstance(x, _core.TensorLike) for x in tensors)


def _zeros_like(tensor: Tensor) -> Tensor:
    zeros = _core.full(tuple(tensor.shape), 0, tensor.dtype, False)
    return _core.brand(zeros) if isinstance(tensor, _core.TensorLike) else zeros


def _as_weight(value: Any, target: Tensor) -> Tensor:
    return value if isinstance(value, Tensor) else _core.as_tensor(value, target.dtype)
