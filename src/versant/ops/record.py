"""The op table: one record per op, with everything that is known about it.

    tanh = elementwise("tanh", m.tanh, "Hyperbolic tangent.", d=lambda x, y: 1 - y * y, ref=np.tanh, ...)

Four kinds of records: `elementwise` (an expression over micro-ops), `primitive` (a function of the machine),
`host` (a function of numpy, in host.py) and `composite` (a Python function over other ops). The methods of
Tensor, the functions, their stubs, pages and tests are all made from `table`; there is no other list of ops.
"""

from __future__ import annotations

import sys

from versant import _core
from versant.ops.derivation import Definition, Formula, Partials
from versant.ops.expression import Micro
from versant.ops.install import offer
from versant.ops.samples import Call, Domain, normal
from versant.ops.signature import REQUIRED, Argument, parse, results_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, NamedTuple, TypeVar

    AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])
    Lowering = str | Callable[..., Any] | None
else:
    from versant.ops.tuples import NamedTuple


class Record(NamedTuple):
    """One op. Facets that an op lacks are named in `without`, with the reason."""

    name: str
    kind: str  # "elementwise", "primitive", "host" or "composite"
    family: str  # the module that it stands in
    doc: str
    call: Callable[..., Any]
    signature: list[Argument] | None  # None: that of the Python function `call`
    result: str  # its type

    # Where users find it: namespaces ("versant", "Tensor", "nn.functional", "special", "linalg"), other names
    # of the same op ("absolute", or with a namespace "special.expit"), its in-place form, its operator.
    places: tuple[str, ...]
    also: tuple[str, ...]
    in_place: Callable[..., Any] | None
    operator: str
    variants: tuple[str, ...]  # further keywords

    # What it computes.
    rule: str  # of dtypes (core/machine/elementwise.h); "" for ops that are not elementwise
    formula: Formula | None  # elementwise: value and derivative
    definition: (
        Callable[..., Any] | None
    )  # in Python: of a composite, or of a primitive that is a faster composite
    differentiable: bool
    autocast: str  # how amp.autocast casts its arguments: "lower", "float32", "promote"; "" leaves them

    # How it is tested.
    ref: Callable[..., Any] | None  # the same in numpy
    sample: tuple[Domain, ...]  # elementwise: where each input is drawn from
    corners: tuple[float, ...]  # elementwise: values to try beside the usual ones
    settings: tuple[Mapping[str, Any], ...]  # elementwise: parameters to try beside the defaults
    samples: tuple[Call, ...]  # other kinds: calls to try

    # How it leaves: the operator's name, or an expression over other micro-ops. None: as its definition does.
    onnx: Lowering
    stablehlo: Lowering

    without: Mapping[str, str]


# The records of the families opened so far; `versant.ops.table` has all of them.
table: dict[str, Record] = {}


def add(record: Record) -> None:
    """Adds a record to the table."""
    table[record.name] = record
    offer(record)


# What an elementwise op may refuse (core/machine/elementwise.h): a tensor of bool; among integers a fraction
# as parameter, a negative number as second input, a number that their dtype cannot hold; as a condition
# (an input that takes no part in promotion) anything but bool; a Python number in the place of the first or
# second input.
REFUSALS = {
    "bool": 1,
    "fraction": 2,
    "negative": 4,
    "overflow": 8,
    "numbers": 16,
    "number_first": 32,
    "number_second": 64,
    "falling": 128,
}


def elementwise(
    name: str,
    definition: Definition,
    doc: str,
    *,
    d: Partials | None = None,
    signature: str = "",
    rule: str = "promote",
    promotes: int = -1,
    refuses: str = "",
    differentiable: bool = True,
    autocast: str = "",
    ref: Callable[..., Any] | None = None,
    sample: Domain | tuple[Domain, ...] = normal,
    corners: Sequence[float] = (),
    settings: Sequence[Mapping[str, Any]] = (),
    onnx: Lowering = None,
    stablehlo: Lowering = None,
    places: str = "versant Tensor",
    also: str = "",
    in_place: bool = True,
    operator: str = "",
    specials: Mapping[float, Any] | None = None,
    variants: Mapping[str, Any] | None = None,
    on_bool: Any = None,
    complex: Callable[..., Any] | bool = True,
    without: Mapping[str, str] | None = None,
) -> _core.Op:
    """Adds an elementwise op to the table.

    definition: the value, from inputs and parameters: a micro-op or a function that builds an expression.
    d: the partial derivatives, from inputs, parameters and the output y (`derivation.Formula`); left out,
        they are derived from the definition.
    signature: inputs, then parameters (of kind "number"); by default "input", or "input, other" for two.
    rule, promotes: the dtype of the result (core/machine/elementwise.h).
    refuses: what it does not take, words of REFUSALS.
    specials: for numbers in the place of the second input, cheaper ops of the first.
    variants: the ops to call where a keyword is given.  on_bool: the op to use for bool inputs.
    complex: the value for complex inputs, from pairs (x.re, x.im) to a pair or a real expression, where it is
        not the definition read as complex arithmetic (pairs.py); False for none.
    """
    arguments = parse(signature or ("input", "input, other")[arity(definition) - 1])
    parameters = [a for a in arguments if a.kind == "number"]
    n_inputs = len(arguments) - len(parameters)
    formula = Formula(name, n_inputs, len(parameters), definition, d, differentiable)
    op = formula.op = _core.define_elementwise(
        name,
        n_inputs,
        len(parameters),
        rule,
        promotes,
        sum(REFUSALS[word] for word in refuses.split()),
        tuple(a.name for a in arguments),
        tuple(a.default for a in parameters if a.default is not REQUIRED),
        formula,
    )
    formula.complex = rule, promotes, sum(REFUSALS[word] for word in refuses.split()), complex
    op.__doc__ = doc
    if autocast:
        op.autocast(autocast)
    for value, cheaper in (specials or {}).items():
        op.special(value, cheaper)
    for keyword, variant in (variants or {}).items():
        op.variant(keyword, variant)
    if on_bool is not None:
        op.on_bool(on_bool)
    if operator:
        op.operator(operator)
    record = Record(
        name=name,
        kind="elementwise",
        family=caller(),
        doc=doc,
        call=op,
        signature=arguments,
        result="Tensor",
        places=tuple(places.split()),
        also=tuple(also.split()),
        in_place=op.in_place() if in_place and "." not in name else None,
        operator=operator,
        variants=tuple(variants or ()),
        rule=rule,
        formula=formula,
        definition=None,
        differentiable=differentiable,
        autocast=autocast,
        ref=ref,
        sample=(sample,) * n_inputs if isinstance(sample, Domain) else sample,
        corners=tuple(corners),
        settings=tuple(settings),
        samples=(),
        onnx=onnx,
        stablehlo=stablehlo,
        without=without or {},
    )
    add(record)
    return op


def primitive(
    name: str,
    signature: str,
    doc: str,
    *,
    target: str = "",
    definition: Callable[..., Any] | None = None,
    differentiable: bool = True,
    autocast: str = "",
    ref: Callable[..., Any] | None = None,
    samples: Sequence[Call] = (),
    onnx: Lowering = None,
    stablehlo: Lowering = None,
    places: str = "versant Tensor",
    also: str = "",
    in_place: bool = False,
    operator: str = "",
    without: Mapping[str, str] | None = None,
) -> _core.Function:
    """Adds a function of the machine to the table.

    target: its name there, where it differs.
    definition: the same as a Python function over other ops, where the machine's function is a faster form.
    in_place: it has a form that changes its first argument: the machine's `target_`, or a copy back.
    """
    arguments, results = parse(signature), results_of(signature)
    target = target or name
    function = _core.define_function(name, target, arguments, doc, autocast)
    changing: Callable[..., Any] | None = None
    if in_place:
        own = _core.has_function(f"{target}_")
        changing = (
            _core.define_function(f"{name}_", f"{target}_", arguments, doc) if own else written_back(function)
        )
    if operator:
        function.operator(operator)
    record = Record(
        name=name,
        kind="primitive",
        family=caller(),
        doc=doc,
        call=function,
        signature=arguments,
        result=f"tuple[{', '.join(['Tensor'] * len(results))}]" if results else "Tensor",
        places=tuple(places.split()),
        also=tuple(also.split()),
        in_place=changing,
        operator=operator,
        variants=(),
        rule="",
        formula=None,
        definition=definition,
        differentiable=differentiable,
        autocast=autocast,
        ref=ref,
        sample=(),
        corners=(),
        settings=(),
        samples=tuple(samples),
        onnx=onnx,
        stablehlo=stablehlo,
        without=without or {},
    )
    add(record)
    return function


def composite(
    *,
    name: str = "",
    differentiable: bool = True,
    autocast: str = "",
    ref: Callable[..., Any] | None = None,
    samples: Sequence[Call] = (),
    places: str = "versant Tensor",
    also: str = "",
    in_place: bool | Callable[..., Any] = False,
    without: Mapping[str, str] | None = None,
) -> Callable[[AnyFunction], AnyFunction]:
    """Adds the decorated Python function over other ops to the table; its docstring is the op's.

    in_place: its in-place form; True for one that computes the result and copies it back.
    autocast: how its arguments are cast under `amp.autocast` (Record.autocast).
    """

    def decorate(function: AnyFunction) -> AnyFunction:
        record = Record(
            name=name or function.__name__,
            kind="composite",
            family=function.__module__,
            doc=function.__doc__ or "",
            call=_core.define_composite(name or function.__name__, function, autocast),
            signature=None,
            result="",
            places=tuple(places.split()),
            also=tuple(also.split()),
            in_place=written_back(function) if in_place is True else in_place or None,
            operator="",
            variants=(),
            rule="",
            formula=None,
            definition=function,
            differentiable=differentiable,
            autocast=autocast,
            ref=ref,
            sample=(),
            corners=(),
            settings=(),
            samples=tuple(samples),
            onnx=None,
            stablehlo=None,
            without=without or {},
        )
        add(record)
        return function

    return decorate


class Choice:
    """A variant of an op that depends on the value of the keyword: rounding_mode="floor"."""

    def __init__(self, keyword: str, options: Mapping[Any, Any]) -> None:
        self.keyword = keyword
        self.options = options

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        value = kwargs.pop(self.keyword)
        if value not in self.options:
            expected = ", ".join(map(repr, self.options))
            raise ValueError(f"[{self.keyword}] expected one of {expected}, got {value!r}")
        return self.options[value](*args, **kwargs)

    def in_place(self) -> Choice:
        return Choice(self.keyword, {value: op.in_place() for value, op in self.options.items()})


def add_variant(name: str, keyword: str, variant: Callable[..., Any]) -> None:
    """Gives a record a variant that builds on the record itself."""
    record = table[name]
    record.call.variant(keyword, variant)  # type: ignore[attr-defined]
    table[name] = record._replace(variants=(*record.variants, keyword))


def in_place_form(name: str) -> Callable[..., Any]:
    """The in-place form of a record."""
    form = table[name].in_place
    assert form is not None, f"{name} has no in-place form"
    return form


def written_back(function: Callable[..., Any]) -> Callable[..., Any]:
    """The in-place form of a composite."""

    def in_place(input: Any, *args: Any, **kwargs: Any) -> Any:
        # From a clone: what gradients read of the input must not change with it.
        return input.copy_(function(input.clone(), *args, **kwargs))

    in_place.__name__ = f"{function.__name__}_"
    in_place.__doc__ = f"{function.__name__}, written into the tensor itself."
    return in_place


def caller() -> str:
    """The module that is adding a record."""
    name: str = sys._getframe(2).f_globals["__name__"]
    return name


def arity(definition: Definition) -> int:
    """How many arguments a definition takes."""
    if isinstance(definition, Micro):
        return definition.arity
    count: int = definition.__code__.co_argcount
    return count
