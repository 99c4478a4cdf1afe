"""What the namespace can do: devices, dtypes and their defaults."""

from __future__ import annotations

from typing import Any

import versant as vs
from versant.array_api.data_types import KINDS, isdtype

_DTYPES = (
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "float32",
    "float64",
    "complex64",
    "complex128",
)


class Info:
    """The answers of `__array_namespace_info__()`."""

    def capabilities(self) -> dict[str, Any]:
        """Masks as indices and shapes that depend on data are there; arrays have at most 64 axes."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> vs.device:
        """The device on which new arrays live."""
        return vs.device("cpu")

    def devices(self) -> list[vs.device]:
        """All devices."""
        return [vs.device("cpu")]

    def default_dtypes(self, *, device: Any = None) -> dict[str, vs.dtype]:
        """The dtypes of new arrays by kind."""
        if device is not None:
            vs.device(device)
        real = vs.get_default_dtype()
        return {
            "real floating": real,
            "complex floating": real.to_complex(),
            "integral": vs.int64,
            "indexing": vs.int64,
        }

    def dtypes(self, *, device: Any = None, kind: str | tuple[str, ...] | None = None) -> dict[str, vs.dtype]:
        """The standard's dtypes that are there, by name, of all kinds or of some (see `isdtype`)."""
        if device is not None:
            vs.device(device)
        for each in (kind,) if isinstance(kind, str) else kind or ():
            if each not in KINDS:
                raise ValueError(f"[dtypes] expected a kind of {sorted(KINDS)}, got {each!r}")
        found = {name: getattr(vs, name) for name in _DTYPES}
        return {name: dtype for name, dtype in found.items() if kind is None or isdtype(dtype, kind)}


def __array_namespace_info__() -> Info:
    """What the namespace can do."""
    return Info()
