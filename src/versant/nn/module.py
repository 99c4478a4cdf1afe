"""Module: a part of a model, with its parameters, buffers and inner modules."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import versant
from versant import Tensor, _core
from versant.nn.hooks import Hooks, RemovableHandle, Shown
from versant.nn.parameter import Buffer, Parameter, clear_grad
from versant.nn.registry import Kind, Registered, alike, module_in
from versant.nn.state import IncompatibleKeys, load_into

__all__ = ["Module"]


class Module:
    """The base of all layers and models: assign parameters and modules to attributes, define `forward`.

    >>> from versant import nn
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.inner = nn.Linear(4, 2)
    ...     def forward(self, x):
    ...         return self.inner(x).relu()
    >>> [name for name, _ in Net().named_parameters()]
    ['inner.weight', 'inner.bias']
    """

    training: bool = True
    _has_hooks: bool = False
    _awaits_input: bool = False  # for the shapes of its parameters
    _hooks: Hooks | None = None
    _kinds: dict[str, Kind]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        module = super().__new__(cls)
        module.__dict__.update(_kinds={}, training=cls.training)
        return module

    def __init__(self) -> None:
        super().__init__()

    # Calling ------------------------------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes. Every module defines its own."""
        raise NotImplementedError(
            f"[{type(self).__name__}] forward is not defined: write def forward(self, ...)"
        )

    # Straight to `forward` as long as the module has no hooks.
    __call__: Callable[..., Any] = _core.module_call

    def _call_hooked(self, *args: Any, **kwargs: Any) -> Any:
        assert self._hooks is not None
        return self._hooks.call(args, kwargs)

    # Registration -------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        kinds = self._kinds
        kind = kinds.get(name)
        if isinstance(value, Parameter):
            kind = Kind.PARAMETER
        elif isinstance(module_in(value), Module):
            kind = Kind.MODULE
        elif isinstance(value, Buffer):
            kind = Kind.BUFFER if value.persistent else Kind.SCRATCH
        elif kind is None:
            object.__setattr__(self, name, value)
            return
        elif not (value is None or (kind in (Kind.BUFFER, Kind.SCRATCH) and isinstance(value, Tensor))):
            wanted = {Kind.PARAMETER: "Parameter", Kind.MODULE: "Module"}.get(kind, "Tensor")
            raise TypeError(
                f"[{type(self).__name__}] cannot assign a {type(value).__name__} as {kind.value} {name!r}: "
                f"expected {wanted} or None"
            )
        if hasattr(getattr(type(self), name, None), "__set__"):  # a property of the class decides for itself
            object.__setattr__(self, name, value)
            return
        if name not in kinds:
            self._check_name(name)
        kinds[name] = kind
        self.__dict__[name] = value

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._kinds.pop(name, None)

    def _check_name(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"[{type(self).__name__}] a name must be a string, got {type(name).__name__}")
        if not name or "." in name:
            raise KeyError(
                f"[{type(self).__name__}] a registered name has no '.' and is not empty, got {name!r}"
            )

    def _register(self, kind: Kind, name: str, value: Any, allowed: type) -> None:
        self._check_name(name)
        if hasattr(self, name) and self._kinds.get(name) not in alike(kind):
            raise KeyError(f"[{type(self).__name__}] attribute {name!r} already exists")
        if not (value is None or isinstance(module_in(value), allowed)):
            raise TypeError(
                f"[{type(self).__name__}] {kind.value} {name!r} must be a {allowed.__name__} or None, "
                f"got {type(value).__name__}"
            )
        self._kinds[name] = kind
        self.__dict__[name] = value

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under `name`; None keeps the place of one that is absent."""
        self._register(Kind.PARAMETER, name, param, Parameter)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is kept but not trained; state_dict leaves out one that is not persistent."""
        self._register(Kind.BUFFER if persistent else Kind.SCRATCH, name, tensor, Tensor)

    def register_module(self, name: str, module: "Module | None") -> None:
        """Add an inner module under `name`."""
        self._register(Kind.MODULE, name, module, Module)

    add_module = register_module

    @property
    def _parameters(self) -> Registered:
        return Registered(self, Kind.PARAMETER)

    @property
    def _buffers(self) -> Registered:
        return Registered(self, Kind.BUFFER, Kind.SCRATCH)

    @property
    def _modules(self) -> Registered:
        return Registered(self, Kind.MODULE)

    # Walking the tree ---------------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """The inner modules of this one with their names, each once."""
        seen: set[Module] = set()
        for name, child in self._modules.items():
            module = module_in(child)
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator["Module"]:
        return (module for _, module in self.named_children())

    def named_modules(
        self, memo: set["Module"] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, "Module"]]:
        """This module and all below it with their dotted names, parents first."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module_in(module).named_modules(
                    memo, f"{prefix}.{name}" if prefix else name, remove_duplicate
                )

    def modules(self) -> Iterator["Module"]:
        return (module for _, module in self.named_modules())

    def _named_values(
        self, kinds: tuple[Kind, ...], prefix: str, recurse: bool, once: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        tree = self.named_modules(prefix=prefix, remove_duplicate=once) if recurse else [(prefix, self)]
        for path, module in tree:
            for name, kind in list(module._kinds.items()):
                value = module.__dict__[name]
                if kind in kinds and value is not None and not (once and id(value) in seen):
                    seen.add(id(value))
                    yield f"{path}.{name}" if path else name, value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their dotted names; a shared one comes once, under its first name."""
        return self._named_values((Kind.PARAMETER,), prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their dotted names."""
        return self._named_values((Kind.BUFFER, Kind.SCRATCH), prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> "Module":
        """The module under a dotted name; "" is this one. AttributeError says which step is missing."""
        module = self
        for name in target.split(".") if target else ():
            if module._kinds.get(name) is not Kind.MODULE:
                raise AttributeError(
                    f"[{type(self).__name__}] {type(module).__name__} has no submodule {name!r}"
                )
            module = module_in(module.__dict__[name])
        return module

    def set_submodule(self, target: str, module: "Module", strict: bool = False) -> None:
        """Put a module under a dotted name.  strict: in the place of another one only"""
        if not target:
            raise ValueError(f"[{type(self).__name__}.set_submodule] expected a name, got {target!r}")
        if not isinstance(module_in(module), Module):
            raise ValueError(
                f"[{type(self).__name__}.set_submodule] expected a Module, got {type(module).__name__}"
            )
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if (strict or hasattr(owner, name)) and owner._kinds.get(name) is not Kind.MODULE:
            raise AttributeError(
                f"[{type(self).__name__}.set_submodule] {type(owner).__name__} has no submodule {name!r}"
            )
        setattr(owner, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter under a dotted name."""
        parameter: Parameter = self._get(target, Kind.PARAMETER)
        return parameter

    def get_buffer(self, target: str) -> Tensor:
        """The buffer under a dotted name."""
        buffer: Tensor = self._get(target, Kind.BUFFER, Kind.SCRATCH)
        return buffer

    def _get(self, target: str, *kinds: Kind) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if module._kinds.get(name) not in kinds:
            raise AttributeError(
                f"[{type(self).__name__}] {type(module).__name__} has no {kinds[0].value} {name!r}"
            )
        return module.__dict__[name]

    # Changing all of it -------------------------------------------------------------------------------------

    def apply(self, fn: Callable[["Module"], None]) -> Self:
        """Call `fn` on every module, inner ones first."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Put this module and all below it in training mode, where dropout drops and batch norm learns."""
        if not isinstance(mode, bool):
            raise ValueError(f"[{type(self).__name__}.train] mode must be a bool, got {type(mode).__name__}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zeros."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            else:
                clear_grad(parameter)

    def _convert(self, convert: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Replace the data of every parameter, gradient and buffer; the Parameter objects stay the same."""
        changed: set[int] = set()
        for module in self.modules() if recurse else [self]:
            for name, kind in module._kinds.items():
                value = module.__dict__[name]
                if kind is Kind.MODULE or value is None or id(value) in changed:
                    continue
                if kind is Kind.PARAMETER:
                    value.data = convert(value.data)
                    if value.grad is not None:
                        value.grad = convert(value.grad)
                else:
                    value = module.__dict__[name] = convert(value)
                changed.add(id(value))
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Convert floating-point and complex parameters and buffers: to(dtype), to(device), to(tensor).

        memory_format: also lay out those of as many axes as the format has: versant.channels_last.
        """
        order = kwargs.pop("memory_format", None)
        ranks = {versant.channels_last: 4, versant.channels_last_3d: 5}
        dtype, device = _target(type(self).__name__, *args, **kwargs)

        def convert(tensor: Tensor) -> Tensor:
            if order is not None and ranks.get(order, tensor.ndim) == tensor.ndim:
                tensor = tensor.contiguous(memory_format=order)
            if dtype is not None and (tensor.is_floating_point() or tensor.is_complex()):
                return tensor.to(dtype)
            return tensor if device is None else tensor.to(device)

        return self._convert(convert)

    def _floating(self, dtype: versant.dtype) -> Self:
        """Convert floating-point parameters and buffers; complex ones stay."""
        return self._convert(lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)

    def float(self) -> Self:
        return self._floating(versant.float32)

    def double(self) -> Self:
        return self._floating(versant.float64)

    def half(self) -> Self:
        return self._floating(versant.float16)

    def bfloat16(self) -> Self:
        return self._floating(versant.bfloat16)

    def type(self, dst_type: Any) -> Self:
        """Convert all parameters and buffers."""
        return self._convert(lambda tensor: tensor.type(dst_type))

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """Give all parameters and buffers new memory, with whatever is in it.

        recurse: those of the modules inside too.
        """
        return self._convert(lambda tensor: versant.empty_like(tensor, device=device), recurse)

    def cpu(self) -> Self:
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Self:
        """Raises RuntimeError: the only device is the CPU."""
        return self.to("cuda" if device is None else device)

    def share_memory(self) -> Self:
        """Moves parameters and buffers into memory that forked processes share: `Tensor.share_memory_`."""
        for tensor in (*self.parameters(), *self.buffers()):
            tensor.share_memory_()
        return self

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compiles `forward` in place: calls of the module run `versant.compile(self.forward, ...)`."""
        self.__dict__["forward"] = versant.compile(self.forward, *args, **kwargs)

    # State --------------------------------------------------------------------------------------------------

    def state_dict(
        self, *, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Parameters and persistent buffers by dotted name, detached but sharing memory with the module."""
        state = {} if destination is None else destination
        if self._hooks is not None:
            for hook in self._hooks.before_state.values():
                hook(self, prefix, keep_vars)
        for wanted in (Kind.PARAMETER, Kind.BUFFER):
            for name, kind in self._kinds.items():
                value = self.__dict__[name]
                if kind is wanted and value is not None:
                    state[prefix + name] = value if keep_vars else value.detach()
        if type(self).get_extra_state is not Module.get_extra_state:
            state[f"{prefix}_extra_state"] = self.get_extra_state()
        for name, module in self._modules.items():
            if module is not None:
                module_in(module).state_dict(
                    destination=state, prefix=f"{prefix}{name}.", keep_vars=keep_vars
                )
        if self._hooks is not None:
            for hook in self._hooks.after_state.values():
                hook(self, state, prefix, {})
        return state

    def get_extra_state(self) -> Any:
        """What a state_dict holds of this module beside tensors. A module that defines it also defines
        set_extra_state."""
        raise RuntimeError(f"[{type(self).__name__}] get_extra_state is not defined")

    def set_extra_state(self, state: Any) -> None:
        """Takes what get_extra_state gave."""
        raise RuntimeError(f"[{type(self).__name__}] set_extra_state is not defined")

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy a state_dict into this module: all of it, or nothing and one error that lists every misfit.

        strict: missing and unexpected names are errors; otherwise they are returned.
        assign: take the tensors themselves instead of copying their values.
        """
        return load_into(self, state_dict, strict=strict, assign=assign)

    # Hooks --------------------------------------------------------------------------------------------------

    @property
    def _forward_pre_hooks(self) -> Shown:
        return Shown(self._own_hooks(), self._own_hooks().before)

    @property
    def _forward_hooks(self) -> Shown:
        return Shown(self._own_hooks(), self._own_hooks().after)

    @property
    def _backward_hooks(self) -> Shown:
        return Shown(self._own_hooks(), self._own_hooks().after_backward)

    def _own_hooks(self) -> Hooks:
        if self._hooks is None:
            self._hooks = Hooks(self)
        return self._hooks

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call hook(module, args[, kwargs]) before forward; what it returns replaces the arguments."""
        hooks = self._own_hooks()
        return hooks.add(hooks.before, (hook, with_kwargs), prepend=prepend)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call hook(module, args[, kwargs], result) after forward; what it returns replaces the result.

        always_call: also when forward raised; the result is then None.
        """
        hooks = self._own_hooks()
        return hooks.add(hooks.after, (hook, with_kwargs, always_call), prepend=prepend)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call hook(module, grad_output) before the gradients pass backward through the module."""
        hooks = self._own_hooks()
        return hooks.add(hooks.before_backward, hook, prepend=prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call hook(module, grad_input, grad_output) when the gradients of positional inputs are there."""
        hooks = self._own_hooks()
        return hooks.add(hooks.after_backward, hook, prepend=prepend)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call hook(module, prefix, keep_vars) before state_dict gathers the module's tensors."""
        return self._own_hooks().add(self._own_hooks().before_state, hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call hook(module, state_dict, prefix, {}) after state_dict; it may change the dict in place."""
        return self._own_hooks().add(self._own_hooks().after_state, hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call hook(module, state_dict, prefix, {}, strict, missing, unexpected, errors) before loading.

        It may change the dict, which is a copy of the one that is loaded, and add to the lists of names that
        are reported as missing, as unexpected and of faults in words.
        """
        return self._own_hooks().add(self._own_hooks().before_load, (hook, True))

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], with_module: bool = False
    ) -> RemovableHandle:
        """The same; without with_module the hook is not given the module."""
        return self._own_hooks().add(self._own_hooks().before_load, (hook, with_module))

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call hook(module, incompatible_keys) after load_state_dict; it may change the lists of names."""
        return self._own_hooks().add(self._own_hooks().after_load, hook)

    # Text ---------------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands in the brackets of the module's repr."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        inner = [(name, repr(module_in(module))) for name, module in self._modules.items()]
        lines = [f"({name}): " + text.replace("\n", "\n  ") for name, text in inner]
        return _bracketed(type(self).__name__, self.extra_repr(), lines)


def _bracketed(name: str, extra: str, lines: list[str]) -> str:
    """A module's repr: one line without inner modules, otherwise one line for each."""
    extra_lines = extra.split("\n") if extra else []
    if not lines and len(extra_lines) < 2:
        return f"{name}({extra})"
    return f"{name}(\n  " + "\n  ".join(extra_lines + lines) + "\n)"


def _target(name: str, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """The dtype and device that the arguments of Module.to ask for."""
    dtype, device = kwargs.pop("dtype", None), kwargs.pop("device", None)
    kwargs.pop("non_blocking", None)
    if kwargs:
        raise TypeError(f"[{name}.to] unknown argument {next(iter(kwargs))!r}")
    for value in args:
        if isinstance(value, Tensor):
            dtype, device = value.dtype, value.device
        elif isinstance(value, versant.dtype):
            dtype = value
        elif value is not None and not isinstance(value, bool):
            device = value
    if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
        raise TypeError(
            f"[{name}.to] a module converts to floating-point or complex dtypes only, got {dtype}"
        )
    return dtype, device


_core.module_class(Module)
