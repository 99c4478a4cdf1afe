"""out=: results written into tensors of the caller, for all kinds of records."""

import copy
import pickle

import pytest

import versant as vs

X = [[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]]


def test_a_tensor_of_another_shape_is_resized_with_a_warning() -> None:
    x = vs.tensor(X)
    for call in (vs.exp, lambda x, out: vs.cumsum(x, 0, out=out), vs.nansum):
        out = vs.empty(7)
        with pytest.warns(UserWarning, match="was resized"):
            assert call(x, out=out) is out
        assert vs.equal(out, call(x, out=vs.empty(0)))


def test_several_results_go_into_a_tuple() -> None:
    values, indices = vs.empty(2), vs.empty(2, dtype=vs.int64)
    result = vs.max(vs.tensor(X), 1, out=(values, indices))
    assert result.values is values
    assert result.indices is indices
    assert values.tolist() == [3.0, 5.0]
    assert indices.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda x: vs.mean(x, out=vs.empty((), dtype=vs.int64)), TypeError),
        (lambda x: vs.cat([x, x], out=vs.empty(0, dtype=vs.bool)), TypeError),
        (lambda x: vs.sort(x, out=vs.empty(0)), TypeError),
        (lambda x: vs.sort(x, out=(vs.empty(0),)), TypeError),
        (lambda x: vs.sum(x, out=(vs.empty(0),)), TypeError),
        (lambda x: vs.sum(x, out=3), TypeError),
        (lambda x: vs.add(x, x, out=(vs.empty(0),)), TypeError),
        (lambda x: vs.sum(x.requires_grad_(), out=vs.empty(0)), RuntimeError),
        (lambda x: vs.norm(x.requires_grad_(), out=vs.empty(0)), RuntimeError),
        (lambda x: vs.sum(x, out=vs.zeros((), requires_grad=True)), RuntimeError),
        (lambda x: vs.cumsum(x, 0, out=vs.zeros(3).expand(2, 3)), RuntimeError),
        (lambda x: x.cumsum_(0, out=x), TypeError),
    ],
)
def test_what_cannot_take_the_result_is_refused(call, error) -> None:
    with pytest.raises(error):
        call(vs.tensor(X))


def test_nothing_is_written_when_one_of_several_is_refused() -> None:
    values = vs.zeros(2, 3)
    with pytest.raises(TypeError):
        vs.sort(vs.tensor(X), out=(values, vs.zeros(2, 3, dtype=vs.bool)))
    assert not values.any()


def test_memory_that_the_input_shares_is_read_before_it_is_written() -> None:
    x = vs.arange(6.0)
    vs.narrow(x, 0, 0, 5, out=x[1:])
    assert x.tolist() == [0.0, 0.0, 1.0, 2.0, 3.0, 4.0]
    x = vs.arange(6.0)
    vs.cumsum(x[:5], 0, out=x[1:])
    assert x.tolist() == [0.0, 0.0, 1.0, 3.0, 6.0, 10.0]


def test_the_result_does_not_share_memory_with_the_input() -> None:
    x = vs.arange(6.0)
    out = vs.reshape(x, (2, 3), out=vs.empty(0))
    out.zero_()
    assert x.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_creation_takes_the_dtype_of_out() -> None:
    assert vs.arange(3, out=vs.empty(0)).tolist() == [0.0, 1.0, 2.0]
    assert vs.eye(2, out=vs.empty(2, 2, dtype=vs.int32)).tolist() == [[1, 0], [0, 1]]


def test_gradients_see_that_a_saved_tensor_was_overwritten() -> None:
    x = vs.ones(3, requires_grad=True)
    y = vs.ones(3)
    z = x * y
    vs.cumsum(vs.ones(3), 0, out=y)
    with pytest.raises(RuntimeError, match="modified"):
        z.sum().backward()


def test_methods_and_functions_take_numpys_names() -> None:
    x = vs.tensor(X)
    assert vs.equal(vs.nansum(x, axis=0, keepdims=True), x.nansum(0, True))
    assert vs.equal(x.var(axis=1), vs.var(x, 1))


@pytest.mark.parametrize("function", [vs.exp, vs.cumsum, vs.norm, vs.nn.functional.gelu], ids=str)
def test_functions_can_be_copied_and_pickled(function) -> None:
    assert copy.deepcopy(function) is function
    assert pickle.loads(pickle.dumps(function)) is function
