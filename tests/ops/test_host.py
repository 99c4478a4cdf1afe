"""Ops that run on the host: what they take, what they record, what they refuse."""

import subprocess
import sys

import numpy as np
import pytest

import versant as vs
from versant import testing
from versant.ops import table
from versant.ops.host import HostOp, LinAlgError, host
from versant.ops.record import Record
from versant.ops.samples import array, call


@pytest.fixture
def halved():
    """A host op of two results, whose derivative says which gradients it was given."""
    seen = []

    def vjp(g, a, power, parts, needs):
        seen.append(([x is not None for x in g], needs))
        return g[0] * a / a if g[1] is None else g[1] * parts

    op = host(
        "test.halved",
        "a, power: int = 1 -> parts, rest",
        "Halves.",
        run=lambda a, power: (a / 2**power, a - a / 2**power),
        result=lambda a, power: ((a.shape, a.dtype),) * 2,
        vjp=vjp,
        samples=[call(array(2))],
    )
    yield op, seen
    del table["test.halved"]


def test_adds_a_record(halved):
    record = table["test.halved"]
    assert isinstance(record, Record)
    assert isinstance(record.call, HostOp)
    assert record.kind == "host"
    assert record.result == "tuple[Tensor, Tensor]"


def test_parameters_by_position_and_name(halved):
    op, _ = halved
    x = vs.tensor([8.0, 4.0])
    assert op(x)[0].tolist() == [4.0, 2.0]
    assert op(x, 2)[0].tolist() == op(a=x, power=2)[0].tolist() == [2.0, 1.0]


def test_derivative_is_told_which_results_were_used(halved):
    op, seen = halved
    x = vs.tensor([8.0, 4.0], requires_grad=True)
    op(x)[0].sum().backward()
    op(x)[1].sum().backward()
    assert seen == [([True, False], (True,)), ([False, True], (True,))]


def test_node_is_named_after_the_op(halved):
    op, _ = halved
    assert op(vs.ones(2, requires_grad=True))[0].grad_fn.name() == "HalvedBackward"


def test_nothing_is_recorded_without_need(halved):
    op, _ = halved
    with vs.no_grad():
        assert not op(vs.ones(2, requires_grad=True))[0].requires_grad


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (([1.0],), TypeError, r"\[halved\] expected a tensor as a, got list"),
        ((vs.ones(2, dtype=vs.int64),), vs.DTypeError, "expected float32, float64, .* got int64"),
        ((vs.ones(2, dtype=vs.float16),), vs.DTypeError, "got float16"),
        ((vs.ones(2), 1, 2), TypeError, "at most 2 arguments, got 3"),
        ((), TypeError, "missing argument 'a'"),
    ],
)
def test_refuses(halved, arguments, error, text):
    with pytest.raises(error, match=text):
        halved[0](*arguments)


def test_refuses_unknown_keyword(halved):
    with pytest.raises(TypeError, match="unexpected argument 'base'"):
        halved[0](vs.ones(2), base=3)


def test_a_wrong_shape_from_the_host_is_found(halved):
    op, _ = halved
    op.result = lambda a, power: (((3,), a.dtype), (a.shape, a.dtype))
    with pytest.raises(ValueError, match=r"gave shape \(2,\) instead of \(3,\)"):
        op(vs.ones(2))


def test_numpys_refusal_names_the_op():
    with pytest.raises(LinAlgError, match=r"\[inv\] singular matrix"):
        table["lapack.inv"].call(vs.zeros(2, 2))


def test_no_results_no_call():
    assert table["lapack.inv"].call(vs.zeros(0, 3, 3)).shape == (0, 3, 3)  # numpy would be asked for nothing
    assert table["lapack.solve"].call(vs.zeros(3, 3), vs.zeros(3, 0)).shape == (3, 0)


def test_results_are_tensors_of_their_own():
    x = vs.eye(2)
    y = table["lapack.inv"].call(x)
    y.zero_()
    assert x.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_a_saved_result_changed_in_place_is_found():
    y = table["lapack.inv"].call(vs.eye(2).requires_grad_())
    y.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        y.sum().backward()


def test_numpy_waits_for_the_first_call():
    code = (
        "import sys, versant as vs; before = 'numpy' in sys.modules;"
        "vs.ops.table['lapack.inv'].call(vs.eye(2)); sys.exit(before or 'numpy' not in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "record",
    [r for r in table.values() if r.name.startswith("lapack.") and r.differentiable],
    ids=lambda r: r.name,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_matrix_gives_the_same_bits_in_any_batch(record, dtype):
    rng = np.random.default_rng(0)
    drawn = testing.replace(
        tuple(record.samples[0]), lambda a: testing.draw(a._replace(shape=(6, 40, 40)), dtype, rng)
    )
    args, kwargs = testing.replace(drawn, testing.to_tensor)
    few, few_kwargs = testing.replace((args, kwargs), lambda t: t[3:5].clone())
    whole, part = record.call(*args, **kwargs), record.call(*few, **few_kwargs)
    for w, p in zip(*(x if isinstance(x, tuple) else (x,) for x in (whole, part)), strict=True):
        testing.assert_same(w[3:5], p)
