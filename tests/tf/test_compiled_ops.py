"""Every op compared with TensorFlow, compiled: values and gradients are those of eager mode, bit for bit."""

from typing import Any

import pytest
from oracle_tf.cases import CASES, Case

import versant as vs
import versant.tf as tf

NAMES = sorted({case.name for case in CASES})


def computed(case: Case, tensors: list[Any]) -> list[Any]:
    """The results as tensors, and the gradients by what is floating."""
    floating = [t for t in tensors if t.dtype in (tf.float32, tf.float64)]
    with tf.GradientTape() as tape:
        if case.gradient:
            tape.watch(floating)
        results = [y for y in tf.nest.flatten(case.call(tf, *tensors)) if tf.is_tensor(y)]
        wanted = [y for y in results if y.dtype in (tf.float32, tf.float64)]
        total = tf.add_n(
            [tf.reduce_sum(tf.cast(y, tf.float64)) for y in wanted] or [tf.zeros([], tf.float64)]
        )
    gradients = tape.gradient(total, floating) if case.gradient and floating else []
    return [*results, *(g for g in gradients if g is not None)]


@pytest.mark.parametrize("name", NAMES)
def test_compiled_is_eager(name: str) -> None:
    for case in (case for case in CASES if case.name == name):
        tensors = [tf.constant(a) for a in case.arrays]
        eager = computed(case, tensors)
        compiled = vs.compile(lambda *given, case=case: computed(case, list(given)))
        for _ in range(2):
            found = compiled(*tensors)
            assert len(found) == len(eager)
            for a, b in zip(eager, found, strict=True):
                assert a.dtype is b.dtype
                assert a.numpy().tobytes() == b.numpy().tobytes()
                assert isinstance(b, tf.Tensor)
        assert compiled.stats()["replays"] >= 1 or not tensors
