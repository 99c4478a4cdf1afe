"""Derivatives of functions, backward (`grad`, `vjp`) and forward (`jvp`, `linearize`)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from versant import Tensor, _core
from versant.func.levels import apart, described, dual_level, results_apart, together
from versant.structure import Structure, children

Argnums = int | tuple[int, ...]


class Tape:
    """A function's results on a tape of their own, by the tensors of some of its arguments."""

    def __init__(
        self, who: str, func: Callable[..., Any], picked: list[Any], call: Callable[..., Any]
    ) -> None:
        self.who = who
        self.structures: list[Structure] = []
        self.variables: list[Tensor] = []
        self.outer = _core.is_grad_enabled()
        _core.set_grad_mode(True)
        try:
            fresh = [self.fresh(value) for value in picked]
            self.result = call(func, fresh)
        finally:
            _core.set_grad_mode(self.outer)

    def fresh(self, value: Any) -> Any:
        structure, tensors = apart(value)
        for tensor in tensors:
            if not (tensor.is_floating_point() or tensor.is_complex()):
                raise TypeError(
                    f"[{self.who}] can differentiate by floating-point and complex tensors only, got "
                    f"{tensor.dtype.name}"
                )
        if not tensors:
            raise TypeError(f"[{self.who}] expected a tensor to differentiate by, got {described(value)}")
        made = [_core.variable(tensor) for tensor in tensors]
        self.structures.append(structure)
        self.variables += made
        return together(structure, made)

    def records(self, outputs: Sequence[Tensor]) -> bool:
        """Whether somebody else differentiates through what follows."""
        return self.outer and _core.reaches_others(outputs, self.variables)

    def gradients(
        self, outputs: Sequence[Tensor], weights: Sequence[Any], keep: bool, create: bool
    ) -> list[Any]:
        """The weighted gradients, one in the form of each picked argument; zeros where no way leads."""
        found = _core.pull(outputs, weights, self.variables, keep or create, create)
        whole = [zeros_like(x) if g is None else g for g, x in zip(found, self.variables, strict=True)]
        forms = []
        for structure in self.structures:
            count = count_tensors(structure)
            forms.append(together(structure, whole[:count]))
            whole = whole[count:]
        return forms

    def finished(self, value: Any, recorded: bool) -> Any:
        """A result as its caller gets it: off the tape unless that leads elsewhere too."""
        if recorded:
            return value
        structure, tensors = apart(value)
        return together(structure, [_core.off_tape(tensor) for tensor in tensors])


def zeros_like(x: Tensor) -> Tensor:
    return _core.full(tuple(x.shape), 0, x.dtype, False)


def count_tensors(structure: Structure) -> int:
    if structure[0] == "tensor":
        return 1
    return sum(count_tensors(part) for _, part in children(structure, ""))


def places(who: str, argnums: Argnums, count: int) -> list[int]:
    """Positions of the arguments to differentiate by."""
    wanted = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    if not wanted:
        raise RuntimeError(f"[{who}] argnums must name an argument, got an empty tuple")
    found = []
    for place in wanted:
        if not -count <= place < count:
            raise RuntimeError(f"[{who}] got argnums={argnums!r}, but {count} positional arguments")
        found.append(place % count)
    if len(set(found)) < len(found):
        raise RuntimeError(f"[{who}] argnums={argnums!r} names an argument twice")
    return found


def on_tape(
    who: str, func: Callable[..., Any], argnums: Argnums, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Tape:
    at = places(who, argnums, len(args))

    def call(func: Callable[..., Any], fresh: list[Any]) -> Any:
        now = list(args)
        for place, value in zip(at, fresh, strict=True):
            now[place] = value
        return func(*now, **kwargs)

    return Tape(who, func, [args[place] for place in at], call)


def with_aux(who: str, result: Any, has_aux: bool) -> tuple[Any, Any]:
    if not has_aux:
        return result, None
    if not isinstance(result, tuple) or len(result) != 2:
        raise RuntimeError(
            f"[{who}] has_aux=True expects the function to return a pair (output, aux), "
            f"got {described(result)}"
        )
    return result


def gradient_and_value(
    who: str, func: Callable[..., Any], argnums: Argnums, has_aux: bool, args: Any, kwargs: Any
) -> tuple[Any, Any, Any]:
    tape = on_tape(who, func, argnums, args, kwargs)
    value, aux = with_aux(who, tape.result, has_aux)
    if not isinstance(value, Tensor):
        raise RuntimeError(f"[{who}] expected the function to return one tensor, got {described(value)}")
    if value.dim() != 0:
        raise RuntimeError(
            f"[{who}] expected the function to return a tensor without dimensions, got shape "
            f"{tuple(value.shape)}; reduce it, or use vjp or jacrev"
        )
    if not value.is_floating_point():
        raise RuntimeError(
            f"[{who}] expected the function to return a real floating-point number, got {value.dtype.name}"
        )
    record = tape.records([value])
    one = _core.full((), 1, value.dtype, False)
    found = tape.gradients([value], [one], False, record)
    grads = found[0] if isinstance(argnums, int) else tuple(found)
    return grads, tape.finished(value, record), tape.finished(aux, record)


def grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The function that gives the gradients of `func`, which returns one number (a tensor without
    dimensions).

    argnums: which positional arguments to differentiate by; of several, gradients come as a tuple. Arguments
    may be containers of tensors, and gradients take their form. has_aux: func returns (number, aux), and the
    new function (gradients, aux).
    Raises RuntimeError when func returns something else, TypeError for arguments that have no gradient.

    >>> import versant as vs
    >>> vs.func.grad(lambda x: x**3)(vs.tensor(2.0))
    tensor(12.)
    >>> vs.func.grad(vs.func.grad(lambda x: x**3))(vs.tensor(2.0))
    tensor(12.)
    """

    @functools.wraps(func)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        grads, _, aux = gradient_and_value("grad", func, argnums, has_aux, args, kwargs)
        return (grads, aux) if has_aux else grads

    return gradient


def grad_and_value(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """As `grad`; the new function gives (gradients, value), or (gradients, (value, aux))."""

    @functools.wraps(func)
    def both(*args: Any, **kwargs: Any) -> Any:
        grads, value, aux = gradient_and_value("grad_and_value", func, argnums, has_aux, args, kwargs)
        return grads, (value, aux) if has_aux else value

    return both


def value_and_grad(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """As `grad`; the new function gives (value, gradients), or ((value, aux), gradients).

    >>> import versant as vs
    >>> vs.func.value_and_grad(lambda x: (x * x).sum())(vs.tensor([1.0, 2.0]))
    (tensor(5.), tensor([2., 4.]))
    """

    @functools.wraps(func)
    def both(*args: Any, **kwargs: Any) -> Any:
        grads, value, aux = gradient_and_value("value_and_grad", func, argnums, has_aux, args, kwargs)
        return (value, aux) if has_aux else value, grads

    return both


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """The value of func(*primals), and the function that pulls cotangents back: (value, vjp_fn), or with
    has_aux (value, vjp_fn, aux).

    vjp_fn(cotangents), in the form of the value, gives the cotangents times the Jacobian: a tuple with one
    for each primal, in its form. It may be called again.

    >>> import versant as vs
    >>> value, back = vs.func.vjp(lambda x: x.sin(), vs.tensor([0.0, 1.0]))
    >>> back(vs.ones(2))
    (tensor([1.0000, 0.5403]),)
    """
    if not primals:
        raise RuntimeError("[vjp] expected a tensor to differentiate by, got no arguments")
    tape = on_tape("vjp", func, tuple(range(len(primals))), primals, {})
    value, aux = with_aux("vjp", tape.result, has_aux)
    form, outputs = results_apart(value, "vjp")
    record = tape.records(outputs)

    def back(cotangents: Any) -> Any:
        structure, weights = apart(cotangents)
        if structure != form:
            raise RuntimeError(
                f"[vjp] expected cotangents in the form of the value, {described(value)}, got "
                f"{described(cotangents)}"
            )
        for weight, output in zip(weights, outputs, strict=True):
            if weight.shape != output.shape:
                raise RuntimeError(
                    f"[vjp] expected a cotangent of shape {tuple(output.shape)}, got {tuple(weight.shape)}"
                )
        create = _core.is_grad_enabled() and (record or _core.reaches_others(weights, []))
        return tuple(tape.gradients(outputs, weights, True, create))

    results = (tape.finished(value, record), back)
    return (*results, tape.finished(aux, record)) if has_aux else results


def jvp(
    func: Callable[..., Any],
    primals: tuple[Any, ...],
    tangents: tuple[Any, ...],
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> tuple[Any, ...]:
    """The value of func(*primals) and its derivative along `tangents`: (value, derivative), or with has_aux
    (value, derivative, aux). Both have one form.

    Forward mode: one pass, whose cost does not depend on the number of outputs. strict: raise RuntimeError
    where an output does not depend on the primals, instead of giving zeros.

    >>> import versant as vs
    >>> vs.func.jvp(lambda x: x * x, (vs.tensor(3.0),), (vs.tensor(1.0),))
    (tensor(9.), tensor(6.))
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise RuntimeError("[jvp] expected primals and tangents as tuples, one entry for each argument")
    form, points = apart(primals)
    along_form, directions = apart(tangents)
    if form != along_form:
        raise RuntimeError("[jvp] expected primals and tangents of one form")
    if not points:
        raise RuntimeError("[jvp] expected a tensor to differentiate by")
    for point, direction in zip(points, directions, strict=True):
        check_direction("jvp", point, direction)
    with dual_level() as level:
        duals = [_core.make_dual(x, t, level) for x, t in zip(points, directions, strict=True)]
        value, aux = with_aux("jvp", func(*together(form, duals)), has_aux)
        structure, outputs = results_apart(value, "jvp")
        values = [_core.value_at(y, level) for y in outputs]
        slopes = [_core.tangent_at(y, level) for y in outputs]
        if strict and None in slopes:
            raise RuntimeError("[jvp] strict=True: an output does not depend on the primals")
        slopes = [zeros_like(y) if t is None else t for y, t in zip(values, slopes, strict=True)]
        rest, extras = apart(aux)
        extras = [_core.value_at(extra, level) for extra in extras]
    results = together(structure, values), together(structure, slopes)
    return (*results, together(rest, extras)) if has_aux else results


def check_direction(who: str, point: Tensor, direction: Tensor) -> None:
    if point.shape != direction.shape:
        raise RuntimeError(
            f"[{who}] expected a tangent of shape {tuple(point.shape)}, got {tuple(direction.shape)}"
        )
    if not (point.is_floating_point() or point.is_complex()):
        raise TypeError(f"[{who}] can differentiate by floating-point tensors only, got {point.dtype.name}")
    if point.dtype != direction.dtype:
        raise RuntimeError(
            f"[{who}] expected a tangent of dtype {point.dtype.name}, got {direction.dtype.name}"
        )


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """The value of func(*primals), and its derivative there as a linear function of tangents.

    The function runs once; the new one may be called with many tangents.
    (Townsend, "A new trick for calculating Jacobian vector products", 2017)

    >>> import versant as vs
    >>> value, derivative = vs.func.linearize(lambda x: x * x, vs.tensor(3.0))
    >>> derivative(vs.tensor(1.0))
    tensor(6.)
    """
    if not primals:
        raise RuntimeError("[linearize] expected a tensor to differentiate by, got no arguments")
    tape = on_tape("linearize", func, tuple(range(len(primals))), primals, {})
    structure, outputs = results_apart(tape.result, "linearize")
    form, points = apart(primals)
    record = tape.records(outputs)
    before = _core.set_grad_mode(True)
    try:
        weights = [_core.variable(zeros_like(y)) for y in outputs]
        pulled = _core.pull(outputs, weights, tape.variables, True, True)
    finally:
        _core.set_grad_mode(before)

    def derivative(*tangents: Any) -> Any:
        along_form, directions = apart(tangents)
        if along_form != form:
            raise RuntimeError("[linearize] expected tangents in the form of the primals")
        for point, direction in zip(points, directions, strict=True):
            check_direction("linearize", point, direction)
        used = [(g, t) for g, t in zip(pulled, directions, strict=True) if g is not None]
        create = _core.is_grad_enabled() and (record or _core.reaches_others(directions, []))
        slopes = _core.pull([g for g, _ in used], [t for _, t in used], weights, True, create)
        return together(
            structure, [zeros_like(y) if t is None else t for y, t in zip(outputs, slopes, strict=True)]
        )

    return tape.finished(tape.result, record), derivative


def hvp(func: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    """The Hessian of `func`, which returns one number, times `tangents`: forward mode over the gradient.

    Of one primal a tensor in its form, of several a tuple.

    >>> import versant as vs
    >>> vs.func.hvp(lambda x: (x**3).sum(), (vs.tensor([1.0, 2.0]),), (vs.tensor([1.0, 0.0]),))
    tensor([6., 0.])
    """
    gradient = grad(func, tuple(range(len(primals))))
    product = jvp(gradient, primals, tangents)[1]
    return product[0] if len(primals) == 1 else product
