"""SciPy takes tensors and gives tensors: statistics, spectra, clusters and roots on handwritten digits.

    python examples/scipy_functions.py

Where a function is written in the array API standard throughout, as logsumexp is, gradients flow through it.
"""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # read when SciPy is imported

from scipy import cluster, fft, integrate, signal, special, stats
from scipy.optimize import elementwise

import versant as vs
from versant.datasets import digits


def ink_of_ones_and_zeros(ink: vs.Tensor, labels: vs.Tensor) -> tuple[float, float]:
    """Welch's t-test of the ink of ones against that of zeros: the statistic and p."""
    found = stats.ttest_ind(ink[labels == 1], ink[labels == 0], equal_var=False)
    return float(found.statistic), float(found.pvalue)


def halves(images: vs.Tensor) -> float:
    """The correlation of the ink in the upper and the lower half."""
    return float(stats.pearsonr(images[:, :4].sum((1, 2)), images[:, 4:].sum((1, 2))).statistic)


def smoothness(images: vs.Tensor) -> float:
    """The share of the pictures' energy at frequencies up to a quarter of the sampling rate."""
    energy = vs.abs(fft.fft2(images - images.mean((1, 2), keepdim=True))) ** 2
    along = vs.abs(fft.fftfreq(8, xp=vs.array_api))
    low = (along[:, None] <= 0.25) & (along <= 0.25)
    return float(energy[:, low].sum() / energy.sum())


def strokes(images: vs.Tensor) -> vs.Tensor:
    """How often a line through the middle of each digit meets a stroke: the mean count of peaks by digit."""
    kernel = vs.ones((1, 3, 1), dtype=images.dtype) / 3
    row = signal.fftconvolve(images, kernel, mode="same", axes=1)[:, 4]
    inner = row[:, 1:-1]
    return ((inner > row[:, :-2]) & (inner >= row[:, 2:]) & (inner > 0.3)).sum(1)


def groups(images: vs.Tensor, labels: vs.Tensor) -> float:
    """Ten clusters by k-means: the share of digits that are their cluster's commonest digit."""
    x = images.reshape(len(images), -1)
    _, found = cluster.vq.kmeans2(x, 10, seed=0, minit="++")
    commonest = [vs.bincount(labels[found == k]).max() for k in range(10) if bool((found == k).any())]
    return float(sum(commonest) / len(labels))


def quantiles(shares: vs.Tensor) -> vs.Tensor:
    """The quantiles of the normal distribution, as the roots of as many equations at once."""
    low, high = vs.full_like(shares, -10.0), vs.full_like(shares, 10.0)
    return elementwise.find_root(lambda x, share: special.ndtr(x) - share, (low, high), args=(shares,)).x


def main() -> dict[str, object]:
    images, labels = digits()
    images = images.squeeze(1).double()
    ink = images.sum((1, 2))

    described = stats.describe(ink)
    print(f"ink of a digit: {float(described.mean):.2f} pixels, skewness {float(described.skewness):.2f}")
    statistic, p = ink_of_ones_and_zeros(ink, labels)
    print(f"ones against zeros: t = {statistic:.2f}, p = {p:.3g}")
    print(f"the halves of a digit correlate by {halves(images):.3f}")
    print(f"{smoothness(images):.1%} of the energy is at low frequencies")
    counts = strokes(images)
    zeros, ones = float(counts[labels == 0].double().mean()), float(counts[labels == 1].double().mean())
    print(f"a line through the middle meets {zeros:.2f} strokes of a zero, {ones:.2f} of a one")
    purity = groups(images, labels)
    print(f"{purity:.1%} of the digits are the commonest digit of their cluster")

    x = stats.zscore(ink[:10]).requires_grad_()
    special.logsumexp(x).backward()
    assert x.grad is not None
    error = float(vs.abs(x.grad - special.softmax(x.detach())).max())
    print(f"the gradient through logsumexp is softmax, to {error:.0e}")
    grid = vs.linspace(-6, 6, 2001, dtype=vs.float64)
    area = float(integrate.trapezoid(vs.exp(-(grid**2) / 2), grid))
    print(f"the area under exp(-x²/2) is {area:.6f}")
    ranks = stats.rankdata(ink) / (len(ink) + 1)
    straight = float(stats.pearsonr(quantiles(ranks), ink).statistic)
    print(f"the ink lies on a normal distribution's line by {straight:.4f}")
    return {
        "p": p,
        "zeros": zeros,
        "ones": ones,
        "purity": purity,
        "error": error,
        "area": area,
        "straight": straight,
    }


if __name__ == "__main__":
    main()
