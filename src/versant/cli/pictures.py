"""The pictures that the demo draws: a learning curve and a page of misread digits."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from versant import Tensor

if TYPE_CHECKING:
    from versant.cli.demo import History

INK, BLUE, ORANGE, GREY = "#1f2430", "#2563eb", "#ea580c", "#9ca3af"


def learning_curve(path: Path, history: "History") -> None:
    """Loss and accuracy over the epochs, as a PNG."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    loss, right = figure.subplots(1, 2)
    epochs = range(1, len(history.loss) + 1)
    loss.plot(epochs, history.loss, color=BLUE, linewidth=2)
    loss.set(title="Loss on the digits learned from", yscale="log", ylabel="mean cross-entropy")
    right.plot(epochs, history.accuracy, color=BLUE, linewidth=2, label="learned from")
    right.plot(epochs, history.held_out, color=ORANGE, linewidth=2, label="held out")
    lowest = min(history.accuracy + history.held_out)
    right.set(title=f"Accuracy: {history.held_out[-1]:.2%} held out", ylim=(max(lowest - 0.02, 0.0), 1.002))
    right.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    right.legend(frameon=False, loc="lower right")
    for axes in (loss, right):
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(color=GREY, alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def misread_digits(path: Path, images: Tensor, labels: Tensor, chances: Tensor) -> None:
    """Every image whose likeliest digit is the wrong one, with what was read and what it is, as a PNG.

    images: (N, 1, 8, 8); labels: (N,); chances: (N, 10)
    """
    guesses, truths = chances.argmax(1).tolist(), labels.tolist()
    wrong = [i for i, (guess, truth) in enumerate(zip(guesses, truths, strict=True)) if guess != truth]
    columns = max(min(len(wrong), 8), 1)
    rows = max(math.ceil(len(wrong) / columns), 1)
    figure = Figure(figsize=(max(1.7 * columns, 4.5), 2.1 * rows + 0.6), layout="constrained")
    figure.suptitle(f"{len(wrong)} of {len(truths)} held-out digits misread", color=INK)
    for place, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if place < len(wrong):
            i = wrong[place]
            axes.imshow(images[i, 0].tolist(), cmap="gray_r", vmin=0.0, vmax=1.0)
            sure = chances[i, guesses[i]].item()
            axes.set_title(f"read {guesses[i]} ({sure:.0%})\nis {truths[i]}", fontsize=10, color=INK)
    figure.savefig(path)
