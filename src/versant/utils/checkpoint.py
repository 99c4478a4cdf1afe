"""Activation checkpoints: backward computes anew what forward did not keep (Chen et al. 2016)."""

import functools
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import Enum
from typing import Any

import versant
from versant import Tensor, _core
from versant.autograd import Function
from versant.autograd.graph import saved_tensors_hooks
from versant.nn.container import Sequential


class CheckpointError(RuntimeError):
    """The second run of a function did not save what its first run did."""


class _State:
    """Random state and autocast, as they were when the function first ran."""

    def __init__(self, preserve_rng_state: bool) -> None:
        self.random = versant.get_rng_state() if preserve_rng_state else None
        self.autocast = _core.get_autocast()

    @contextmanager
    def restored(self) -> Iterator[None]:
        random, autocast = versant.get_rng_state(), _core.get_autocast()
        if self.random is not None:
            versant.set_rng_state(self.random)
        _core.set_autocast(*self.autocast)
        try:
            yield
        finally:
            _core.set_autocast(*autocast)
            if self.random is not None:
                versant.set_rng_state(random)


class _Place:
    """Stands on the tape for one value; holds it once the function has run again."""

    __slots__ = ("__weakref__", "frame", "value")

    def __init__(self, frame: "_Frame") -> None:
        self.frame = frame
        self.value: Tensor | None = None


class _Frame:
    """One checkpointed call: how to run it again, and the places that wait for its values, in order."""

    def __init__(self, run: Callable[[], Any]) -> None:
        self.run = run
        # Weak: a place whose node is done with takes its value along.
        self.places: list[weakref.ref[_Place]] = []
        self.shapes: list[tuple[Any, ...]] = []

    def pack(self, value: Tensor) -> _Place:
        place = _Place(self)
        self.places.append(weakref.ref(place))
        self.shapes.append((tuple(value.shape), value.dtype))
        return place

    def recompute(self) -> None:
        count = 0

        def collect(value: Tensor) -> None:
            nonlocal count
            if count < len(self.places):
                if (tuple(value.shape), value.dtype) != self.shapes[count]:
                    raise CheckpointError(
                        f"[checkpoint] value {count} that the function saves had shape and dtype "
                        f"{self.shapes[count]}, and {(tuple(value.shape), value.dtype)} when run again"
                    )
                place = self.places[count]()
                if place is not None:
                    place.value = value.detach()
            count += 1

        def refuse(_: None) -> Tensor:
            raise CheckpointError("[checkpoint] a backward inside the function is run again only once")

        with saved_tensors_hooks(collect, refuse), versant.enable_grad():
            self.run()
        if count != len(self.places):
            raise CheckpointError(
                f"[checkpoint] the function saved {len(self.places)} values, and {count} when it "
                "ran again: it must do the same in every run"
            )


def _unpack(place: _Place) -> Tensor:
    if place.value is None:
        place.frame.recompute()
    assert place.value is not None
    return place.value


class _Reentrant(Function):
    """Runs without recording; backward records a second run and goes backward through it."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Any], state: _State, *args: Any) -> Any:
        ctx.function, ctx.state = function, state
        ctx.places = [isinstance(arg, Tensor) for arg in args]
        ctx.others = [None if isinstance(arg, Tensor) else arg for arg in args]
        ctx.save_for_backward(*(arg for arg in args if isinstance(arg, Tensor)))
        return function(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        tensors = iter(ctx.saved_tensors)
        args = []
        for is_tensor, other in zip(ctx.places, ctx.others, strict=True):
            if is_tensor:
                tensor = next(tensors)
                args.append(tensor.detach().requires_grad_(tensor.requires_grad))
            else:
                args.append(other)
        with ctx.state.restored(), versant.enable_grad():
            results = ctx.function(*args)
        results = (results,) if isinstance(results, Tensor) else results
        pairs = [
            (result, grad)
            for result, grad in zip(results, grads, strict=True)
            if isinstance(result, Tensor) and result.requires_grad and grad is not None
        ]
        if not pairs:
            raise RuntimeError("[checkpoint] none of the function's outputs requires a gradient")
        versant.autograd.backward([result for result, _ in pairs], [grad for _, grad in pairs])
        return (None, None, *(arg.grad if isinstance(arg, Tensor) else None for arg in args))


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[AbstractContextManager[Any], AbstractContextManager[Any]]] | None = None,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """function(*args, **kwargs) without keeping what it saves for backward, which runs it again instead.

    use_reentrant: False (the default) keeps places on the tape and fills them when backward first asks, so
    that all of autograd works; True runs a backward of its own inside backward: only positional tensors get
    gradients by `autograd.grad`, and one of them must require a gradient. preserve_rng_state: the second run
    draws the same random numbers, so that dropout drops the same. context_fn: two contexts, for the first run
    and the second. Gradients are those of a call without a checkpoint, to the bit.
    determinism_check, debug and early_stop are taken for PyTorch's sake: the runs are always compared.
    """
    state = _State(preserve_rng_state)
    if use_reentrant:
        if kwargs or context_fn is not None:
            given = ", ".join(kwargs) or "context_fn"
            raise ValueError(f"[checkpoint] use_reentrant=True takes no keyword arguments, got {given}")
        return _Reentrant.apply(function, state, *args)
    first, second = (nullcontext(), nullcontext()) if context_fn is None else context_fn()
    if not versant.is_grad_enabled():
        with first:
            return function(*args, **kwargs)

    def again() -> Any:
        with state.restored(), second:
            return function(*args, **kwargs)

    frame = _Frame(again)
    with saved_tensors_hooks(frame.pack, _unpack), first:
        return function(*args, **kwargs)


class CheckpointPolicy(Enum):
    """What a selective checkpoint does with the results of an op."""

    MUST_SAVE = 0
    PREFER_SAVE = 1
    MUST_RECOMPUTE = 2
    PREFER_RECOMPUTE = 3


class SelectiveCheckpointContext:
    """What a policy is told: whether the function runs for the second time."""

    def __init__(self, *, is_recompute: bool) -> None:
        self.is_recompute = is_recompute


def create_selective_checkpoint_contexts(
    policy_fn_or_list: Callable[[SelectiveCheckpointContext, str], Any] | Sequence[Any],
    allow_cache_entry_mutation: bool = False,
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """The two contexts of a checkpoint that keeps the results of some ops, which then are not computed again.

    policy_fn_or_list: ops, or their names; or policy(context, name), which gives a CheckpointPolicy or bool.
    Names are those that a profile shows: "matmul" is what linear layers compute. A result that was changed in
    place since is computed again; allow_cache_entry_mutation is taken for PyTorch's sake.

    >>> import functools
    >>> import versant as vs
    >>> from versant.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts
    >>> keep = functools.partial(create_selective_checkpoint_contexts, ["matmul"])
    >>> net = vs.nn.Sequential(vs.nn.Linear(4, 4), vs.nn.Tanh())
    >>> y = checkpoint(net, vs.ones(2, 4), use_reentrant=False, context_fn=keep)
    >>> y.sum().backward()
    """
    policy = policy_fn_or_list
    decide: Callable[[str], Any]
    if callable(policy) and not hasattr(policy, "name"):
        context = SelectiveCheckpointContext(is_recompute=False)
        decide = functools.partial(policy, context)
    else:
        names = {
            str(getattr(op, "name", op)) for op in (policy if isinstance(policy, Sequence) else [policy])
        }
        decide = names.__contains__

    def chooses(name: str) -> bool:
        name = "matmul" if name == "multiply" else name.partition(".")[0]
        choice = decide(name)
        if isinstance(choice, CheckpointPolicy):
            return choice in (CheckpointPolicy.MUST_SAVE, CheckpointPolicy.PREFER_SAVE)
        return bool(choice)

    selection = _core.selection(chooses)
    return _watching(_core.watch_keeping, selection), _watching(_core.watch_supplying, selection)


@contextmanager
def _watching(begin: Callable[[Any], int], selection: Any) -> Iterator[None]:
    number = begin(selection)
    try:
        yield
    finally:
        _core.watch_end(number)


def checkpoint_sequential(
    functions: Sequential | Sequence[Callable[..., Any]],
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
) -> Any:
    """A sequence of functions in `segments` parts, each but the last a checkpoint.

    Memory then grows with the number of segments and with the length of one, not with the whole.
    """
    parts = list(functions)
    if segments < 1 or segments > len(parts):
        raise ValueError(f"[checkpoint_sequential] expected 1 to {len(parts)} segments, got {segments}")

    def chain(begin: int, end: int) -> Callable[[Any], Any]:
        def run(value: Any) -> Any:
            for part in parts[begin:end]:
                value = part(value)
            return value

        return run

    size = len(parts) // segments
    for begin in range(0, size * (segments - 1), size):
        run = chain(begin, begin + size)
        input = checkpoint(run, input, use_reentrant=use_reentrant, preserve_rng_state=preserve_rng_state)
    return chain(size * (segments - 1), len(parts))(input)


__all__ = [
    "CheckpointError",
    "CheckpointPolicy",
    "SelectiveCheckpointContext",
    "checkpoint",
    "checkpoint_sequential",
    "create_selective_checkpoint_contexts",
]
