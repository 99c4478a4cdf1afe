"""An LSTM learns a text character by character; its state goes on from passage to passage.

python examples/compile/lstm.py tinyshakespeare.txt
python examples/compile/lstm.py tinyshakespeare.txt --eager     prints the same losses
"""

import argparse
from pathlib import Path

import versant as torch
from versant import nn
from versant.nn import functional as F

State = tuple[torch.Tensor, torch.Tensor]


class Characters(nn.Module):
    """tokens: (N, T) -> scores of the character that follows each, (N, T, vocabulary), and the state"""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.lstm = nn.LSTM(width, width, num_layers=2, batch_first=True, dropout=0.1)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        h, state = self.lstm(self.tokens(tokens), state)
        return self.head(h), state


def main(arguments: list[str] | None = None) -> list[float]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--length", type=int, default=32, help="characters of a passage")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--eager", action="store_true", help="leave torch.compile out")
    options = parser.parse_args(arguments)
    text = options.text.read_text(encoding="utf-8")
    number = {character: i for i, character in enumerate(sorted(set(text)))}
    torch.manual_seed(0)
    # As many stretches of the text as a batch has rows, read side by side.
    tokens = torch.tensor([number[character] for character in text])
    rows = tokens[: len(tokens) // options.batch * options.batch].view(options.batch, -1)
    model = Characters(len(number), options.width)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=2e-3)
    compiled = (lambda function: function) if options.eager else torch.compile

    @compiled
    def step(x: torch.Tensor, y: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        scores, (h, c) = model(x, state)
        loss = F.cross_entropy(scores.flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.detach(), (h.detach(), c.detach())

    losses = []
    state = (torch.zeros(2, options.batch, options.width), torch.zeros(2, options.batch, options.width))
    for i in range(options.steps):
        at = i * options.length % (rows.shape[1] - options.length - 1)
        x, y = rows[:, at : at + options.length], rows[:, at + 1 : at + options.length + 1]
        loss, state = step(x.contiguous(), y.contiguous(), state)
        losses.append(loss.item())
        if (i + 1) % max(1, options.steps // 10) == 0:
            print(f"step {i + 1}: loss {losses[-1]!r}", flush=True)
    return losses


if __name__ == "__main__":
    main()
