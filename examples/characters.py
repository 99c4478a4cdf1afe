"""A small GPT learns to write, letter by letter, in the manner of a text file.

    python examples/characters.py tinyshakespeare.txt
    python examples/characters.py tinyshakespeare.txt --steps 2000 --width 192

The last tenth of the text is held out. At the end the network writes a passage of its own.
"""

import argparse
import time
from pathlib import Path

import versant as torch
from versant import nn
from versant.nn import functional as F

LENGTH = 128  # characters that the network looks back at
BATCH = 32


class Block(nn.Module):
    """Attention to what came before, then a layer for each position alone.  x: (N, T, width)"""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, width = x.shape
        q, k, v = (
            part.view(n, t, self.heads, width // self.heads).transpose(1, 2)
            for part in self.qkv(self.norm1(x)).chunk(3, dim=-1)
        )
        dropout = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).reshape(n, t, width))
        h = F.gelu(self.up(self.norm2(x)), approximate="tanh")
        return x + F.dropout(self.down(h), self.dropout, self.training)


class GPT(nn.Module):
    """tokens: (N, T) -> scores of the character that follows each, (N, T, vocabulary)"""

    def __init__(self, vocabulary: int, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(LENGTH, width)
        self.blocks = nn.ModuleList([Block(width, heads, dropout) for _ in range(layers)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def batch(text: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Random passages, and the same one character on."""
    starts = torch.randint(0, len(text) - LENGTH, (BATCH, 1), generator=generator)
    places = starts + torch.arange(LENGTH)
    return text[places], text[places + 1]


def loss_of(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    scores = model(x)
    return F.cross_entropy(scores.view(-1, scores.shape[-1]), y.view(-1))


def held_out_loss(model: nn.Module, text: torch.Tensor) -> float:
    """The mean loss per character over the text, in passages side by side."""
    model.eval()
    whole = (len(text) - 1) // LENGTH * LENGTH
    x, y = text[:whole].view(-1, LENGTH), text[1 : whole + 1].view(-1, LENGTH)
    with torch.no_grad():
        sums = [
            loss_of(model, x[i : i + BATCH], y[i : i + BATCH]).item() * len(x[i : i + BATCH])
            for i in range(0, len(x), BATCH)
        ]
    model.train()
    return sum(sums) / len(x)


def train(model: nn.Module, text: torch.Tensor, steps: int, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1)
    warmup = max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [
            torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=warmup),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps - warmup), eta_min=1e-4),
        ],
        milestones=[warmup],
    )
    start, recent = time.perf_counter(), []
    for step in range(1, steps + 1):
        loss = loss_of(model, *batch(text, generator))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        recent.append(loss.item())
        if step % max(1, steps // 10) == 0:
            mean, seconds = sum(recent) / len(recent), (time.perf_counter() - start) / step
            print(f"step {step} of {steps}: loss {mean:.3f} ({seconds:.3f} s a step)", flush=True)
            recent.clear()


def write(model: nn.Module, start: list[int], count: int, seed: int = 0) -> list[int]:
    """`count` characters that the network draws, one after the other, to follow `start`."""
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    tokens = list(start)
    with torch.no_grad():
        for _ in range(count):
            scores = model(torch.tensor([tokens[-LENGTH:]]))[0, -1]
            tokens.append(int(torch.multinomial(F.softmax(scores / 0.8, dim=-1), 1, generator=generator)))
    return tokens


def main(arguments: list[str] | None = None) -> float:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--write", type=int, default=300, metavar="N", help="characters to write at the end")
    options = parser.parse_args(arguments)

    text = options.text.read_text(encoding="utf-8")
    alphabet = sorted(set(text))
    number = {character: i for i, character in enumerate(alphabet)}
    tokens = torch.tensor([number[character] for character in text])
    cut = len(tokens) * 9 // 10
    torch.manual_seed(0)
    model = GPT(len(alphabet), options.width, options.layers, max(1, options.width // 32), dropout=0.1)
    weights = sum(p.numel() for p in model.parameters())
    print(f"{len(text):,} characters, {len(alphabet)} different ones; {weights:,} weights")
    train(model, tokens[:cut], options.steps)
    loss = held_out_loss(model, tokens[cut:])
    print(f"held-out loss {loss:.3f} per character\n")
    print("".join(alphabet[i] for i in write(model, [number["\n"]], options.write)))
    return loss


if __name__ == "__main__":
    main()
