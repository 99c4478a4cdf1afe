"""Loading a state_dict into a module: every misfit is found before anything is changed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import versant
from versant import Tensor
from versant.nn.parameter import Parameter, UninitializedParameter
from versant.nn.registry import Kind

if TYPE_CHECKING:
    from versant.nn.module import Module


class IncompatibleKeys(NamedTuple):
    """The names in which a module and a state_dict differ."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def load_into(
    module: "Module", state_dict: Mapping[str, Any], *, strict: bool, assign: bool
) -> IncompatibleKeys:
    """See Module.load_state_dict."""
    where = f"[{type(module).__name__}.load_state_dict]"
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"{where} expected a dict of tensors, got {type(state_dict).__name__}")
    places = _places(module)
    state_dict, missing, unexpected, faults = _prepared(module, state_dict, strict)
    extras = _extras(module)
    missing += [name for name in (*places, *extras) if name not in state_dict]
    unexpected += [name for name in state_dict if name not in places and name not in extras]
    if strict:
        for what, names in (("Missing", missing), ("Unexpected", unexpected)):
            if names:
                faults.append(f"{what} key(s) in state_dict: " + ", ".join(f'"{name}"' for name in names))
    for name, (owner, attribute) in places.items():
        if name in state_dict and not owner._awaits_input:
            faults += _misfit(name, state_dict[name], owner.__dict__[attribute])
    if faults:
        raise RuntimeError(f"{where} nothing was loaded:\n    " + "\n    ".join(faults))
    with versant.no_grad():
        for name, (owner, attribute) in places.items():
            if name not in state_dict:
                continue
            old, new = owner.__dict__[attribute], state_dict[name]
            if owner._awaits_input and not assign:
                _put_first(owner, attribute, new)
            elif not assign:
                old.copy_(new)
            elif isinstance(old, Parameter) and not isinstance(new, Parameter):
                owner.__dict__[attribute] = Parameter(new, old.requires_grad)
            else:
                owner.__dict__[attribute] = new
    for name, owner in extras.items():
        if name in state_dict:
            owner.set_extra_state(state_dict[name])
    found = IncompatibleKeys(missing, unexpected)
    for inner in module.modules():
        for hook in () if inner._hooks is None else list(inner._hooks.after_load.values()):
            hook(inner, found)
    return found


def _prepared(
    module: "Module", state_dict: Mapping[str, Any], strict: bool
) -> tuple[Mapping[str, Any], list[str], list[str], list[str]]:
    """What hooks make of the state_dict, then what they report: missing, unexpected, faults."""
    reported: tuple[list[str], list[str], list[str]] = ([], [], [])
    state = dict(state_dict)
    for path, inner in module.named_modules(remove_duplicate=False):
        for hook, with_module in () if inner._hooks is None else list(inner._hooks.before_load.values()):
            first = (inner,) if with_module else ()
            hook(*first, state, f"{path}." if path else "", {}, strict, *reported)
    return (state, *reported)


def _put_first(owner: "Module", attribute: str, new: Tensor) -> None:
    """The first values of a tensor of a lazy layer, whose shape they tell."""
    old = owner.__dict__[attribute]
    if isinstance(old, UninitializedParameter):
        old.materialize(new.shape)
    elif old.shape != new.shape:
        old = owner.__dict__[attribute] = old.new_empty(tuple(new.shape))
    old.copy_(new)


def _places(module: "Module") -> dict[str, tuple["Module", str]]:
    """Where each name of the module's state_dict is kept: the owner and the attribute."""
    places = {}
    for path, owner in module.named_modules(remove_duplicate=False):
        for name, kind in owner._kinds.items():
            if kind in (Kind.PARAMETER, Kind.BUFFER) and owner.__dict__[name] is not None:
                places[f"{path}.{name}" if path else name] = (owner, name)
    return places


def _extras(module: "Module") -> dict[str, "Module"]:
    """The modules that take something beside tensors, by its name in a state_dict."""
    asked = versant.nn.Module.set_extra_state
    return {
        f"{path}._extra_state" if path else "_extra_state": owner
        for path, owner in module.named_modules(remove_duplicate=False)
        if type(owner).set_extra_state is not asked
    }


def _misfit(name: str, new: Any, old: Tensor) -> list[str]:
    if not isinstance(new, Tensor):
        return [f"not a tensor: {name} is a {type(new).__name__}"]
    if new.shape != old.shape:
        return [f"size mismatch for {name}: expected {tuple(old.shape)}, got {tuple(new.shape)}"]
    return []
