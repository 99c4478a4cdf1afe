"""The table becomes methods of Tensor and functions of namespaces, each when it is first asked for.

`import versant` opens no family of ops. The index (index.py, made from the table) says in which family a name
stands; the first use of the name imports that family and those it builds on.
"""

from __future__ import annotations

import sys

from versant import _core
from versant.ops.index import INDEX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from versant.ops.record import Record

NAMESPACES = ("versant", "Tensor", "nn.functional", "special", "linalg", "fft")

# The families in the order of the reference.
FAMILIES = (
    "arithmetic",
    "powers",
    "trigonometric",
    "rounding",
    "comparison",
    "activations",
    "special",
    "bessel",
    "polynomials",
    "incomplete",
    "complex_numbers",
    "reductions",
    "creation",
    "sequences",
    "copies",
    "shape",
    "joining",
    "parts",
    "indexing",
    "ordered",
    "statistics",
    "differences",
    "linear",
    "convolution",
    "pooling",
    "pooling_variants",
    "rearranging",
    "resampling",
    "grids",
    "normalization",
    "losses",
    "class_losses",
    "margin_losses",
    "ctc",
    "random",
    "dropouts",
    "tables",
    "attention",
    "multihead",
    "recurrent",
    "lapack",
    "factors",
    "solvers",
    "decompositions",
    "matrices",
    "fourier",
    "windows",
    "combinations",
    "short_time",
)

# What the opened families offer, by namespace.
_found: dict[str, dict[str, Callable[..., Any]]] = {place: {} for place in NAMESPACES}


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


def offer(record: Record) -> None:
    """Makes a new record known under its names, and gives its function the name by which pickles find it."""
    for place, name, function in names(record):
        _found[place][name] = function
        if place == "Tensor":
            setattr(_core.Tensor, name, function)
        elif function is record.call:
            function.__module__ = "versant" if place == "versant" else f"versant.{place}"
            function.__qualname__ = name


def open_family(name: str) -> Any:
    """The module of a family."""
    module = f"versant.ops.{name}"
    __import__(module)
    return sys.modules[module]


def find(place: str, name: str) -> Callable[..., Any]:
    """The function or method of that name in a namespace. Raises AttributeError when there is none."""
    found = _found[place]
    if name not in found:
        family = INDEX[place].get(name)
        if family is None:
            owner = "versant" if place == "versant" else f"versant.{place}"
            raise AttributeError(f"module '{owner}' has no attribute {name!r}")
        open_family(family)
    return found[name]


def open_for(kind: str, name: str) -> None:
    """Opens the family that has an "operator" or a "record" of that name: the machine asks for each once."""
    if name in INDEX[kind]:
        open_family(INDEX[kind][name])


class Method:
    """Stands for a method of Tensor until its first use."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, tensor: Any, owner: type) -> Any:
        method: Any = find("Tensor", self.name)  # takes this one's place
        return method.__get__(tensor, owner)


def install() -> None:
    """Gives Tensor its methods and operators."""
    for name in INDEX["Tensor"]:
        setattr(_core.Tensor, name, Method(name))
    _core.set_family_source(open_for)


class Namespace:
    """A module's `__getattr__` and `__dir__`, by which the functions of a namespace are found in it."""

    def __init__(self, place: str, module: str) -> None:
        self.place = place
        self.module = module
        self.names = list(INDEX[place])

    def get(self, name: str) -> Any:
        function = find(self.place, name)
        setattr(sys.modules[self.module], name, function)  # found there from now on
        return function

    def dir(self) -> list[str]:
        return sorted({*vars(sys.modules[self.module]), *self.names})
