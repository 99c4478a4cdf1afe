"""Derivatives of functions: vjp, jvp, jacobian, hessian and products with it."""

from collections.abc import Callable, Sequence
from typing import Any

from versant import _core
from versant._core import Tensor
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


def _check_strict(strict: bool, grads: tuple[Tensor | None, ...], output: int) -> None:
    """Raises RuntimeError where strict, for an input on which the output does not depend."""
    for j, g in enumerate(grads):
        if strict and g is None:
            raise RuntimeError(
                f"[autograd.functional] Output {output} of the user-provided function is independent of "
                f"input {j}. This is not allowed in strict mode."
            )


def _weights(v: Any, like: tuple[Tensor, ...], what: str) -> tuple[Tensor, ...]:
    """v as a tuple; 1 where there is none, for one tensor of one element."""
    if v is not None:
        return _as_tuple(v, "v")
    if len(like) != 1 or like[0].numel() != 1:
        raise RuntimeError(f"[autograd.functional] v may be left out only for one {what} of one element")
    return (_core.full(tuple(like[0].shape), 1, like[0].dtype, False),)


def _zeros_for(grads: tuple[Tensor | None, ...], inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(
        _core.full(tuple(x.shape), 0, x.dtype, False) if g is None else g
        for g, x in zip(grads, inputs, strict=True)
    )


@enable_grad()
def vjp(
    func: Callable[..., Any],
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The value of func(*inputs) and v times its Jacobian.  v: of the output's shape; 1 for one element.

    strict: raises RuntimeError where an output does not depend on an input, as in all functions here.
    """
    xs = _fresh(inputs, create_graph)
    outputs = func(*xs)
    ys = _as_tuple(outputs, "outputs")
    weights = None if v is None else _as_tuple(v, "v")
    grads = _core.grad(ys, xs, weights, create_graph, create_graph, True, False)
    _check_strict(strict, grads, 0)
    result = _zeros_for(grads, xs)
    if not create_graph:
        ys = tuple(y.detach() for y in ys)
    return _like(ys, outputs), _like(result, inputs)


@enable_grad()
def jvp(
    func: Callable[..., Any],
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The value of func(*inputs) and its Jacobian times v.  v: of the inputs' shapes; 1 for one element.

    The vjp is linear in its weight; its derivative by the weight is the jvp.
    (Townsend, "A new trick for calculating Jacobian vector products", 2017)
    """
    xs = _fresh(inputs, create_graph)
    outputs = func(*xs)
    ys = _as_tuple(outputs, "outputs")
    vs = _weights(v, xs, "input")
    weights = tuple(_core.full(tuple(y.shape), 0, y.dtype, True) for y in ys)
    pulled = _core.grad(ys, xs, weights, True, True, True, False)
    _check_strict(strict, pulled, 0)
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


def jacobian(
    func: Callable[..., Any],
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian: for each input a tensor of shape output.shape + input.shape, of several outputs a tuple.

    vectorize, strategy: taken; rows are computed by reverse mode, one by one (`func.jacrev` batches them).
    """
    _check_strategy("jacobian", strategy)
    with enable_grad():
        xs = _fresh(inputs, create_graph)
        outputs = func(*xs)
        ys = _as_tuple(outputs, "outputs")
        found = tuple(_rows(y, k, xs, create_graph, strict) for k, y in enumerate(ys))
    parts = tuple(_like(row, inputs) for row in found)
    return parts[0] if isinstance(outputs, Tensor) else parts


def _check_strategy(who: str, strategy: str) -> None:
    if strategy not in ("reverse-mode", "forward-mode"):
        raise ValueError(f"[{who}] expected strategy 'reverse-mode' or 'forward-mode', got {strategy!r}")


def _rows(y: Tensor, number: int, xs: tuple[Tensor, ...], create_graph: bool, strict: bool) -> Any:
    """The Jacobian of output `number` by each input."""
    from versant import stack  # the op table is above this room

    flat = y.reshape(-1)
    rows: list[list[Tensor]] = [[] for _ in xs]
    for i in range(flat.numel()):
        depends = y.requires_grad
        grads = (
            _core.grad(flat[i], xs, None, True, create_graph, True, False) if depends else (None,) * len(xs)
        )
        _check_strict(strict, grads, number)
        for row, g in zip(rows, _zeros_for(grads, xs), strict=True):
            row.append(g)
    return tuple(
        stack(row).reshape(tuple(y.shape) + tuple(x.shape))
        if row
        else _core.full(tuple(y.shape) + tuple(x.shape), 0, x.dtype, False)
        for row, x in zip(rows, xs, strict=True)
    )


def _one_element(who: str, y: Any) -> Tensor:
    if not isinstance(y, Tensor):
        raise TypeError(f"[{who}] func must return one tensor, got {type(y).__name__}")
    if y.numel() != 1:
        raise RuntimeError(
            f"[{who}] The Tensor returned by the function given to {who} should contain a single element, "
            f"got shape {tuple(y.shape)}"
        )
    return y.reshape(())


def _slopes(who: str, func: Callable[..., Any], xs: tuple[Tensor, ...], strict: bool) -> Any:
    """The value of a function of one element, and its gradients by the inputs, with history."""
    y = _one_element(who, func(*xs))
    grads = _core.grad(y, xs, None, True, True, True, False) if y.requires_grad else (None,) * len(xs)
    _check_strict(strict, grads, 0)
    for j, g in enumerate(grads):
        if strict and g is not None and not g.requires_grad:
            raise RuntimeError(
                f"[{who}] the jacobian of the user-provided function by input {j} is independent "
                "of the input. This is not allowed in strict mode."
            )
    return y, _zeros_for(grads, xs)


def hessian(
    func: Callable[..., Any],
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a scalar function: for each pair of inputs a tensor of both shapes joined."""

    def gradients(*xs: Tensor) -> Tensors:
        grads: tuple[Tensor, ...] = _slopes("hessian", func, xs, strict)[1]
        return grads[0] if isinstance(inputs, Tensor) else grads

    return jacobian(gradients, inputs, create_graph, strategy=outer_jacobian_strategy)


@enable_grad()
def hvp(
    func: Callable[..., Any],
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The value of a scalar function and its Hessian times v.  v: of the inputs' shapes."""
    return _product("hvp", func, inputs, v, create_graph, strict)


@enable_grad()
def vhp(
    func: Callable[..., Any],
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The value of a scalar function and v times its Hessian, which is symmetric: `hvp`."""
    return _product("vhp", func, inputs, v, create_graph, strict)


def _product(
    who: str, func: Callable[..., Any], inputs: Tensors, v: Any, create_graph: bool, strict: bool
) -> tuple[Any, Any]:
    xs = _fresh(inputs, create_graph)
    weights = _weights(v, xs, "input")
    y, grads = _slopes(who, func, xs, strict)
    used = [(g, t) for g, t in zip(grads, weights, strict=True) if g.requires_grad]
    products: Any = (None,) * len(xs)
    if used:
        gs, ts = zip(*used, strict=True)
        products = _core.grad(gs, xs, ts, create_graph, create_graph, True, False)
    return y if create_graph else y.detach(), _like(_zeros_for(products, xs), inputs)
