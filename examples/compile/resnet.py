"""A small ResNet learns the digits that ship with the package.

python examples/compile/resnet.py
python examples/compile/resnet.py --eager     prints the same losses
"""

import argparse

import versant as torch
from versant import nn
from versant.data import DataLoader, TensorDataset
from versant.datasets import digits
from versant.nn import functional as F


class Block(nn.Module):
    """Two convolutions and a way around them.  x: (N, C, H, W)"""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.around = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(h)) + self.around(x))


def resnet(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, width, 3, 1, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        Block(width, width, 1),
        Block(width, 2 * width, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * width, 10),
    )


def main(arguments: list[str] | None = None) -> list[float]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--images", type=int, default=1000, help="learn from so many at most")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--eager", action="store_true", help="leave torch.compile out")
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    images, labels = digits()
    data = TensorDataset(images[: options.images], labels[: options.images])
    loader = DataLoader(data, batch_size=50, shuffle=True, seed=0)
    model = resnet(options.width)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=options.epochs * len(loader))
    compiled = (lambda function: function) if options.eager else torch.compile

    @compiled
    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        return loss.detach()

    @compiled
    def right(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return (model(x).argmax(1) == y).sum()

    losses = []
    for epoch in range(options.epochs):
        model.train()
        losses += [step(x, y).item() for x, y in loader]
        model.eval()
        share = sum(int(right(x, y)) for x, y in loader) / len(data)
        print(f"epoch {epoch + 1}: loss {losses[-1]!r}, reads {share!r} of the digits", flush=True)
    return losses


if __name__ == "__main__":
    main()
