"""SGD and Adam for TensorFlow, eager and in functions that are traced. Both return `update(gradients)`.

They call its fused update ops; the optimizers of Keras take several times as long.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
Update = Callable[[list[Any]], None]


def sgd(tf: Any, parameters: list[Any], lr: float) -> Update:
    rate = tf.constant(lr)

    def update(gradients: list[Any]) -> None:
        for p, g in zip(parameters, gradients, strict=True):
            tf.raw_ops.ResourceApplyGradientDescent(var=p.handle, alpha=rate, delta=g)

    return update


def adam(tf: Any, parameters: list[Any], lr: float, weight_decay: float = 0.0) -> Update:
    """Adam; with weight_decay AdamW, which shrinks the parameters before the step."""
    shrink = tf.constant(np.float32(1 - lr * weight_decay))
    means = [tf.Variable(tf.zeros_like(p)) for p in parameters]
    squares = [tf.Variable(tf.zeros_like(p)) for p in parameters]
    rate, beta1, beta2 = (tf.constant(a) for a in (lr, BETA1, BETA2))
    steps, traced_steps = 0, tf.Variable(0.0, dtype="float64")

    def powers() -> tuple[Any, Any, Any]:
        """beta1^t, beta2^t and epsilon of this step; a trace counts steps in a variable, Python is faster."""
        nonlocal steps
        if tf.inside_function():
            t = traced_steps.assign_add(1.0)
            power1, power2 = (tf.pow(tf.constant(beta, "float64"), t) for beta in (BETA1, BETA2))
            epsilon = EPSILON * tf.sqrt(1 - power2)
        else:
            steps += 1
            power1, power2 = BETA1**steps, BETA2**steps
            epsilon = EPSILON * math.sqrt(1 - power2)
        one, two, small = (tf.cast(a, "float32") for a in (power1, power2, epsilon))
        return one, two, small

    def update(gradients: list[Any]) -> None:
        # The op adds epsilon before it corrects the bias of v, Adam's paper afterwards.
        power1, power2, epsilon = powers()
        if weight_decay:
            for p in parameters:
                p.assign(p * shrink)
        for p, m, v, g in zip(parameters, means, squares, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=p.handle, m=m.handle, v=v.handle, beta1_power=power1, beta2_power=power2,
                lr=rate, beta1=beta1, beta2=beta2, epsilon=epsilon, grad=g,
            )  # fmt: skip

    return update
