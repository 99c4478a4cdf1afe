"""Modules as functions of their parameters."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from versant._core import Tensor
from versant.nn.module import Module

__all__ = ["functional_call", "stack_module_state"]


def _places(module: Module) -> dict[str, list[tuple[Module, str]]]:
    """Where each parameter and buffer lies, by each of its dotted names; a shared one lies in several
    places."""
    by_value: dict[int, list[tuple[Module, str]]] = {}
    by_name: dict[str, int] = {}
    for path, inner in module.named_modules(remove_duplicate=False):
        for name, value in [*inner._parameters.items(), *inner._buffers.items()]:
            if value is None:
                continue
            by_name[f"{path}.{name}" if path else name] = id(value)
            places = by_value.setdefault(id(value), [])
            if (inner, name) not in places:
                places.append((inner, name))
    return {name: by_value[key] for name, key in by_name.items()}


@contextmanager
def _replaced(
    module: Module, tensors: Mapping[str, Tensor], tie_weights: bool, strict: bool
) -> Iterator[None]:
    places = _places(module)
    unknown = [name for name in tensors if name not in places]
    if unknown:
        raise RuntimeError(f"[functional_call] {type(module).__name__} has no parameter or buffer {unknown}")
    new: dict[tuple[Module, str], Tensor] = {}
    for name, value in tensors.items():
        path, _, last = name.rpartition(".")
        own = module.get_submodule(path), last
        for place in places[name] if tie_weights else [own]:
            if new.setdefault(place, value) is not value:
                raise ValueError(
                    f"[functional_call] {name!r} is tied to another name that got another tensor"
                )
    if strict:
        covered = {place for name in tensors for place in places[name]}
        missing = [name for name, where in places.items() if not covered.intersection(where)]
        if missing:
            raise RuntimeError(f"[functional_call] strict=True needs all tensors, missing: {missing}")
    before = {(inner, name): inner.__dict__[name] for inner, name in new}
    for (inner, name), value in new.items():
        inner.__dict__[name] = value
    try:
        yield
    finally:
        for (inner, name), value in before.items():
            inner.__dict__[name] = value


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """module(*args, **kwargs) with other tensors in the place of its parameters and buffers, by dotted name.

    The module stays as it is; a buffer that the call assigns anew is changed in the given tensor or not at
    all. tie_weights: a tensor stands for all names of a shared parameter. strict: every parameter and buffer
    must be given.

    >>> import versant as vs
    >>> layer = vs.nn.Linear(2, 1)
    >>> weights = {"weight": vs.ones(1, 2), "bias": vs.zeros(1)}
    >>> vs.func.functional_call(layer, weights, (vs.tensor([1.0, 2.0]),))
    tensor([3.])
    """
    given = parameter_and_buffer_dicts
    tensors: dict[str, Tensor] = {}
    for part in [given] if isinstance(given, Mapping) else given:
        twice = tensors.keys() & part.keys()
        if twice:
            raise ValueError(f"[functional_call] {sorted(twice)} appear in several of the dicts")
        tensors.update(part)
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    with _replaced(module, tensors, tie_weights, strict):
        return module(*args, **(kwargs or {}))


def stack_module_state(models: Sequence[Module]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters and buffers of several models of one architecture, stacked: (parameters, buffers),
    dicts by dotted name of tensors with a first axis of models. `vmap` over `functional_call` runs them
    side by side.

    >>> import versant as vs
    >>> models = [vs.nn.Linear(2, 3) for _ in range(4)]
    >>> parameters, buffers = vs.func.stack_module_state(models)
    >>> tuple(parameters["weight"].shape)
    (4, 3, 2)
    """
    from versant import stack  # the op table is above this room

    if not models:
        raise RuntimeError("[stack_module_state] expected at least one model")
    if not (all(model.training for model in models) or not any(model.training for model in models)):
        raise RuntimeError("[stack_module_state] expected all models in training or all in evaluation mode")
    kind = type(models[0])
    if not all(type(model) is kind for model in models):
        names = sorted({type(model).__name__ for model in models})
        raise RuntimeError(f"[stack_module_state] expected models of one class, got {', '.join(names)}")
    tables: list[dict[str, Tensor]] = []
    for all_named in (
        [dict(model.named_parameters()) for model in models],
        [dict(model.named_buffers()) for model in models],
    ):
        table = {}
        for name, first in all_named[0].items():
            parts = [named[name] for named in all_named]
            if any(part.shape != first.shape for part in parts):
                raise RuntimeError(
                    f"[stack_module_state] {name} has shapes {sorted({tuple(part.shape) for part in parts})}"
                )
            stacked = stack([part.detach() for part in parts])
            table[name] = stacked.requires_grad_(first.requires_grad)
        tables.append(table)
    return tables[0], tables[1]
