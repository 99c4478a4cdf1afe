"""Gradients that programs bring themselves, gradients stopped, gradients that compute their inputs again."""

import functools
from collections.abc import Callable
from typing import Any

import versant
from versant import _core
from versant.autograd import Function
from versant.autograd.tape import GradientTape, UnconnectedGradients
from versant.tensors.nest import flatten, pack_sequence_as
from versant.tf.tensors import Tensor, brand, convert

__all__ = [
    "GradientTape",
    "UnconnectedGradients",
    "custom_gradient",
    "grad_pass_through",
    "gradients",
    "recompute_grad",
    "stop_gradient",
]


def stop_gradient(input: Any, name: str | None = None) -> Any:
    """The value of input, through which no gradient flows."""
    return brand(_core.plain(convert(input)).detach())


class _Custom(Function):
    """f(*args) -> (result, grad_fn), where grad_fn takes the gradients of the results to those of args."""

    @staticmethod
    def forward(ctx: Any, call: "_Call", *args: Any) -> Any:
        call.run(args)
        ctx.call = call
        return tuple(call.results)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return (None, *ctx.call.gradients(grads))


class _Call:
    """One call of a function with a gradient of its own."""

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.f, self.args, self.kwargs = f, args, kwargs
        self.flat = all(isinstance(a, _core.TensorLike) for a in args)
        self.leaves = list(args) if self.flat else flatten(list(args))
        self.places = [i for i, leaf in enumerate(self.leaves) if isinstance(leaf, _core.Tensor)]
        self.variables: list[Any] = []

    def run(self, tensors: tuple[Any, ...]) -> None:
        leaves = list(self.leaves)
        for i, tensor in zip(self.places, tensors, strict=False):
            leaves[i] = tensor if isinstance(tensor, _core.TensorLike) else brand(tensor)
        given = leaves if self.flat else pack_sequence_as(list(self.args), leaves)
        found, self.grad_fn = self.f(*given, **self.kwargs)
        self.structure = found
        flat = [found] if isinstance(found, _core.Tensor) else flatten(found)
        self.results = [_core.plain(convert(y)).detach() for y in flat]

    def gradients(self, grads: Any) -> list[Any]:
        dys = [
            brand(versant.zeros_like(y) if g is None else g) for g, y in zip(grads, self.results, strict=True)
        ]
        if self.variables:
            found, of_variables = self.grad_fn(*dys, variables=self.variables)
            rest = list(of_variables)
        else:
            found, rest = self.grad_fn(*dys), []
        found = [found] if isinstance(found, _core.Tensor) else flatten(found)
        if len(found) != len(self.places):
            raise ValueError(
                f"[custom_gradient] the gradient function gave {len(found)} gradients for {len(self.places)} "
                "tensors"
            )
        return [g if g is None else _core.plain(convert(g)) for g in (*found, *rest)]


def custom_gradient(f: Callable[..., Any] | None = None) -> Any:
    """A decorator: f gives (result, grad_fn), and grad_fn(*dy) the gradients of f's tensors.

    grad_fn takes one gradient for each tensor among the results, and returns one for each tensor among the
    arguments; None stands for no gradient. When f reads trainable variables, grad_fn(*dy, variables=...)
    returns two lists: the gradients of the arguments and those of the variables.
    """
    if f is None:
        return custom_gradient

    may_read_variables = "variables" in _parameters_of(f) or _reads_variables(f)

    @functools.wraps(f)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        args = (
            args
            if all(isinstance(a, _core.TensorLike) for a in args)
            else tuple(pack_sequence_as(list(args), [_as_argument(leaf) for leaf in flatten(list(args))]))
        )
        call = _Call(f, args, kwargs)
        tensors = [call.leaves[i] for i in call.places]
        if may_read_variables:
            call.variables = _variables_read(f, args, kwargs)
        results = _Custom.apply(call, *tensors, *call.variables)
        if isinstance(call.structure, _core.Tensor):
            return brand(results[0])
        return pack_sequence_as(call.structure, [brand(_core.plain(y)) for y in results])

    return decorated


def _as_argument(leaf: Any) -> Any:
    if isinstance(leaf, _core.Tensor | bool | str) or leaf is None or callable(leaf):
        return leaf
    try:
        return convert(leaf)
    except (TypeError, ValueError):
        return leaf


def _parameters_of(f: Callable[..., Any]) -> tuple[str, ...]:
    """Names of arguments of the functions that f defines: among them that of its gradient."""
    code = getattr(f, "__code__", None)
    if code is None:
        return ()
    found: tuple[str, ...] = ()
    for constant in code.co_consts:
        if hasattr(constant, "co_varnames"):
            found += constant.co_varnames[: constant.co_argcount + constant.co_kwonlyargcount]
    return found


def _reads_variables(f: Callable[..., Any]) -> bool:
    """Whether variables stand among what f closes over."""
    cells = getattr(f, "__closure__", None) or ()
    return any(
        isinstance(_content(cell), _core.TensorLike) and not isinstance(_content(cell), Tensor)
        for cell in cells
    )


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _variables_read(f: Callable[..., Any], args: Any, kwargs: Any) -> list[Any]:
    """The trainable variables that f reads beside its arguments."""
    given = {id(leaf) for leaf in flatten(list(args))}
    with GradientTape() as tape:
        f(*args, **kwargs)
    return [v for v in tape.watched_variables() if id(v) not in given]


def grad_pass_through(f: Callable[..., Any]) -> Callable[..., Any]:
    """f, with the gradient of the identity."""

    def passing(*args: Any, **kwargs: Any) -> Any:
        return f(*args, **kwargs), lambda *dys: list(dys)

    decorated: Callable[..., Any] = custom_gradient(passing)
    return decorated


def recompute_grad(f: Callable[..., Any]) -> Callable[..., Any]:
    """f, which keeps no values for its gradient but computes them again."""
    from versant.utils.checkpoint import checkpoint

    @functools.wraps(f)
    def recomputed(*args: Any, **kwargs: Any) -> Any:
        if not _core.is_taping():
            return f(*args, **kwargs)

        wanted = [isinstance(x, _core.Tensor) and x.requires_grad for x in flatten(list(args))]

        def recorded(*inner: Any, **options: Any) -> Any:
            # The way back runs it again, where no tape records and watches.
            with GradientTape() as tape:
                tape.watch([x for x, own in zip(flatten(list(inner)), wanted, strict=True) if own])
                return f(*inner, **options)

        return checkpoint(recorded, *args, use_reentrant=False, **kwargs)

    return recomputed


def gradients(ys: Any, xs: Any, *args: Any, **kwargs: Any) -> Any:
    """Belongs to graphs of TensorFlow 1; raises RuntimeError, as it does in eager mode."""
    raise RuntimeError("[gradients] is not for eager mode; use tf.GradientTape")
