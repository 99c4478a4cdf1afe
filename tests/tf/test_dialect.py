"""Tensors of TensorFlow's dialect: dtypes, operators, shapes, indexing, variables, and errors."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import versant as vs
import versant.tf as tf


def test_versant_does_not_import_the_dialect() -> None:
    code = (
        "import sys, versant; assert 'versant.tf' not in sys.modules; "
        "import versant.tf; assert 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1, tf.int32),
        (2**40, tf.int64),
        (1.5, tf.float32),
        (True, tf.bool),
        ([1, 2.5], tf.float32),
        (1j, tf.complex128),
        (np.float64(1), tf.float64),
        (np.array([1], np.int64), tf.int64),
        ([], tf.float32),
    ],
)
def test_dtypes_of_constants(value: object, dtype: object) -> None:
    assert tf.constant(value).dtype is dtype


@pytest.mark.parametrize("value", ["text", None, [1, "a"], [True, 1]])
def test_what_is_no_tensor(value: object) -> None:
    with pytest.raises(ValueError, match=r"\[convert_to_tensor\]"):
        tf.constant(value)


def test_nothing_is_promoted() -> None:
    x = tf.constant([1.0, 2.0])
    for other in (tf.constant([1, 2]), tf.constant([1.0, 2.0], tf.float64)):
        for function in (lambda a, b: a + b, lambda a, b: a / b, lambda a, b: a < b, tf.maximum, tf.multiply):
            with pytest.raises(tf.errors.InvalidArgumentError, match="dtypes"):
                function(x, other)
    with pytest.raises(tf.errors.InvalidArgumentError, match="cannot convert"):
        tf.constant([1, 2]) + 1.5
    with pytest.raises(TypeError):
        tf.constant(1.5, tf.int32)
    with pytest.raises(ValueError, match=r"tf\.cast"):
        tf.convert_to_tensor(x, tf.float64)
    assert (x + np.array([1.0, 2.0])).dtype is tf.float32
    assert (np.float64(2.0) * x).dtype is tf.float32
    assert tf.add(x, [1, 2]).dtype is tf.float32


def test_integers() -> None:
    n = tf.constant([7, -7])
    assert (n / 2).dtype is tf.float64
    assert (n // 2).numpy().tolist() == [3, -4]
    assert (n % 3).numpy().tolist() == [1, 2]
    assert tf.reduce_sum(n).dtype is tf.int32
    assert tf.reduce_mean(tf.constant([1, 2])).numpy() == 1
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[exp\]"):
        tf.exp(n)


def test_results_are_tensors_of_the_dialect() -> None:
    x = tf.constant([[1.0, -2.0]])
    found = [
        x + 1,
        1 - x,
        -x,
        x @ tf.transpose(x),
        x[0],
        x > 0,
        tf.exp(x),
        vs.relu(x),
        vs.cat([x, x])[:0] + x[:0],
        *x,
    ]
    assert all(isinstance(y, tf.Tensor) for y in found)
    assert not isinstance(vs.ones(2), tf.Tensor)
    assert isinstance(vs.ones(2) * x, tf.Tensor)


def test_augmented_assignment_makes_a_new_tensor() -> None:
    x = tf.constant([1.0])
    before = x
    x += 1.0
    assert before.numpy() == 1.0
    assert x.numpy() == 2.0
    with pytest.raises(TypeError, match="item assignment"):
        before[0] = 3.0


def test_shapes() -> None:
    x = tf.zeros([2, 3])
    assert x.shape == [2, 3]
    assert x.shape == (2, 3)
    assert x.shape.as_list() == [2, 3]
    assert (x.shape.rank, x.shape.num_elements(), str(x.shape), repr(x.shape)) == (
        2,
        6,
        "(2, 3)",
        "TensorShape([2, 3])",
    )
    assert tf.TensorShape([None, 3]).is_compatible_with(x.shape)
    with pytest.raises(ValueError, match="incompatible"):
        x.set_shape([3, 3])


def test_indexing() -> None:
    values = np.arange(24).reshape(2, 3, 4).astype(np.float32)
    x = tf.constant(values)
    keys = [np.s_[0], np.s_[..., ::-1], np.s_[:, 2:0:-1, 1], np.s_[None, 1, ..., -1], np.s_[::-1, ::-2]]
    for key in keys:
        assert (x[key].numpy() == values[key]).all()
    with pytest.raises(tf.errors.InvalidArgumentError):
        x[5]


def test_looks() -> None:
    assert (
        repr(tf.constant([1, 2])) == "<tf.Tensor: shape=(2,), dtype=int32, numpy=array([1, 2], dtype=int32)>"
    )
    assert repr(tf.constant(1.5)) == "<tf.Tensor: shape=(), dtype=float32, numpy=1.5>"
    assert str(tf.constant([1.0, 2.0])) == "tf.Tensor([1. 2.], shape=(2,), dtype=float32)"
    assert repr(tf.Variable(2.0, name="w")) == "<tf.Variable 'w:0' shape=() dtype=float32, numpy=2.0>"


def test_truth_and_numbers() -> None:
    assert bool(tf.constant(1.0) == 1.0)
    assert (tf.constant(1.0) == None) is False  # noqa: E711
    with pytest.raises(ValueError, match="ambiguous"):
        bool(tf.constant([1.0, 2.0]))
    with pytest.raises(TypeError, match="cannot convert 'text'"):
        tf.constant(1.0) == "text"  # noqa: B015
    assert int(tf.constant(3)) == 3
    assert {tf.constant(1.0).ref(): 1}


def test_errors_are_caught_by_either_name() -> None:
    x = tf.zeros([2, 3])
    for kind in (tf.errors.InvalidArgumentError, tf.errors.OpError, ValueError, vs.ShapeError):
        with pytest.raises(kind):
            tf.matmul(x, x)
    for call in (
        lambda: tf.matmul(x[0], x[0]),
        lambda: tf.reshape(x, [4]),
        lambda: tf.gather([1, 2], [5]),
        lambda: x + tf.zeros([4]),
        lambda: tf.concat([x, tf.zeros([1])], 0),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError):
            call()


def test_variable() -> None:
    v = tf.Variable([1.0, 2.0])
    snapshot = v.value()
    assert v.assign_add([1.0, 1.0]) is v
    v.assign_sub(tf.constant([0.5, 0.5]))
    assert v.numpy().tolist() == [1.5, 2.5]
    assert snapshot.numpy().tolist() == [1.0, 2.0]
    assert isinstance(v * 2.0, tf.Tensor)
    assert not isinstance(v, tf.Tensor)
    with pytest.raises(ValueError, match="shape"):
        v.assign([1.0])
    with pytest.raises(ValueError, match="dtype"):
        v.assign(tf.constant([1, 2]))
    with pytest.raises(RuntimeError, match="assign_add"):
        v += 1.0
    with pytest.raises(ValueError, match="initial_value"):
        tf.Variable()


def test_variable_copies() -> None:
    v = tf.Variable([1.0], trainable=False, name="n")
    for twin in (copy.deepcopy(v), pickle.loads(pickle.dumps(v))):
        assert (twin.trainable, twin.name, twin.numpy().tolist()) == (False, "n:0", [1.0])
        twin.assign([2.0])
    assert v.numpy() == 1.0


def test_variables_need_gradients_only_under_tapes() -> None:
    v = tf.Variable(2.0)
    assert not (v * v).requires_grad
    frozen = tf.Variable(3.0, trainable=False)
    with tf.GradientTape() as tape:
        y = v * v * frozen
    assert tape.watched_variables() == (v,)
    assert tape.gradient(y, [v, frozen])[1] is None
    assert not (y + y).requires_grad
    assert float(y) == y.numpy() == 12.0
    v.requires_grad_()
    (v * v).backward()
    assert v.grad.item() == 4.0


def test_layers_of_versant_take_tensors_of_the_dialect() -> None:
    layer = vs.nn.Linear(3, 2)
    x = tf.random.normal([4, 3])
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(vs.nn.functional.cross_entropy(layer(x), tf.constant([0, 1, 1, 0], tf.int64)))
    assert tape.gradient(y, layer.weight).shape == (2, 3)


def test_custom_gradient() -> None:
    @tf.custom_gradient
    def log1pexp(x: object) -> object:
        e = tf.exp(x)
        return tf.math.log(1.0 + e), lambda upstream: upstream * (1.0 - 1.0 / (1.0 + e))

    x = tf.constant(100.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = log1pexp(x)
    assert float(tape.gradient(y, x)) == 1.0

    w = tf.Variable(3.0)

    @tf.custom_gradient
    def scaled(x: object) -> object:
        def grad(upstream: object, variables: object = None) -> object:
            return upstream * w, [upstream * 7.0]

        return x * w, grad

    with tf.GradientTape() as tape:
        tape.watch(x)
        y = scaled(x)
    assert [float(g) for g in tape.gradient(y, [x, w])] == [3.0, 7.0]


def test_seeds_repeat() -> None:
    tf.random.set_seed(1)
    first = tf.random.normal([3]).numpy(), tf.random.uniform([3], seed=5).numpy()
    tf.random.set_seed(1)
    again = tf.random.normal([3]).numpy(), tf.random.uniform([3], seed=5).numpy()
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (
        tf.random.stateless_normal([3], [1, 2]).numpy() == tf.random.stateless_normal([3], [1, 2]).numpy()
    ).all()
    assert (tf.random.normal([3]).numpy() != first[0]).any()


def test_unknown_names_say_where_to_look() -> None:
    with pytest.raises(AttributeError, match="coverage-tf"):
        tf.no_such_name  # noqa: B018


@pytest.mark.parametrize("op", [tf.add, tf.matmul, tf.multiply, tf.less, lambda a, b: a + b])
def test_errors_name_the_dtypes_in_the_order_of_the_operands(op) -> None:
    real, whole = tf.constant([[1.0]]), tf.constant([[1]])
    with pytest.raises(tf.errors.InvalidArgumentError, match="float32 and int32"):
        op(real, whole)
    with pytest.raises(tf.errors.InvalidArgumentError, match="int32 and float32"):
        op(whole, real)
