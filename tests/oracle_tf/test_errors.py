"""Wrong calls raise in the dialect what they raise in TensorFlow."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="the oracle is TensorFlow: pip install versant[oracle-tf]")

from oracle_tf import report


def asked_twice(tf: Any) -> None:
    v = tf.Variable(1.0)
    with tf.GradientTape() as tape:
        y = v * v
    tape.gradient(y, v)
    tape.gradient(y, v)


def recording(tf: Any) -> None:
    with tf.GradientTape() as tape, tape:
        pass


def unconnected(tf: Any) -> None:
    v = tf.Variable(1.0)
    with tf.GradientTape() as tape:
        y = v * v
    tape.gradient(y, v, unconnected_gradients="some")


def watched(tf: Any) -> None:
    with tf.GradientTape() as tape:
        tape.watch("text")


def assigned(tf: Any) -> None:
    tf.ones([2])[0] = 1.0


def added(tf: Any) -> None:
    v = tf.Variable(1.0)
    v += 1.0


WRONG: dict[str, Callable[[Any], Any]] = {
    "two dtypes": lambda tf: tf.constant(1.0) + tf.constant(1),
    "two floats": lambda tf: tf.constant(1.0) * tf.constant(1.0, tf.float64),
    "a float among integers": lambda tf: tf.constant([1, 2]) + 1.5,
    "shapes": lambda tf: tf.ones([2]) + tf.ones([3]),
    "inner dimensions": lambda tf: tf.matmul(tf.ones([2, 3]), tf.ones([2, 3])),
    "vectors": lambda tf: tf.matmul(tf.ones([3]), tf.ones([3])),
    "reshape": lambda tf: tf.reshape(tf.ones([2, 3]), [4]),
    "index": lambda tf: tf.ones([2])[5],
    "gather": lambda tf: tf.gather([1, 2, 3], [5]),
    "concat of shapes": lambda tf: tf.concat([tf.ones([2, 2]), tf.ones([3, 3])], 0),
    "concat of dtypes": lambda tf: tf.concat([tf.ones([2]), tf.constant([1])], 0),
    "integers into exp": lambda tf: tf.exp(tf.constant([1, 2])),
    "axis": lambda tf: tf.reduce_sum(tf.ones([2]), axis=3),
    "split": lambda tf: tf.split(tf.ones([5]), 2),
    "squeeze": lambda tf: tf.squeeze(tf.ones([2, 3]), axis=0),
    "truth": lambda tf: bool(tf.ones([2])),
    "text": lambda tf: tf.constant(1.0) == "text",
    "fraction as an integer": lambda tf: tf.constant(1.5, tf.int32),
    "another dtype": lambda tf: tf.convert_to_tensor(tf.constant(1.0), tf.float64),
    "bools and numbers": lambda tf: tf.constant([True, 1]),
    "no dtype": lambda tf: tf.as_dtype("float31"),
    "a tensor cannot be assigned to": assigned,
    "assign of a shape": lambda tf: tf.Variable([1.0]).assign([1.0, 2.0]),
    "assign of a dtype": lambda tf: tf.Variable([1.0]).assign(tf.constant([1])),
    "variable += value": added,
    "no initial value": lambda tf: tf.Variable(),
    "a tape asked twice": asked_twice,
    "a tape entered twice": recording,
    "unconnected_gradients": unconnected,
    "watching a text": watched,
    "where": lambda tf: tf.where([True, False], [1.0, 2.0], tf.constant([1, 2])),
    "maximum of dtypes": lambda tf: tf.maximum(tf.constant(1.0), tf.constant(2)),
    "labels": lambda tf: tf.nn.sparse_softmax_cross_entropy_with_logits([0, 1], tf.ones([3, 2])),
    "padding": lambda tf: tf.pad(tf.ones([2, 2]), [[1, 1], [1, 1]], "SOME"),
    "channels": lambda tf: tf.nn.conv2d(tf.ones([1, 4, 4, 3]), tf.ones([3, 3, 2, 4]), 1, "SAME"),
    "a predicate of two": lambda tf: tf.cond(tf.constant([True, False]), lambda: 1, lambda: 2),
    "check_numerics": lambda tf: tf.debugging.check_numerics(tf.constant(np.nan), "x"),
    "assert_equal": lambda tf: tf.debugging.assert_equal(tf.constant(1), tf.constant(2)),
    "assert_rank": lambda tf: tf.debugging.assert_rank(tf.ones([2]), 2),
    "structures": lambda tf: tf.nest.map_structure(lambda a, b: a, [1, 2], [1, [2]]),
    "while_loop": lambda tf: tf.while_loop(lambda a: a < 3, lambda a: (a, a), (tf.constant(0),)),
    "slices": lambda tf: tf.data.Dataset.from_tensor_slices(([1, 2], [1])),
}


def exception_of(call: Callable[[Any], Any], tf: Any) -> Exception | None:
    try:
        call(tf)
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.filterwarnings("ignore")
def test_same_exception(name: str) -> None:
    ours, theirs = report.frameworks()
    raised = exception_of(WRONG[name], theirs)
    kinds = [(ours.errors.InvalidArgumentError, theirs.errors.InvalidArgumentError)]
    kinds += [(kind, kind) for kind in (ValueError, TypeError, RuntimeError)]
    wanted = tuple(own for own, other in kinds if isinstance(raised, other))
    assert wanted, f"TensorFlow raises {raised!r}"
    assert isinstance(exception_of(WRONG[name], ours), wanted)
