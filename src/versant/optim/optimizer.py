"""What all optimizers share: groups of parameters, their state, and one call that updates a whole group."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import versant
from versant import Tensor
from versant.nn.parameter import clear_grad
from versant.optim.plan import Batch, Plan

Group = dict[str, Any]  # "params": a list of tensors; every option of the optimizer by name


class Optimizer:
    """The base of all optimizers.

    params: tensors, or dicts that each hold tensors under "params" beside options of their own.
    defaults: the options of a group that does not name its own.

    `param_groups` is a list of dicts; an option changed there counts from the next step on.
    `state[p]` is a dict of what is remembered of parameter p.

    A subclass overrides `step`, or gives `_buffer_names` and `_update` and leaves the gathering to `step`.
    """

    _counts_steps = True  # whether state["step"] is kept

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        name = type(self).__name__
        if isinstance(params, Tensor | dict | set | frozenset | str):
            raise TypeError(f"[{name}] params must be an ordered collection, got a {type(params).__name__}")
        groups = list(params)
        if not groups:
            raise ValueError(f"[{name}] got an empty list of parameters")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self._state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self._plans: dict[int, Plan] = {}  # by the identity of the group
        for group in groups:
            self.add_param_group(group)

    # What each optimizer gives ------------------------------------------------------------------------------

    def _check_options(self, group: Group) -> None:
        """Raise ValueError for options that make no sense."""

    def _buffer_names(self, group: Group) -> tuple[str, ...]:
        """The tensors to remember for each parameter under the group's present options."""
        return ()

    def _update(self, group: Group, batch: Batch, step: int) -> None:
        """Change the parameters and buffers of one batch in place by its gradients; `step` counts from 1."""
        raise NotImplementedError(
            f"[{type(self).__name__}] step is not defined: write def step(self, closure=None)"
        )

    # Steps --------------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        closure: computes the loss and its gradients anew; what it returns is returned.
        """
        loss = None
        if closure is not None:
            with versant.enable_grad():
                loss = closure()
        for group in self.param_groups:
            names = self._buffer_names(group)
            plan = self._plans.get(id(group))
            if plan is None or not plan.holds(group["params"], names):
                plan = self._replan(group, names)
            for batch in plan.batches:
                self._update(group, batch, batch.step + 1)
                batch.step += 1
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zeros."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if set_to_none:
                    parameter.grad = None
                else:
                    clear_grad(parameter)

    def _replan(self, group: Group, names: tuple[str, ...]) -> Plan:
        """A plan for the parameters that now have gradients; their missing buffers are made as zeros."""
        self._settle()
        batches: dict[int, Batch] = {}
        idle = []
        for parameter in group["params"]:
            if parameter.grad is None:
                idle.append(parameter)
                continue
            state = self._state[parameter]
            step = self._steps_done(state)
            batch = batches.setdefault(step, Batch(step, {name: [] for name in names}))
            batch.params.append(parameter)
            for name in names:
                if name not in state:
                    state[name] = versant.zeros_like(parameter)
                batch.buffers[name].append(state[name])
        plan = Plan(group["params"], names, list(batches.values()), idle)
        self._plans[id(group)] = plan
        return plan

    def _steps_done(self, state: dict[str, Any]) -> int:
        return int(state.get("step", 0)) if self._counts_steps else int(bool(state))

    def _settle(self) -> None:
        """Write the counters that the plans keep into the state, and drop the plans."""
        if self._counts_steps:
            for plan in self._plans.values():
                for batch in plan.batches:
                    for parameter in batch.params:
                        self._state[parameter]["step"] = batch.step
        self._plans.clear()

    # Groups and state ---------------------------------------------------------------------------------------

    @property
    def state(self) -> defaultdict[Tensor, dict[str, Any]]:
        """What is remembered of each parameter; read it anew after each step."""
        self._settle()
        return self._state

    def add_param_group(self, param_group: Group) -> None:
        """Add parameters with options of their own."""
        name = type(self).__name__
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise TypeError(f"[{name}] a parameter group must be a dict with 'params', got {param_group!r}")
        params = param_group["params"]
        if isinstance(params, set | frozenset):
            raise TypeError(f"[{name}] params must be an ordered collection, got a {type(params).__name__}")
        params = [params] if isinstance(params, Tensor) else list(params)
        seen = {id(parameter) for group in self.param_groups for parameter in group["params"]}
        for i, parameter in enumerate(params):
            _check_parameter(name, i, parameter)
            if id(parameter) in seen:
                raise ValueError(f"[{name}] parameter {i} is given twice")
            seen.add(id(parameter))
        group = {**self.defaults, **param_group, "params": params}
        self._check_options(group)
        self.param_groups.append(group)

    def state_dict(self) -> dict[str, Any]:
        """Options and state in PyTorch's layout: parameters appear as their numbers in order."""
        numbers: dict[Tensor, int] = {}
        groups = []
        for group in self.param_groups:
            for parameter in group["params"]:
                numbers.setdefault(parameter, len(numbers))
            groups.append({**group, "params": [numbers[parameter] for parameter in group["params"]]})
        state = {}
        for parameter, values in self.state.items():
            if parameter in numbers and values:
                state[numbers[parameter]] = values = dict(values)
                if "step" in values:
                    values["step"] = versant.tensor(float(values["step"]))
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over options and state; tensors are copied to the dtype of their parameter.

        ValueError, and nothing changed, when groups, parameters or shapes do not fit.
        """
        name = f"[{type(self).__name__}.load_state_dict]"
        if not isinstance(state_dict, dict) or not {"state", "param_groups"} <= state_dict.keys():
            raise ValueError(f"{name} expected a dict with 'state' and 'param_groups'")
        theirs, ours = state_dict["param_groups"], self.param_groups
        sizes, own_sizes = ([len(group["params"]) for group in groups] for groups in (theirs, ours))
        if sizes != own_sizes:
            raise ValueError(f"{name} the groups hold {sizes} parameters, this optimizer's {own_sizes}")
        places = {
            number: parameter
            for their, our in zip(theirs, ours, strict=True)
            for number, parameter in zip(their["params"], our["params"], strict=True)
        }
        state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        for number, values in state_dict["state"].items():
            if number not in places:
                raise ValueError(f"{name} state for parameter {number}, which is in no group")
            state[places[number]] = {
                key: _taken_over(f"{name} state {key!r} of parameter {number}", key, value, places[number])
                for key, value in values.items()
                if value is not None
            }
        groups = []
        for their, our in zip(theirs, ours, strict=True):
            options = {key: deepcopy(value) for key, value in their.items() if key != "params"}
            groups.append({**self.defaults, **options, "params": our["params"]})
        for group in groups:
            self._check_options(group)
        self._plans.clear()
        self._state = state
        self.param_groups = groups

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_state": self.state, "_plans": {}}

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return f"{type(self).__name__} (\n" + "\n".join(lines) + "\n)"


def _check_parameter(name: str, i: int, parameter: Any) -> None:
    if not isinstance(parameter, Tensor):
        repair = ": pass model.parameters()" if isinstance(parameter, tuple) else ""
        raise TypeError(f"[{name}] parameter {i} must be a Tensor, got {type(parameter).__name__}{repair}")
    if not parameter.is_leaf:
        raise ValueError(
            f"[{name}] parameter {i} is the result of an operation; only leaf tensors can be optimized"
        )
    if not parameter.is_floating_point():
        raise TypeError(f"[{name}] parameter {i} must be of a floating-point dtype, got {parameter.dtype}")


def _taken_over(where: str, key: str, value: Any, parameter: Tensor) -> Any:
    """One value of a loaded state: a counter as int, a tensor as a copy in the parameter's dtype."""
    if key == "step":
        return int(value)
    if not isinstance(value, Tensor):
        return deepcopy(value)
    if value.shape != parameter.shape:
        raise ValueError(f"{where} has shape {tuple(value.shape)}, expected {tuple(parameter.shape)}")
    return value.detach().to(parameter.dtype, copy=True)


def at_least_zero(optimizer: str, group: Group, *names: str) -> None:
    """Raise TypeError for an option that is not a number, ValueError for one that is negative or NaN."""
    for name in names:
        if not hasattr(group[name], "__float__"):
            raise TypeError(f"[{optimizer}] {name} must be a number, got {type(group[name]).__name__}")
        if not group[name] >= 0.0:
            raise ValueError(f"[{optimizer}] {name} must be at least 0, got {group[name]}")
