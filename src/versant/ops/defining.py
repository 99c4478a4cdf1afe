"""`versant.ops.define`: ops of a user's own, with all that ops of the table have."""

from __future__ import annotations

from versant.ops import host as hosts
from versant.ops import record as records
from versant.ops.samples import normal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from versant.ops.expression import Expression
    from versant.ops.samples import Call, Domain


def define(
    name: str,
    definition: Callable[..., Expression] | None = None,
    *,
    doc: str = "",
    signature: str = "",
    d: Callable[..., Any] | None = None,
    run: Callable[..., Any] | None = None,
    result: Callable[..., Any] | None = None,
    vjp: Callable[..., Any] | None = None,
    ref: Callable[..., Any] | None = None,
    sample: Domain | tuple[Domain, ...] = normal,
    samples: Sequence[Call] = (),
    rule: str = "promote",
) -> Callable[..., Any]:
    """Makes an op: elementwise from an expression of micro-ops, or any function of numpy arrays.

    definition: the value of one element, built from inputs by Python's operators and the micro-ops of
        `versant.ops.m`. It runs as a tile program, fuses, differentiates to any order, in both directions,
        and compiles. d: its partial derivatives, from the inputs and the output y, where the derived ones
        are not the best (a tuple for several inputs). rule: the dtype of the result, "promote", "float" or
        "bool".
    run: in its place, a function of numpy arrays (which may call C through ctypes). result: of the tensors,
    the
        shape and dtype of the result. vjp: the gradients of the inputs in ops, which names what it needs: the
        gradient `g`, inputs, the result `y`; without it the op has no gradient.
    signature: the names of the arguments ("x, y"), by default those of the definition or of run; parameters
    that are
        numbers as "x, alpha: number = 1.0".
    ref: the same in numpy, sample or samples: what it is tried on, for `versant.testing.check_op`.
    Raises ValueError for a name that is taken, TypeError where neither or both of definition and run are
    given.

    >>> import versant as vs
    >>> swish = vs.ops.define("demo.swish", lambda x: x * vs.ops.m.sigmoid(x))
    >>> swish(vs.tensor([0.0, 2.0]))
    tensor([0.0000, 1.7616])
    """
    if name in records.table:
        raise ValueError(f"[define] there is an op named {name!r} already")
    if (definition is None) is (run is None):
        raise TypeError(f"[define] {name}: expected a definition or run=, one of the two")
    form = definition if definition is not None else run
    assert form is not None
    code = getattr(form, "__code__", None)
    if not signature:
        if code is None:
            raise TypeError(f"[define] {name}: the function has no Python signature; say signature=")
        signature = ", ".join(code.co_varnames[: code.co_argcount])
    doc = doc or (form.__doc__ or "")
    if definition is not None:
        return records.elementwise(
            name, definition, doc, d=d, signature=signature, rule=rule, ref=ref, sample=sample, places="",
            in_place=False,
        )  # fmt: skip
    if result is None:
        raise TypeError(f"[define] {name}: run= needs result=, the shape and dtype of the result")
    assert run is not None
    return hosts.host(
        name, signature, doc, run=run, result=result, vjp=vjp, ref=ref, samples=samples, places=""
    )


def named(op: Any) -> str:
    """The name of the record of an op."""
    for name, record in records.table.items():
        if record.call is op:
            return name
    raise ValueError(f"[check_op] expected an op of the table, got {op!r:.80}")


__all__ = ["define", "named"]
