"""Which names are covered, and how their comparisons with TensorFlow went."""

import importlib
import tomllib
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from oracle_tf import cases_keras, cases_structures, judgement  # noqa: F401  (two of them add cases)
from oracle_tf.cases import CASES, Case

# The modules whose names are covered, "" for the top level.
SPACES = [
    "math",
    "math.special",
    "nn",
    "linalg",
    "bitwise",
    "random",
    "nest",
    "dtypes",
    "debugging",
    "signal",
    "image",
    "autodiff",
    "data.Dataset",
    "keras",
    "keras.layers",
    "keras.activations",
    "keras.initializers",
    "keras.regularizers",
    "keras.losses",
    "keras.metrics",
    "keras.optimizers",
    "keras.optimizers.schedules",
    "keras.utils",
    "config",
    "summary",
    "errors",
    "raw_ops",
]


@cache
def frameworks() -> tuple[Any, Any]:
    """Ours and theirs."""
    return importlib.import_module("versant.tf"), importlib.import_module("tensorflow")


@cache
def exceptions() -> dict[str, str]:
    return tomllib.loads((Path(__file__).parent / "exceptions.toml").read_text())


def _public(space: Any) -> list[str]:
    names = getattr(space, "__all__", None) if isinstance(space, ModuleType) else None
    return [name for name in sorted({*dir(space), *(names or [])}) if not name.startswith("_")]


def covered() -> list[tuple[str, str]]:
    """(space, name) of every name of ours that TensorFlow has too."""
    ours, theirs = frameworks()
    found = []
    for space in ("", *SPACES):
        own, other = _at(ours, space), _at(theirs, space)
        if own is None or other is None:
            continue
        for name in _public(own):
            value = getattr(own, name, None)
            if isinstance(value, ModuleType) or not hasattr(other, name):
                continue
            found.append((space, name))
    return found


def _at(root: Any, path: str) -> Any:
    for part in path.split(".") if path else []:
        root = getattr(root, part, None)
        if root is None:
            return None
    return root


def outcome(case: Case) -> str:
    """What differs; nothing when all agree."""
    ours, theirs = frameworks()
    return judgement.compare(case, judgement.run(ours, case), judgement.run(theirs, case))


def by_name() -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = {}
    for case in CASES:
        found.setdefault(case.name, []).append(case)
    return found
