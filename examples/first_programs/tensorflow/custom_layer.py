"""A custom layer: a TensorFlow program, with another import line."""

import versant.tf as tf

class MyCustomLayer(tf.keras.layers.Layer):
    def __init__(self):
        super(MyCustomLayer, self).__init__()

    def call(self, inputs):
        return tf.math.log(inputs)

x = tf.Variable([1.0, 2.0, 3.0])
layer = MyCustomLayer()
with tf.GradientTape() as tape:
    y = layer(x)
    loss = tf.reduce_sum(y)
grads = tape.gradient(loss, x)
