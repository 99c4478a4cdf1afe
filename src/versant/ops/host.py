"""Ops that run on the host: numpy's LAPACK and pocketfft, called over the memory of tensors.

    inv = host(
        "inv",
        "a",
        "The inverse of each matrix.",
        run=np.linalg.inv,
        result=lambda a: (a.shape, a.dtype),
        vjp=lambda g, y: -(y.mH @ g @ y.mH),
        samples=[call(array(3, 3, form="regular"))],
    )

`run` sees numpy arrays and is called with nothing recorded. The derivative is written in ordinary ops, which
are recorded where a derivative of it is wanted, so derivatives of every order follow. numpy is imported by
the first call.
"""

from __future__ import annotations

from versant import _core
from versant._core import DTypeError, Tensor
from versant.autograd.function import Function
from versant.linalg import LinAlgError
from versant.ops.creation import empty
from versant.ops.lazy import Lazy
from versant.ops.record import Record, add, caller
from versant.ops.signature import REQUIRED, parse, results_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from versant.ops.samples import Call
    from versant.ops.signature import Argument

    Result = tuple[Sequence[int], _core.dtype]  # shape and dtype

DTYPES = ("float32", "float64", "complex64", "complex128")


class HostOp:
    """A function of numpy over tensors, with a derivative in ops; made by `host`."""

    def __init__(
        self,
        name: str,
        signature: str,
        doc: str,
        run: Callable[..., Any],
        result: Callable[..., Any],
        vjp: Callable[..., Any] | None,
        takes: Sequence[str],
    ) -> None:
        self.__name__ = name.rpartition(".")[2]
        self.__doc__ = doc
        self.arguments = parse(signature)
        self.inputs = [a.name for a in self.arguments if a.kind == "tensor"]
        self.results = results_of(signature)  # the names of several results
        self.run = run
        self.result = result
        self.vjp = vjp
        self.wants = names_of(vjp) if vjp is not None else ()
        self.takes = takes
        self.on_tape: Any = type(self.__name__.title().replace("_", ""), (OnTape,), {"op": self})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        values = bind(self.__name__, self.arguments, args, kwargs)
        inputs = [values.pop(name) for name in self.inputs]
        for name, x in zip(self.inputs, inputs, strict=True):
            if not isinstance(x, Tensor):
                raise TypeError(f"[{self.__name__}] expected a tensor as {name}, got {type(x).__name__}")
            if x.dtype.name not in self.takes:
                raise DTypeError(f"[{self.__name__}] expected {', '.join(self.takes)}, got {x.dtype.name}")
        return self.on_tape.apply(values, *inputs)

    def __repr__(self) -> str:
        return f"<host op {self.__name__}>"


class OnTape(Function):
    """One call of a host op and its node on the tape, which is named after the subclass of the op."""

    op: HostOp
    parameters: dict[str, Any]
    saved: list[str]

    @classmethod
    def forward(cls, ctx: Any, parameters: dict[str, Any], *inputs: Tensor) -> Any:
        op = cls.op
        stated = op.result(*inputs, **parameters)
        several = bool(op.results)
        outputs = call_numpy(op, inputs, parameters, stated if several else (stated,))
        if op.vjp is None:
            ctx.mark_non_differentiable(*outputs)
        known = dict(zip(op.inputs, inputs, strict=True))
        known.update(zip(op.results or ["y"], outputs, strict=True))
        ctx.parameters = parameters
        ctx.saved = [name for name in op.wants if name in known]
        ctx.save_for_backward(*(known[name] for name in ctx.saved))
        ctx.set_materialize_grads(not several)
        return outputs if several else outputs[0]

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        op = ctx.op
        known = dict(zip(ctx.saved, ctx.saved_tensors, strict=True), **ctx.parameters)
        known["g"] = grads if op.results else grads[0]
        known["needs"] = ctx.needs_input_grad[1:]
        gradients = op.vjp(**{name: known[name] for name in op.wants})
        return (None, *gradients) if isinstance(gradients, tuple) else (None, gradients)


def call_numpy(
    op: HostOp, inputs: Sequence[Tensor], parameters: Mapping[str, Any], stated: Sequence[Result]
) -> tuple[Tensor, ...]:
    """The results as tensors of the stated shapes and dtypes, over the memory that numpy returned."""
    level = max(map(_core.level_of, inputs), default=0)
    if level:
        return over_samples(op, inputs, parameters, stated, level)
    if all(0 in shape for shape, _ in stated):
        return tuple(empty(tuple(shape), dtype=dtype) for shape, dtype in stated)
    if not _core.is_tracing():
        found = from_numpy(op, inputs, parameters, stated)
        _core.watch_report(op.__name__, list(inputs), list(found))
        return found
    _core.trace_pause(True)
    try:
        found = from_numpy(op, inputs, parameters, stated)
        _core.watch_report(op.__name__, list(inputs), list(found))
    finally:
        _core.trace_pause(False)
    _core.trace_apply(
        lambda again: from_numpy(op, again, parameters, stated), op.__name__, list(inputs), list(found)
    )
    return found


def over_samples(
    op: HostOp, inputs: Sequence[Tensor], parameters: Mapping[str, Any], stated: Sequence[Result], level: int
) -> tuple[Tensor, ...]:
    """The same where inputs stand for many samples, one sample after the other."""
    from versant.ops.joining import stack  # a room that uses this one

    batch, size, _ = _core.level_kind(level)
    before = _core.level_show(level - 1)
    try:
        if not batch:
            return call_numpy(op, [_core.value_at(x, level) for x in inputs], parameters, stated)
        held = [_core.samples_at(x, level) for x in inputs]
        parts = [call_numpy(op, [x[s] for x in held], parameters, stated) for s in range(size)]
        if not parts:
            return tuple(_core.make_batch(empty((0, *shape), dtype=dtype), level) for shape, dtype in stated)
        return tuple(_core.make_batch(stack(list(group)), level) for group in zip(*parts, strict=True))
    finally:
        _core.level_show(before)


def from_numpy(
    op: HostOp, inputs: Sequence[Tensor], parameters: Mapping[str, Any], stated: Sequence[Result]
) -> tuple[Tensor, ...]:
    import numpy as np

    # Row by row in memory, so that strides reach no bit of the result.
    arrays = [x.detach().contiguous().numpy() for x in inputs]
    try:
        with np.errstate(all="ignore"):
            found = op.run(*arrays, **parameters)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(f"[{op.__name__}] {str(error)[:1].lower()}{str(error)[1:]}") from None
    outputs = []
    for (shape, dtype), value in zip(stated, found if op.results else (found,), strict=True):
        own = np.require(value, dtype.name, ["C", "W"])
        if own.shape != tuple(shape):
            raise ValueError(f"[{op.__name__}] numpy gave shape {own.shape} instead of {tuple(shape)}")
        outputs.append(_core.from_buffer(own))
    return tuple(outputs)


def bind(
    name: str, arguments: Sequence[Argument], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """The value of every argument, by name."""
    if len(args) > len(arguments):
        raise TypeError(f"[{name}] expected at most {len(arguments)} arguments, got {len(args)}")
    values = {a.name: a.default for a in arguments}
    given = dict(zip(values, args, strict=False))
    for keyword, value in kwargs.items():
        if keyword not in values or keyword in given:
            raise TypeError(f"[{name}] unexpected argument {keyword!r}")
        given[keyword] = value
    values.update(given)
    missing = [key for key, value in values.items() if value is REQUIRED]
    if missing:
        raise TypeError(f"[{name}] missing argument {missing[0]!r}")
    return values


def names_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's arguments."""
    code = function.__code__
    return code.co_varnames[: code.co_argcount]


def host(
    name: str,
    signature: str,
    doc: str,
    *,
    run: Callable[..., Any] | Lazy,
    result: Callable[..., Any],
    vjp: Callable[..., Any] | None = None,
    ref: Callable[..., Any] | None = None,
    samples: Sequence[Call] = (),
    places: str = "",
    also: str = "",
    takes: Sequence[str] = DTYPES,
    without: Mapping[str, str] | None = None,
) -> HostOp:
    """Adds a function of numpy to the table.

    signature: tensors, then parameters of any kind; with " -> q, r" it has several results.
    run: called with arrays and parameters; gives an array, or as many as there are results.
    result: called with the tensors and parameters; the shape and dtype of the result, or one pair for each.
    vjp: the gradients of the inputs, in ops. It names what it needs, and what it names is saved: the
        gradient `g` of the result (of several a tuple, with None where a result was not used), inputs,
        parameters, results by their names (a single one is `y`), and `needs`, which tells for each input
        whether its gradient is wanted. Left out, the op has no gradient.
    ref: in numpy; by default `run`.
    takes: the dtypes of tensors, of which numpy has all but bfloat16.
    """
    op = HostOp(name, signature, doc, run, result, vjp, takes)
    record = Record(
        name=name,
        kind="host",
        family=caller(),
        doc=doc,
        call=op,
        signature=op.arguments,
        result=f"tuple[{', '.join(['Tensor'] * len(op.results))}]" if op.results else "Tensor",
        places=tuple(places.split()),
        also=tuple(also.split()),
        in_place=None,
        operator="",
        variants=(),
        rule="",
        formula=None,
        definition=None,
        differentiable=vjp is not None,
        autocast="",
        ref=None if without and "ref" in without else ref or run,
        sample=(),
        corners=(),
        settings=(),
        samples=tuple(samples),
        onnx=None,
        stablehlo=None,
        without=without or {},
    )
    add(record)
    return op
