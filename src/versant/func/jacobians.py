"""Jacobians and Hessians, by rows (`jacrev`) or by columns (`jacfwd`)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from versant import Tensor
from versant.func.derivatives import Argnums, jvp, places, vjp
from versant.func.levels import apart, results_apart, together
from versant.func.vmap import vmap


def unit_directions(tensors: Sequence[Tensor]) -> list[Tensor]:
    """For each tensor one direction for every element of all of them: (elements of all, *shape)."""
    from versant import eye  # the op table is above this room

    total = sum(math.prod(x.shape) for x in tensors)
    found, begin = [], 0
    for x in tensors:
        count = math.prod(x.shape)
        rows = eye(total, dtype=x.dtype).narrow(1, begin, count)
        found.append(rows.reshape(total, *x.shape))
        begin += count
    return found


def pieces_of(rows: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Rows that belong to the elements of these tensors, apart."""
    found, begin = [], 0
    for x in tensors:
        count = math.prod(x.shape)
        found.append(rows.narrow(0, begin, count))
        begin += count
    return found


def picked(who: str, func: Callable[..., Any], argnums: Argnums, args: tuple[Any, ...], kwargs: Any) -> Any:
    """The function of the chosen arguments alone, and these."""
    at = places(who, argnums, len(args))

    def partial(*chosen: Any) -> Any:
        now = list(args)
        for place, value in zip(at, chosen, strict=True):
            now[place] = value
        return func(*now, **kwargs)

    return partial, tuple(args[place] for place in at)


def jacrev(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """The function that gives the Jacobian of `func`, by reverse mode: best where outputs are fewer than
    inputs.

    Of one output and one input a tensor of shape output.shape + input.shape. Of containers, the form of the
    output with the form of the input in each place; of several argnums a tuple of these. has_aux: func
    returns (output, aux), and the new function (Jacobian, aux). chunk_size: at most so many rows at once.

    >>> import versant as vs
    >>> vs.func.jacrev(lambda x: x * x)(vs.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @functools.wraps(func)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        partial, chosen = picked("jacrev", func, argnums, args, kwargs)
        value, back, *aux = vjp(partial, *chosen, has_aux=has_aux)
        form, outputs = results_apart(value, "jacrev")
        in_form, inputs = apart(chosen)
        directions = unit_directions(outputs)
        if len(directions) == 1 and len(directions[0]) == 1:  # a gradient
            tables = [[table] for table in apart(back(together(form, [directions[0][0]])))[1]]
        else:
            rows = vmap(lambda *rows: back(together(form, rows)), chunk_size=chunk_size)(*directions)
            # One table for each input, with the rows of all outputs.
            tables = [pieces_of(table, outputs) for table in apart(rows)[1]]
        by_output = []
        for k, y in enumerate(outputs):
            blocks = [table[k].reshape(*y.shape, *x.shape) for table, x in zip(tables, inputs, strict=True)]
            of_inputs = together(in_form, blocks)
            by_output.append(of_inputs[0] if isinstance(argnums, int) else of_inputs)
        result = together(form, by_output)
        return (result, aux[0]) if has_aux else result

    return jacobian


def jacfwd(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    chunk_size: int | None = None,
    randomness: str = "error",
) -> Callable[..., Any]:
    """As `jacrev`, by forward mode: best where inputs are fewer than outputs. randomness: as of `vmap`."""

    @functools.wraps(func)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        partial, chosen = picked("jacfwd", func, argnums, args, kwargs)
        in_form, inputs = apart(chosen)
        directions = unit_directions(inputs)
        kept: list[Any] = []

        def push(*along: Tensor) -> Any:
            value, slope, *aux = jvp(partial, chosen, together(in_form, along), has_aux=has_aux)
            form, _ = results_apart(value, "jacfwd")
            rest, extras = apart(aux)
            kept[:] = [form, rest]
            return tuple(apart(slope)[1]), tuple(extras)

        slopes, extras = vmap(push, chunk_size=chunk_size, randomness=randomness)(*directions)
        form, rest = kept
        by_output = []
        for columns in slopes:
            shape = tuple(columns.shape[1:])
            blocks = [
                piece.movedim(0, -1).reshape(*shape, *x.shape)
                for piece, x in zip(pieces_of(columns, inputs), inputs, strict=True)
            ]
            of_inputs = together(in_form, blocks)
            by_output.append(of_inputs[0] if isinstance(argnums, int) else of_inputs)
        result = together(form, by_output)
        # The same along every direction.
        return (result, together(rest, [extra[0] for extra in extras])[0]) if has_aux else result

    return jacobian


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The second derivatives of `func`: the Jacobian of its Jacobian, both by reverse mode.

    The function and its gradient run once, whatever the number of inputs; only the way back through them is
    done for every row.

    >>> import versant as vs
    >>> vs.func.hessian(lambda x: (x**3).sum())(vs.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacrev(jacrev(func, argnums), argnums)
