"""Programs over sequences: attention, recurrence, decoding."""

import math

import versant as torch
import versant.nn.functional as F
from tests.compiler.programs.table import program
from versant import nn


class Expert(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.up, self.down = nn.Linear(d, 2 * d), nn.Linear(2 * d, d)

    def forward(self, x):
        return self.down(F.gelu(self.up(x)))


class MixtureOfExperts(nn.Module):
    """Every expert sees all tokens, weighted by the gates that topk leaves."""

    def __init__(self, d, n, k):
        super().__init__()
        self.gate = nn.Linear(d, n, bias=False)
        self.experts = nn.ModuleList(Expert(d) for _ in range(n))
        self.k = k

    def forward(self, x):
        weights, chosen = torch.topk(self.gate(x), self.k, dim=-1)
        weights = F.softmax(weights, dim=-1, dtype=torch.float32).to(x.dtype)
        out = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            share = (weights * (chosen == i)).sum(-1, keepdim=True)
            out = out + share * expert(x)
        return out


@program()
def mixture_of_experts():
    model = MixtureOfExperts(6, 4, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step(x, y):
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return step, lambda i: (torch.randn(10, 6), torch.randn(10, 6)), [model, optimizer]


@program(traces=6)
def sparse_mixture_of_experts():
    """Experts get the rows that chose them: how many differs with the values."""
    model = MixtureOfExperts(4, 2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(x, y):
        weights, chosen = torch.topk(F.softmax(model.gate(x), dim=-1), 1)
        out = torch.zeros_like(x)
        for i, expert in enumerate(model.experts):
            rows, slot = torch.where(chosen == i)
            if rows.numel() == 0:
                continue
            out.index_add_(0, rows, weights[rows, slot, None] * expert(x[rows]))
        loss = F.mse_loss(out, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randn(4, 4), torch.randn(4, 4)), [model, optimizer]


class Attention(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads, self.d = heads, d
        self.qkv = nn.Linear(d, 3 * d)
        self.proj = nn.Linear(d, d)

    def forward(self, x, cache=None):
        b, t, d = x.shape
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q, k, v = (z.view(b, t, self.heads, d // self.heads).transpose(1, 2) for z in (q, k, v))
        if cache is not None:
            k = torch.cat([cache[0], k], dim=2)
            v = torch.cat([cache[1], v], dim=2)
        att = (q @ k.transpose(-2, -1)) / math.sqrt(k.size(-1))
        if t > 1:
            mask = torch.tril(torch.ones(t, t)).view(1, 1, t, t)
            att = att.masked_fill(mask == 0, float("-inf"))
        y = F.softmax(att, dim=-1) @ v
        return self.proj(y.transpose(1, 2).contiguous().view(b, t, d)), (k, v)


@program(traces=6)
def attention_with_a_cache_that_grows():
    """Each length is a trace of its own."""
    attention = Attention(8, 2)
    holder = {"cache": None}

    @torch.no_grad()
    def step(x, cache):
        return attention(x, cache)

    def arguments(i):
        cache = None
        for _ in range(i):
            with torch.no_grad():
                _, cache = attention(torch.ones(1, 1, 8), cache)
        return torch.randn(1, 1, 8), cache

    return step, arguments, [attention, holder]


@program()
def causal_language_model():
    attention, norm = Attention(8, 2), nn.LayerNorm(8)
    embed, head = nn.Embedding(11, 8), nn.Linear(8, 11, bias=False)
    head.weight = embed.weight
    model = nn.ModuleList([attention, norm, embed, head])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)

    def step(tokens):
        x = embed(tokens[:, :-1])
        x = x + attention(norm(x))[0]
        logits = head(x)
        loss = F.cross_entropy(logits.reshape(-1, 11), tokens[:, 1:].reshape(-1), label_smoothing=0.1)
        loss.backward()
        norm_value = nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach(), norm_value

    return step, lambda i: (torch.randint(0, 11, (3, 6)),), [model, optimizer, scheduler]


@program()
def gradient_accumulation():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.Adam(model.parameters())
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=20)

    def step(xs, ys):
        optimizer.zero_grad()
        total = 0.0
        for x, y in zip(xs.split(4), ys.split(4)):
            loss = F.cross_entropy(model(x), y) / 3
            loss.backward()
            total += loss.detach()
        torch.nn.utils.clip_grad_value_(model.parameters(), 0.1)
        optimizer.step()
        scheduler.step()
        return total

    return (
        step,
        lambda i: (torch.randn(12, 4), torch.randint(0, 2, (12,))),
        [model, optimizer, scheduler],
    )


@program()
def beam_search():
    cell, head, embed = nn.GRUCell(6, 6), nn.Linear(6, 9), nn.Embedding(9, 6)

    @torch.no_grad()
    def search(context, beams=3, length=4):
        h = context.repeat_interleave(beams, dim=0)
        b = context.size(0)
        scores = torch.full((b, beams), float("-inf"))
        scores[:, 0] = 0.0
        tokens = torch.zeros(b, beams, 1, dtype=torch.long)
        for _ in range(length):
            h = cell(embed(tokens[..., -1].reshape(-1)), h)
            logp = F.log_softmax(head(h), dim=-1).view(b, beams, -1)
            total = (scores.unsqueeze(-1) + logp).view(b, -1)
            scores, flat = total.topk(beams, dim=-1)
            parent, token = torch.div(flat, 9, rounding_mode="floor"), flat % 9
            tokens = torch.gather(tokens, 1, parent.unsqueeze(-1).expand(-1, -1, tokens.size(-1)))
            tokens = torch.cat([tokens, token.unsqueeze(-1)], dim=-1)
            h = h.view(b, beams, -1).gather(1, parent.unsqueeze(-1).expand(-1, -1, 6)).view(b * beams, -1)
        return tokens, scores

    return search, lambda i: (torch.randn(2, 6),), [cell, head, embed]


@program(traces=2)
def sequence_to_sequence():
    """Whether the teacher is followed is drawn by Python, outside."""
    import random

    encoder, decoder = nn.GRU(4, 8, batch_first=True), nn.GRUCell(4, 8)
    out = nn.Linear(8, 4)
    params = [*encoder.parameters(), *decoder.parameters(), *out.parameters()]
    optimizer = torch.optim.Adam(params)

    def step(source, target, teacher):
        _, h = encoder(source)
        h = h.squeeze(0)
        token = torch.zeros(source.size(0), 4)
        loss = 0
        for t in range(target.size(1)):
            h = decoder(token, h)
            predicted = out(h)
            loss = loss + F.mse_loss(predicted, target[:, t])
            token = target[:, t] if teacher else predicted.detach()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach() / target.size(1)

    def arguments(i):
        return torch.randn(2, 5, 4), torch.randn(2, 3, 4), random.random() < 0.5

    return step, arguments, [encoder, decoder, out, optimizer]


@program()
def truncated_backpropagation_through_time():
    embed, lstm, head = nn.Embedding(7, 6), nn.LSTM(6, 8, num_layers=2, dropout=0.1), nn.Linear(8, 7)
    model = nn.ModuleList([embed, lstm, head])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    state = [torch.zeros(2, 3, 8), torch.zeros(2, 3, 8)]

    def repackage(h):
        return tuple(v.detach() for v in h)

    def step(tokens, targets, h, c):
        h, c = repackage((h, c))
        model.zero_grad()
        output, (h, c) = lstm(embed(tokens), (h, c))
        loss = F.cross_entropy(head(output).view(-1, 7), targets.view(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        for p in model.parameters():
            p.data.add_(p.grad, alpha=-0.5)
        return loss.detach(), h, c

    def run(tokens, targets):
        loss, h, c = step(tokens, targets, *state)
        state[0].copy_(h.detach())
        state[1].copy_(c.detach())
        return loss

    return (
        run,
        lambda i: (torch.randint(0, 7, (5, 3)), torch.randint(0, 7, (5, 3))),
        [model, optimizer, *state],
    )


@program()
def masked_language_model():
    embed, layer, head = (
        nn.Embedding(13, 8),
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
        nn.Linear(8, 13),
    )
    model = nn.ModuleList([embed, layer, head])
    optimizer = torch.optim.AdamW(model.parameters())

    def step(tokens):
        chosen = torch.rand(tokens.shape) < 0.3
        labels = tokens.clone()
        labels[~chosen] = -100
        inputs = tokens.masked_fill(chosen, 12)
        logits = head(layer(embed(inputs)))
        loss = F.cross_entropy(logits.view(-1, 13), labels.view(-1), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randint(0, 12, (4, 6)),), [model, optimizer]


@program(traces=2)
def losses_of_selected_positions():
    """Boolean indexing: as many rows as the mask has, which is 6 or 7 here."""
    embed, head = nn.Embedding(5, 4), nn.Linear(4, 5)
    optimizer = torch.optim.SGD([*embed.parameters(), *head.parameters()], lr=0.1)

    def step(tokens, mask):
        hidden = embed(tokens)[mask]
        loss = F.nll_loss(F.log_softmax(head(hidden), dim=-1), tokens[mask])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def arguments(i):
        return torch.randint(0, 5, (3, 4)), torch.arange(12).view(3, 4) % 12 < 6 + i % 2

    return step, arguments, [embed, head, optimizer]


@program()
def connectionist_temporal_classification():
    rnn, head = nn.GRU(5, 8, bidirectional=True), nn.Linear(16, 6)
    model = nn.ModuleList([rnn, head])
    optimizer = torch.optim.Adam(model.parameters())
    criterion = nn.CTCLoss(blank=0, zero_infinity=True)

    def step(x, targets, input_lengths, target_lengths):
        log_probs = head(rnn(x)[0]).log_softmax(2)
        loss = criterion(log_probs, targets, input_lengths, target_lengths)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def arguments(i):
        return (
            torch.randn(9, 2, 5),
            torch.randint(1, 6, (2, 3)),
            torch.full((2,), 9, dtype=torch.long),
            torch.tensor([3, 2]),
        )

    return step, arguments, [model, optimizer]


@program()
def embedding_bags():
    bag, head = nn.EmbeddingBag(20, 6, mode="mean"), nn.Linear(6, 2)
    optimizer = torch.optim.Adagrad([*bag.parameters(), *head.parameters()], lr=0.1)

    def step(text, offsets, labels):
        loss = F.cross_entropy(head(bag(text, offsets)), labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(bag.parameters(), 0.1)
        optimizer.step()
        return loss.detach()

    def arguments(i):
        return torch.randint(0, 20, (10,)), torch.tensor([0, 3, 5, 9]), torch.randint(0, 2, (4,))

    return step, arguments, [bag, head, optimizer]


class LoRA(nn.Module):
    def __init__(self, base, rank):
        super().__init__()
        self.base = base
        for p in self.base.parameters():
            p.requires_grad_(False)
        self.a = nn.Parameter(torch.empty(rank, base.in_features))
        self.b = nn.Parameter(torch.zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))
        self.scaling = 2.0 / rank

    def forward(self, x):
        return self.base(x) + (x @ self.a.T @ self.b.T) * self.scaling


@program()
def low_rank_adaptation():
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    for i in (0, 2):
        model[i] = LoRA(model[i], 2)
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=1e-2)

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randn(5, 6), torch.randint(0, 3, (5,))), [model, optimizer]


@program()
def sampling_text():
    """Top-k and nucleus sampling of a small model."""
    model = nn.Sequential(nn.Embedding(17, 8), nn.Linear(8, 17))

    @torch.no_grad()
    def generate(tokens, temperature=0.8, top_k=5, top_p=0.9):
        for _ in range(4):
            logits = model(tokens)[:, -1, :] / temperature
            v, _ = torch.topk(logits, top_k)
            logits[logits < v[:, [-1]]] = -float("inf")
            probs, order = torch.sort(F.softmax(logits, dim=-1), descending=True)
            total = torch.cumsum(probs, dim=-1)
            probs[total - probs > top_p] = 0.0
            probs.div_(probs.sum(dim=-1, keepdim=True))
            picked = torch.multinomial(probs, num_samples=1)
            tokens = torch.cat((tokens, torch.gather(order, 1, picked)), dim=1)
        return tokens

    return generate, lambda i: (torch.randint(0, 17, (2, 3)),), [model]
