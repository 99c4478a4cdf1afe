"""Control flow on values: a TensorFlow program, with another import line."""

import versant.tf as tf

def complex_model(x):
    if tf.reduce_sum(x) > 5:
        y = tf.square(x)
    else:
        y = tf.sqrt(x)
    return y

x = tf.Variable([1.0, 2.0, 3.0, 4.0])
with tf.GradientTape() as tape:
    y = complex_model(x)
    loss = tf.reduce_sum(y)
grads = tape.gradient(loss, x)
