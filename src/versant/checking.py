"""What a model is like, found out without computing anything: shapes, parameters, arithmetic, memory."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import versant
from versant import Tensor, _core
from versant.debug.subjects import Subject, subject_of
from versant.debug.words import type_of

__all__ = ["Check", "Line", "check"]

MOST_CALLS = 3  # of a function before it is traced: what it reaches in hidden ways is found in the first ones


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


def check(model: Any, *inputs: Any, **named: Any) -> Check:
    """The shapes of all outputs, parameters, arithmetic and memory of a model, without computing it.

    model: a module, a layer of Keras or another module of TensorFlow's dialect, a compiled one, or a function
    that gives outputs or a loss; of a function the modules and tensors that it reaches are looked at.
    inputs: the arguments of the call; a tuple of sizes stands for a float32 tensor of that shape. Ops
    make room for their results, which products, convolutions, attention and elementwise ops leave as it is,
    so even large models take a moment; what depends on values cannot be told. The model, gradients and random
    numbers stay as they are; layers of Keras without weights make them, in a call as usual.

    Raises TypeError for what is no module and no function, ValueError for a function that takes a step of an
    optimizer.

    >>> import versant as vs
    >>> model = vs.nn.Sequential(vs.nn.Linear(784, 128), vs.nn.ReLU(), vs.nn.Linear(128, 10))
    >>> report = vs.check(model, (32, 784))
    >>> report.parameters, report.flops, report.lines[-1].outputs
    (101770, 6512960, 'float32[32, 10]')
    """
    args = [versant.zeros(x) if _is_shape(x) else x for x in inputs]
    subject = subject_of(model, args, named)
    found = Check()
    for parameter in subject.parameters.values():
        found.parameters += parameter.numel()
        found.trainable += parameter.numel() * subject.trains(parameter)
    with subject.kept():
        _forward(found, subject, args, named)
        if not found.error:
            _training(found, subject, args, named)
        if not found.error:
            _compiled(found, subject, args, named)
    return found


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(size, int) for size in value)


@contextmanager
def _dry(ran: Callable[..., None] = lambda *event: None) -> Iterator[None]:
    watcher = _core.watch_calls(ran)
    before = _core.watch_dry(True)
    try:
        yield
    finally:
        _core.watch_dry(before)
        _core.watch_end(watcher)


def _forward(found: Check, subject: Subject, args: list[Any], named: dict[str, Any]) -> None:
    lines: dict[int, Line] = {}
    for path, part in subject.parts.items():
        kind = "function" if part is None else type(part).__name__
        lines[id(part)] = Line(path, kind, subject.own.get(path, 0))
        found.lines.append(lines[id(part)])
    inside: list[Line] = []

    def ran(name: str, operands: list[Any], outputs: list[Tensor], row: Any, parts: Any) -> None:
        count = flops_of(name, operands, outputs)
        found.flops += count
        for line in {id(line): line for line in inside}.values():
            line.flops += count

    def enter(part: Any) -> None:
        if id(part) in lines:
            inside.append(lines[id(part)])

    def leave(part: Any, output: Any) -> None:
        if id(part) in lines:
            line = inside.pop()
            line.calls += 1
            line.outputs = _types(output)

    try:
        with (
            _dry(ran),
            _no_gradients(subject),
            _measured(subject, args) as peak,
            subject.watched(enter, leave),
        ):
            if is_function := subject.parts[""] is None:
                enter(None)
            output = subject.function(*args, **named)
            if is_function:
                leave(None, output)
        found.forward_bytes = peak()
    except Exception as error:
        within = inside[-1].path or "the model" if inside else "the model"
        found.error = f"{type(error).__name__} in {within}: {error}"


def _no_gradients(subject: Subject) -> Any:
    """A function may go back from its loss itself."""
    return nullcontext() if subject.parts[""] is None else versant.no_grad()


def _training(found: Check, subject: Subject, args: list[Any], named: dict[str, Any]) -> None:
    trained = {name: p for name, p in subject.parameters.items() if subject.trains(p)}
    for parameter in trained.values():
        parameter.grad = None
    try:
        with _dry(), versant.enable_grad(), _measured(subject, args) as peak:
            if any(hasattr(parameter, "trainable") for parameter in trained.values()):
                reached = _gone_back_by_tape(subject, list(trained.values()), args, named)
            else:
                reached = _gone_back(subject, list(trained.values()), args, named)
        found.training_bytes = peak() if any(reached) else 0
        found.unused = [name for name, gradient in zip(trained, reached, strict=True) if not gradient]
    except Exception as error:
        found.error = f"{type(error).__name__} in the backward pass: {error}"
    for parameter in trained.values():
        parameter.grad = None


def _gone_back(
    subject: Subject, parameters: list[Tensor], args: list[Any], named: dict[str, Any]
) -> list[bool]:
    """Whether each parameter has a gradient after a call and a backward pass."""
    value = subject.function(*args, **named)
    results = [y for y in _tensors(value) if y.requires_grad]
    if results:
        versant.autograd.backward(results, [versant.ones_like(y) for y in results])
    return [parameter.grad is not None for parameter in parameters]


def _gone_back_by_tape(
    subject: Subject, parameters: list[Tensor], args: list[Any], named: dict[str, Any]
) -> list[bool]:
    with versant.GradientTape() as tape:
        value = subject.function(*args, **named)
    results = [y for y in _tensors(value) if y.dtype.is_floating_point]
    return [gradient is not None for gradient in tape.gradient(results, parameters)]


def _compiled(found: Check, subject: Subject, args: list[Any], named: dict[str, Any]) -> None:
    compiled = versant.compile(subject.function, name=subject.name)
    with _dry(), _no_gradients(subject):
        try:
            for _ in range(MOST_CALLS):
                if not compiled.stats()["traces"]:
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
def _measured(subject: Subject, args: list[Any]) -> Iterator[Callable[[], int]]:
    """Gives the bytes held at most meanwhile: by the model, its inputs and what was made."""
    held = (*subject.parameters.values(), *subject.buffers)
    own = {x.data_ptr(): x.numel() * x.element_size() for x in held}
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
