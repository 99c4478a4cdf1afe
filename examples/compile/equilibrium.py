"""A layer that is repeated until it changes its values no more, as often as each batch needs.

The digits are classified from the point where it comes to rest (after Bai, Kolter and Koltun 2019);
gradients flow back through all repetitions.

python examples/compile/equilibrium.py
python examples/compile/equilibrium.py --eager     prints the same losses
"""

import argparse

import versant as vs
from versant import nn
from versant.datasets import digits
from versant.nn import functional as F


class Equilibrium(nn.Module):
    """h = tanh(h @ W + b + x), repeated until it stands.  x: (N, features) -> the same shape, repetitions"""

    def __init__(self, features: int, tolerance: float = 1e-3) -> None:
        super().__init__()
        self.step = nn.Linear(features, features)
        self.tolerance = tolerance
        with vs.no_grad():
            self.step.weight *= 0.5

    def forward(self, x: vs.Tensor) -> tuple[vs.Tensor, vs.Tensor]:
        def moves(state: tuple[vs.Tensor, vs.Tensor, vs.Tensor]) -> vs.Tensor:
            _, h, before = state
            return (h - before).abs().max() > self.tolerance

        def repeat(
            state: tuple[vs.Tensor, vs.Tensor, vs.Tensor],
        ) -> tuple[vs.Tensor, vs.Tensor, vs.Tensor]:
            count, h, _ = state
            return count + 1, (self.step(h) + x).tanh(), h

        count, h, _ = vs.while_loop(moves, repeat, (0, x.tanh(), vs.zeros_like(x)), max_steps=50)
        return h, count


def main(arguments: list[str] | None = None) -> list[float]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--eager", action="store_true", help="leave vs.compile out")
    options = parser.parse_args(arguments)
    vs.manual_seed(0)
    images, labels = digits()
    images = images.flatten(1)
    first = nn.Linear(images.shape[1], options.width)
    layer, last = Equilibrium(options.width), nn.Linear(options.width, 10)
    model = nn.ModuleList([first, layer, last])
    optimizer = vs.optim.AdamW(model.parameters(), lr=3e-3)
    compiled = (lambda function: function) if options.eager else vs.compile

    @compiled
    def step(x: vs.Tensor, y: vs.Tensor) -> tuple[vs.Tensor, vs.Tensor]:
        h, count = layer(first(x))
        loss = F.cross_entropy(last(h), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), count

    losses = []
    for i in range(1, options.steps + 1):
        picked = vs.randint(0, len(images), (64,))
        loss, count = step(images[picked], labels[picked])
        losses.append(loss.item())
        if i % max(1, options.steps // 10) == 0:
            print(f"step {i}: loss {losses[-1]!r}, {count.item()} repetitions", flush=True)
    return losses


if __name__ == "__main__":
    main()
