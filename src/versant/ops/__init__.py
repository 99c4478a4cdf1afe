"""The op table and what is made from it."""

from __future__ import annotations

from versant.ops.install import FAMILIES, Namespace, find, install, names, open_family

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from versant.ops import losses, multihead, recurrent  # noqa: F401  (the layers name these)
    from versant.ops.defining import define
    from versant.ops.expression import m
    from versant.ops.record import Record

    table: dict[str, Record]


def families() -> list[Any]:
    """The modules of all families, opened."""
    return [open_family(name) for name in FAMILIES]


def __getattr__(name: str) -> Any:
    """`ops.linear`, a family, is opened when it is asked for; `ops.table`, the whole table, opens all;
    `define` and `m` are for ops of a user's own."""
    if name in FAMILIES:
        return open_family(name)
    if name == "define":
        from versant.ops.defining import define

        return define
    if name == "m":
        from versant.ops.expression import m

        return m
    if name != "table":
        raise AttributeError(f"module 'versant.ops' has no attribute {name!r}")
    from versant.ops.record import table

    order = {family.__name__: i for i, family in enumerate(families())}
    last = len(order)  # records that do not come from here
    records = sorted(table.items(), key=lambda item: order.get(item[1].family, last))  # however they came in
    table.clear()
    table.update(records)
    globals()["table"] = table
    return table


def namespace(place: str) -> dict[str, Callable[..., Any]]:
    """The functions of one namespace: "versant", "Tensor", "nn.functional", "special", "linalg", "fft"."""
    from versant.ops.index import INDEX

    return {name: find(place, name) for name in INDEX[place]}


__all__ = [
    "FAMILIES",
    "Namespace",
    "define",
    "families",
    "find",
    "install",
    "m",
    "names",
    "namespace",
    "table",
]
