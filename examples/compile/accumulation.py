"""Gradients of several small batches are added up before each step of the optimizer, in bfloat16.

python examples/compile/accumulation.py
python examples/compile/accumulation.py --eager     prints the same losses
"""

import argparse

import versant as torch
from versant import nn
from versant.datasets import digits
from versant.nn import functional as F


def main(arguments: list[str] | None = None) -> list[float]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--parts", type=int, default=4, help="small batches of a step")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--eager", action="store_true", help="leave torch.compile out")
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    images, labels = digits()
    images = images.flatten(1)
    w = options.width
    model = nn.Sequential(nn.Linear(images.shape[1], w), nn.GELU(), nn.Dropout(0.2), nn.Linear(w, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    compiled = (lambda function: function) if options.eager else torch.compile

    @compiled
    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        total = torch.zeros(())
        for part, labels in zip(x.chunk(options.parts), y.chunk(options.parts), strict=True):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(model(part), labels) / options.parts
            loss.backward()
            total += loss.detach()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return total

    losses = []
    for i in range(1, options.steps + 1):
        picked = torch.randint(0, len(images), (16 * options.parts,))
        losses.append(step(images[picked], labels[picked]).item())
        if i % max(1, options.steps // 10) == 0:
            print(f"step {i}: loss {losses[-1]!r}", flush=True)
    return losses


if __name__ == "__main__":
    main()
