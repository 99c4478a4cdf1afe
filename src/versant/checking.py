"""What a model is like, found out without computing anything: shapes, parameters, arithmetic, memory."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import versant
from versant import Tensor, _core
from versant.debug.words import type_of
from versant.nn.module import Module

__all__ = ["Check", "Line", "check"]


@dataclass
class Line:
    """A module: its path ("" is the model), class, outputs of its last call, calls, own parameters
    (elements), arithmetic of one forward pass (additions and multiplications, inner modules included).
    """

    path: str
    kind: str
    parameters: int
    outputs: str = "not called"
    calls: int = 0
    flops: int = 0


@dataclass
class Check:
    """What `check` found; prints as a table.

    parameters, trainable: elements; flops: of a forward pass; forward_bytes, training_bytes: the most that
    its arrays hold, parameters and inputs included, while it runs without gradients, and forward and
    backward with them; unused: names of parameters that get no gradient; not_compiled, not_saved: why
    `vs.compile` refuses the model, and why a program cannot be saved ("" where nothing does); error: the
    one that a pass raised.
    """

    lines: list[Line] = field(default_factory=list)
    parameters: int = 0
    trainable: int = 0
    flops: int = 0
    forward_bytes: int = 0
    training_bytes: int = 0
    unused: list[str] = field(default_factory=list)
    not_compiled: str = ""
    not_saved: str = ""
    error: str = ""

    def __str__(self) -> str:
        rows = [("module", "class", "outputs", "parameters", "MFLOP")]
        for line in self.lines:
            name = f"{'  ' * line.path.count('.')}{line.path.rpartition('.')[2]}" if line.path else "(model)"
            calls = f" x{line.calls}" if line.calls > 1 else ""
            rows.append(
                (name, line.kind, line.outputs + calls, f"{line.parameters:,}", f"{line.flops / 1e6:.3f}")
            )
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        text = [
            f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:<{widths[2]}}  {d:>{widths[3]}}  {e:>{widths[4]}}"
            for a, b, c, d, e in rows
        ]
        text.append(f"parameters: {self.parameters:,}, of which trained: {self.trainable:,}")
        text.append(
            f"a forward pass: {self.flops / 1e6:.3f} MFLOP, {self.forward_bytes / 1e6:.3f} MB at most"
        )
        if self.training_bytes:
            text.append(f"forward and backward: {self.training_bytes / 1e6:.3f} MB at most")
        text.append(f"unused parameters: {', '.join(self.unused) or 'none'}")
        text.append(f"compiles: {self.not_compiled or 'yes'}")
        text.append(f"can be saved as a program: {self.not_saved or 'yes'}")
        if self.error:
            text.append(f"error: {self.error}")
        return "\n".join(text)


def check(model: Module, *inputs: Any, **named: Any) -> Check:
    """The shapes of all outputs, parameters, arithmetic and memory of a model, without computing it.

    inputs: the arguments of the model's call; a tuple of sizes stands for a float32 tensor of that shape. Ops
    make room for their results, which products, convolutions, attention and elementwise ops leave as it is,
    so even large models take a moment; what depends on values cannot be told. The model, gradients and random
    numbers stay as they are.

    >>> import versant as vs
    >>> model = vs.nn.Sequential(vs.nn.Linear(784, 128), vs.nn.ReLU(), vs.nn.Linear(128, 10))
    >>> report = vs.check(model, (32, 784))
    >>> report.parameters, report.flops, report.lines[-1].outputs
    (101770, 6512960, 'float32[32, 10]')
    """
    if not isinstance(model, Module):
        raise TypeError(f"[check] expected a module, got {type(model).__name__}")
    args = [versant.empty(x) if _is_shape(x) else x for x in inputs]
    found = Check()
    for parameter in model.parameters():
        found.parameters += parameter.numel()
        found.trainable += parameter.numel() * parameter.requires_grad
    with _kept(model):
        _forward(found, model, args, named)
        if not found.error:
            _training(found, model, args, named)
        if not found.error:
            _compiled(found, model, args, named)
    return found


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(size, int) for size in value)


@contextmanager
def _kept(model: Module) -> Iterator[None]:
    """What the model holds is afterwards as it was."""
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
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
            for buffer, copy in buffers:
                buffer.copy_(copy)


@contextmanager
def _dry(ran: Callable[..., None] = lambda *event: None) -> Iterator[None]:
    watcher = _core.watch_calls(ran)
    before = _core.watch_dry(True)
    try:
        yield
    finally:
        _core.watch_dry(before)
        _core.watch_end(watcher)


def _forward(found: Check, model: Module, args: list[Any], named: dict[str, Any]) -> None:
    lines: dict[Module, Line] = {}
    for path, module in model.named_modules():
        own = sum(p.numel() for p in module.parameters(recurse=False))
        lines[module] = Line(path, type(module).__name__, own)
        found.lines.append(lines[module])
    inside: list[Line] = []

    def ran(name: str, operands: list[Any], outputs: list[Tensor], row: Any, parts: Any) -> None:
        count = flops_of(name, operands, outputs)
        found.flops += count
        for line in inside:
            line.flops += count

    def enter(module: Module, args: Any) -> None:
        inside.append(lines[module])

    def leave(module: Module, args: Any, output: Any) -> None:
        line = inside.pop()
        line.calls += 1
        line.outputs = _types(output)

    handles = [module.register_forward_pre_hook(enter, prepend=True) for module in lines]
    handles += [module.register_forward_hook(leave) for module in lines]
    try:
        with _dry(ran), versant.no_grad(), _measured(model, args) as peak:
            model(*args, **named)
        found.forward_bytes = peak()
    except Exception as error:
        within = inside[-1].path or "the model" if inside else "the model"
        found.error = f"{type(error).__name__} in {within}: {error}"
    finally:
        for handle in handles:
            handle.remove()


def _training(found: Check, model: Module, args: list[Any], named: dict[str, Any]) -> None:
    try:
        with _dry(), versant.enable_grad(), _measured(model, args) as peak:
            value = model(*args, **named)
            results = [y for y in _tensors(value) if y.requires_grad]
            if results:
                versant.autograd.backward(results, [versant.ones_like(y) for y in results])
        found.training_bytes = peak() if results else 0
        names = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        found.unused = [name for name, parameter in names if parameter.grad is None]
    except Exception as error:
        found.error = f"{type(error).__name__} in the backward pass: {error}"
    for parameter in model.parameters():
        parameter.grad = None


def _compiled(found: Check, model: Module, args: list[Any], named: dict[str, Any]) -> None:
    compiled = versant.compile(model, name=type(model).__name__)
    with _dry(), versant.no_grad():
        try:
            compiled(*args, **named)
        except Exception as error:
            found.not_compiled = found.not_saved = str(error)
            return
        with tempfile.TemporaryDirectory() as folder:
            try:
                compiled.save(Path(folder) / "program")
            except Exception as error:
                found.not_saved = str(error)


@contextmanager
def _measured(model: Module, args: list[Any]) -> Iterator[Callable[[], int]]:
    """Gives the bytes held at most meanwhile: by the model, its inputs and what was made."""
    own = {x.data_ptr(): x.numel() * x.element_size() for x in (*model.parameters(), *model.buffers())}
    own |= {x.data_ptr(): x.numel() * x.element_size() for x in _tensors(args)}
    _core.reset_peak_memory()
    before = _core.memory_stats()["live_bytes"]
    yield lambda: sum(own.values()) + int(_core.memory_stats()["peak_bytes"]) - before


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [y for item in value for y in _tensors(item)] if isinstance(value, list | tuple) else []


def _types(value: Any) -> str:
    found = [type_of(y) for y in _tensors(value)]
    return ", ".join(found) if found else type(value).__name__


def flops_of(name: str, operands: list[Any], outputs: list[Tensor]) -> int:
    """Additions and multiplications of an action; of other ops than products one for each result."""
    size = sum(y.numel() for y in outputs[:1])
    arrays = [x for x in operands if isinstance(x, Tensor)]
    if name in ("matmul", "multiply"):
        # The right one is (k, n) or (n, k), perhaps one for each sample of a batch, or a vector.
        right = arrays[1]
        columns = outputs[0].shape[-1] if right.dim() > 1 and outputs[0].dim() else 1
        inner = math.prod(right.shape[-2:]) // max(1, columns)
        return 2 * size * inner + size * (len(arrays) > 2)
    if name == "lstm_cell":
        sums = sum(math.prod(w.shape) for w in arrays[3:] if w.dim() == 2)
        return 2 * arrays[1].shape[0] * sums + sum(y.numel() for y in outputs)
    if name == "convolution":
        weight = arrays[1]
        return 2 * size * math.prod(weight.shape[1:]) + size * (len(arrays) > 2)
    if name == "convolution_input":  # transposed
        return 2 * arrays[0].numel() * math.prod(arrays[1].shape[1:])
    if name == "attention" or name == "scaled_dot_product_attention":
        q, k, v = arrays[:3]
        pairs = math.prod(q.shape[:-1]) * k.shape[-2]
        return 2 * pairs * (q.shape[-1] + v.shape[-1])
    return size
