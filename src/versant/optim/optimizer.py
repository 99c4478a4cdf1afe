"""What all optimizers share: groups of parameters, their state, and one call that updates a whole group."""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from types import FunctionType
from typing import Any

import versant
from versant import Tensor, _core
from versant.autograd.repeated import call_again
from versant.nn.parameter import clear_grad
from versant.optim.hooks import Hook, Hooks, RemovableHandle
from versant.optim.plan import Batch, Plan
from versant.optim.rule import Rule

Group = dict[str, Any]  # "params": a list of tensors; every option of the optimizer by name
Call = tuple[str, tuple[Any, ...], int]  # what `_call_of` gives
Params = Iterable[Any]  # tensors, (name, tensor) pairs, or dicts: the groups


class Optimizer:
    """The base of all optimizers.

    params: tensors, (name, tensor) pairs, or dicts that each hold these under "params" beside options.
    defaults: the options of a group that does not name its own.

    `param_groups` is a list of dicts; an option changed there counts from the next step on.
    `state[p]` is a dict of what is remembered of parameter p.

    A subclass overrides `step`, or gives `_buffer_names` and `_update` and leaves the gathering to `step`.
    """

    # What code may read of an optimizer beside its steps: compiled functions watch it (compiler/watch.py).
    _watched: Mapping[str, str] = {"param_groups": "param_groups"}
    # The numbers kept in each parameter's state beside the buffers, with their initial values.
    _counters: Mapping[str, float] = {"step": 0.0}
    _trace = 0  # of the compiled function that made it and is being traced: its steps are ops like others
    # All names of state that the optimizer may keep; None leaves the question open.
    _state_names: frozenset[str] | None = None

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        name = type(self).__name__
        if isinstance(params, Tensor | dict | set | frozenset | str):
            raise TypeError(f"[{name}] params must be an ordered collection, got a {type(params).__name__}")
        groups = list(params)
        if not groups:
            raise ValueError(f"[{name}] got an empty list of parameters")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        self._trace = _core.trace_number()
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self._state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self._plans: dict[int, Plan] = {}  # by the identity of the group
        self._hooks: Hooks | None = None
        for group in groups:
            self.add_param_group(group)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Steps that are written outside of this package are repeated by compiled functions as they are."""
        super().__init_subclass__(**kwargs)
        step = cls.__dict__.get("step")
        if not isinstance(step, FunctionType) or cls.__module__.startswith("versant."):
            return

        @wraps(step)
        def repeated(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
            if self._is_of_the_trace():
                return step(self, *args, **kwargs)
            if args and callable(args[0]):
                args = (closure_for(cls.__name__, args[0]), *args[1:])
            if callable(kwargs.get("closure")):
                kwargs["closure"] = closure_for(cls.__name__, kwargs["closure"])
            if not _core.is_tracing():
                return step(self, *args, **kwargs)
            return call_again(step, f"{cls.__name__}.step", self, *args, **kwargs)

        cls.step = repeated  # type: ignore[method-assign]

    # What each optimizer gives ------------------------------------------------------------------------------

    def _check_options(self, group: Group) -> None:
        """Raise ValueError for options that make no sense."""

    def _check_parameter(self, where: str, parameter: Tensor) -> None:
        """Raise for a parameter that this optimizer cannot update."""

    def _first_counters(self, group: Group) -> dict[str, float]:
        """The numbers that a parameter's state begins with."""
        return dict(self._counters)

    def _buffer_names(self, group: Group) -> tuple[str, ...]:
        """The tensors to remember for each parameter under the group's present options."""
        return ()

    def _new_buffer(self, name: str, parameter: Tensor, group: Group) -> Tensor:
        """What a buffer begins with."""
        return versant.zeros_like(parameter, requires_grad=False)

    def _expected_shape(self, name: str, parameter: Tensor) -> tuple[int, ...] | None:
        """The shape of a tensor in the parameter's state; None takes any."""
        return tuple(parameter.shape)

    def _update(self, group: Group, batch: Batch, step: int) -> None:
        """Change the parameters and buffers of one batch in place by its gradients; `step` counts from 1."""
        raise NotImplementedError(
            f"[{type(self).__name__}] step is not defined: write def step(self, closure=None)"
        )

    def _call_of(self, group: Group, batch: Batch, step: int) -> Call | None:
        """The machine's function that `_update` calls, its arguments, and which of them counts steps, or -1.

        None where that is not all that `_update` does.
        """
        return None

    # Steps --------------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        closure: computes the loss and its gradients anew; what it returns is returned.
        """
        loss = None
        if closure is not None:
            with versant.enable_grad():
                loss = closure()
        if _core.is_tracing() and not self._is_of_the_trace():
            if any(group.get("differentiable") for group in self.param_groups):
                raise RuntimeError(
                    f"[compile] {type(self).__name__}(differentiable=True) was made before the compiled "
                    "function, whose replays do not know how far it has come: make it inside of the function"
                )
            call_again(self._step_groups, f"{type(self).__name__}.step", changed=self._changed())
        else:
            self._step_groups()
        return loss

    def _changed(self) -> list[Tensor] | None:
        """All tensors that `_step_groups` may change; None where users say what it does."""
        if not type(self).__module__.startswith("versant."):
            return None
        found = [parameter for group in self.param_groups for parameter in group["params"]]
        return found + [x for state in self.state.values() for x in state.values() if isinstance(x, Tensor)]

    def _is_of_the_trace(self) -> bool:
        """Whether the function that is being traced made it, so that it has come as far in every call."""
        return self._trace != 0 and self._trace == _core.trace_number()

    def _step_groups(self) -> None:
        for group in self.param_groups:
            self._step_group(group)

    def _step_group(self, group: Group) -> None:
        for batch in self._plan_of(group).batches:
            step = int(batch.counters.get("step", 0)) + 1
            self._update(group, batch, step)
            batch.fresh = False
            if "step" in batch.counters:
                batch.counters["step"] = step

    def saved_steps(self) -> list[tuple[Batch, str, tuple[Any, ...], int]] | None:
        """What `step` does next, for saved programs: batches, and what `_call_of` says of them.

        None where it does more, or where no parameter has a gradient.
        """
        if self._hooks is not None or not type(self).__module__.startswith("versant."):
            return None
        calls = []
        for group in self.param_groups:
            for batch in self._plan_of(group).batches:
                call = self._call_of(group, batch, int(batch.counters.get("step", 0)) + 1)
                if call is None:
                    return None
                calls.append((batch, *call))
        return calls or None

    def _apply(self, rule: Rule, group: Group, batch: Batch, numbers: Mapping[str, Any], *flags: Any) -> None:
        """One step of a rule: by the machine, or by recorded ops where gradients are to pass through it."""
        if not group.get("differentiable"):
            rule(batch, numbers, *flags)
            return
        rule.recorded(batch, numbers, *flags)
        for name, buffers in batch.buffers.items():
            for parameter, buffer in zip(batch.params, buffers, strict=True):
                self._state[parameter][name] = buffer

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zeros."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if set_to_none:
                    parameter.grad = None
                else:
                    clear_grad(parameter)

    def _plan_of(self, group: Group) -> Plan:
        names = self._buffer_names(group)
        plan = self._plans.get(id(group))
        if plan is None or not plan.holds(group["params"], names):
            plan = self._replan(group, names)
        return plan

    def _replan(self, group: Group, names: tuple[str, ...]) -> Plan:
        """A plan for the parameters that now have gradients; their missing buffers are made."""
        if id(group) in self._plans:
            self._write_down(self._plans.pop(id(group)))
        batches: dict[Any, Batch] = {}
        idle = []
        first = self._first_counters(group)
        for parameter in group["params"]:
            if parameter.grad is None:
                idle.append(parameter)
                continue
            state = self._state[parameter]
            fresh = not any(state.get(name) is not None for name in (*first, *names))
            counters = {name: float(state.get(name, value)) for name, value in first.items()}
            key = (fresh, *counters.values())
            batch = batches.get(key)
            if batch is None:
                batch = batches[key] = Batch(fresh, counters, {name: [] for name in names})
            batch.params.append(parameter)
            if fresh and first:
                self._write_counters(state, batch)  # stand before the buffers, as in PyTorch
            for name in names:
                if state.get(name) is None:
                    state[name] = self._new_buffer(name, parameter, group)
                batch.buffers[name].append(state[name])
        plan = Plan(group["params"], names, list(batches.values()), idle)
        self._plans[id(group)] = plan
        return plan

    def _settle(self) -> None:
        """Write the counters that the plans keep into the state, and drop the plans."""
        for plan in self._plans.values():
            self._write_down(plan)
        self._plans.clear()

    def _write_down(self, plan: Plan) -> None:
        for batch in plan.batches:
            for parameter in batch.params:
                self._write_counters(self._state[parameter], batch)

    @staticmethod
    def _write_counters(state: dict[str, Any], batch: Batch) -> None:
        for name, value in batch.counters.items():
            state[name] = versant.tensor(float(value))

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
        names = [parameter[0] for parameter in params if isinstance(parameter, tuple)]
        if names and len(names) != len(params):
            raise ValueError(f"[{name}] give all parameters of a group with names, or none")
        if names:
            params = [parameter for _, parameter in params]
        if self.param_groups and bool(names) != ("param_names" in self.param_groups[0]):
            raise ValueError(f"[{name}] give all groups of parameters with names, or none")
        group = {**param_group, "params": params}
        if names:
            group["param_names"] = names
        group |= {key: value for key, value in self.defaults.items() if key not in group}
        seen = {id(parameter) for other in self.param_groups for parameter in other["params"]}
        for i, parameter in enumerate(params):
            _check_parameter(name, i, parameter, leaf=not group.get("differentiable"))
            self._check_parameter(f"[{name}] parameter {i}", parameter)
            if id(parameter) in seen:
                raise ValueError(f"[{name}] parameter {i} is given twice")
            seen.add(id(parameter))
        _check_ways(name, group)
        self._check_options(group)
        self.param_groups.append(group)

    def state_dict(self) -> dict[str, Any]:
        """Options and state in PyTorch's layout: parameters appear as their numbers in order."""
        for hook in self._hooks_at("before state_dict"):
            hook(self)
        numbers: dict[Tensor, int] = {}
        groups = []
        for group in self.param_groups:
            for parameter in group["params"]:
                numbers.setdefault(parameter, len(numbers))
            options = {key: value for key, value in group.items() if key != "params"}
            groups.append({**options, "params": [numbers[parameter] for parameter in group["params"]]})
        state: dict[Any, Any] = {}
        for parameter, values in self.state.items():
            if parameter in numbers and values:
                state[numbers[parameter]] = dict(values)
        result = {"state": state, "param_groups": groups}
        for hook in self._hooks_at("after state_dict"):
            changed = hook(self, result)
            result = result if changed is None else changed
        return result

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over options and state; tensors are copied to the dtype of their parameter.

        ValueError, and nothing changed, when groups, parameters, names or shapes do not fit.
        """
        if isinstance(state_dict, dict):
            state_dict = dict(state_dict)
            for hook in self._hooks_at("before load_state_dict"):
                changed = hook(self, state_dict)
                state_dict = state_dict if changed is None else changed
        from versant.optim.loading import loaded

        self._state, self.param_groups = loaded(self, state_dict)
        self._plans.clear()
        for hook in self._hooks_at("after load_state_dict"):
            hook(self)

    # Hooks --------------------------------------------------------------------------------------------------

    def _hooks_at(self, moment: str) -> list[Hook]:
        return [] if self._hooks is None else self._hooks.at(moment)

    def _add_hook(self, moment: str, hook: Hook, prepend: bool = False) -> RemovableHandle:
        if self._hooks is None:
            self._hooks = Hooks(self)
        return self._hooks.add(moment, hook, prepend)

    def register_step_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call hook(optimizer, args, kwargs) before each step; (args, kwargs) returned replace them."""
        return self._add_hook("before step", hook)

    def register_step_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call hook(optimizer, args, kwargs) after each step."""
        return self._add_hook("after step", hook)

    def register_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call hook(optimizer) before state_dict."""
        return self._add_hook("before state_dict", hook, prepend)

    def register_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call hook(optimizer, state_dict) after state_dict; what it returns takes the dict's place."""
        return self._add_hook("after state_dict", hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call hook(optimizer, state_dict) before load_state_dict; what it returns takes the dict's place."""
        return self._add_hook("before load_state_dict", hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call hook(optimizer) after load_state_dict."""
        return self._add_hook("after load_state_dict", hook, prepend)

    # Copies and text ----------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the hooks, which belong to this object."""
        kept = {key: value for key, value in self.__dict__.items() if key != "step"}
        return {**kept, "_state": self.state, "_plans": {}, "_hooks": None, "_trace": _core.trace_number()}

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            lines += ["", f"Parameter Group {i}"] if i else [f"Parameter Group {i}"]
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return f"{type(self).__name__} (\n" + "\n".join(lines) + "\n)"


def _check_parameter(name: str, i: int, parameter: Any, leaf: bool) -> None:
    if not isinstance(parameter, Tensor):
        raise TypeError(f"[{name}] parameter {i} must be a Tensor, got {type(parameter).__name__}")
    if leaf and not (parameter.is_leaf or parameter.retains_grad):
        raise ValueError(
            f"[{name}] parameter {i} is the result of an operation; only leaf tensors can be optimized"
        )
    if not (parameter.dtype.is_floating_point or parameter.dtype.is_complex):
        raise TypeError(f"[{name}] parameter {i} must be of a floating-point dtype, got {parameter.dtype}")


def _check_ways(name: str, group: Group) -> None:
    """The ways to run a step that PyTorch knows. Ours is always one pass; gradients through it are by ops."""
    if group.get("fused") and group.get("differentiable"):
        raise RuntimeError(f"[{name}] fused steps cannot be differentiated: give fused or differentiable")
    if group.get("fused") and group.get("foreach"):
        raise RuntimeError(f"[{name}] fused and foreach cannot both be True")


def closure_for(name: str, closure: Callable[[], Any]) -> Callable[[], Any]:
    """The closure of a step that calls it as values tell, or looks at what it gives: compiled, where a
    compiled function around it cannot be recorded for that reason."""
    if _core.in_body():
        raise RuntimeError(f"[{name}] step with a closure must stand outside of cond, while_loop and scan")
    if _core.is_tracing():
        from versant.compiler import written

        written.leave(f"{name}.step calls its closure as values tell; the closure is compiled instead")
        return closure
    module = sys.modules.get("versant.compiler.written")
    return closure if module is None else module.compiled(closure)


def at_least_zero(optimizer: str, group: Group, *names: str) -> None:
    """Raise TypeError for an option that is not a number, ValueError for one that is negative or NaN."""
    for name in names:
        value = group[name]
        if not hasattr(value, "__float__"):
            raise TypeError(f"[{optimizer}] {name} must be a number, got {type(value).__name__}")
        if isinstance(value, Tensor) and value.numel() != 1:
            raise ValueError(f"[{optimizer}] {name} must be one number, got shape {tuple(value.shape)}")
        if not value >= 0.0:
            raise ValueError(f"[{optimizer}] {name} must be at least 0, got {value}")


def check_betas(optimizer: str, group: Group) -> None:
    """Raise ValueError unless the group's betas are two numbers in [0, 1)."""
    betas = group["betas"]
    if len(betas) != 2 or not all(0.0 <= beta < 1.0 for beta in betas):
        raise ValueError(f"[{optimizer}] betas must be two numbers in [0, 1), got {betas}")
