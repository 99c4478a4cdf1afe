"""Two networks, one that makes points and one that tells them from real ones, train in one compiled step.

python examples/compile/gan.py
python examples/compile/gan.py --eager     prints the same losses
"""

import argparse

import versant as torch
from versant import nn
from versant.nn import functional as F


def real_points(count: int) -> torch.Tensor:
    """Points near a ring of eight.  -> (count, 2)"""
    angle = torch.randint(0, 8, (count,)) * (torch.pi / 4)
    return torch.stack([angle.cos(), angle.sin()], 1) + 0.05 * torch.randn(count, 2)


def main(arguments: list[str] | None = None) -> list[float]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--eager", action="store_true", help="leave torch.compile out")
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    w = options.width
    maker = nn.Sequential(
        nn.Linear(8, w), nn.BatchNorm1d(w), nn.ReLU(), nn.Linear(w, w), nn.ReLU(), nn.Linear(w, 2)
    )
    judge = nn.Sequential(nn.Linear(2, w), nn.LeakyReLU(0.2), nn.Dropout(0.1), nn.Linear(w, 1))
    of_maker = torch.optim.Adam(maker.parameters(), lr=1e-3, betas=(0.5, 0.999))
    of_judge = torch.optim.Adam(judge.parameters(), lr=1e-3, betas=(0.5, 0.999))
    compiled = (lambda function: function) if options.eager else torch.compile

    @compiled
    def step(real: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        yes, no = torch.ones(len(real), 1), torch.zeros(len(real), 1)
        made = maker(torch.randn(len(real), 8))

        judged = F.binary_cross_entropy_with_logits(judge(real), yes)
        judged = judged + F.binary_cross_entropy_with_logits(judge(made.detach()), no)
        of_judge.zero_grad()
        judged.backward()
        of_judge.step()

        judge.requires_grad_(False)
        loss = F.binary_cross_entropy_with_logits(judge(made), yes)
        of_maker.zero_grad()
        loss.backward()
        of_maker.step()
        judge.requires_grad_(True)
        return judged.detach(), loss.detach()

    losses = []
    for i in range(1, options.steps + 1):
        judged, made = step(real_points(options.batch))
        losses += [judged.item(), made.item()]
        if i % max(1, options.steps // 10) == 0:
            print(f"step {i}: loss of the judge {losses[-2]!r}, of the maker {losses[-1]!r}", flush=True)
    return losses


if __name__ == "__main__":
    main()
