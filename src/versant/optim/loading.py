"""What an optimizer takes over from a state_dict: all of it checked before anything is changed."""

from __future__ import annotations

from collections import defaultdict
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from versant import Tensor

if TYPE_CHECKING:
    from versant.optim.optimizer import Group, Optimizer

State = defaultdict[Tensor, dict[str, Any]]


def loaded(optimizer: Optimizer, state_dict: Any) -> tuple[State, list[Group]]:
    """State and groups that the optimizer has after loading; ValueError where the dict does not fit."""
    name = f"[{type(optimizer).__name__}.load_state_dict]"
    if not isinstance(state_dict, dict) or not {"state", "param_groups"} <= state_dict.keys():
        raise ValueError(f"{name} expected a dict with 'state' and 'param_groups'")
    theirs, ours = state_dict["param_groups"], optimizer.param_groups
    sizes, own_sizes = ([len(group["params"]) for group in groups] for groups in (theirs, ours))
    if sizes != own_sizes:
        raise ValueError(f"{name} the groups hold {sizes} parameters, this optimizer's {own_sizes}")
    places = {
        number: parameter
        for their, our in zip(theirs, ours, strict=True)
        for number, parameter in zip(their["params"], our["params"], strict=True)
    }
    state: State = defaultdict(dict)
    for number, values in state_dict["state"].items():
        if number not in places:
            raise ValueError(f"{name} state for parameter {number}, which is in no group")
        strangers = [] if optimizer._state_names is None else sorted(values.keys() - optimizer._state_names)
        if strangers:
            raise ValueError(
                f"{name} the state of parameter {number} holds {', '.join(map(repr, strangers))}, "
                f"which {type(optimizer).__name__} does not keep: is it of another optimizer?"
            )
        state[places[number]] = {
            key: _taken_over(
                optimizer, f"{name} state {key!r} of parameter {number}", key, value, places[number]
            )
            for key, value in values.items()
        }
    groups = []
    for their, our in zip(theirs, ours, strict=True):
        options = {key: deepcopy(value) for key, value in their.items() if key != "params"}
        if "param_names" in our:
            options.setdefault("param_names", our["param_names"])
        groups.append({**optimizer.defaults, **options, "params": our["params"]})
    for group in groups:
        optimizer._check_options(group)
    return state, groups


def _taken_over(optimizer: Optimizer, where: str, key: str, value: Any, parameter: Tensor) -> Any:
    """One value of a loaded state: a counter as it is, another tensor as a copy in the parameter's dtype."""
    if key in optimizer._counters:
        if not hasattr(value, "__float__") or (isinstance(value, Tensor) and value.numel() != 1):
            raise ValueError(f"{where} must be one number, got {value!r}")
        return value.detach().clone() if isinstance(value, Tensor) else value
    if isinstance(value, list | tuple):
        return type(value)(_taken_over(optimizer, where, key, item, parameter) for item in value)
    if not isinstance(value, Tensor):
        return deepcopy(value)
    expected = optimizer._expected_shape(key, parameter)
    if expected is not None and tuple(value.shape) != expected:
        raise ValueError(f"{where} has shape {tuple(value.shape)}, expected {expected}")
    return value.detach().to(parameter.dtype, copy=True)
