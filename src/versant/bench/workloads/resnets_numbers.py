"""The numbers of W10 and W11: weights, drawn in the order of the layers, images and labels."""

from typing import Any

import numpy as np


class Numbers:
    """Draws weights in the order in which layers are made."""

    def __init__(self) -> None:
        self.rs = np.random.RandomState(0)

    def conv(self, inputs: int, outputs: int, size: int) -> Any:
        scale = np.sqrt(2 / (inputs * size * size))
        return (self.rs.randn(outputs, inputs, size, size) * scale).astype(np.float32)

    def linear(self, inputs: int, outputs: int) -> Any:
        return (self.rs.randn(inputs, outputs) / np.sqrt(inputs)).astype(np.float32)


def training_batch() -> tuple[Any, Any]:
    """Images (32, 3, 32, 32) and their labels (32,)."""
    rs = np.random.RandomState(1)
    return rs.randn(32, 3, 32, 32).astype(np.float32), rs.randint(0, 10, 32)


def inference_images() -> Any:
    return np.random.RandomState(1).randn(4, 3, 224, 224).astype(np.float32)
