"""typing.NamedTuple for modules that `import versant` loads; typing would take a third of the whole time."""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _FromAnnotations(type):
    """Makes a class body with annotations and defaults a named tuple, as typing.NamedTuple does."""

    def __new__(cls, name, bases, body):  # type: ignore[no-untyped-def]
        if not bases:
            return super().__new__(cls, name, bases, body)
        fields = list(body["__annotations__"])
        made = namedtuple(name, fields, defaults=[body[f] for f in fields if f in body])  # type: ignore[misc]
        made.__doc__ = body.get("__doc__")
        made.__module__ = body["__module__"]
        return made


class NamedTuple(metaclass=_FromAnnotations):
    """Base of classes whose body lists fields; they have no methods of their own."""


_kinds: dict[str, Any] = {}


def named(op: str, **values: Any) -> Any:
    """The results of an op as a named tuple, whose class is made by the op's first call.

    As the machine's, the class is called with one sequence.
    """
    kind = _kinds.get(op)
    if kind is None:
        body = {"__slots__": (), "__new__": tuple.__new__, "__module__": "versant.return_types"}
        kind = _kinds[op] = type(op, (namedtuple(op, values),), body)
    return kind(values.values())
