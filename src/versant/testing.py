"""Checks of ops and gradients.

`check_gradients` holds the gradients of any function against differences of its values. The other checks hold
one record of the op table against its numpy reference, and its forms against each other; tests/ops runs them
over the whole table.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

import versant
from versant import Tensor
from versant.ops.record import Record
from versant.ops.samples import CORNERS, Array, Call, Domain
from versant.tensors.made import make_tensor

__all__ = ["assert_close", "check_gradients", "check_op", "make_tensor"]

FLOATS = ("float32", "float64")
HALVES = ("float16", "bfloat16")
INTEGERS = ("uint8", "int8", "int16", "int32", "int64")

# What a result may differ from the reference, relative to it and for results near zero.
TOLERANCE = {"float64": 1e-11, "float32": 1e-5, "float16": 4e-3, "bfloat16": 3e-2}


# --- comparing --------------------------------------------------------------------------------------------


def assert_close(
    actual: Any,
    expected: Any,
    tolerance: float = 1e-6,
    message: str = "",
    *,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    check_dtype: bool = False,
    msg: Any = None,
    check_device: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    allow_subclasses: bool = True,
) -> None:
    """Raises AssertionError unless both (tensors, arrays, numbers, or tuples of them) agree to the tolerance.

    Two infinities of the same sign agree, and so do two NaN, unless equal_nan=False.
    rtol, atol: together in place of the tolerance. check_dtype: dtypes are equal too. msg: what is said.
    PyTorch's switches for devices, layouts and strides are taken.

    >>> assert_close(versant.ones(2), [1.0, 1.0 + 1e-9])
    """
    if isinstance(expected, (tuple, list)) and not np.isscalar(actual) and isinstance(actual, (tuple, list)):
        assert len(actual) == len(expected), f"{message}: {len(actual)} results, expected {len(expected)}"
        for a, e in zip(actual, expected, strict=True):
            assert_close(a, e, tolerance, message, rtol=rtol, atol=atol, equal_nan=equal_nan, msg=msg)
        return
    if (rtol is None) != (atol is None):
        raise ValueError(f"[assert_close] expected rtol and atol together, got rtol={rtol}, atol={atol}")
    if check_dtype:
        mine, other = (getattr(x, "dtype", type(x)) for x in (actual, expected))
        assert mine == other, f"{message}: dtype {mine}, expected {other}"
    message = msg if isinstance(msg, str) else message
    a, e = as_array(actual), np.asarray(as_array(expected))
    assert a.shape == e.shape, f"{message}: shape {a.shape}, expected {e.shape}"
    if a.dtype.kind in "biu" and e.dtype.kind in "biu":
        np.testing.assert_array_equal(a, e, message)
    else:
        scale = np.max(np.abs(e[np.isfinite(e)]), initial=1.0)
        near = tolerance * min(scale, 100.0) * 0.1 if atol is None else atol
        far = tolerance if rtol is None else rtol
        np.testing.assert_allclose(a, e, far, near, equal_nan=equal_nan, err_msg=message)


def assert_same(actual: Any, expected: Any, message: str = "") -> None:
    """Raises AssertionError unless both are equal bit for bit (NaN equals NaN)."""
    if isinstance(expected, (tuple, list)):
        for a, e in zip(actual, expected, strict=True):
            assert_same(a, e, message)
        return
    np.testing.assert_array_equal(as_array(actual), as_array(expected), message, strict=True)


def as_array(value: Any) -> Any:
    if isinstance(value, Tensor):
        value = value.detach()
        return (value.float() if value.dtype is versant.bfloat16 else value).numpy()
    return np.asarray(value)


# --- gradients --------------------------------------------------------------------------------------------


def check_gradients(
    function: Callable[..., Any],
    inputs: Sequence[Tensor],
    *,
    order: int = 2,
    step: float = 1e-6,
    tolerance: float = 2e-5,
    seed: int = 0,
) -> None:
    """Raises AssertionError unless gradients agree with differences of values along random directions.

    inputs: float64 tensors that require grad. Checked are vector-Jacobian products (reverse mode),
    Jacobian-vector products (the vjp of the vjp), and up to `order` the same of the gradient. One random
    projection finds a wrong gradient with probability 1 (HIPS autograd's test_util.py does the same).

    >>> x = versant.tensor([0.5, 2.0], dtype=versant.float64, requires_grad=True)
    >>> check_gradients(lambda x: x.sin() * x, [x])
    """
    rng = np.random.default_rng(seed)
    directions = [random_like(x, rng) for x in inputs]

    def outputs(*values: Tensor) -> list[Tensor]:
        results = function(*values)
        results = results if isinstance(results, (tuple, list)) else [results]
        return [r for r in results if isinstance(r, Tensor) and r.dtype.is_floating_point]

    results = outputs(*inputs)
    cotangents = [random_like(r, rng).requires_grad_() for r in results]

    def gradients(*values: Tensor) -> list[Tensor]:
        tracked = [(r, c) for r, c in zip(outputs(*values), cotangents, strict=True) if r.requires_grad]
        if not tracked:
            return [versant.zeros_like(v) for v in values]
        found = versant.autograd.grad(
            [r for r, _ in tracked], values, [c for _, c in tracked], create_graph=True, allow_unused=True
        )
        return [versant.zeros_like(v) if g is None else g for g, v in zip(found, values, strict=True)]

    def moved(distance: float) -> list[Tensor]:
        values = [
            (x.detach() + distance * d).requires_grad_() for x, d in zip(inputs, directions, strict=True)
        ]
        return [r.detach() for r in outputs(*values)]

    slopes = [(a - b) / (2 * step) for a, b in zip(moved(step), moved(-step), strict=True)]
    vjp = gradients(*inputs)
    along = inner(vjp, directions)
    expected = inner([c.detach() for c in cotangents], slopes)
    assert_close(along, expected, tolerance, "reverse mode")
    if along.requires_grad:
        jvp = versant.autograd.grad(along, cotangents, retain_graph=True, allow_unused=True)
        for tangent, slope in zip(jvp, slopes, strict=True):
            assert_close(
                versant.zeros_like(slope) if tangent is None else tangent, slope, tolerance, "forward mode"
            )
    if order > 1 and any(g.requires_grad for g in vjp):
        for c in cotangents:
            c.requires_grad_(False)
        check_gradients(gradients, inputs, order=order - 1, step=step, tolerance=tolerance, seed=seed + 1)


def random_like(x: Tensor, rng: np.random.Generator) -> Tensor:
    return versant.tensor(rng.normal(size=tuple(x.shape)), dtype=versant.float64)


def inner(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    total = versant.zeros((), dtype=versant.float64)
    for x, y in zip(a, b, strict=True):
        total = total + (x * y).sum()
    return total


# --- ops of a user's own ------------------------------------------------------------------------------------


def check_op(op: Callable[..., Any], *, order: int = 2) -> None:
    """Raises AssertionError unless an op of `versant.ops.define` is all that an op of the table is.

    Checked on its samples: values against its reference, in other layouts too; gradients of both directions
    and up to `order` against differences; batches against one sample after the other; compiled results
    against eager ones. Raises ValueError for an op that has no samples, or is no op of the table.

    >>> square = versant.ops.define("demo.square", lambda x: x * x, ref=np.square)
    >>> check_op(square)
    """
    from versant.ops.defining import named
    from versant.ops.record import table

    record = table[named(op)]
    if not samples_of(record):
        raise ValueError(f"[check_op] {record.name} has no samples to be tried on; say samples=")
    if record.ref is not None:
        for dtype in FLOATS:
            check_values(record, dtype)
    if record.differentiable:
        check_record_gradients(record, order)
    rng = np.random.default_rng(seed_of(record))
    for call in samples_of(record):
        (args, kwargs), leaves = differentiable_inputs(call, rng)
        plain = [leaf.detach() for leaf in leaves]
        if not plain:
            continue

        def at(*values: Tensor, leaves: Any = leaves, arguments: Any = (args, kwargs)) -> Any:
            places = {id(leaf): value for leaf, value in zip(leaves, values, strict=True)}
            args, kwargs = replace(arguments, lambda t: places.get(id(t), t))
            return op(*args, **kwargs)

        message = f"{record.name}{call.args}{call.kwargs or ''}"
        expected = at(*plain)
        compiled = versant.compile(at)
        for _ in range(2):
            assert_same(compiled(*plain), expected, f"{message}, compiled")
        batches = [versant.stack([x, x]) for x in plain]
        found = versant.func.vmap(at)(*batches)
        pairs = [(found, expected)] if isinstance(expected, Tensor) else zip(found, expected, strict=True)
        for batch, one in pairs:
            assert_close(batch, versant.stack([one, one]), 1e-9, f"{message}, under vmap")


# --- drawing samples --------------------------------------------------------------------------------------


def draw(array: Array, dtype: str, rng: np.random.Generator) -> Any:
    """A numpy array; `dtype` is that of floating-point samples (integers are drawn without zeros)."""
    low, high, kind = array.domain
    if kind == "bool":
        return rng.integers(0, 2, array.shape).astype(bool)
    if kind == "int":
        return np.asarray(rng.integers(int(low), int(high), array.shape))
    if dtype == "bool":
        return rng.integers(0, 2, array.shape).astype(bool)
    if dtype in INTEGERS:
        sign = rng.choice([-1, 1], array.shape) if low < 0 and dtype != "uint8" else 1
        return np.asarray(sign * rng.integers(1, 6, array.shape)).astype(dtype)
    values = formed(rng.uniform(low, high, array.shape), array.form)
    return np.asarray(values, "float32" if dtype in HALVES else dtype)


def formed(values: Any, form: str) -> Any:
    """Matrices of a form (`Array.form`), made from any."""
    if not form:
        return values
    if form == "regular":
        return values + 3.0 * np.sqrt(values.shape[-1]) * np.eye(*values.shape[-2:])
    if form == "definite":
        return values @ values.swapaxes(-1, -2) / values.shape[-1] + 2.0 * np.eye(values.shape[-1])
    return symmetric(values)


def symmetric(values: Any) -> Any:
    return (values + values.swapaxes(-1, -2)) / 2


def replace(value: Any, of_array: Callable[[Any], Any]) -> Any:
    """The same structure of arguments with every array exchanged."""
    if isinstance(value, (Array, np.ndarray, Tensor)):
        return of_array(value)
    if type(value) in (list, tuple):
        return type(value)(replace(v, of_array) for v in value)
    if isinstance(value, dict):
        return {k: replace(v, of_array) for k, v in value.items()}
    return value


def arrays_of(call: Call) -> list[Array]:
    found: list[Array] = []
    replace(tuple(call), found.append)
    return found


def to_tensor(array: Any, dtype: str = "") -> Tensor:
    tensor = versant.tensor(array)
    return tensor.to(getattr(versant, dtype)) if dtype in HALVES and tensor.is_floating_point() else tensor


def samples_of(record: Record) -> list[Call]:
    """The sample calls of a record; of an elementwise one, inputs of several shapes and its settings."""
    if record.kind != "elementwise":
        return list(record.samples)
    n = len(record.sample)
    shapes: list[tuple[tuple[int, ...], ...]] = [((3, 4),) * n, ((),) * n, ((0, 3),) * n, ((2, 300),) * n]
    if n > 1:
        shapes += [((3, 1), (4,), (2, 1, 1))[:n], ((2, 3), (), (3,))[:n], ((1, 3), (0, 1), (3,))[:n]]
    settings: list[Any] = [*record.settings]
    if all_defaults(record):
        settings.insert(0, {})
    return [
        Call(tuple(Array(s, d) for s, d in zip(shape, record.sample, strict=True)), dict(setting))
        for shape in shapes
        for setting in settings
    ]


def all_defaults(record: Record) -> bool:
    from versant.ops.signature import REQUIRED

    return all(a.default is not REQUIRED for a in record.signature or () if a.kind == "number")


def dtypes_of(record: Record) -> list[str]:
    """The dtypes that a record takes: by its rule and by what its micro-ops can do."""
    floats = [*FLOATS, *HALVES]
    if record.formula is None:
        return list(FLOATS) if any(arrays_of(call) for call in record.samples) else ["float32"]
    takes = (record.formula.has_integers or record.rule == "float") and "integers" not in record.without
    integers = [*INTEGERS] if takes else []
    if record.rule == "integral":
        return integers
    return floats + integers


def in_layout(name: str, tensor: Tensor) -> Tensor:
    return dict(layouts(tensor)).get(name, tensor)


def layouts(tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The same values, otherwise laid out in memory."""
    if tensor.ndim > 1:
        reverse = list(reversed(range(tensor.ndim)))
        yield "transposed", tensor.permute(reverse).contiguous().permute(reverse)
    if tensor.ndim > 0:
        wide = tensor.new_zeros([2 * n + 1 for n in tensor.shape])[(slice(1, None, 2),) * tensor.ndim]
        wide.copy_(tensor)
        yield "sliced", wide


# --- checks of a record -----------------------------------------------------------------------------------


def reference(record: Record, arrays: Call, dtype: str) -> Any:
    """numpy's answer, computed in float64 from the values that the op sees."""
    assert record.ref is not None
    args, kwargs = arrays
    if record.kind == "elementwise":  # the reference takes parameters by position
        parameters = [a for a in record.signature or () if a.kind == "number"]
        args, kwargs = (*args, *(kwargs.get(a.name, a.default) for a in parameters)), {}
    with np.errstate(all="ignore"):
        expected = record.ref(*args, **kwargs)
        overflows = dtype == "float16" and not isinstance(expected, tuple)
        return (
            np.asarray(expected).astype(dtype)
            if overflows and np.asarray(expected).dtype.kind == "f"
            else expected
        )


def seed_of(record: Record) -> int:
    return sum(map(ord, record.name))


def check_values(record: Record, dtype: str) -> None:
    """Values against the reference; other layouts of the inputs give the same bits."""
    rng = np.random.default_rng(seed_of(record))
    for call in samples_of(record):
        drawn = replace(tuple(call), lambda a: draw(a, dtype, rng))
        args, kwargs = replace(drawn, lambda a: to_tensor(a, dtype))
        wide = replace((args, kwargs), lambda t: as_reference_input(record, t))
        message = f"{record.name}{call.args}{call.kwargs or ''}"
        result = record.call(*args, **kwargs)
        assert_close(result, reference(record, Call(*wide), dtype), TOLERANCE.get(dtype, 1e-5), message)
        if "layouts" not in record.without:
            for layout in ("transposed", "sliced"):
                other_args, other_kwargs = replace((args, kwargs), partial(in_layout, layout))
                assert_same(record.call(*other_args, **other_kwargs), result, f"{message}, {layout}")


def as_reference_input(record: Record, tensor: Tensor) -> Any:
    array = as_array(tensor)
    wide = array.dtype.kind == "f" or (array.dtype.kind in "iu" and record.rule == "float")
    return array.astype("float64") if wide and "wide reference" not in record.without else array


def check_corners(record: Record, dtype: str) -> None:
    """Zeros, infinities, NaN and the record's own difficult values, in every combination."""
    values = [corner_values(domain, record.corners) for domain in record.sample]
    grid = np.meshgrid(*values, indexing="ij")
    for setting in [*([{}] if all_defaults(record) else []), *record.settings]:
        tensors = [to_tensor(np.ascontiguousarray(g.ravel(), dtype=corner_dtype(g, dtype))) for g in grid]
        wide = Call(tuple(as_reference_input(record, t) for t in tensors), dict(setting))
        result = record.call(*tensors, **setting)
        expected = np.asarray(reference(record, wide, dtype))
        if expected.dtype.kind == "f":
            with np.errstate(over="ignore"):  # to infinity, rightly
                expected = expected.astype(dtype)
        where = f"{record.name} at {list(zip(*(g.ravel() for g in grid), strict=True))}"
        assert_close(result, expected, TOLERANCE[dtype], where)


def corner_values(domain: Domain, own: Sequence[float]) -> Any:
    if domain.kind == "bool":
        return np.array([False, True])
    if domain.kind == "int":
        return np.arange(4)
    return np.array([*CORNERS, *own])


def corner_dtype(grid: Any, dtype: str) -> Any:
    return dtype if grid.dtype.kind == "f" else grid.dtype


def check_dtypes(record: Record) -> None:
    """The dtype of the result, for every pair of dtypes and for Python numbers, against the record's rule."""
    names = dtypes_of(record) + (["bool"] if record.rule in ("bool", "float") else [])
    float_inputs = [i for i, domain in enumerate(record.sample) if domain.kind == "float"]
    setting = record.settings[0] if record.settings and not all_defaults(record) else {}
    rng = np.random.default_rng(0)
    base = [to_tensor(draw(Array((2,), domain), "float32", rng)) for domain in record.sample]
    for pair in itertools.product(names, repeat=min(len(float_inputs), 2)):
        tensors = list(base)
        for i in float_inputs:
            name = pair[min(float_inputs.index(i), len(pair) - 1)]
            tensors[i] = base[i].abs().add(1).to(getattr(versant, name))
        result = record.call(*tensors, **setting).dtype
        promoted = versant.bool
        for tensor in tensors:
            promoted = versant.promote_types(promoted, tensor.dtype)
        assert result is dtype_by_rule(record, tensors, promoted), f"{record.name}{pair} gives {result}"


def dtype_by_rule(record: Record, tensors: Sequence[Tensor], promoted: Any) -> Any:
    if record.rule == "bool":
        return versant.bool
    if record.rule == "number":
        return versant.int64 if promoted is versant.bool else promoted
    if record.rule == "first":
        return tensors[0].dtype
    if record.rule == "float" and not promoted.is_floating_point:
        return versant.get_default_dtype()
    return promoted


def differentiable_inputs(
    call: Call, rng: np.random.Generator, dtype: str = "float64"
) -> tuple[Any, list[Tensor]]:
    """The arguments in float64 (or another dtype), and those among them that are differentiated."""
    leaves: list[Tensor] = []

    def make(array: Array) -> Tensor:
        tensor = to_tensor(draw(array, dtype, rng), dtype)
        if tensor.is_floating_point() and not array.fixed:
            leaves.append(tensor.requires_grad_())
        return tensor

    return replace(tuple(call), make), leaves


def check_record_gradients(record: Record, order: int = 2) -> None:
    """Gradients in float64 against differences, in reverse and forward mode."""
    rng = np.random.default_rng(seed_of(record))
    for call in samples_of(record):
        arguments, leaves = differentiable_inputs(call, rng)
        if not leaves or any(leaf.numel() > 100 for leaf in leaves):
            continue
        forms = [a.form for a in arrays_of(call) if a.domain.kind == "float" and not a.fixed]

        def at(*values: Tensor, arguments: Any = arguments, leaves: Any = leaves, forms: Any = forms) -> Any:
            by_id = {
                id(leaf): symmetric(value) if form in ("symmetric", "definite") else value
                for leaf, value, form in zip(leaves, values, forms, strict=True)
            }
            args, kwargs = replace(arguments, lambda t: by_id.get(id(t), t))
            return record.call(*args, **kwargs)

        try:
            check_gradients(at, leaves, order=order)
        except AssertionError as error:
            raise AssertionError(f"{record.name}{call.args}{call.kwargs or ''}: {error}") from None


def check_in_place(record: Record) -> None:
    """The in-place form gives the values and the gradients of the op itself."""
    assert record.in_place is not None
    rng = np.random.default_rng(seed_of(record))
    for call in samples_of(record):
        dtype = "int64" if record.rule == "integral" else "float64"
        (args, kwargs), leaves = differentiable_inputs(call, rng, dtype)
        expected = record.call(*args, **kwargs)
        target = args[0]
        if expected.shape != target.shape or expected.dtype is not target.dtype:
            continue
        changed = target.clone()
        result = record.in_place(changed, *args[1:], **kwargs)
        assert result is changed, f"{record.name}_ does not return its input"
        assert_same(changed, expected, f"{record.name}_")
        if expected.requires_grad and expected.numel():
            want = versant.autograd.grad(expected.sum(), leaves, allow_unused=True)
            got = versant.autograd.grad(changed.sum(), leaves, allow_unused=True)
            for w, g in zip(want, got, strict=True):
                zero = versant.zeros(()).double()
                assert_close(
                    zero if g is None else g, zero if w is None else w, 1e-12, f"{record.name}_ gradient"
                )


def check_out(record: Record) -> None:
    """out= takes the result, in any layout, also where it is an input; it refuses what it cannot hold."""
    rng = np.random.default_rng(seed_of(record))
    dtype = dtypes_of(record)[0]
    for call in samples_of(record)[:2]:
        args, kwargs = replace(tuple(call), lambda a: to_tensor(draw(a, dtype, rng)))
        versant.manual_seed(0)
        expected = record.call(*args, **kwargs)
        results = list(expected) if isinstance(expected, (tuple, list)) else [expected]
        if not all(isinstance(r, Tensor) for r in results):
            with raises(TypeError, record):
                record.call(*args, out=versant.zeros(()), **kwargs)
            continue
        several = results is not expected and isinstance(expected, (tuple, list))
        rooms = [
            ("plain", [versant.zeros_like(r) for r in results]),
            ("empty", [r.new_empty(0) for r in results]),
        ]
        if not several:
            rooms += [(name, [out]) for name, out in layouts(versant.zeros_like(expected))]
        for name, room in rooms:
            out = tuple(room) if several else room[0]
            versant.manual_seed(0)
            returned = record.call(*args, out=out, **kwargs)
            for a, b in zip(returned if several else [returned], room, strict=True):
                assert a is b, f"{record.name}(out=) does not return out"
            assert_same(room, results, f"{record.name}(out={name})")
        own_dtype = record.signature and not any(a.kind.startswith("dtype") for a in record.signature)
        if own_dtype and all(r.is_floating_point() for r in results):
            with raises(RuntimeError, record):
                wrong = [versant.zeros(r.shape, dtype=versant.bool) for r in results]
                record.call(*args, out=tuple(wrong) if several else wrong[0], **kwargs)
        if isinstance(args[0] if args else None, Tensor) and not several:
            same = args[0].shape == expected.shape and args[0].dtype is expected.dtype
            if same and record.family != "versant.ops.random":
                assert_same(record.call(*args, out=args[0], **kwargs), expected, f"{record.name}(x, out=x)")


@contextmanager
def raises(error: type[Exception], record: Record) -> Iterator[None]:
    """The body raises that error."""
    try:
        yield
    except error:
        return
    raise AssertionError(f"{record.name} does not refuse a wrong out=")


def check_definition(record: Record) -> None:
    """A primitive against its definition as a composite: values, gradients, gradients of gradients."""
    assert record.definition is not None
    rng = np.random.default_rng(seed_of(record))
    for call in record.samples:
        (args, kwargs), leaves = differentiable_inputs(call, rng)
        message = f"{record.name}{call.args}"
        fast, plain = record.call(*args, **kwargs), record.definition(*args, **kwargs)
        assert_close(fast, plain, 1e-10, message)
        several = [list(y) if isinstance(y, (tuple, list)) else [y] for y in (fast, plain)]
        if not any(y.numel() for y in several[0]):
            continue
        seeds = [random_like(y, rng).requires_grad_() for y in several[0]]
        first = [versant.autograd.grad(y, leaves, seeds, create_graph=True) for y in several]
        assert_close(first[0], first[1], 1e-9, f"{message}, gradient")
        projected = [
            inner(gradients, [random_like(g, np.random.default_rng(1)) for g in gradients])
            for gradients in first
        ]
        second = [versant.autograd.grad(p, [*leaves, *seeds], allow_unused=True) for p in projected]
        for f, p in zip(*second, strict=True):
            assert (f is None) == (p is None) or not np.any(as_array(f if p is None else p)), message
            if f is not None and p is not None:
                assert_close(f, p, 1e-8, f"{message}, gradient of the gradient")


def check_record(record: Record) -> None:
    """All checks that apply to a record."""
    for dtype in dtypes_of(record):
        check_values(record, dtype)
    if record.kind == "elementwise":
        for dtype in FLOATS:
            check_corners(record, dtype)
        check_dtypes(record)
    if record.kind != "host":
        check_out(record)
    if record.differentiable:
        check_record_gradients(record)
    if record.in_place is not None:
        check_in_place(record)
    if record.kind == "primitive" and record.definition is not None:
        check_definition(record)
