"""versant demo: a convolutional network learns to read handwritten digits."""

from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import versant as vs
from versant import Tensor, nn
from versant.cli.progress import Progress
from versant.data import DataLoader, TensorDataset, random_split
from versant.datasets import digits
from versant.nn import functional as F

BATCH_SIZE = 64
LEARNING_RATE = 3e-3  # falls to zero along a straight line
HELD_OUT = 450  # images that the network never learns from; the same ones every time


@dataclass
class History:
    """For each epoch, mean loss and accuracy on the images learned from, and accuracy on those held out."""

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)


@dataclass
class Demo:
    """The settings, and `run` to carry it all out."""

    output: Path
    epochs: int
    seed: int

    def run(self) -> History:
        self.output.mkdir(parents=True, exist_ok=True)
        images, labels = digits()
        split = vs.Generator()
        split.manual_seed(0)
        learn, held_out = random_split(
            TensorDataset(images, labels), [len(images) - HELD_OUT, HELD_OUT], generator=split
        )
        unseen_images, unseen_labels = held_out[:]
        print(f"{len(images)} handwritten digits: {len(learn)} to learn from, {HELD_OUT} held out")

        vs.manual_seed(self.seed)
        model = network()
        start = perf_counter()
        history = self._train(model, DataLoader(learn, BATCH_SIZE, shuffle=True, seed=self.seed), held_out[:])
        seconds = perf_counter() - start

        scores = read(model, unseen_images)
        right = int((scores.argmax(1) == unseen_labels).sum())
        print(f"held-out accuracy {right / HELD_OUT:.2%} ({right} of {HELD_OUT}) after {seconds:.1f} s")
        self._save_and_read(model, unseen_images, unseen_labels)
        self._draw(history, unseen_images, unseen_labels, scores)
        return history

    def _train(self, model: nn.Module, loader: DataLoader, held_out: tuple[Tensor, Tensor]) -> History:
        optimizer = vs.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
        history, steps, step = History(), self.epochs * len(loader), 0
        with Progress(self.epochs, len(loader)) as progress:
            for _ in range(self.epochs):
                model.train()
                loss_sum = right = seen = 0.0
                for x, y in loader:
                    optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1 - step / steps)
                    scores = model(x)
                    loss = F.cross_entropy(scores, y)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    step += 1
                    loss_sum += loss.item() * len(y)
                    right += (scores.argmax(1) == y).sum().item()
                    seen += len(y)
                    progress.batch(loss_sum / seen, right / seen)
                history.loss.append(loss_sum / seen)
                history.accuracy.append(right / seen)
                history.held_out.append(accuracy(model, *held_out))
                progress.epoch(history.held_out[-1])
        return history

    def _save_and_read(self, model: nn.Module, images: Tensor, labels: Tensor) -> None:
        """Save the weights, load them into a new network and let that one read a digit."""
        path = self.output / "digits.safetensors"
        vs.save(model.state_dict(), path)
        loaded = network()
        loaded.load_state_dict(vs.load(path))
        chances = F.softmax(read(loaded, images[:1]), dim=1)[0]
        digit = int(chances.argmax())
        print(f"weights: {path}")
        print(
            f"loaded back, they read a {digit} ({chances[digit].item():.1%} sure); it is a {int(labels[0])}"
        )

    def _draw(self, history: History, images: Tensor, labels: Tensor, scores: Tensor) -> None:
        try:
            from versant.cli import pictures
        except ImportError as error:
            print(f"no pictures without {error.name}: pip install 'versant[demo]'")
            return
        curve, misread = self.output / "learning_curve.png", self.output / "misread_digits.png"
        pictures.learning_curve(curve, history)
        pictures.misread_digits(misread, images, labels, F.softmax(scores, dim=1))
        print(f"learning curve: {curve}\nmisread digits: {misread}")


def network() -> nn.Module:
    """x: (N, 1, 8, 8) -> scores of the ten digits (N, 10)"""
    return nn.Sequential(
        nn.Conv2d(1, 32, kernel_size=3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 64, kernel_size=3, padding=1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(64 * 4 * 4, 10),
    )


def read(model: nn.Module, images: Tensor) -> Tensor:
    """The scores that the network gives, without learning from the images."""
    model.eval()
    with vs.no_grad():
        scores: Tensor = model(images)
    return scores


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of images that the network reads right."""
    return float((read(model, images).argmax(1) == labels).float().mean())
