"""Data that comes with the package. Each data file has its source and licence in a text of the same name."""

from pathlib import Path

import versant
from versant import Tensor


def digits() -> tuple[Tensor, Tensor]:
    """Handwritten digits: images (1797, 1, 8, 8), float32 in 0 to 1, and labels (1797,), int64.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, CC BY 4.0.
    """
    import numpy

    with numpy.load(Path(__file__).with_name("digits.npz")) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    return versant.from_numpy(images).unsqueeze(1).float() / 16, versant.from_numpy(labels).long()
