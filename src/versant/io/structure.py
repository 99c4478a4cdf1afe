"""The structure of a value as JSON, apart from its tensors.

JSON values stand for themselves. Dicts with one key that starts with "$" are marks:

    {"$tensor": name}                  a tensor, kept under that name
    {"$tuple": [item, ...]}            a tuple
    {"$float": "nan"}                  a float that JSON does not have: nan, inf, -inf
    {"$dict": [[key, value], ...]}     a dict with keys that are not strings, or start with "$"
"""

import math
from typing import Any

from versant import Tensor


def take_apart(value: Any) -> tuple[Any, dict[str, Tensor]]:
    """The structure of a value, and its tensors by their dotted path: "optimizer.state.0.exp_avg"."""
    writer = _Writer()
    return writer.write(value, ""), writer.tensors


def put_together(structure: Any, tensors: dict[str, Tensor]) -> Any:
    """The value that take_apart took apart. A damaged structure raises ValueError, TypeError or KeyError."""
    if isinstance(structure, list):
        return [put_together(item, tensors) for item in structure]
    if not isinstance(structure, dict):
        return structure
    if len(structure) != 1 or not next(iter(structure)).startswith("$"):
        return {key: put_together(item, tensors) for key, item in structure.items()}
    ((mark, content),) = structure.items()
    if mark == "$tensor":
        return tensors[content]
    if mark == "$float":
        return float(content)
    if mark == "$tuple":
        return tuple(put_together(item, tensors) for item in content)
    if mark == "$dict":
        return {put_together(key, tensors): put_together(item, tensors) for key, item in content}
    raise ValueError(f"unknown mark {mark!r}")


class _Writer:
    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._open: set[int] = set()  # the containers being written, to notice one inside itself

    def write(self, value: Any, path: str) -> Any:
        if isinstance(value, Tensor):
            name = path or "tensor"
            while name in self.tensors or name == "__metadata__":
                name += "'"
            self.tensors[name] = value
            return {"$tensor": name}
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | str):
            return int(value) if isinstance(value, int) else str(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"$float": str(float(value))}
        if not isinstance(value, dict | list | tuple):
            raise TypeError(
                f"[save] cannot save the {type(value).__name__} at {path!r}; expected tensors, numbers, "
                "strings, bools, None, and dicts, lists or tuples of these"
            )
        if id(value) in self._open:
            raise ValueError(f"[save] the container at {path!r} holds itself")
        self._open.add(id(value))
        structure = self._write_container(value, f"{path}." if path else "")
        self._open.remove(id(value))
        return structure

    def _write_container(self, value: Any, prefix: str) -> Any:
        if isinstance(value, list | tuple):
            items = [self.write(item, f"{prefix}{i}") for i, item in enumerate(value)]
            return {"$tuple": items} if isinstance(value, tuple) else items
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {str(key): self.write(item, prefix + key) for key, item in value.items()}
        pairs = []
        for key, item in value.items():
            if not isinstance(key, str | int | float | tuple | None):
                raise TypeError(f"[save] cannot save a dict with a {type(key).__name__} as key")
            pairs.append([self.write(key, ""), self.write(item, f"{prefix}{key}")])
        return {"$dict": pairs}
