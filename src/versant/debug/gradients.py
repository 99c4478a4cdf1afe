"""Why a gradient is missing or zero, and from where the rest of it comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import versant
from versant import Tensor, _core
from versant.debug.words import op_name, short, type_of, users_frame

__all__ = ["Reasons", "why"]

MOST_LINES = 20


@dataclass(frozen=True)
class Path:
    """A way on which a gradient arrives: the op and the line that used the tensor, and the share of the sum
    of the absolute values of all that arrives, from 0 to 1.
    """

    op: str
    line: str
    share: float


@dataclass
class Reasons:
    """What `why` found. verdict: in one sentence; notes: what else is known; paths: where gradients arrive.

    kind: "none" (there is no gradient), "zero" (all of it is 0) or "there".
    """

    kind: str
    verdict: str
    notes: list[str] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [self.verdict, *(f"  {note}" for note in self.notes)]
        for path in self.paths[:MOST_LINES]:
            lines.append(f"  {path.share:6.1%} through {path.op} at {path.line}")
        if len(self.paths) > MOST_LINES:
            lines.append(f"  and {len(self.paths) - MOST_LINES} ways more")
        return "\n".join(lines)

    __repr__ = __str__


def why(tensor: Tensor, loss: Tensor | Callable[[], Tensor]) -> Reasons:
    """Why the gradient of `loss` for `tensor` is None or zero, or on which ways it arrives.

    loss: a tensor of one element whose graph is still there (before `backward()`, or with retain_graph), or
    better a function that computes it: the function is run once and watched, so that the line which detached
    the tensor can be named. Compiled functions in it run as they are written. Nothing is left behind: `.grad`
    of all tensors stays as it is.

    >>> import versant as vs
    >>> w = vs.ones(3, requires_grad=True)
    >>> print(vs.debug.why(w, lambda: (w.detach() * 2).sum()))
    there is no gradient: the tensor is detached at ...
    >>> print(vs.debug.why(w, lambda: ((w - 2).relu() + w * 0.5).sum()))
    the gradient arrives on 2 ways
      100.0% through mul at ...
        0.0% through sub at ...
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"[why] expected a tensor, got {type(tensor).__name__}")
    if not (tensor.dtype.is_floating_point or tensor.dtype.is_complex):
        return Reasons("none", f"there is no gradient: {type_of(tensor)} holds no real or complex numbers")
    use: _Use | None = None
    if not isinstance(loss, Tensor):
        use = _Use(tensor)
        with use:
            loss = loss()
        if not isinstance(loss, Tensor):
            raise TypeError(f"[why] expected a function that returns a tensor, got {type(loss).__name__}")
    if not tensor.requires_grad:
        return Reasons(
            "none", "there is no gradient: the tensor has requires_grad=False", _made_without(tensor)
        )
    if loss.grad_fn is None:
        return _cut(tensor, use, "the loss has no history: every op before it ran without gradients")
    own = tensor.grad_fn if tensor.grad_fn is not None else _leaf_node(tensor)
    nodes = _reach(loss.grad_fn)
    if own not in nodes:
        return _cut(tensor, use, "no way leads from the loss to the tensor")
    return _follow(tensor, loss, own, nodes)


def _leaf_node(tensor: Tensor) -> Any:
    with versant.enable_grad():
        node: Any = tensor.view_as(tensor).grad_fn
    return node.next_functions[0][0]


def _reach(root: Any) -> dict[Any, None]:
    """All nodes behind one, each after one that leads to it."""
    seen = {root: None}
    waiting = [root]
    while waiting:
        for node, _ in waiting.pop().next_functions:
            if node is not None and node not in seen:
                seen[node] = None
                waiting.append(node)
    return seen


def _made_without(tensor: Tensor) -> list[str]:
    if isinstance(tensor, versant.nn.Parameter):
        return ["it is a parameter that was frozen: requires_grad_(True) thaws it"]
    return ["it is a constant, or was made under no_grad() or by detach(): requires_grad_() makes it a leaf"]


def _cut(tensor: Tensor, use: _Use | None, otherwise: str) -> Reasons:
    if use is None:
        note = "give a function that computes the loss, and the line that cuts the way is named"
        return Reasons("none", f"there is no gradient: {otherwise}", [note])
    if use.cuts:
        kind, line = next(iter(use.cuts))
        notes = [f"also {other} at {place}" for other, place in list(use.cuts)[1:MOST_LINES]]
        return Reasons("none", f"there is no gradient: the tensor is {kind} at {line}", notes)
    if use.reads:
        notes = [f"{op} at {line} reads it" for op, line in list(use.reads)[:MOST_LINES]]
        return Reasons("none", f"there is no gradient: {otherwise}, though the tensor is read", notes)
    return Reasons("none", "there is no gradient: the tensor is unused, no op reads it")


class _Use:
    """Watches what reads a tensor, or what was computed from it, and where its history is cut."""

    def __init__(self, tensor: Tensor) -> None:
        self.cuts: dict[tuple[str, str], None] = {}
        self.reads: dict[tuple[str, str], None] = {}
        self._memory = {tensor.data_ptr()}
        self._kept: list[Any] = [tensor]  # so that no other tensor comes to lie where one lay
        self._watcher = 0

    def __enter__(self) -> None:
        self._watcher = _core.watch_calls(self._ran)
        _core.disable_compiled(1)
        self._before = {name: getattr(Tensor, name) for name in ("detach", "item", "numpy", "tolist")}
        for name, method in self._before.items():
            setattr(Tensor, name, self._noted(name, method))

    def __exit__(self, *error: object) -> None:
        for name, method in self._before.items():
            setattr(Tensor, name, method)
        _core.disable_compiled(-1)
        _core.watch_end(self._watcher)

    def _noted(self, name: str, method: Any) -> Callable[..., Any]:
        words = {"detach": "detached", "item": "turned into a number"}

        def call(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
            frame = users_frame()
            if self._is_known(tensor) and tensor.requires_grad and frame is not None:
                place = short(f"{frame.f_code.co_filename}:{frame.f_lineno}")
                self.cuts[words.get(name, "given to Python"), place] = None
            return method(tensor, *args, **kwargs)

        return call

    def _is_known(self, tensor: Any) -> bool:
        return isinstance(tensor, Tensor) and tensor.numel() > 0 and tensor.data_ptr() in self._memory

    def _ran(self, name: str, operands: Any, outputs: Any, place: Any, parts: Any) -> None:
        if not any(self._is_known(operand) for operand in operands):
            return
        line = short(place[0])
        self.reads[op_name(name), line] = None
        if not versant.is_grad_enabled():
            self.cuts[f"read without gradients (no_grad) by {op_name(name)}", line] = None
        for output in outputs:
            if not (output.dtype.is_floating_point or output.dtype.is_complex):
                self.cuts[f"turned into {type_of(output)} by {op_name(name)}", line] = None
            self._memory.add(output.data_ptr())
            self._kept.append(output)


def _follow(tensor: Tensor, loss: Tensor, own: Any, nodes: dict[Any, None]) -> Reasons:
    """Goes back from the loss, and looks at what arrives on every way."""
    leading = _leading(own, nodes)
    arriving: dict[Any, float] = {}
    zeroed: list[tuple[Any, str]] = []
    handles = []

    def after(node: Any, edges: list[int]) -> Callable[..., None]:
        def hook(inputs: Any, outputs: Any) -> None:
            given = [inputs[k] for k in edges]
            if node.next_functions and own in [node.next_functions[k][0] for k in edges]:
                arriving[node] = sum(_size(g) for k, g in zip(edges, given, strict=True)
                                     if node.next_functions[k][0] == own)  # fmt: skip
            if any(_size(g) for g in outputs) and not any(_size(g) for g in given):
                zeroed.append((node, "None" if all(g is None for g in given) else "zeros"))

        return hook

    for node in leading:
        edges = [k for k, (other, _) in enumerate(node.next_functions) if other in leading or other == own]
        if edges and node != own:
            handles.append(node.register_hook(after(node, edges)))
    try:
        with _core_paused():
            (gradient,) = versant.autograd.grad(
                loss, tensor, versant.ones_like(loss), retain_graph=True, allow_unused=True
            )
    finally:
        for handle in handles:
            handle.remove()
    notes = [f"{_name(node)} at {_line(node)} gives {what} for it" for node, what in zeroed[:MOST_LINES]]
    if gradient is None:
        return Reasons("none", "there is no gradient: an op on every way has none", notes)
    if not _size(gradient):
        return Reasons("zero", f"all {gradient.numel()} elements of the gradient are 0", notes)
    total = sum(arriving.values())
    paths = [Path(_name(node), _line(node), size / total) for node, size in arriving.items() if total]
    paths.sort(key=lambda path: -path.share)
    zeros = _core.health(gradient)[3]
    notes = [f"{zeros} of its {gradient.numel()} elements are 0"] if zeros else []
    verdict = "the gradient arrives on " + ("one way" if len(paths) == 1 else f"{len(paths)} ways")
    if not paths:
        verdict = "the tensor is the loss itself"
    return Reasons("there", verdict, notes, paths)


class _core_paused:
    """Watchers see nothing of what the tool does itself."""

    def __enter__(self) -> None:
        self._before = _core.watch_pause(True)

    def __exit__(self, *error: object) -> None:
        _core.watch_pause(self._before)


def _leading(own: Any, nodes: dict[Any, None]) -> set[Any]:
    """The nodes from which a way leads to `own`, and itself."""
    back: dict[Any, list[Any]] = {}
    for node in nodes:
        for other, _ in node.next_functions:
            if other is not None:
                back.setdefault(other, []).append(node)
    seen = {own}
    waiting = [own]
    while waiting:
        for node in back.get(waiting.pop(), ()):
            if node not in seen:
                seen.add(node)
                waiting.append(node)
    return seen


def _size(gradient: Any) -> float:
    """The sum of the absolute values."""
    return float(gradient.detach().abs().double().sum()) if gradient is not None else 0.0


def _name(node: Any) -> str:
    return str(node.op)


def _line(node: Any) -> str:
    return short(node.line or "an unknown line")
