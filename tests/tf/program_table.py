"""The table of programs that run on TensorFlow and on versant.tf, and what they share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Program = Callable[[Any, Path], Any]
PROGRAMS: dict[str, Program] = {}


def program(function: Program) -> Program:
    PROGRAMS[function.__name__] = function
    return function


def floats(*shape: int, seed: int = 0, scale: float = 1.0) -> Any:
    return (np.random.RandomState(seed).normal(0, scale, shape)).astype(np.float32)


def fill(model: Any, scale: float = 0.3) -> None:
    """Weights that do not depend on who draws them; positive ones where they could be variances."""
    weights = [floats(*w.shape, seed=i, scale=scale) for i, w in enumerate(model.get_weights())]
    model.set_weights([abs(w) + 0.5 if w.ndim == 1 else w for w in weights])


def value(variable: Any) -> Any:
    """The variable that an op takes where Keras has variables of its own."""
    return (
        getattr(variable, "value", variable) if not callable(getattr(variable, "value", None)) else variable
    )


def flat(found: Any) -> list[Any]:
    """The numbers, words and Nones among results, as arrays."""
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, list | tuple):
        return [item for part in found for item in flat(part)]
    if found is None:
        return [np.array("None")]
    return [np.asarray(found.numpy() if hasattr(found, "numpy") else found)]


def differences(ours: list[Any], theirs: list[Any]) -> list[str]:
    """What differs between the results of a program, in words."""
    lines = []
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if a.dtype.kind == "U" or b.dtype.kind == "U":
            same = a.dtype.kind == b.dtype.kind and a == b
        else:
            same = a.shape == b.shape and a.dtype == b.dtype and np.allclose(a, b, rtol=1e-3, atol=1e-5)
        if not same:
            lines.append(
                f"result {i}: {a.ravel()[:4]} {a.dtype}{a.shape}, theirs {b.ravel()[:4]} {b.dtype}{b.shape}"
            )
    return lines
