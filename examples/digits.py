"""A ResNet-18 learns to read the digits of a folder of IDX files, such as MNIST's.

    python examples/digits.py FOLDER
    python examples/digits.py FOLDER --width 16 --epochs 1

The folder holds images (`*images*`) and labels (`*labels*`), packed by gzip or not. With files named `train*`
and `t10k*` or `test*` the network learns from the first and is tested on the second; with one pair, a fifth
of it is held out.
"""

import argparse
import gzip
import struct
import time
from pathlib import Path

import versant as torch
from versant import nn
from versant.data import DataLoader, TensorDataset
from versant.nn import functional as F


def read_idx(path: Path) -> torch.Tensor:
    """The bytes of an IDX file of unsigned bytes, in its shape."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    zeros, kind, rank = struct.unpack_from(">HBB", data)
    if zeros or kind != 8:
        raise ValueError(f"{path} is not an IDX file of unsigned bytes")
    shape = struct.unpack_from(f">{rank}I", data, 4)
    return torch.frombuffer(bytearray(data), dtype=torch.uint8, offset=4 + 4 * rank).reshape(shape)


def read_folder(folder: Path) -> tuple[TensorDataset, TensorDataset]:
    """What to learn from, and what to be tested on."""

    def load(prefixes: tuple[str, ...]) -> tuple[torch.Tensor, torch.Tensor] | None:
        def find(word: str) -> list[Path]:
            return sorted(p for p in folder.glob(f"*{word}*") if p.name.startswith(prefixes))

        images, labels = find("images"), find("labels")
        if not images or not labels:
            return None
        x = read_idx(images[0]).unsqueeze(1).float() / 255
        return (x - x.mean()) / x.std(), read_idx(labels[0]).long()

    learn, test = load(("train",)), load(("t10k", "test"))
    if learn and test:
        return TensorDataset(*learn), TensorDataset(*test)
    pair = learn or test or load(("",))
    if pair is None:
        raise SystemExit(f"no files named *images* and *labels* in {folder}")
    order = torch.randperm(len(pair[0]), generator=torch.Generator().manual_seed(0))
    held_out = len(order) // 5
    parts = [TensorDataset(*(t[part] for t in pair)) for part in (order[held_out:], order[:held_out])]
    return parts[0], parts[1]


class Block(nn.Module):
    """Two convolutions and a way around them.  x: (N, C, H, W)"""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(h)) + self.downsample(x))


def resnet18(width: int = 64, classes: int = 10) -> nn.Module:
    """The ResNet-18 for small images (He et al. 2016): a 3 x 3 stem and no pooling before the blocks."""
    layers = [nn.Conv2d(1, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    inputs = width
    for stage in range(4):
        outputs = width << stage
        layers += [Block(inputs, outputs, 1 if stage == 0 else 2), Block(outputs, outputs, 1)]
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


def train(model: nn.Module, data: TensorDataset, epochs: int, batch_size: int = 64) -> None:
    loader = DataLoader(data, batch_size=batch_size, shuffle=True, seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=epochs * len(loader))
    model.train()
    for epoch in range(epochs):
        start, losses = time.perf_counter(), []
        for i, (x, y) in enumerate(loader):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            if i % 20 == 19 or i + 1 == len(loader):
                recent = sum(losses[-20:]) / len(losses[-20:])
                seconds = time.perf_counter() - start
                print(
                    f"epoch {epoch + 1}, batch {i + 1} of {len(loader)}: loss {recent:.4f} "
                    f"({seconds / (i + 1):.3f} s a batch)",
                    flush=True,
                )


def accuracy(model: nn.Module, data: TensorDataset) -> float:
    model.eval()
    right = 0
    with torch.no_grad():
        for x, y in DataLoader(data, batch_size=250):
            right += int((model(x).argmax(1) == y).sum())
    return right / len(data)


def main(arguments: list[str] | None = None) -> float:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--width", type=int, default=64, help="channels of the first stage (default: 64)")
    parser.add_argument("--images", type=int, help="learn from so many at most")
    options = parser.parse_args(arguments)

    learn, test = read_folder(options.folder)
    if options.images is not None:
        learn = TensorDataset(*learn[: options.images])
    torch.manual_seed(0)
    model = resnet18(options.width).to(memory_format=torch.channels_last)
    weights = sum(p.numel() for p in model.parameters())
    print(f"{len(learn):,} digits to learn from, {len(test):,} held out; {weights:,} weights")
    train(model, learn, options.epochs)
    share = accuracy(model, test)
    print(f"reads {share:.2%} of the digits held out")
    return share


if __name__ == "__main__":
    main()
