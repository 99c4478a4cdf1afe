"""typing.NamedTuple for modules that `import versant` loads; typing would take a third of the whole time."""

from __future__ import annotations

from collections import namedtuple


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
