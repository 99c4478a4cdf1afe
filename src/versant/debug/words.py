"""Tensors and places in words, for reports."""

from __future__ import annotations

import os
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import versant
from versant import Tensor, _core

_PACKAGE = os.path.dirname(versant.__file__) + os.sep


@dataclass(frozen=True)
class Health:
    """What the elements of a tensor are like. min, max, mean and std are of the finite ones; of complex
    numbers all of it is of their parts.
    """

    numel: int
    nan: int
    inf: int
    zeros: int
    min: float
    max: float
    mean: float
    std: float

    def __str__(self) -> str:
        if not self.numel:
            return "empty"
        if self.numel == 1 and not (self.nan or self.inf):
            return f"value {self.mean:.6g}"
        bad = [f"{count} {name}" for name, count in (("NaN", self.nan), ("Inf", self.inf)) if count]
        if self.nan + self.inf == self.numel:
            return ", ".join(bad)
        spread = f"min {self.min:.6g}, max {self.max:.6g}, mean {self.mean:.6g}, std {self.std:.6g}"
        return ", ".join([spread, *bad])


def health_of(tensor: Tensor) -> Health:
    return Health(*_core.health(tensor))


def type_of(tensor: Tensor) -> str:
    """ "float32[2, 3]" """
    return f"{str(tensor.dtype).rpartition('.')[2]}{list(tensor.shape)}"


def users_frame() -> types.FrameType | None:
    """The innermost frame outside of the package."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame


def short(place: str) -> str:
    """ "train.py:12": the file's path begins at the working directory if it lies below it."""
    path, colon, line = place.rpartition(":")
    try:
        return f"{Path(path).relative_to(Path.cwd())}{colon}{line}"
    except ValueError:
        return place


def op_name(name: str) -> str:
    """The public name of an action of the machine."""
    return "matmul" if name == "multiply" else name.partition(".")[0]


@dataclass(frozen=True)
class Place:
    """Where an action of the machine comes from, as the core gives it.

    where: the user's line that ran; module: the path of the module it belongs to. On a way back (back: to the
    gradient of that order): the op whose
    gradient is computed and the line that called it.
    """

    where: str
    module: str
    back: int
    of_name: str
    of: str

    @classmethod
    def of_row(cls, row: Any) -> Place:
        where, module, back, of_name, of = row
        return cls(short(where), module, back, op_name(of_name), short(of))

    @property
    def own(self) -> bool:
        """Whether a function of the user's computes the gradient: its lines say more than the forward one."""
        return self.back > 0 and self.of_name[:1].isupper()

    @property
    def line(self) -> str:
        """The user's line that says most: of a gradient that of its op."""
        return self.where if self.own else self.of or self.where
