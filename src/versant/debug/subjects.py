"""What `check` looks at: a module, a model of Keras, or a function with what it reaches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import versant
from versant import Tensor, _core
from versant.nn.module import Module

Enter = Callable[[Any], None]  # (part)
Leave = Callable[[Any, Any], None]  # (part, what its call gave)


class Subject:
    """A callable, its parts and its tensors, by their names.

    parts: modules, the one that is checked first, as ""; for a function None stands there. parameters: what
    can be trained, trained or not; buffers: other tensors that a call may change.
    """

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self.function = function
        self.name = name
        self.parts: dict[str, Any] = {"": None}
        self.parameters: dict[str, Tensor] = {}
        self.buffers: list[Tensor] = []
        self.not_trained: set[int] = set()
        self.own: dict[str, int] = {}  # elements of a part's own parameters

    def add(self, root: Any, prefix: str = "") -> None:
        """A module and all that is in it, under names that begin so."""
        for name, part in parts_in(root):
            path = f"{prefix}.{name}".strip(".")
            if isinstance(part, Tensor):
                if path.rpartition(".")[2] and not any(part is known for known in self.parameters.values()):
                    self.parameters[path] = part
            else:
                self.parts[path] = part
                self.own[path] = sum(p.numel() for p in own_tensors(part))
        if isinstance(root, Module):
            self.buffers += root.buffers()
        else:
            self.buffers += [v for v in root.variables if not v.trainable]
            trained = {id(v) for v in root.trainable_variables}
            self.not_trained |= {id(v) for v in root.variables if id(v) not in trained}

    def trains(self, parameter: Tensor) -> bool:
        wanted = getattr(parameter, "trainable", parameter.requires_grad)  # variables have the first
        return bool(wanted) and id(parameter) not in self.not_trained

    @contextmanager
    def watched(self, enter: Enter, leave: Leave) -> Iterator[None]:
        """Tells of the calls of the parts."""
        undo: list[Callable[[], None]] = []
        try:
            for part in self.parts.values():
                if isinstance(part, Module):
                    undo.append(
                        part.register_forward_pre_hook(lambda part, args: enter(part), prepend=True).remove
                    )
                    undo.append(
                        part.register_forward_hook(lambda part, args, output: leave(part, output)).remove
                    )
            others = [
                type(part)
                for part in self.parts.values()
                if part is not None and not isinstance(part, Module)
            ]
            undo += [
                told(kind, name, enter, leave) for kind, name in dict.fromkeys(map(call_of, others)) if name
            ]
            yield
        finally:
            for take_back in reversed(undo):
                take_back()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """What it holds is afterwards as it was; meanwhile there are no gradients."""
        copies = [(buffer, buffer.detach().clone()) for buffer in self.buffers]
        gradients = [(parameter, parameter.grad) for parameter in self.parameters.values()]
        random = versant.get_rng_state()
        for parameter, _ in gradients:
            parameter.grad = None
        try:
            yield
        finally:
            versant.set_rng_state(random)
            for parameter, gradient in gradients:
                parameter.grad = gradient
            with versant.no_grad():
                for buffer, copy in copies:
                    buffer.copy_(copy)
            for part in self.parts.values():
                getattr(part, "__dict__", {}).get("_call_losses", []).clear()


def parts_in(root: Any) -> Iterator[tuple[str, Any]]:
    """Modules and parameters in a module, with their names; each once."""
    if isinstance(root, Module):
        yield from root.named_modules()
        yield from root.named_parameters()
        return
    from versant.tf.modules import named_parts

    yield from named_parts(root)


def own_tensors(part: Any) -> list[Tensor]:
    if isinstance(part, Module):
        return list(part.parameters(recurse=False))
    return list({id(child): child for child in part._children() if isinstance(child, Tensor)}.values())


def call_of(kind: type) -> tuple[type, str]:
    """The class that says what a call of a module of TensorFlow's dialect does, and under which name."""
    for name in ("_call_built", "__call__"):
        for base in kind.__mro__:
            if name in vars(base):
                return base, name
    return kind, ""


def told(kind: type, name: str, enter: Enter, leave: Leave) -> Callable[[], None]:
    """Calls by that name tell; gives what takes that back."""
    before = vars(kind)[name]

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        enter(self)
        output = before.__get__(self, type(self))(*args, **kwargs)
        leave(self, output)
        return output

    setattr(kind, name, call)
    return lambda: setattr(kind, name, before)


def is_dialects(value: Any) -> bool:
    """Whether it is a module of TensorFlow's dialect, or a layer of Keras."""
    return any(kind.__module__ == "versant.tf.modules" for kind in type(value).__mro__)


def subject_of(model: Any, args: list[Any], named: dict[str, Any]) -> Subject:
    """What is to be checked: a module, or a function called with these arguments.

    Raises TypeError for anything else, ValueError for a function that an optimizer's step is part of.
    """
    while True:
        if isinstance(model, _core.CompiledBase):
            model = vars(model)["_function"]
        elif hasattr(type(model), "experimental_get_tracing_count"):
            model = model.python_function
        else:
            break
    name = getattr(model, "__name__", type(model).__name__)
    if not callable(model):
        raise TypeError(f"[check] expected a module or a function, got {type(model).__name__}")
    if not (isinstance(model, Module) or is_dialects(model)):
        return subject_of_function(model, name, args, named)
    if is_unbuilt(model):
        model(*args, **named)  # layers make their weights
    subject = Subject(model, type(model).__name__)
    subject.add(model)
    return subject


def is_unbuilt(model: Any) -> bool:
    """Whether there are layers of Keras that make their weights in the first call."""
    return is_dialects(model) and not all(getattr(part, "built", True) for part in (model, *model.submodules))


def subject_of_function(
    function: Callable[..., Any], name: str, args: list[Any], named: dict[str, Any]
) -> Subject:
    from versant.compiler.errors import CompileError
    from versant.compiler.watch import Watch

    subject = Subject(function, name)
    try:
        watch = Watch(function, tuple(args), named)
    except CompileError:  # which will be told when the function is compiled
        return subject
    reached = watch.reached()
    for value, _ in reached:
        if any(
            kind.__name__ == "Optimizer" and kind.__module__.startswith("versant.")
            for kind in type(value).__mro__
        ):
            raise ValueError(
                f"[check] {name} takes a step of an optimizer ({type(value).__name__}), which would be left "
                "half done: check the function that gives the loss"
            )
    roots = {
        id(value): (value, owner)
        for value, owner in reached
        if isinstance(value, Module) or is_dialects(value)
    }
    if any(is_unbuilt(root) for root, _ in roots.values()):
        function(*args, **named)
    for root, _ in list(roots.values()):
        for _, part in parts_in(root):
            if part is not root:
                roots.pop(id(part), None)
    for root, owner in roots.values():
        is_method = root is getattr(function, "__self__", None)
        subject.add(root, type(root).__name__ if is_method else owner)
    known = {id(tensor) for tensor in (*subject.parameters.values(), *subject.buffers)}
    for tensor in watch.tensors:
        if id(tensor) not in known and tensor.is_leaf and tensor.requires_grad:
            subject.parameters[watch.names[id(tensor)]] = tensor
        elif id(tensor) not in known:
            subject.buffers.append(tensor)
    subject.own[""] = sum(x.numel() for x in subject.parameters.values()) - sum(subject.own.values())
    return subject
