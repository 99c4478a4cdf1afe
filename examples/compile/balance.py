"""A network learns to balance a pole on a cart by trying (REINFORCE, Williams 1992).

The physics are tensors too, and each step branches in Python on whether the pole has fallen: a compiled
function keeps one branch for each outcome.

    python examples/compile/balance.py
    python examples/compile/balance.py --eager     prints the same losses
"""

import argparse

import versant as torch
from versant import nn
from versant.nn import functional as F

MOST = 100  # steps of a trial


def main(arguments: list[str] | None = None) -> list[float]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--eager", action="store_true", help="leave torch.compile out")
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    policy = nn.Sequential(nn.Linear(4, options.width), nn.Tanh(), nn.Linear(options.width, 2))
    optimizer = torch.optim.Adam(policy.parameters(), lr=5e-3)
    compiled = (lambda function: function) if options.eager else torch.compile

    @compiled
    def move(state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, bool]:
        """One step of time (Barto, Sutton and Anderson 1983); state: place, speed, angle and its speed."""
        with torch.no_grad():
            action = torch.multinomial(policy(state).softmax(0), 1)[0]
        x, dx, angle, turn = state
        force = 10.0 if action == 1 else -10.0
        push = (force + 0.05 * turn.square() * angle.sin()) / 1.1
        bend = (9.8 * angle.sin() - angle.cos() * push) / (0.5 * (4 / 3 - 0.1 * angle.cos().square() / 1.1))
        slide = push - 0.05 * bend * angle.cos() / 1.1
        state = torch.stack([x + 0.02 * dx, dx + 0.02 * slide, angle + 0.02 * turn, turn + 0.02 * bend])
        if state[0].abs() > 2.4 or state[2].abs() > 0.21:
            return 0.1 * torch.rand(4) - 0.05, action, True  # a new beginning
        return state, action, False

    @compiled
    def learn(states: torch.Tensor, actions: torch.Tensor, returns: torch.Tensor) -> torch.Tensor:
        used = returns > 0  # trials are filled up with zeros
        scaled = returns - returns.sum() / used.sum()
        loss = (F.cross_entropy(policy(states), actions, reduction="none") * scaled * used).sum() / MOST
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    losses = []
    state = 0.1 * torch.rand(4) - 0.05
    for trial in range(1, options.trials + 1):
        states, actions, fallen = [], [], False
        while not fallen and len(states) < MOST:
            states.append(state)
            state, action, fallen = move(state)
            actions.append(action)
        empty = MOST - len(states)
        returns = torch.tensor([float(len(states) - i) for i in range(len(states))] + [0.0] * empty)
        padded = torch.stack(states + [torch.zeros(4)] * empty)
        chosen = torch.stack(actions + [torch.tensor(0)] * empty)
        losses += [learn(padded, chosen, returns).item(), float(len(states))]
        if trial % max(1, options.trials // 10) == 0:
            print(f"trial {trial}: balanced for {len(states)} steps, loss {losses[-2]!r}", flush=True)
    return losses


if __name__ == "__main__":
    main()
