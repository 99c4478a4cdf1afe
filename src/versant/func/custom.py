"""Functions with derivatives of the user's own, as JAX spells them; `versant.autograd.Function` is
PyTorch's way."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

from versant import Tensor
from versant.autograd.function import Function
from versant.func.derivatives import count_tensors, vjp, zeros_like
from versant.func.levels import apart, described, results_apart, together
from versant.structure import Structure


def place_of(rule: Callable[..., Any]) -> str:
    """Where a rule was written."""
    code = getattr(rule, "__code__", None)
    name = getattr(rule, "__name__", type(rule).__name__)
    return f"{name} ({code.co_filename.rpartition('/')[2]}:{code.co_firstlineno})" if code else name


class CustomRule:
    """A function whose derivative is given; made by `custom_vjp` and `custom_jvp`."""

    def __init__(self, function: Callable[..., Any], nondiff_argnums: Sequence[int]) -> None:
        functools.update_wrapper(self, function)  # type: ignore[arg-type]
        self.function = function
        self.fixed = tuple(nondiff_argnums)
        self.here = threading.local()  # whether its rule is running, and calls the function itself

    def split(self, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """The arguments that are only passed on, and those that have derivatives."""
        if any(not -len(args) <= i < len(args) for i in self.fixed):
            raise ValueError(f"[{self.name}] nondiff_argnums={self.fixed} for {len(args)} arguments")
        fixed = {i % len(args) for i in self.fixed}
        return (
            tuple(x for i, x in enumerate(args) if i in fixed),
            tuple(x for i, x in enumerate(args) if i not in fixed),
        )

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", "custom function")

    def merged(self, fixed: tuple[Any, ...], free: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments in their order again."""
        count = len(fixed) + len(free)
        places = {i % count for i in self.fixed}
        rest_fixed, rest_free = iter(fixed), iter(free)
        return tuple(next(rest_fixed) if i in places else next(rest_free) for i in range(count))


class Call:
    """What one call of a custom rule keeps between its parts."""

    def __init__(self, rule: Any, fixed: tuple[Any, ...], form: Structure) -> None:
        self.rule, self.fixed, self.form = rule, fixed, form
        self.results: Structure | None = None
        self.kept: Structure | None = None


class custom_vjp(CustomRule):
    """A function whose reverse derivative is given by `defvjp(fwd, bwd)`.

    fwd(*args) returns (value, residuals), bwd(residuals, cotangents) a tuple with the gradient of each
    argument, None for none. nondiff_argnums: arguments that have no derivative; they come first in bwd. The
    function works under grad, vmap and compile; of forward derivatives those of bwd are used.
    Raises RuntimeError, with the line of the rule, where its gradients do not fit the arguments.

    >>> import versant as vs
    >>> @vs.func.custom_vjp
    ... def clipped(x):
    ...     return x * 1
    >>> clipped.defvjp(lambda x: (clipped(x), None), lambda kept, g: (g.clamp(-1, 1),))
    >>> vs.func.grad(lambda x: 5 * clipped(x))(vs.tensor(2.0))
    tensor(1.)
    """

    def __init__(self, function: Callable[..., Any], nondiff_argnums: Sequence[int] = ()) -> None:
        super().__init__(function, nondiff_argnums)
        self.fwd: Callable[..., Any] | None = None
        self.bwd: Callable[..., Any] | None = None

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> None:
        """States the rule."""
        self.fwd, self.bwd = fwd, bwd

    def __call__(self, *args: Any) -> Any:
        if self.fwd is None or self.bwd is None:
            raise RuntimeError(f"[{self.name}] custom_vjp has no rule yet; call defvjp(fwd, bwd)")
        if getattr(self.here, "runs", False):
            return self.function(*args)
        fixed, free = self.split(args)
        form, tensors = apart(free)
        call = Call(self, fixed, form)
        outputs = _Vjp.apply(call, *tensors)
        assert call.results is not None
        return together(call.results, outputs if isinstance(outputs, tuple) else (outputs,))


def gradients_fit(
    name: str, rule: Callable[..., Any], form: Structure, inputs: Sequence[Any], found: Any
) -> list[Any]:
    """The gradients that a rule returned, one for each tensor of the arguments."""
    count = len(form) - 1
    if not isinstance(found, (tuple, list)) or len(found) != count:
        got = f"{len(found)}" if isinstance(found, (tuple, list)) else described(found)
        raise RuntimeError(
            f"[{name}] {place_of(rule)} must return a tuple of {count} gradients, one for each argument, "
            f"got {got}"
        )
    result: list[Any] = []
    for i, (part, gradient) in enumerate(zip(form[1:], found, strict=True)):
        expected = list(inputs[len(result) : len(result) + count_tensors(part)])
        if gradient is None:
            result += [None] * len(expected)
            continue
        structure, tensors = apart(gradient)
        if structure != part:
            raise RuntimeError(
                f"[{name}] {place_of(rule)} returned a gradient for argument {i} in another form: "
                f"{described(gradient)}"
            )
        for x, g in zip(expected, tensors, strict=True):
            if tuple(g.shape) != tuple(x.shape) or g.dtype is not x.dtype:
                raise RuntimeError(
                    f"[{name}] {place_of(rule)} returned a gradient of shape {tuple(g.shape)} and dtype "
                    f"{g.dtype.name} for argument {i} of shape {tuple(x.shape)} and dtype {x.dtype.name}"
                )
        result += tensors
    return result


class _Vjp(Function):
    """One call of a custom_vjp on the tape."""

    generate_vmap_rule = True

    @staticmethod
    def forward(ctx: Any, call: Call, *tensors: Tensor) -> Any:
        rule = call.rule
        args = rule.merged(call.fixed, together(call.form, tensors))
        rule.here.runs = True
        try:
            answer = rule.fwd(*args)
        finally:
            rule.here.runs = False
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise RuntimeError(f"[{rule.name}] {place_of(rule.fwd)} must return a pair (value, residuals)")
        call.results, outputs = results_apart(answer[0], rule.name)
        call.kept, residuals = apart(answer[1])
        ctx.call = call
        ctx.shapes = [(x.shape, x.dtype) for x in tensors]
        ctx.save_for_backward(*residuals)
        return tuple(y.view_as(y) if any(y is x for x in tensors) else y for y in outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        call = ctx.call
        kept = together(call.kept, ctx.saved_tensors)
        found = call.rule.bwd(*call.fixed, kept, together(call.results, grads))
        like = [Like(shape, dtype) for shape, dtype in ctx.shapes]
        return (None, *gradients_fit(call.rule.name, call.rule.bwd, call.form, like, found))


class Like:
    """Shape and dtype of a tensor that is not kept."""

    def __init__(self, shape: Any, dtype: Any) -> None:
        self.shape, self.dtype = shape, dtype


class custom_jvp(CustomRule):
    """A function whose forward derivative is given by `defjvp(rule)`.

    rule(primals, tangents) returns (value, derivative), the derivative linear in the tangents, written in
    ops. The reverse derivative is its transpose. nondiff_argnums: arguments that have no derivative; they
    come first in the rule.

    >>> import versant as vs
    >>> @vs.func.custom_jvp
    ... def log1pexp(x):
    ...     return (1 + x.exp()).log()
    >>> @log1pexp.defjvp
    ... def rule(primals, tangents):
    ...     (x,), (t,) = primals, tangents
    ...     return log1pexp(x), t * x.sigmoid()
    >>> vs.func.grad(log1pexp)(vs.tensor(100.0))
    tensor(1.)
    """

    def __init__(self, function: Callable[..., Any], nondiff_argnums: Sequence[int] = ()) -> None:
        super().__init__(function, nondiff_argnums)
        self.rule: Callable[..., Any] | None = None

    def defjvp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """States the rule; may be used as a decorator."""
        self.rule = rule
        return rule

    def __call__(self, *args: Any) -> Any:
        if self.rule is None:
            raise RuntimeError(f"[{self.name}] custom_jvp has no rule yet; call defjvp(rule)")
        fixed, free = self.split(args)
        form, tensors = apart(free)
        call = Call(self, fixed, form)
        outputs = _Jvp.apply(call, *tensors)
        assert call.results is not None
        return together(call.results, outputs if isinstance(outputs, tuple) else (outputs,))

    def pushed(self, call: Call, tensors: Sequence[Tensor], tangents: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The derivative that the rule gives, in order of the outputs."""
        assert self.rule is not None
        primals, along = together(call.form, tensors), together(call.form, tangents)
        answer = self.rule(*call.fixed, primals, along)
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise RuntimeError(f"[{self.name}] {place_of(self.rule)} must return a pair (value, derivative)")
        structure, slopes = results_apart(answer[1], self.name)
        values = apart(answer[0])[1]
        if structure != apart(answer[0])[0] or any(
            t.shape != y.shape or t.dtype is not y.dtype for t, y in zip(slopes, values, strict=True)
        ):
            shapes = [tuple(y.shape) for y in values], [tuple(t.shape) for t in slopes]
            raise RuntimeError(
                f"[{self.name}] {place_of(self.rule)} must return a derivative in the form, shape and dtype "
                f"of the value, got shapes {shapes[1]} for {shapes[0]}"
            )
        return tuple(slopes)


class _Jvp(Function):
    """One call of a custom_jvp on the tape."""

    generate_vmap_rule = True

    @staticmethod
    def forward(ctx: Any, call: Call, *tensors: Tensor) -> Any:
        rule = call.rule
        args = rule.merged(call.fixed, together(call.form, tensors))
        call.results, outputs = results_apart(rule.function(*args), rule.name)
        ctx.call = call
        ctx.save_for_backward(*tensors)
        return tuple(y.view_as(y) if any(y is x for x in tensors) else y for y in outputs)

    @staticmethod
    def jvp(ctx: Any, call: Any, *tangents: Any) -> Any:
        tensors = ctx.saved_tensors
        whole = [zeros_like(x) if t is None else t for x, t in zip(tensors, tangents, strict=True)]
        return ctx.call.rule.pushed(ctx.call, tensors, whole)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        call, tensors = ctx.call, ctx.saved_tensors
        smooth = [i for i, x in enumerate(tensors) if x.is_floating_point() or x.is_complex()]

        def push(*along: Tensor) -> tuple[Tensor, ...]:
            whole = [zeros_like(x) for x in tensors]
            for i, t in zip(smooth, along, strict=True):
                whole[i] = t
            slopes: tuple[Tensor, ...] = call.rule.pushed(call, tensors, whole)
            return slopes

        _, back = vjp(push, *[zeros_like(tensors[i]) for i in smooth])
        found = dict(zip(smooth, back(tuple(grads)), strict=True))
        return (None, *[found.get(i) for i in range(len(tensors))])
