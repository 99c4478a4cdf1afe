"""Custom functions under vmap and jvp.

A class may state rules of its own, static methods as in PyTorch: `vmap(info, in_dims, *args)` returns
(outputs, out_dims), `jvp(ctx, *tangents)` returns the outputs' derivatives. Without them, forward and
backward are mapped over samples as any function is, and forward derivatives are made from backward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from versant import Tensor, _core


class VmapInfo(NamedTuple):
    """What a rule for vmap is told: how many samples there are, and how random ops are to behave."""

    batch_size: int
    randomness: str


@contextmanager
def below(level: int) -> Iterator[None]:
    before = _core.level_show(level - 1)
    try:
        yield
    finally:
        _core.level_show(before)


def apply(cls: Any, args: tuple[Any, ...]) -> Any:
    """cls.apply(*args) where an argument is wrapped."""
    level = max(_core.level_of(x) for x in args if isinstance(x, Tensor))
    batch, size, randomness = _core.level_kind(level)
    with below(level):
        if not batch:
            return push(cls, args, level)
        return over_samples(cls, args, level, size, randomness)


def mapped(outputs: Any, change: Callable[[int, Any], Any]) -> Any:
    if isinstance(outputs, tuple):
        return tuple(change(k, y) for k, y in enumerate(outputs))
    return change(0, outputs)


# --- batches


def over_samples(cls: Any, args: tuple[Any, ...], level: int, size: int, randomness: str) -> Any:
    batched = [isinstance(x, Tensor) and _core.level_of(x) == level for x in args]
    held = [_core.samples_at(x, level) if has else x for x, has in zip(args, batched, strict=True)]
    rule = getattr(cls, "vmap", None)
    if rule is not None and not getattr(cls, "generate_vmap_rule", False):
        info = VmapInfo(size, randomness)
        in_dims = tuple(0 if has else None for has in batched)
        answer = rule(info, in_dims, *held)
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise RuntimeError(
                f"[{cls.__name__}] vmap must return a pair (outputs, out_dims), got {answer!r:.80}"
            )
        outputs, out_dims = answer
        count = len(outputs) if isinstance(outputs, tuple) else 1
        dims = out_dims if isinstance(out_dims, tuple) else (out_dims,) * count
        if len(dims) != count:
            raise RuntimeError(f"[{cls.__name__}] vmap returned {count} outputs and {len(dims)} out_dims")

        def wrap(k: int, y: Any) -> Any:
            if dims[k] is None or not isinstance(y, Tensor):
                return y
            if y.dim() == 0 or y.shape[dims[k]] != size:
                raise RuntimeError(
                    f"[{cls.__name__}] vmap said that output {k} has its {size} samples along axis "
                    f"{dims[k]}, but its shape is {tuple(y.shape)}"
                )
            return _core.make_batch(y.movedim(dims[k], 0), level)

        return mapped(outputs, wrap)
    whole = batched_class(cls, batched, size, randomness)
    outputs = whole.apply(*held)
    return mapped(outputs, lambda k, y: _core.make_batch(y, level) if isinstance(y, Tensor) else y)


RANDOMNESS = {"error": 0, "same": 1, "different": 2}


@contextmanager
def fresh_level(size: int, randomness: str) -> Iterator[int]:
    level = _core.level_enter(True, size, RANDOMNESS[randomness])
    try:
        yield level
    finally:
        _core.level_leave()


def batched_class(cls: Any, batched: Sequence[bool], size: int, randomness: str) -> Any:
    """A function over all samples whose forward and backward are those of `cls` for each of them."""
    from versant.autograd.function import Function

    def samples(level: int, y: Any) -> Any:
        return _core.samples_at(y, level) if isinstance(y, Tensor) else y

    def forward(ctx: Any, *args: Any) -> Any:
        one = cls()
        with fresh_level(size, randomness) as level:
            inside = [_core.make_batch(x, level) if has else x for x, has in zip(args, batched, strict=True)]
            if cls.setup_context is None:
                outputs = cls.forward(one, *inside)
            else:
                outputs = cls.forward(*inside)
                cls.setup_context(one, tuple(inside), outputs)
            kept = one.saved_tensors
            ctx.kept_batched = [isinstance(x, Tensor) and _core.has_level(x, level) for x in kept]
            saved = [samples(level, x) if has else x for x, has in zip(kept, ctx.kept_batched, strict=True)]
            own = list(outputs) if isinstance(outputs, tuple) else [outputs]
            whole = [samples(level, y) for y in own]
            fixed = [whole[k] for k, y in enumerate(own) if one.is_non_differentiable(y)]
        # What was saved and is an input or output stays that very tensor, for gradients of gradients.
        known = {id(_core.innermost(x)): x for x in (*args, *whole) if isinstance(x, Tensor)}
        ctx.save_for_backward(*(known.get(id(x), x) if x is not None else None for x in saved))
        if fixed:
            ctx.mark_non_differentiable(*fixed)
        ctx.one = one
        ctx.set_materialize_grads(one.materializes_grads)
        return tuple(whole) if isinstance(outputs, tuple) else whole[0]

    def backward(ctx: Any, *grads: Any) -> Any:
        saved = ctx.saved_tensors
        with fresh_level(size, randomness) as level:
            inside = [
                _core.make_batch(x, level) if has else x
                for x, has in zip(saved, ctx.kept_batched, strict=True)
            ]
            ctx.one.save_for_backward(*inside)
            ctx.one.set_needs(ctx.needs_input_grad)
            found = cls.backward(ctx.one, *(None if g is None else _core.make_batch(g, level) for g in grads))
            each = found if isinstance(found, tuple) else (found,)
            result = [
                None if g is None else samples(level, g) if has else samples(level, g).sum(0)
                for g, has in zip(each, [*batched, *([True] * (len(each) - len(batched)))], strict=False)
            ]
        return tuple(result)

    return type(
        cls.__name__, (Function,), {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    )


# --- forward derivatives


def push(cls: Any, args: tuple[Any, ...], level: int) -> Any:
    values = [_core.value_at(x, level) if isinstance(x, Tensor) else x for x in args]
    tangents = [_core.tangent_at(x, level) if isinstance(x, Tensor) else None for x in args]
    if getattr(cls, "jvp", None) is not None:
        return by_rule(cls, values, tangents, level)
    places = [i for i, x in enumerate(values) if isinstance(x, Tensor)]
    shapes: list[Any] = []

    def call(tensors: list[Tensor]) -> list[Tensor]:
        now = list(values)
        for place, tensor in zip(places, tensors, strict=True):
            now[place] = tensor
        outputs = cls.apply(*now)
        shapes[:] = [isinstance(outputs, tuple)]
        return list(outputs) if isinstance(outputs, tuple) else [outputs]

    found, slopes = _core.push_through(call, [values[i] for i in places], [tangents[i] for i in places])
    made = [y if t is None else _core.make_dual(y, t, level) for y, t in zip(found, slopes, strict=True)]
    return tuple(made) if shapes[0] else made[0]


def by_rule(cls: Any, values: list[Any], tangents: list[Any], level: int) -> Any:
    outputs = cls.apply(*values)
    ctx = cls()
    before = _core.set_grad_mode(False)
    try:
        if cls.setup_context is None:
            cls.forward(ctx, *values)
        else:
            cls.setup_context(ctx, tuple(values), cls.forward(*values))
    finally:
        _core.set_grad_mode(before)
    if ctx.__dict__.get("for_forward") is not None:
        ctx.save_for_backward(*ctx.for_forward)
    slopes = cls.jvp(ctx, *tangents)
    each = slopes if isinstance(slopes, tuple) else (slopes,)
    own = outputs if isinstance(outputs, tuple) else (outputs,)
    if len(each) != len(own):
        raise RuntimeError(
            f"[{cls.__name__}] jvp returned {len(each)} derivatives for {len(own)} outputs of forward"
        )
    for k, (y, t) in enumerate(zip(own, each, strict=True)):
        if t is None:
            continue
        if not isinstance(t, Tensor):
            raise TypeError(f"[{cls.__name__}] jvp must return tensors or None, got {type(t).__name__}")
        if t.shape != y.shape or t.dtype != y.dtype:
            raise RuntimeError(
                f"[{cls.__name__}] jvp returned a derivative of shape {tuple(t.shape)} and dtype "
                f"{t.dtype.name} for output {k} of shape {tuple(y.shape)} and dtype {y.dtype.name}"
            )
    return mapped(outputs, lambda k, y: y if each[k] is None else _core.make_dual(y, each[k], level))
