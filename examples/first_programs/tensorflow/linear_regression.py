"""Linear regression: one step of a TensorFlow program, with another import line."""

import versant.tf as tf

x = tf.Variable([[1.0], [2.0], [3.0]])
y = tf.Variable([[2.0], [4.0], [6.0]])
w = tf.Variable(tf.random.normal([1, 1]))
b = tf.Variable(tf.zeros([1]))

with tf.GradientTape() as tape:
    y_pred = tf.matmul(x, w) + b
    loss = tf.reduce_mean(tf.square(y_pred - y))

grad_w, grad_b = tape.gradient(loss, [w, b])
optimizer = tf.optimizers.SGD(learning_rate=0.01)
optimizer.apply_gradients(zip([grad_w, grad_b], [w, b]))
