"""A network learns to solve Burgers' equation from the equation alone (Raissi et al. 2019).

    u_t + u u_x = 0.01 / pi u_xx  for x in [-1, 1] and t in [0, 1]
    u(x, 0) = -sin(pi x),  u(-1, t) = u(1, t) = 0

Derivatives of the network by its inputs, of first and second order, are part of the loss.

    python examples/compile/pinn.py
    python examples/compile/pinn.py --eager     prints the same losses
"""

import argparse
import math

import versant as torch
from versant import nn


def derivative(u: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
    return slope


def main(arguments: list[str] | None = None) -> list[float]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--points", type=int, default=256)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--eager", action="store_true", help="leave torch.compile out")
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    w = options.width
    network = nn.Sequential(nn.Linear(2, w), nn.Tanh(), nn.Linear(w, w), nn.Tanh(), nn.Linear(w, 1))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    compiled = (lambda function: function) if options.eager else torch.compile

    @compiled
    def step() -> torch.Tensor:
        x = (torch.rand(options.points, 1) * 2 - 1).requires_grad_()
        t = torch.rand(options.points, 1).requires_grad_()
        u = network(torch.cat([x, t], 1))
        u_x, u_t = derivative(u, x), derivative(u, t)
        residual = u_t + u * u_x - 0.01 / math.pi * derivative(u_x, x)
        edge = torch.rand(64, 1)
        start = network(torch.cat([2 * edge - 1, torch.zeros(64, 1)], 1)) + torch.sin(
            math.pi * (2 * edge - 1)
        )
        sides = [network(torch.cat([torch.full((64, 1), side), edge], 1)) for side in (-1.0, 1.0)]
        loss = residual.square().mean() + start.square().mean() + torch.cat(sides).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    losses = []
    for i in range(1, options.steps + 1):
        losses.append(step().item())
        if i % max(1, options.steps // 10) == 0:
            print(f"step {i}: loss {losses[-1]!r}", flush=True)
    return losses


if __name__ == "__main__":
    main()
