"""The table becomes methods of Tensor and functions of namespaces."""

from __future__ import annotations

from versant import _core
from versant.ops.record import Record, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

NAMESPACES = ("versant", "Tensor", "nn.functional", "special", "linalg", "fft")


def names(record: Record) -> Iterator[tuple[str, str, Callable[..., Any]]]:
    """Where users find an op: (namespace, name, callable), all its forms and names.

    A name with a namespace before it stands there alone. With another prefix ("add.alpha") it is internal.
    """
    for name in (record.name, *record.also):
        namespace, _, short = name.rpartition(".")
        for place in (namespace,) if namespace else record.places:
            if place in NAMESPACES:
                yield place, short, record.call
        if record.in_place is not None and namespace in ("", "Tensor"):
            for place in ("Tensor",) if namespace else record.places or ("Tensor",):
                yield place, f"{short}_", record.in_place


def namespace(place: str) -> dict[str, Callable[..., Any]]:
    """The functions of one namespace: "versant", "nn.functional", "special", "linalg"."""
    return {
        name: function
        for record in table.values()
        for where, name, function in names(record)
        if where == place
    }


def install() -> None:
    """Gives Tensor its methods, and functions the names by which pickles find them."""
    for record in table.values():
        for place, name, function in names(record):
            if place == "Tensor":
                setattr(_core.Tensor, name, function)
            elif function is record.call:
                function.__module__ = "versant" if place == "versant" else f"versant.{place}"
                function.__qualname__ = name
