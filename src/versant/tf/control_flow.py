"""Branches and loops over tensors: cond, case, switch_case, while_loop, map_fn, scan, foldl, vectorized_map.

Outside of compiled functions they are plain Python; inside, cond and while_loop are one step each, but for
those that carry a TensorArray along: their turns are recorded one by one.
"""

from collections.abc import Callable
from typing import Any

import versant
from versant import _core
from versant.tensors.nest import assert_same_structure, flatten, map_structure, pack_sequence_as
from versant.tf.errors import InvalidArgumentError
from versant.tf.tensor_array import TensorArray
from versant.tf.tensors import brand, convert

__all__ = [
    "case",
    "cond",
    "foldl",
    "foldr",
    "group",
    "map_fn",
    "no_op",
    "scan",
    "switch_case",
    "tuple_",
    "vectorized_map",
    "while_loop",
]


def _branded(value: Any) -> Any:
    return map_structure(lambda x: brand(x) if isinstance(x, _core.Tensor) else x, value)


def cond(
    pred: Any,
    true_fn: Callable[[], Any] | None = None,
    false_fn: Callable[[], Any] | None = None,
    name: Any = None,
) -> Any:
    """true_fn() where pred holds, else false_fn()."""
    if not callable(true_fn) or not callable(false_fn):
        raise TypeError("[cond] true_fn and false_fn must be functions")
    if isinstance(pred, _core.Tensor):
        if pred.numel() != 1:
            raise InvalidArgumentError(f"[cond] pred must be a scalar, got shape {tuple(pred.shape)}")
        if _core.is_tracing():
            return _branded(versant.cond(_core.plain(pred), true_fn, false_fn))
    return _as_tensors(true_fn() if bool(pred) else false_fn())


def _as_tensors(value: Any) -> Any:
    return map_structure(lambda x: x if x is None else _converted(x), value)


def _converted(value: Any) -> Any:
    return value if isinstance(value, TensorArray) else convert(value)


def switch_case(branch_index: Any, branch_fns: Any, default: Any = None, name: Any = None) -> Any:
    """The branch of that number; default, or the last one, for a number that has none."""
    pairs = list(branch_fns.items()) if isinstance(branch_fns, dict) else list(branch_fns)
    if pairs and callable(pairs[0]):
        pairs = list(enumerate(pairs))
    branches = dict(pairs)
    chosen = branches.get(int(branch_index), default or branches[max(branches)])
    return _as_tensors(chosen())


def case(
    pred_fn_pairs: Any, default: Any = None, exclusive: bool = False, strict: bool = False, name: Any = "case"
) -> Any:
    """The function of the first predicate that holds, or default."""
    pairs = list(pred_fn_pairs.items()) if isinstance(pred_fn_pairs, dict) else list(pred_fn_pairs)
    true = [fn for pred, fn in pairs if bool(pred)]
    if exclusive and len(true) > 1:
        raise InvalidArgumentError("[case] more than one predicate holds, and exclusive=True")
    if not true and default is None:
        raise InvalidArgumentError("[case] no predicate holds, and there is no default")
    return _as_tensors((true[0] if true else default)())


def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    shape_invariants: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    maximum_iterations: Any = None,
    name: Any = None,
) -> Any:
    """loop_vars = body(*loop_vars) while cond(*loop_vars); the last ones, nested as they were."""
    if not callable(cond) or not callable(body):
        raise TypeError("[while_loop] cond and body must be functions")
    most = None if maximum_iterations is None else int(maximum_iterations)
    single = not isinstance(loop_vars, list | tuple)
    state: Any = [loop_vars] if single else loop_vars
    state = map_structure(_converted, state)
    carries_arrays = any(isinstance(x, TensorArray) for x in flatten(state))

    def turn(values: Any) -> Any:
        found = body(*values)
        if not isinstance(found, list | tuple) or isinstance(found, dict):
            found = [found]
        found = type(values)(found) if type(found) is not type(values) else found
        assert_same_structure(values, found, op="while_loop")
        after = map_structure(_converted, found)
        for before, now in zip(flatten(values), flatten(after), strict=True):
            if before.dtype is not now.dtype:
                raise TypeError(
                    f"[while_loop] a loop variable was {before.dtype.name} and became {now.dtype.name}"
                )
        return after

    if _core.is_tracing() and shape_invariants is None and not carries_arrays:
        found = versant.while_loop(
            lambda values: cond(*_branded(values)), lambda values: turn(_branded(values)), state, most
        )
        state = _branded(found)
    else:
        turns = 0
        while (most is None or turns < most) and bool(cond(*state)):
            state = turn(state)
            turns += 1
    return state[0] if single else state


def _slices(elems: Any) -> tuple[int, list[Any]]:
    parts = [_core.plain(convert(x)) for x in flatten(elems)]
    lengths = {x.size(0) for x in parts if x.dim()}
    if len(lengths) != 1 or any(x.dim() == 0 for x in parts):
        raise ValueError("[map_fn] elems must have a first axis, and all the same one")
    return lengths.pop(), parts


def _stacked(rows: list[Any]) -> Any:
    columns = zip(*(flatten(row) for row in rows), strict=True)
    made = [brand(versant.stack([_core.plain(convert(x)) for x in column])) for column in columns]
    return pack_sequence_as(rows[0], made)


def map_fn(
    fn: Callable[..., Any],
    elems: Any,
    dtype: Any = None,
    parallel_iterations: Any = None,
    back_prop: bool = True,
    swap_memory: bool = False,
    infer_shape: bool = True,
    name: Any = None,
    fn_output_signature: Any = None,
) -> Any:
    """fn of each slice of elems along the first axis; the results stacked."""
    length, parts = _slices(elems)
    if not length:
        raise ValueError("[map_fn] elems has no slices, so the shape of the results is not known")
    rows = [fn(pack_sequence_as(elems, [brand(x[i]) for x in parts])) for i in range(length)]
    return _stacked(rows)


def vectorized_map(
    fn: Callable[..., Any], elems: Any, fallback_to_while_loop: bool = True, warn: bool = True
) -> Any:
    """The same as map_fn."""
    return map_fn(fn, elems)


def scan(
    fn: Callable[..., Any],
    elems: Any,
    initializer: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    infer_shape: bool = True,
    reverse: bool = False,
    name: Any = None,
) -> Any:
    """a = fn(a, x) for each slice x of elems; every a, stacked. Begins at initializer, or the first slice."""
    length, parts = _slices(elems)
    order = list(range(length))[:: -1 if reverse else 1]
    rows: dict[int, Any] = {}
    carry = initializer
    if carry is None:
        first = order.pop(0)
        carry = pack_sequence_as(elems, [brand(x[first]) for x in parts])
        rows[first] = carry
    else:
        carry = map_structure(convert, carry)
    for i in order:
        carry = fn(carry, pack_sequence_as(elems, [brand(x[i]) for x in parts]))
        rows[i] = carry
    return _stacked([rows[i] for i in range(length)])


def _fold(fn: Callable[..., Any], elems: Any, initializer: Any, backwards: bool) -> Any:
    length, parts = _slices(elems)
    order = list(range(length))[:: -1 if backwards else 1]
    carry = initializer
    if carry is None:
        first = order.pop(0)
        carry = pack_sequence_as(elems, [brand(x[first]) for x in parts])
    for i in order:
        carry = fn(carry, pack_sequence_as(elems, [brand(x[i]) for x in parts]))
    return carry


def foldl(fn: Callable[..., Any], elems: Any, initializer: Any = None, *args: Any, **kwargs: Any) -> Any:
    """fn(fn(fn(initializer, x0), x1), x2) ..."""
    return _fold(fn, elems, initializer, False)


def foldr(fn: Callable[..., Any], elems: Any, initializer: Any = None, *args: Any, **kwargs: Any) -> Any:
    """The same from the last slice to the first."""
    return _fold(fn, elems, initializer, True)


def group(*inputs: Any, **kwargs: Any) -> None:
    """Nothing: ops have run when they return."""


def no_op(name: Any = None) -> None:
    """Nothing."""


def tuple_(tensors: Any, control_inputs: Any = None, name: Any = None) -> Any:
    """The tensors, which have been computed."""
    return list(tensors)
