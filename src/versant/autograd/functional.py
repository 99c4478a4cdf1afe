"""Derivatives of functions: vjp, jvp, jacobian, hessian and products with it."""

from collections.abc import Callable, Sequence
from typing import Any

from versant import _core
from versant._core import Tensor
from versant.autograd.gradients import grad
from versant.autograd.modes import enable_grad

Tensors = Tensor | tuple[Tensor, ...]


def _as_tuple(value: Tensors | Sequence[Tensor], what: str) -> tuple[Tensor, ...]:
    values = (value,) if isinstance(value, Tensor) else tuple(value)
    for item in values:
        if not isinstance(item, Tensor):
            raise TypeError(f"[autograd.functional] {what} must be tensors, got {type(item).__name__}")
    return values


def _like(values: tuple[Tensor, ...], given: Any) -> Any:
    return values[0] if isinstance(given, Tensor) else values


def _fresh(inputs: Tensors, create_graph: bool) -> tuple[Tensor, ...]:
    """The inputs as new variables; with create_graph still tied to what they came from."""
    values = _as_tuple(inputs, "inputs")
    if create_graph:
        return tuple(x.view_as(x) if x.requires_grad else x.detach().requires_grad_() for x in values)
    return tuple(x.detach().requires_grad_() for x in values)


def _zeros_for(grads: tuple[Tensor | None, ...], inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(
        _core.full(tuple(x.shape), 0, x.dtype, False) if g is None else g
        for g, x in zip(grads, inputs, strict=True)
    )


@enable_grad()
def vjp(
    func: Callable[..., Any], inputs: Tensors, v: Tensors | None = None, create_graph: bool = False
) -> tuple[Any, Any]:
    """The value of func(*inputs) and v times its Jacobian.  v: of the output's shape; 1 for one element."""
    xs = _fresh(inputs, create_graph)
    outputs = func(*xs)
    ys = _as_tuple(outputs, "outputs")
    weights = None if v is None else _as_tuple(v, "v")
    grads = _core.grad(ys, xs, weights, create_graph, create_graph, True, False)
    result = _zeros_for(grads, xs)
    if not create_graph:
        ys = tuple(y.detach() for y in ys)
    return _like(ys, outputs), _like(result, inputs)


@enable_grad()
def jvp(
    func: Callable[..., Any], inputs: Tensors, v: Tensors | None = None, create_graph: bool = False
) -> tuple[Any, Any]:
    """The value of func(*inputs) and its Jacobian times v.  v: of the inputs' shapes; 1 for one element.

    The vjp is linear in its weight; its derivative by the weight is the jvp.
    (Townsend, "A new trick for calculating Jacobian vector products", 2017)
    """
    xs = _fresh(inputs, create_graph)
    outputs = func(*xs)
    ys = _as_tuple(outputs, "outputs")
    if v is None:
        if len(xs) != 1 or xs[0].numel() != 1:
            raise RuntimeError("[jvp] v may be left out only for one input of one element")
        vs: tuple[Tensor, ...] = (_core.full(tuple(xs[0].shape), 1, xs[0].dtype, False),)
    else:
        vs = _as_tuple(v, "v")
    weights = tuple(_core.full(tuple(y.shape), 0, y.dtype, True) for y in ys)
    pulled = _core.grad(ys, xs, weights, True, True, True, False)
    used = [(g, t) for g, t in zip(pulled, vs, strict=True) if g is not None and g.requires_grad]
    if used:
        pushed = _core.grad(
            tuple(g for g, _ in used),
            weights,
            tuple(t for _, t in used),
            create_graph,
            create_graph,
            True,
            False,
        )
    else:
        pushed = (None,) * len(weights)
    result = _zeros_for(pushed, ys)
    if not create_graph:
        ys = tuple(y.detach() for y in ys)
    return _like(ys, outputs), _like(result, outputs)


def jacobian(func: Callable[..., Any], inputs: Tensors, create_graph: bool = False) -> Any:
    """The Jacobian of one output: for each input a tensor of shape output.shape + input.shape."""
    with enable_grad():
        xs = _fresh(inputs, create_graph)
        y = func(*xs)
        if not isinstance(y, Tensor):
            raise TypeError(f"[jacobian] func must return one tensor, got {type(y).__name__}")
        flat = y.reshape(-1)
        rows: list[list[Tensor]] = [[] for _ in xs]
        for i in range(flat.numel()):
            grads = _core.grad(flat[i], xs, None, True, create_graph, True, True)
            for row, g in zip(rows, grads, strict=True):
                row.append(g)
        from versant import stack  # the op table is above this room

        parts = tuple(
            stack(row).reshape(tuple(y.shape) + tuple(x.shape))
            if row
            else _core.full(tuple(y.shape) + tuple(x.shape), 0, x.dtype, False)
            for row, x in zip(rows, xs, strict=True)
        )
    return _like(parts, inputs)


def hessian(func: Callable[..., Any], inputs: Tensor, create_graph: bool = False) -> Tensor:
    """The second derivatives of a scalar function of one tensor: shape input.shape + input.shape."""

    def gradient(x: Tensor) -> Tensor:
        y = func(x)
        return grad(y.reshape(()), x, create_graph=True)[0]

    result: Tensor = jacobian(gradient, inputs, create_graph)
    return result


def hvp(func: Callable[..., Any], inputs: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """The value of a scalar function and its Hessian times v."""
    with enable_grad():
        x = inputs.detach().requires_grad_()
        y = func(x)
        (g,) = grad(y, x, create_graph=True)
        product = _core.grad(g, x, v, False, False, True, True)[0] if g.requires_grad else v * 0
    return y.detach(), product


vhp = hvp
