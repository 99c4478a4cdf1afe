"""Making tensors: a TensorFlow program, with another import line."""

import versant.tf as tf

x = tf.random.normal([5, 3])
y = tf.random.normal([5, 3])
z = tf.add(x, y)
