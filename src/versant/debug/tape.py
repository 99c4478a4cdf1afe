"""The tape behind a tensor as a picture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from versant import Tensor
from versant.compiler.graph import Node
from versant.compiler.picture import TAPE_LEGEND, drawing_of
from versant.debug.words import short, type_of

__all__ = ["graph"]


class _Tape:
    """Boxes for the ops that were recorded, leaves at the top; lines carry values downward to the loss."""

    def __init__(self, roots: list[Tensor], names: dict[int, str]) -> None:
        self.nodes: list[Node] = []
        self.lines: list[tuple[int, int, int]] = []
        self.late: set[int] = set()
        self._names = names
        self._numbers: dict[Any, int] = {}
        waiting: list[Any] = []
        ends = []
        for root in roots:
            if root.grad_fn is not None:
                self._number(root.grad_fn, waiting)
                ends.append((root.grad_fn, root))
        while waiting:
            node = waiting.pop()
            for other, output in node.next_functions:
                if other is not None:
                    self.lines.append((self._number(other, waiting), self._numbers[node], output))
        for node, root in ends:
            text = [names.get(id(root), "result"), type_of(root)]
            self.nodes.append(Node("result", text, "where backward() begins", small=1))
            self.lines.append((self._numbers[node], len(self.nodes) - 1, 0))

    def _number(self, node: Any, waiting: list[Any]) -> int:
        if node not in self._numbers:
            self._numbers[node] = len(self.nodes)
            self.nodes.append(self._box(node))
            waiting.append(node)
            if not node.next_functions:
                self.late.add(self._numbers[node])
        return self._numbers[node]

    def _box(self, node: Any) -> Node:
        leaf = node.variable if not node.next_functions and hasattr(node, "variable") else None
        if isinstance(leaf, Tensor):
            name = self._names.get(id(leaf), "leaf")
            return Node("parameter", [name, type_of(leaf)], f"{name}: {type_of(leaf)}", small=1)
        line = short(node.line or "")
        rows = [node.op, *([line.rpartition("/")[2]] if line else [])]
        return Node("forward", rows, f"{node.op}, called at {line}", small=len(rows) - 1 if line else -1)


def graph(*tensors: Tensor, path: str | os.PathLike[str] | None = None, model: Any = None) -> str:
    """The tape behind tensors, a loss say, as an SVG that needs nothing else: ops with their lines, leaves.

    path: a file to write it to as well. model: whose parameters are called by name.

    >>> import versant as vs
    >>> w = vs.ones(3, requires_grad=True)
    >>> vs.debug.graph((w * 2).sum()).startswith("<svg")
    True
    """
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"[graph] expected tensors, got {type(tensor).__name__}")
    if not any(tensor.grad_fn is not None for tensor in tensors):
        raise ValueError("[graph] none of the tensors has a grad_fn: they were made without recording")
    names = {id(value): name for name, value in model.named_parameters()} if model is not None else {}
    text = drawing_of([("", _Tape(list(tensors), names))], TAPE_LEGEND)
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text
