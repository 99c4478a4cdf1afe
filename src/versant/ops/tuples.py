"""typing.NamedTuple for modules that `import versant` loads: typing would take a third of the whole time, and
collections, with functools, a tenth."""

from __future__ import annotations

from operator import itemgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _FromAnnotations(type):
    """Makes a class body with annotations and defaults a named tuple, as typing.NamedTuple does."""

    def __new__(cls, name, bases, body):  # type: ignore[no-untyped-def]
        if not bases:
            return super().__new__(cls, name, bases, body)
        fields = tuple(body["__annotations__"])
        given = ", ".join(fields)
        new = eval(f"lambda cls, {given}: make(cls, ({given}, ))", {"make": tuple.__new__})
        new.__defaults__ = tuple(body[f] for f in fields if f in body)
        members: dict[str, Any] = {field: property(itemgetter(i)) for i, field in enumerate(fields)}
        members |= {"__new__": new, "__repr__": _shown, "__getnewargs__": _parts, "_replace": _replaced}
        members |= {"__slots__": (), "__module__": body["__module__"], "__doc__": body.get("__doc__")}
        return type(name, (tuple,), members | {"_fields": fields})


def _shown(self: Any) -> str:
    parts = (f"{field}={value!r}" for field, value in zip(self._fields, self, strict=True))
    return f"{type(self).__name__}({', '.join(parts)})"


def _parts(self: Any) -> tuple[Any, ...]:
    return tuple(self)


def _replaced(self: Any, **values: Any) -> Any:
    return type(self)(**(dict(zip(self._fields, self, strict=True)) | values))


class NamedTuple(metaclass=_FromAnnotations):
    """Base of classes whose body lists fields; they have no methods of their own."""


_kinds: dict[str, Any] = {}


def named(op: str, **values: Any) -> Any:
    """The results of an op as a named tuple, whose class is made by the op's first call.

    As the machine's, the class is called with one sequence.
    """
    kind = _kinds.get(op)
    if kind is None:
        from collections import namedtuple

        body = {"__slots__": (), "__new__": tuple.__new__, "__module__": "versant.return_types"}
        kind = _kinds[op] = type(op, (namedtuple(op, values),), body)
    return kind(values.values())
