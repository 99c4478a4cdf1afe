"""Stopping inside a network: what a TensorFlow program writes down, with another import line."""

import versant.tf as tf

model = tf.keras.Sequential([
    tf.keras.layers.Conv2D(8, 3, strides=2, activation="relu"),
    tf.keras.layers.GlobalAveragePooling2D(),
    tf.keras.layers.Dense(10),
])
x = tf.random.normal([10, 224, 224, 3])
tf.debugging.enable_dump_debug_info("dump_folder")
y = model(x)
