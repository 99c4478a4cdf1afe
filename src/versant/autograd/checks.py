"""Gradients held against differences of the function's values: `gradcheck`, `gradgradcheck`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import versant
from versant import Tensor

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """A gradient and the differences of the function's values are not the same."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
) -> bool:
    """Whether the gradients of func(*inputs) are what central differences give, element by element.

    inputs: tensors of float64 or complex128; those that require gradients are varied by eps. The Jacobian of
    each output by each input must agree within atol + rtol * |difference|. Two runs may differ by nondet_tol.
    Raises GradcheckError that names the output, the input and the element, or returns False.

    >>> import versant as vs
    >>> x = vs.rand(3, dtype=vs.float64, requires_grad=True)
    >>> vs.autograd.gradcheck(lambda x: x.sin() * x, x)
    True
    """
    given = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    varied = [i for i, x in enumerate(given) if isinstance(x, Tensor) and x.requires_grad]
    if not varied:
        raise ValueError("[gradcheck] at least one input must be a tensor that requires a gradient")
    for i in varied:
        if given[i].dtype not in (versant.float64, versant.complex128):
            raise ValueError(
                f"[gradcheck] input {i} is {given[i].dtype}: differences need float64 or complex128"
            )
    try:
        for error in _differences(func, given, varied, eps, atol, rtol, nondet_tol):
            raise GradcheckError(f"[gradcheck] {error}")
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
) -> bool:
    """The same for gradients of gradients: `gradcheck` of the function that takes the gradients.

    grad_outputs: the gradients of the outputs, random ones if they are not given.
    """
    given = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    outputs = _outputs(func, given)
    if grad_outputs is None:
        generator = versant.Generator().manual_seed(0)
        weights = [versant.randn(y.shape, dtype=y.dtype, generator=generator) for y in outputs]
    else:
        weights = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)
    weights = [weight.detach().requires_grad_() for weight in weights]
    varied = [i for i, x in enumerate(given) if isinstance(x, Tensor) and x.requires_grad]

    def gradients(*args: Any) -> Any:
        values, cotangents = list(args[: len(given)]), list(args[len(given) :])
        found = versant.autograd.grad(
            _outputs(func, values),
            [values[i] for i in varied],
            cotangents,
            create_graph=True,
            allow_unused=True,
        )
        return tuple(g for g in found if g is not None and g.requires_grad)

    return gradcheck(
        gradients,
        [*given, *weights],
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
    )


def _outputs(func: Callable[..., Any], given: Sequence[Any]) -> list[Tensor]:
    value = func(*given)
    values = [value] if isinstance(value, Tensor) else list(value)
    return [y for y in values if isinstance(y, Tensor) and (y.is_floating_point() or y.is_complex())]


def _as_reals(x: Tensor) -> Tensor:
    """The elements in a row, of complex numbers the parts."""
    x = x.detach()
    return (versant.view_as_real(x.resolve_conj()) if x.is_complex() else x).reshape(-1)


def _differences(
    func: Callable[..., Any],
    given: list[Any],
    varied: list[int],
    eps: float,
    atol: float,
    rtol: float,
    nondet_tol: float,
) -> Iterator[str]:
    """What is wrong, in words."""
    outputs = _outputs(func, given)
    for k, (y, again) in enumerate(zip(outputs, _outputs(func, given), strict=True)):
        if y.numel() and float((y - again).detach().abs().max()) > nondet_tol:
            yield f"output {k} differs between two runs: the function is not deterministic"
    analytic = [_rows(y, [given[i] for i in varied]) for y in outputs]
    for place, i in enumerate(varied):
        x = given[i]
        size = _as_reals(x).numel()
        for element in range(size):
            ends = []
            for sign in (1, -1):
                moved = _as_reals(x).clone()
                moved[element] += sign * eps
                shaped = moved.view(*x.shape, 2) if x.is_complex() else moved.view(x.shape)
                other = versant.view_as_complex(shaped) if x.is_complex() else shaped
                args = [*given[:i], other.requires_grad_(), *given[i + 1 :]]
                ends.append([_as_reals(y) for y in _outputs(func, args)])
            for k, (high, low) in enumerate(zip(*ends, strict=True)):
                numeric = (high - low) / (2 * eps)
                column = analytic[k][place][:, element]
                wrong = (column - numeric).abs() > atol + rtol * numeric.abs()
                wrong = wrong | (column.isnan() != numeric.isnan())
                if bool(wrong.any()):
                    row = int(wrong.long().argmax())
                    yield (
                        f"the gradient of element {row} of output {k} by element {element} of input {i} is "
                        f"{float(column[row]):.9g}, differences of the values give {float(numeric[row]):.9g}"
                    )


def _rows(y: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    """The Jacobian of an output by each input, (elements of y, elements of x), in real numbers."""
    count = _as_reals(y).numel()
    rows: list[list[Tensor]] = [[] for _ in inputs]
    for element in range(count):
        unit = versant.zeros(count, dtype=versant.float64)
        unit[element] = 1
        shaped = unit.view(*y.shape, 2) if y.is_complex() else unit.view(y.shape).to(y.dtype)
        weight = versant.view_as_complex(shaped) if y.is_complex() else shaped
        found: Any = [None] * len(inputs)
        if y.requires_grad:
            found = versant.autograd.grad(y, inputs, weight, retain_graph=True, allow_unused=True)
        for list_of, x, g in zip(rows, inputs, found, strict=True):
            list_of.append(_as_reals(versant.zeros_like(x) if g is None else g).double())
    empty = [versant.zeros(0, _as_reals(x).numel(), dtype=versant.float64) for x in inputs]
    return [versant.stack(r) if r else e for r, e in zip(rows, empty, strict=True)]
