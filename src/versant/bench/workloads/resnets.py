"""W10 and W11: a training step of a ResNet-18 on small images, and inference by a ResNet-50."""

import contextlib
from collections.abc import Callable
from typing import Any

from . import resnets_jax, torch_onestep
from .resnets_numbers import Numbers, inference_images, training_batch
from .workload import Options, Step, Workload, total_size


def layers(torch: Any, numbers: Numbers) -> tuple[Any, Any]:
    """Makers of layers whose weights come from `numbers`."""
    nn = torch.nn

    def conv(inputs: int, outputs: int, size: int, stride: int = 1) -> Any:
        layer = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
        layer.load_state_dict({"weight": torch.tensor(numbers.conv(inputs, outputs, size))})
        return layer

    def linear(inputs: int, outputs: int) -> Any:
        layer = nn.Linear(inputs, outputs)
        weight = torch.tensor(numbers.linear(inputs, outputs).T)
        layer.load_state_dict({"weight": weight, "bias": torch.zeros(outputs)})
        return layer

    return conv, linear


def resnet18(torch: Any) -> Any:
    nn = torch.nn
    conv, linear = layers(torch, Numbers())

    class Block(torch.nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv1, self.norm1 = conv(inputs, outputs, 3, stride), nn.BatchNorm2d(outputs)
            self.conv2, self.norm2 = conv(outputs, outputs, 3), nn.BatchNorm2d(outputs)
            self.shortcut = nn.Sequential()
            if stride != 1 or inputs != outputs:
                self.shortcut = nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x: Any) -> Any:
            h = self.relu(self.norm1(self.conv1(x)))
            return self.relu(self.norm2(self.conv2(h)) + self.shortcut(x))

    stem = nn.Sequential(conv(3, 64, 3), nn.BatchNorm2d(64), nn.ReLU(inplace=True))
    blocks, inputs = [], 64
    for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        blocks += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
        inputs = outputs
    return nn.Sequential(stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear(512, 10))


def resnet50(torch: Any) -> Any:
    nn = torch.nn
    conv, linear = layers(torch, Numbers())

    class Bottleneck(torch.nn.Module):
        def __init__(self, inputs: int, width: int, stride: int) -> None:
            super().__init__()
            outputs = 4 * width
            self.conv1, self.norm1 = conv(inputs, width, 1), nn.BatchNorm2d(width)
            self.conv2, self.norm2 = conv(width, width, 3, stride), nn.BatchNorm2d(width)
            self.conv3, self.norm3 = conv(width, outputs, 1), nn.BatchNorm2d(outputs)
            self.shortcut = nn.Sequential()
            if stride != 1 or inputs != outputs:
                self.shortcut = nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x: Any) -> Any:
            h = self.relu(self.norm1(self.conv1(x)))
            h = self.relu(self.norm2(self.conv2(h)))
            return self.relu(self.norm3(self.conv3(h)) + self.shortcut(x))

    stem = [conv(3, 64, 7, 2), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    blocks, inputs = [], 64
    for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for i in range(count):
            blocks.append(Bottleneck(inputs, width, stride if i == 0 else 1))
            inputs = 4 * width
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear(2048, 1000))


def in_layout(torch: Any, options: Options, *things: Any) -> list[Any]:
    """Models and images with their channels where the options want them."""
    if not options.channels_last:
        return list(things)
    return [thing.to(memory_format=torch.channels_last) for thing in things]


def training(torch: Any, options: Options, autocast: Callable[[], Any] = contextlib.nullcontext) -> Step:
    x, y = (torch.tensor(a) for a in training_batch())
    model, x = in_layout(torch, options, resnet18(torch), x)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, **options.optimizer)

    def step() -> Any:
        optimizer.zero_grad()
        with autocast():
            loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def training_bfloat16(torch: Any, options: Options) -> Step:
    return training(torch, options, lambda: torch.autocast("cpu", dtype=torch.bfloat16))


def training_onestep(
    torch: Any, options: Options, autocast: Callable[[], Any] = contextlib.nullcontext
) -> Step:
    x, y = (torch.tensor(a) for a in training_batch())
    model, x = in_layout(torch, options, resnet18(torch), x)

    def loss() -> Any:
        with autocast():
            return torch.nn.functional.cross_entropy(model(x), y)

    return torch_onestep.sgd(torch, loss, list(model.parameters()), 0.01, momentum=0.9)


def training_bfloat16_onestep(torch: Any, options: Options) -> Step:
    return training_onestep(torch, options, lambda: torch.autocast("cpu", dtype=torch.bfloat16))


def inference(torch: Any, options: Options) -> Step:
    model, x = in_layout(torch, options, resnet50(torch).eval(), torch.tensor(inference_images()))

    def step() -> Any:
        with torch.inference_mode():
            return model(x)

    return step


def inference_onestep(torch: Any, options: Options) -> Step:
    model, x = in_layout(torch, options, resnet50(torch).eval(), torch.tensor(inference_images()))
    return torch_onestep.frozen(torch, model, x)


# Multiply-adds of the forward pass, counted over the layers; backward has twice as many, less the gradient
# of the images.
RESNET18 = 555_422_720 * 32.0
RESNET18_STEM = 1_769_472 * 32.0
RESNET50 = 4_089_184_256 * 4.0
RESNET18_PARAMETERS = 11_173_962

WORKLOADS = [
    Workload(
        "W10",
        "resnet18",
        "a ResNet-18 on 32 images of 32 x 32; SGD with momentum",
        {"torch": training, "jax": resnets_jax.training, "torch-onestep": training_onestep},
        {"torch": 0.8},
        reads=frozenset({"optimizer", "channels_last"}),
        rtol=3e-3,  # six steps of SGD magnify the first losses' rounding; peers differ by 1e-3
        flops=2 * (3 * RESNET18 - RESNET18_STEM),
        traffic=20.0 * RESNET18_PARAMETERS,
    ),
    Workload(
        "W10bf16",
        "resnet18, autocast",
        "W10 under autocast(bfloat16)",
        {
            "torch": training_bfloat16,
            "jax": resnets_jax.training_bfloat16,
            "torch-onestep": training_bfloat16_onestep,
        },
        reads=frozenset({"optimizer", "channels_last"}),
        rtol=0.1,  # bfloat16 keeps 8 bits, and six steps of SGD magnify the rounding
        flops=2 * (3 * RESNET18 - RESNET18_STEM),
        traffic=20.0 * RESNET18_PARAMETERS,
        narrow="W10",
    ),
    Workload(
        "W11",
        "resnet50 inference",
        "a ResNet-50 reads 4 images of 224 x 224, no gradient",
        {"torch": inference, "jax": resnets_jax.inference, "torch-onestep": inference_onestep},
        {"torch": 0.85},
        reads=frozenset({"channels_last"}),
        value=total_size,
        flops=2 * RESNET50,
    ),
]
