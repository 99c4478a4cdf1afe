"""A GPT of nanoGPT's shape learns a text; its whole training step is compiled.

python examples/compile/gpt.py tinyshakespeare.txt
python examples/compile/gpt.py tinyshakespeare.txt --eager     prints the same losses
"""

import argparse
from pathlib import Path

import versant as torch
from versant import nn
from versant.nn import functional as F


class Block(nn.Module):
    """Attention to what came before, then a layer for each position alone.  x: (N, T, width)"""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(dropout)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, width = x.shape
        q, k, v = (
            part.view(n, t, self.heads, -1).transpose(1, 2) for part in self.qkv(self.norm1(x)).chunk(3, -1)
        )
        dropout = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).reshape(n, t, width))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    """tokens: (N, T) -> scores of the character that follows each, (N, T, vocabulary)"""

    def __init__(self, vocabulary: int, length: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.blocks = nn.Sequential(*[Block(width, heads, 0.1) for _ in range(layers)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1]))
        return self.head(self.norm(self.blocks(x)))


def train(text: torch.Tensor, vocabulary: int, options: argparse.Namespace) -> list[float]:
    torch.manual_seed(0)
    model = GPT(vocabulary, options.length, options.width, options.layers, 4)
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps, eta_min=1e-4)
    compiled = (lambda function: function) if options.eager else torch.compile

    @compiled
    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        scores = model(x)
        loss = F.cross_entropy(scores.view(-1, vocabulary), y.view(-1))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        return loss.detach()

    losses = []
    for i in range(1, options.steps + 1):
        starts = torch.randint(0, len(text) - options.length, (options.batch, 1))
        places = starts + torch.arange(options.length)
        losses.append(step(text[places], text[places + 1]).item())
        if i % max(1, options.steps // 10) == 0:
            print(f"step {i}: loss {losses[-1]!r}", flush=True)
    return losses


def main(arguments: list[str] | None = None) -> list[float]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=64, help="characters that it looks back at")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--eager", action="store_true", help="leave torch.compile out")
    options = parser.parse_args(arguments)
    text = options.text.read_text(encoding="utf-8")
    number = {character: i for i, character in enumerate(sorted(set(text)))}
    return train(torch.tensor([number[character] for character in text]), len(number), options)


if __name__ == "__main__":
    main()
