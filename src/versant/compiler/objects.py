"""What stands behind objects of Python: whose they are, what they wrap, where their attributes are."""

from __future__ import annotations

import functools
import gc
import operator
import sys
import threading
import types
import weakref
from typing import Any

from versant import _core
from versant.compiler.facts import MISSING
from versant.structure import PLAIN

FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType)
GETTERS = (operator.attrgetter, operator.itemgetter, operator.methodcaller)
CALLABLE = (types.FunctionType, types.MethodType, functools.partial, _core.CompiledBase)
PROXIES = (weakref.ProxyType, weakref.CallableProxyType)
# Classes of the standard library that hand on what they hold, and the attributes in which it is.
HOLDERS: dict[str, tuple[str, ...]] = {
    "collections.ChainMap": ("maps",),
    "collections.UserDict": ("data",),
    "collections.UserList": ("data",),
    "collections.UserString": ("data",),
    "functools.partialmethod": ("func", "args", "keywords"),
    "functools.singledispatchmethod": ("dispatcher", "func"),
    "functools.cached_property": ("func",),
    "queue.Queue": ("queue",),
    "_weakrefset.WeakSet": ("data",),
    "weakref.WeakKeyDictionary": ("data",),
    "weakref.WeakValueDictionary": ("data",),
}
TRUSTED = {"numpy", "_pytest"}  # beside the standard library; pytest rewrites the assertions in tests
# Of a class that users define, what runs when an object is made, copied or shown: it runs for classes.
MAKING = {"__init__", "__new__", "__post_init__", "__repr__", "__str__", "__del__", "__reduce__"}


def is_a(value: Any, kind: type | tuple[type, ...]) -> bool:
    """As `isinstance`, which would ask the object for its class, and so its `__getattribute__`."""
    return issubclass(type(value), kind)


def is_array(value: Any) -> bool:
    """Whether it is an array of numpy, which need not be imported."""
    return any(kind.__name__ == "ndarray" and kind.__module__ == "numpy" for kind in type(value).__mro__)


def is_ours(module: str | None) -> bool:
    return module is not None and (module == "versant" or module.startswith("versant."))


def is_standard(module: str | None) -> bool:
    top = (module or "").partition(".")[0]
    return top != "__main__" and (top in sys.stdlib_module_names or top in TRUSTED)


def is_trusted(module: str | None) -> bool:
    """Whether what functions of a module read is not watched."""
    return is_ours(module) or is_standard(module) or (module or "").startswith("namedtuple_")


def is_users(kind: type) -> bool:
    """Whether a class was defined outside of this package, the standard library and numpy."""
    return not is_trusted(kind.__module__)


def is_module(value: Any) -> bool:
    return any(
        kind.__name__ == "Module" and kind.__module__ == "versant.nn.module" for kind in type(value).__mro__
    )


def is_followed(kind: type) -> bool:
    """Whether the attributes of such objects are watched: those of users, and of our modules."""
    if not is_ours(kind.__module__):
        return kind.__module__ != "builtins"
    return any(base.__name__ == "Module" for base in kind.__mro__)


def class_of(value: Any) -> type:
    """The class whose attributes an object has: of a proxy, that of what it stands for."""
    kind: type = value.__class__ if type(value) in PROXIES else type(value)
    return kind


def held_by(kind: type) -> tuple[str, ...]:
    """The attributes by which objects of a class of Python's own hand on what they hold."""
    found = (HOLDERS.get(f"{base.__module__}.{base.__name__}") for base in kind.__mro__)
    return next((names for names in found if names), ())


def dict_in(value: Any) -> dict[str, Any] | None:
    """The attributes that an object itself has. Its class is not asked: its `__getattr__` may do anything."""
    try:
        indirect = type(value) in PROXIES or issubclass(type(value), threading.local)
        found = value.__dict__ if indirect else object.__getattribute__(value, "__dict__")
    except (AttributeError, ReferenceError, TypeError):
        return None
    return found if isinstance(found, dict) else None


def attribute_of(value: Any, name: str) -> Any:
    try:
        return getattr(value, name, MISSING)
    except Exception:  # a property's own, of whatever kind
        return MISSING


def parts_behind(value: Any) -> list[Any] | None:
    """What an object of Python's own stands for or calls; None when it is not of that kind."""
    kind = type(value)
    if kind is types.MethodType:
        return [value.__func__, value.__self__]
    if issubclass(kind, functools.partial):
        return [value.func, value.args, value.keywords]
    if kind in (types.BuiltinFunctionType, types.MethodWrapperType):
        return [value.__self__]
    if issubclass(kind, weakref.ref):
        return [value()]
    if kind is types.MappingProxyType:
        return gc.get_referents(value)
    if issubclass(kind, _core.CompiledBase):
        return [value._function]
    return None


def parts_of(attribute: Any) -> list[Any]:
    """The functions and values behind what a class holds under a name."""
    if isinstance(attribute, property):
        return [f for f in (attribute.fget, attribute.fset) if f is not None]
    if isinstance(attribute, (staticmethod, classmethod)):
        return [attribute.__func__]
    return [attribute]


def running_by_rule(kind: type, made: bool) -> list[str]:
    """The functions of users in a class that run though no code names them, sorted.

    Python calls those of operators, and what derives from a class of ours is called by ours.
    made: an object is there already.
    """
    users = [base for base in kind.__mro__ if is_users(base)]
    by_us = any(is_ours(base.__module__) for base in kind.__mro__)
    found = set()
    for base in users:
        for name, value in vars(base).items():
            special = name.startswith("__") and name.endswith("__") and not (made and name in MAKING)
            if special or (by_us and not is_module_class(kind)):
                parts = parts_of(value)
                if any(isinstance(part, types.FunctionType) and of_users(part) for part in parts):
                    found.add(name)
    return sorted(found)


def is_module_class(kind: type) -> bool:
    return any(base.__name__ == "Module" and is_ours(base.__module__) for base in kind.__mro__)


def of_users(function: types.FunctionType) -> bool:
    return not is_trusted(function.__module__)


def dict_of(kind: type) -> Any:
    """The dict behind a class, of which Python shows a view."""
    found = [part for part in gc.get_referents(vars(kind)) if isinstance(part, dict)]
    return found[0] if found else dict(vars(kind))


def items_of(value: Any) -> tuple[Any, ...]:
    return tuple((type(item), item) if isinstance(item, PLAIN) else id(item) for item in value)


def watched_names(value: Any) -> dict[str, str]:
    """Of an object of ours that is no module: names in code, and the attributes that they read."""
    names: dict[str, str] = getattr(type(value), "_watched", None) or {}
    return names


def drawn() -> tuple[Any, ...]:
    """Where the random numbers of Python and numpy stand, if somebody uses them."""
    python, numpy = sys.modules.get("random"), sys.modules.get("numpy.random")
    state = numpy.get_state(legacy=False)["state"] if numpy else {}
    return python.getstate() if python else None, state.get("pos"), bytes(state.get("key", b""))
