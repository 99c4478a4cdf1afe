"""A ResNet-50 with a breakpoint in its forward: run with pdb's commands on standard input."""

import pdb
import sys

import versant as vs
from versant import nn


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width),
        )  # fmt: skip
        self.short = nn.Sequential(
            nn.Conv2d(inputs, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)
        )
        self.plain = stride == 1 and inputs == 4 * width

    def forward(self, x):
        return (self.body(x) + (x if self.plain else self.short(x))).relu()


class ResNet50(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        stages, inputs = [], 64
        for width, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
            for block in range(blocks):
                stages.append(Bottleneck(inputs, width, stride if block == 0 else 1))
                inputs = 4 * width
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(inputs, 1000)

    def forward(self, x):
        x = self.stages(self.stem(x))
        pdb.set_trace()
        x = x.mean((2, 3))
        return self.head(x)


if __name__ == "__main__":
    vs.manual_seed(0)
    net = ResNet50().eval()
    run = vs.compile(net) if "--compiled" in sys.argv else net
    with vs.no_grad():
        scores = run(vs.randn(1, 3, 64, 64))
    print("scores", tuple(scores.shape))
