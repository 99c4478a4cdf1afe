"""Libraries that are imported when they are first called."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Lazy:
    """A name in a library: `np.linalg.norm` can be written down at import, and a call imports numpy."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __getattr__(self, name: str) -> Lazy:
        if name.startswith("__"):
            raise AttributeError(name)
        return Lazy(f"{self._path}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        library, *names = self._path.split(".")
        target: Any = sys.modules.get(library) or __import__(library)
        for name in names:
            target = getattr(target, name)
        return target(*args, **kwargs)

    def __repr__(self) -> str:
        return self._path


np: Any = Lazy("numpy")
