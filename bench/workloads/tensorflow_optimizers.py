"""SGD and Adam for TensorFlow's eager mode. Both return `update(gradients)`.

They call its fused update ops; the optimizers of Keras take several times as long.
"""

import math

import numpy as np


def sgd(tf, parameters, lr):
    lr = tf.constant(lr)

    def update(gradients):
        for p, g in zip(parameters, gradients, strict=True):
            tf.raw_ops.ResourceApplyGradientDescent(var=p.handle, alpha=lr, delta=g)

    return update


def adam(tf, parameters, lr, weight_decay=0.0):
    """Adam; with weight_decay AdamW, which shrinks the parameters before the step."""
    shrink = tf.constant(np.float32(1 - lr * weight_decay))
    means = [tf.Variable(tf.zeros_like(p)) for p in parameters]
    squares = [tf.Variable(tf.zeros_like(p)) for p in parameters]
    lr, beta1, beta2 = (tf.constant(a) for a in (lr, 0.9, 0.999))
    steps = 0

    def update(gradients):
        nonlocal steps
        steps += 1
        power1, power2 = tf.constant(0.9**steps), tf.constant(0.999**steps)
        # The op adds epsilon before it corrects the bias of v, Adam's paper afterwards.
        epsilon = tf.constant(1e-8 * math.sqrt(1 - 0.999**steps))
        if weight_decay:
            for p in parameters:
                p.assign(p * shrink)
        for p, m, v, g in zip(parameters, means, squares, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=p.handle, m=m.handle, v=v.handle, beta1_power=power1, beta2_power=power2,
                lr=lr, beta1=beta1, beta2=beta2, epsilon=epsilon, grad=g,
            )  # fmt: skip

    return update
