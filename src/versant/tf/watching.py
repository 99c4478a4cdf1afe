"""Looks at what ops compute: numbers checked, and written to a file.

While somebody watches, the functions of the dialect's modules and the operators of its tensors are wrapped;
calls that they make among themselves are not seen.
"""

import json
import os
import re
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import versant
from versant import _core
from versant.tensors.nest import flatten
from versant.tf.errors import InvalidArgumentError

_PACKAGE = os.path.dirname(versant.__file__) + os.sep
_MODES = ("NO_TENSOR", "CURT_HEALTH", "CONCISE_HEALTH", "FULL_HEALTH", "SHAPE", "FULL_TENSOR")
_OPERATORS = [
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "neg",
    "abs",
    "radd",
    "rsub",
    "rmul",
    "rtruediv",
    "rpow",
    "rmatmul",
]


class _Watch:
    def __init__(self) -> None:
        self.checks = False
        self.dump: _Dump | None = None
        self.depth = 0
        self.installed: list[tuple[Any, str, Any]] = []

    def saw(self, name: str, result: Any) -> None:
        tensors = [x for x in flatten(result) if isinstance(x, _core.Tensor)]
        if self.checks and not _core.is_tracing():
            for x in tensors:
                plain = _core.plain(x).detach()
                if plain.dtype.is_floating_point and not bool(versant.isfinite(plain).all()):
                    what = "NaN" if bool(versant.isnan(plain).any()) else "Inf"
                    raise InvalidArgumentError(f"[{name}] the result has {what} values, at {_line()}")
        if self.dump is not None and tensors and not _core.is_tracing():
            self.dump.write(name, tensors)


class _Dump:
    def __init__(self, root: Path, mode: str, size: int, pattern: Any, kinds: Any) -> None:
        self.path = root / "ops.jsonl"
        self.mode, self.pattern, self.kinds = mode, pattern and re.compile(pattern), kinds
        self.kept: deque[str] | None = deque(maxlen=size) if size > 0 else None
        self.lines = 0
        self.path.write_text("")

    def write(self, name: str, tensors: list[Any]) -> None:
        if self.pattern and not self.pattern.search(name):
            return
        described = [_described(x, self.mode) for x in tensors if self.kinds is None or x.dtype in self.kinds]
        if not described:
            return
        line = json.dumps({"op": name, "line": _line(), "outputs": described})
        if self.kept is None:
            with self.path.open("a") as file:
                file.write(line + "\n")
            return
        full = len(self.kept) == self.kept.maxlen
        self.kept.append(line)
        self.lines += 1
        if not full:
            with self.path.open("a") as file:
                file.write(line + "\n")
        elif self.lines % max(len(self.kept) // 4, 1) == 0:
            self.flush()

    def flush(self) -> None:
        if self.kept is not None:
            self.path.write_text("".join(line + "\n" for line in self.kept))


_watch = _Watch()


def _line() -> str:
    """The line of the user's program that runs."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _described(x: Any, mode: str) -> dict[str, Any]:
    found: dict[str, Any] = {"dtype": x.dtype.name, "shape": list(x.shape)}
    plain = _core.plain(x).detach()
    if mode not in ("NO_TENSOR", "SHAPE") and x.dtype.is_floating_point and x.numel():
        found["nan"] = int(versant.isnan(plain).sum())
        found["inf"] = int(versant.isinf(plain).sum())
        found["min"], found["max"] = float(plain.min()), float(plain.max())
    if mode == "FULL_TENSOR":
        found["value"] = plain.tolist()
    return found


def _wrapped(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def watched(*args: Any, **kwargs: Any) -> Any:
        _watch.depth += 1
        try:
            result = function(*args, **kwargs)
        finally:
            _watch.depth -= 1
        if _watch.depth == 0 and result is not NotImplemented:
            _watch.saw(name, result)
        return result

    watched.__name__ = watched.__qualname__ = name
    watched.__doc__ = function.__doc__
    watched._unwatched = function  # type: ignore[attr-defined]
    return watched


def _install() -> None:
    """Wrap the functions of the dialect's modules, and the operators of its tensors."""
    if _watch.installed:
        return
    tf = sys.modules["versant.tf"]
    spaces = [tf, tf.math, tf.nn, tf.linalg, tf.random]
    skipped = {
        "function",
        "cond",
        "case",
        "while_loop",
        "map_fn",
        "scan",
        "foldl",
        "foldr",
        "switch_case",
        "custom_gradient",
        "recompute_grad",
        "grad_pass_through",
        "constant",
        "convert_to_tensor",
        "set_seed",
        "is_tensor",
        "as_dtype",
        "print",
        "device",
        "name_scope",
        "vectorized_map",
        "py_function",
        "group",
        "no_op",
        "inside_function",
        "gradients",
        "stop_gradient",
    }
    for space in spaces:
        for name, value in list(vars(space).items()):
            if name.startswith("_") or name in skipped or isinstance(value, type):
                continue
            if callable(value) and getattr(value, "__module__", "").startswith("versant.tf"):
                _replace(space, name, _wrapped(name, value))
    base: Any = _core.TensorLike
    for name in _OPERATORS:
        method = getattr(base, f"__{name}__", None)
        if method is not None:
            _replace(base, f"__{name}__", _method(name, method))


def _method(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    function = _wrapped(name, method)

    def operator(self: Any, *args: Any) -> Any:
        return function(self, *args)

    return operator


def _replace(owner: Any, name: str, value: Any) -> None:
    _watch.installed.append((owner, name, owner.__dict__.get(name)))
    setattr(owner, name, value)


def _remove() -> None:
    if _watch.checks or _watch.dump is not None:
        return
    while _watch.installed:
        owner, name, before = _watch.installed.pop()
        if before is None:
            delattr(owner, name)
        else:
            setattr(owner, name, before)


def check(on: bool) -> None:
    """Whether results are checked."""
    _watch.checks = on
    _install() if on else _remove()


def dump(root: Any, mode: str, size: int, pattern: Any, kinds: Any) -> str:
    """Begin to write; returns the folder."""
    if mode not in _MODES:
        raise ValueError(
            f"[enable_dump_debug_info] tensor_debug_mode must be one of {', '.join(_MODES)}, got {mode!r}"
        )
    folder = Path(root)
    folder.mkdir(parents=True, exist_ok=True)
    _watch.dump = _Dump(folder, mode, int(size), pattern, kinds)
    _install()
    return str(folder)


def stop_dumping() -> None:
    """Write no more."""
    if _watch.dump is not None:
        _watch.dump.flush()
    _watch.dump = None
    _remove()
