"""Runs a case in both frameworks and compares values, dtypes, shapes and gradients."""

from typing import Any

import numpy as np
from oracle_tf.cases import Case


def run(tf: Any, case: Case) -> tuple[list[Any], list[Any]]:
    """The results and the gradients by floating-point arrays, in numpy."""
    tensors = [tf.constant(a) for a in case.arrays]
    floating = [t for t in tensors if t.dtype in (tf.float32, tf.float64)]
    if not case.gradient or not floating:
        return _arrays(tf, case.call(tf, *tensors)), []
    with tf.GradientTape() as tape:
        tape.watch(floating)
        results = tf.nest.flatten(case.call(tf, *tensors))
        wanted = [
            y for y in results if getattr(y, "dtype", None) in (tf.float32, tf.float64) and tf.is_tensor(y)
        ]
        # Weights tell apart gradients that a sum would mix.
        total = tf.add_n([tf.reduce_sum(y * tf.cast(_weights(y), y.dtype)) for y in wanted] or [tf.zeros([])])
    return _arrays(tf, results), tape.gradient(total, floating)


def _weights(y: Any) -> Any:
    return np.random.RandomState(11).uniform(0.5, 1.5, tuple(y.shape)).astype(np.float64)


def _arrays(tf: Any, result: Any) -> list[Any]:
    return [
        x if isinstance(x, str) else np.asarray(x.numpy() if hasattr(x, "numpy") else x)
        for x in tf.nest.flatten(result)
    ]


def compare(case: Case, ours: tuple[list[Any], list[Any]], theirs: tuple[list[Any], list[Any]]) -> str:
    """What differs, or nothing."""
    if len(ours[0]) != len(theirs[0]):
        return f"{len(ours[0])} results, theirs {len(theirs[0])}"
    for i, (a, b) in enumerate(zip(ours[0], theirs[0], strict=True)):
        if isinstance(a, str) or isinstance(b, str):
            if a != b:
                return f"result {i}: {a!r}, theirs {b!r}"
            continue
        if a.dtype != b.dtype:
            return f"result {i}: dtype {a.dtype}, theirs {b.dtype}"
        if a.shape != b.shape:
            return f"result {i}: shape {a.shape}, theirs {b.shape}"
        if not np.allclose(a, b, rtol=case.rtol, atol=case.atol, equal_nan=True):
            return f"result {i}: {a.ravel()[:6]}, theirs {b.ravel()[:6]}"
    for i, (a, b) in enumerate(zip(ours[1], theirs[1], strict=True)):
        if (a is None) != (b is None):
            return f"gradient {i}: {a}, theirs {b}"
        if a is None:
            continue
        a, b = (
            np.asarray(g.numpy() if hasattr(g, "numpy") else g) if not hasattr(g, "values") else _dense(g)
            for g in (a, b)
        )
        if a.shape != b.shape:
            return f"gradient {i}: shape {a.shape}, theirs {b.shape}"
        if not np.allclose(a, b, rtol=case.rtol * 5, atol=case.atol * 5, equal_nan=True):
            return f"gradient {i}: {a.ravel()[:6]}, theirs {b.ravel()[:6]}"
    return ""


def _dense(slices: Any) -> Any:
    """TensorFlow's sparse gradient of a lookup, in full."""
    whole = np.zeros(tuple(int(n) for n in slices.dense_shape), np.float32)
    np.add.at(whole, np.asarray(slices.indices), np.asarray(slices.values))
    return whole
