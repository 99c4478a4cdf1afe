"""Ordinary TensorFlow programs give TensorFlow's numbers, which `expected.npz` holds.

`python tests/oracle_tf/test_programs.py` writes that file with TensorFlow.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tf import programs

import versant.tf as tf

EXPECTED = np.load(Path(__file__).with_name("expected.npz"))


@pytest.mark.parametrize("name", programs.PROGRAMS)
@pytest.mark.filterwarnings("ignore")
def test_gives_the_numbers_of_tensorflow(name: str, tmp_path: Path) -> None:
    found = programs.flat(programs.PROGRAMS[name](tf, tmp_path))
    differing = programs.differences(found, [EXPECTED[f"{name}/{i}"] for i in range(len(found))])
    assert f"{name}/{len(found)}" not in EXPECTED
    assert not differing, "\n".join(differing)


@pytest.mark.parametrize("name", programs.PROGRAMS)
@pytest.mark.filterwarnings("ignore")
def test_functions_that_run_as_they_are_written_give_the_same_bits(name: str, tmp_path: Path) -> None:
    found = []
    for eagerly in (False, True):
        tf.config.run_functions_eagerly(eagerly)
        tf.random.set_seed(0)
        folder = tmp_path / str(eagerly)
        folder.mkdir()
        try:
            found.append([x.tobytes() for x in programs.flat(programs.PROGRAMS[name](tf, folder))])
        finally:
            tf.config.run_functions_eagerly(False)
    assert found[0] == found[1]


def test_a_tensor_array() -> None:
    array = tf.TensorArray(tf.float32, size=2, dynamic_size=True)
    array = array.write(0, [1.0, 2.0]).write(2, tf.constant([3.0, 4.0]))
    assert int(array.size()) == 3
    assert array.stack().numpy().tolist() == [[1.0, 2.0], [0.0, 0.0], [3.0, 4.0]]
    assert array.gather([2, 0]).numpy().tolist() == [[3.0, 4.0], [1.0, 2.0]]
    with pytest.raises(tf.errors.InvalidArgumentError, match="read before"):
        array.read(0)
    with pytest.raises(tf.errors.InvalidArgumentError, match="int32"):
        array.write(0, tf.constant([1, 2]))
    with pytest.raises(ValueError, match="shape"):
        array.write(0, tf.constant([1.0]))
    with pytest.raises(tf.errors.OutOfRangeError, match="2 elements"):
        tf.TensorArray(tf.float32, 2).write(2, 1.0)
    rows = tf.TensorArray(tf.int32, 2).unstack(tf.constant([[1, 2], [3, 4]]))
    assert rows.concat().numpy().tolist() == [1, 2, 3, 4]
    scattered = tf.TensorArray(tf.int32, 2).scatter([1, 0], tf.constant([5, 6]))
    assert scattered.stack().numpy().tolist() == [6, 5]


def test_gradients_flow_through_a_tensor_array() -> None:
    x = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        powers = tf.TensorArray(tf.float32, size=3)
        for i in range(3):
            powers = powers.write(i, x**i)
        y = tf.reduce_sum(powers.stack())
    assert float(tape.gradient(y, x)) == 7.0


def jacobian_asked(**options: Any) -> Any:
    x = tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x * x
    return tape.jacobian(y, x, **options)


def test_jacobians_come_from_one_way_back() -> None:
    turns = []

    @tf.custom_gradient
    def counted(x: Any) -> Any:
        def back(dy: Any) -> Any:
            turns.append(1)
            return 2.0 * dy * x

        return x * x, back

    x = tf.constant([1.0, 2.0, 3.0])
    for together, expected in ((True, 1), (False, 3)):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            y = counted(x)
        turns.clear()
        found = tape.jacobian(y, x, experimental_use_pfor=together)
        assert np.array_equal(found, np.diag([2.0, 4.0, 6.0]))
        assert len(turns) == expected
    with pytest.raises(RuntimeError, match="persistent"):
        jacobian_asked(experimental_use_pfor=False)


def test_a_way_back_that_reads_values_is_taken_row_by_row() -> None:
    @tf.custom_gradient
    def reads(x: Any) -> Any:
        return x * 1.0, lambda dy: dy * float(tf.reduce_sum(dy))

    x = tf.constant([1.0, 2.0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = reads(x)
    with pytest.raises(ValueError, match="experimental_use_pfor=False"):
        tape.jacobian(y, x)
    assert np.array_equal(tape.jacobian(y, x, experimental_use_pfor=False), np.eye(2))


def test_forward_derivatives_end_with_their_block() -> None:
    x = tf.constant([1.0, 2.0])
    with pytest.raises(KeyError), tf.autodiff.ForwardAccumulator(x, tf.ones_like(x)):
        raise KeyError
    accumulator = tf.autodiff.ForwardAccumulator(x, tf.ones_like(x))
    with accumulator:
        with pytest.raises(ValueError, match="already"):
            accumulator.__enter__()
        y = x * x
    z = x * x
    assert accumulator.jvp(y).numpy().tolist() == [2.0, 4.0]
    assert accumulator.jvp(z) is None
    with pytest.raises(ValueError, match="shape"):
        tf.autodiff.ForwardAccumulator(x, tf.ones([3]))
