"""A network is trained and a moving average of its weights is kept, which reads better than they do.

python examples/compile/averages.py
python examples/compile/averages.py --eager     prints the same losses
"""

import argparse
import copy

import versant as torch
from versant import nn
from versant.datasets import digits
from versant.nn import functional as F


def main(arguments: list[str] | None = None) -> list[float]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--decay", type=float, default=0.98)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--eager", action="store_true", help="leave torch.compile out")
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    images, labels = digits()
    images = images.flatten(1)
    held_out, wanted = images[-500:], labels[-500:]
    model = nn.Sequential(nn.Linear(images.shape[1], options.width), nn.ReLU(), nn.Linear(options.width, 10))
    average = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    compiled = (lambda function: function) if options.eager else torch.compile

    @compiled
    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for mean, p in zip(average.parameters(), model.parameters(), strict=True):
                mean.lerp_(p, 1 - options.decay)
        return loss.detach()

    @compiled
    def held_out_losses() -> list[torch.Tensor]:
        with torch.no_grad():
            return [F.cross_entropy(network(held_out), wanted) for network in (model, average)]

    losses = []
    for i in range(1, options.steps + 1):
        picked = torch.randint(0, len(images) - 500, (32,))
        losses.append(step(images[picked], labels[picked]).item())
        if i % max(1, options.steps // 10) == 0:
            of_model, of_average = (loss.item() for loss in held_out_losses())
            losses += [of_model, of_average]
            print(f"step {i}: held-out loss {of_model!r}, of the average {of_average!r}", flush=True)
    return losses


if __name__ == "__main__":
    main()
