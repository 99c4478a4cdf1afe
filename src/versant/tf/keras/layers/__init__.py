"""Layers of tf.keras."""

from versant.tf.keras.layers.combining import *  # noqa: F403
from versant.tf.keras.layers.convolutional import *  # noqa: F403
from versant.tf.keras.layers.dense import *  # noqa: F403
from versant.tf.keras.layers.layer import Layer
from versant.tf.keras.layers.normalization import *  # noqa: F403
from versant.tf.keras.layers.pooling import *  # noqa: F403
from versant.tf.keras.layers.recurrent import *  # noqa: F403

__all__ = ["Layer"]
