"""Programs with a turn of their own: what their calls read, skip, draw, keep and give back."""

import collections

import versant as torch
import versant.nn.functional as F
from tests.compiler.programs.table import program
from versant import nn
from versant.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from versant.utils.checkpoint import checkpoint


def network(*s):
    L = []
    for a, b in zip(s, s[1:]):
        L += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*L[:-1])


def batches(i):
    return torch.randn(6, 4), torch.randint(0, 3, (6,))


@program(traces=3)
def skip_nonfinite():
    m = network(4, 8, 3)
    o = torch.optim.Adam(m.parameters())

    def step(x, y):
        loss = F.cross_entropy(m(x), y)
        if torch.isnan(loss):
            return None
        o.zero_grad()
        loss.backward()
        n = nn.utils.clip_grad_norm_(m.parameters(), 1.0)
        if not torch.isfinite(n):
            o.zero_grad()
            return loss.detach()
        o.step()
        return loss.detach()

    return (
        step,
        lambda i: (torch.randn(6, 4) * (float("inf") if i == 3 else 1), torch.randint(0, 3, (6,))),
        [m, o],
    )


@program()
def mha():
    a = nn.MultiheadAttention(8, 2, batch_first=True, dropout=0.1)
    o = torch.optim.Adam(a.parameters())

    def step(x, pad):
        out, w = a(x, x, x, key_padding_mask=pad, attn_mask=torch.triu(torch.ones(5, 5, dtype=torch.bool), 1))
        loss = (out**2).mean()
        o.zero_grad()
        loss.backward()
        o.step()
        return loss.detach(), w.detach()

    return (
        step,
        lambda i: (torch.randn(2, 5, 8), torch.tensor([[False] * 5, [False] * 3 + [True] * 2])),
        [a, o],
    )


@program()
def transformer():
    t = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)
    o = torch.optim.AdamW(t.parameters())

    def step(s, g):
        mask = nn.Transformer.generate_square_subsequent_mask(g.size(1))
        loss = t(s, g, tgt_mask=mask).pow(2).mean()
        o.zero_grad()
        loss.backward()
        o.step()
        return loss.detach()

    return step, lambda i: (torch.randn(2, 4, 8), torch.randn(2, 3, 8)), [t, o]


@program()
def packed():
    g = nn.LSTM(4, 6, batch_first=True, bidirectional=True)
    o = torch.optim.SGD(g.parameters(), lr=0.1)

    def step(x, l):
        p = pack_padded_sequence(x, l, batch_first=True, enforce_sorted=False)
        out, _ = g(p)
        out, n = pad_packed_sequence(out, batch_first=True)
        loss = out.sum(1).pow(2).mean()
        o.zero_grad()
        loss.backward()
        o.step()
        return loss.detach()

    return step, lambda i: (torch.randn(3, 5, 4), torch.tensor([2, 5, 3])), [g, o]


@program()
def spatial_transformer():
    loc = nn.Sequential(nn.Flatten(), nn.Linear(64, 6))
    conv = nn.Conv2d(1, 4, 3)
    o = torch.optim.SGD([*loc.parameters(), *conv.parameters()], lr=0.01)

    def step(x):
        theta = loc(x).view(-1, 2, 3)
        grid = F.affine_grid(theta, x.size(), align_corners=False)
        y = F.grid_sample(x, grid, align_corners=False)
        loss = conv(y).abs().mean()
        o.zero_grad()
        loss.backward()
        o.step()
        return loss.detach()

    return step, lambda i: (torch.randn(2, 1, 8, 8),), [loc, conv, o]


@program()
def rotary_complex():
    q = nn.Linear(8, 8)
    o = torch.optim.Adam(q.parameters())
    freqs = 1.0 / (10000 ** (torch.arange(0, 8, 2).float() / 8))
    t = torch.arange(5).float()
    cis = torch.polar(torch.ones(5, 4), torch.outer(t, freqs))

    def step(x):
        z = torch.view_as_complex(q(x).float().reshape(*x.shape[:-1], -1, 2))
        y = torch.view_as_real(z * cis).flatten(2)
        loss = torch.einsum("btd,bsd->bts", y, y).pow(2).mean()
        o.zero_grad()
        loss.backward()
        o.step()
        return loss.detach()

    return step, lambda i: (torch.randn(2, 5, 8),), [q, o]


@program()
def vq_vae():
    enc = nn.Linear(6, 4)
    dec = nn.Linear(4, 6)
    code = nn.Embedding(8, 4)
    o = torch.optim.Adam([*enc.parameters(), *dec.parameters(), *code.parameters()])
    cluster = torch.zeros(8)

    def step(x):
        z = enc(x)
        d = z.pow(2).sum(1, keepdim=True) - 2 * z @ code.weight.t() + code.weight.pow(2).sum(1)
        idx = d.argmin(1)
        onehot = F.one_hot(idx, 8).float()
        q = onehot @ code.weight
        loss = F.mse_loss(q, z.detach()) + 0.25 * F.mse_loss(q.detach(), z)
        q = z + (q - z).detach()
        loss = loss + F.mse_loss(dec(q), x)
        o.zero_grad()
        loss.backward()
        o.step()
        with torch.no_grad():
            cluster.mul_(0.99).add_(onehot.sum(0), alpha=0.01)
        avg = onehot.mean(0)
        perplexity = torch.exp(-torch.sum(avg * torch.log(avg + 1e-10)))
        return loss.detach(), perplexity, idx

    return step, lambda i: (torch.randn(6, 6),), [enc, dec, code, o, cluster]


@program(traces=4)
def drop_path():
    blocks = nn.ModuleList([nn.Linear(4, 4) for _ in range(2)])
    head = nn.Linear(4, 3)
    o = torch.optim.SGD([*blocks.parameters(), *head.parameters()], lr=0.1)

    def step(x, y):
        for b in blocks:
            if torch.rand(1) < 0.5:
                continue
            x = x + torch.relu(b(x))
        loss = F.cross_entropy(head(x), y)
        o.zero_grad()
        loss.backward()
        o.step()
        return loss.detach()

    return step, batches, [blocks, head, o]


@program()
def checkpointed():
    a, b = network(4, 8, 4), network(4, 8, 3)
    o = torch.optim.Adam([*a.parameters(), *b.parameters()])

    def step(x, y):
        x.requires_grad_()
        h = checkpoint(a, x, use_reentrant=False)
        loss = F.cross_entropy(b(h), y)
        o.zero_grad()
        loss.backward()
        o.step()
        return loss.detach()

    return step, batches, [a, b, o]


@program()
def dpsgd():
    m = network(4, 8, 3)
    params = dict(m.named_parameters())

    def loss_of(p, x, y):
        return F.cross_entropy(torch.func.functional_call(m, p, (x.unsqueeze(0),)), y.unsqueeze(0))

    def step(x, y):
        detached = {k: v.detach() for k, v in params.items()}
        g = torch.func.vmap(torch.func.grad(loss_of), in_dims=(None, 0, 0))(detached, x, y)
        n = torch.stack([v.flatten(1).norm(dim=1) for v in g.values()]).norm(dim=0)
        f = (1.0 / (n + 1e-6)).clamp(max=1.0)
        with torch.no_grad():
            for k, v in g.items():
                avg = torch.einsum("i,i...->...", f, v) / len(x) + 0.1 * torch.randn_like(params[k])
                params[k].sub_(0.1 * avg)
        return n

    return step, batches, [m]


@program()
def jacobian_penalty():
    m = network(4, 8, 3)
    o = torch.optim.Adam(m.parameters())

    def step(x, y):
        j = torch.func.vmap(torch.func.jacrev(m))(x)
        loss = F.cross_entropy(m(x), y) + j.pow(2).mean()
        o.zero_grad()
        loss.backward()
        o.step()
        return loss.detach()

    return step, batches, [m, o]


@program()
def linalg():
    a = nn.Parameter(torch.randn(4, 4))
    o = torch.optim.SGD([a], lr=0.01)

    def step(b):
        s = a @ a.T + torch.eye(4)
        x = torch.linalg.solve(s, b)
        e = torch.linalg.eigvalsh(s)
        inv = torch.inverse(s)
        loss = x.pow(2).mean() + e.log().sum() * 0.1 + inv.trace() + torch.logdet(s)
        u, sv, v = torch.linalg.svd(a)
        loss = loss + sv.sum() * 0.01
        o.zero_grad()
        loss.backward()
        o.step()
        return loss.detach()

    return step, lambda i: (torch.randn(4, 2),), [a, o]


@program()
def gp_conv():
    d = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1),
        nn.InstanceNorm2d(4, affine=True),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(64, 1),
    )
    o = torch.optim.Adam(d.parameters())

    def step(x):
        x = x.clone().requires_grad_()
        s = d(x).sum()
        (g,) = torch.autograd.grad(s, x, create_graph=True)
        loss = F.softplus(-d(x)).mean() + g.pow(2).reshape(len(x), -1).sum(1).mean()
        o.zero_grad()
        loss.backward()
        o.step()
        return loss.detach()

    return step, lambda i: (torch.randn(2, 1, 8, 8),), [d, o]


@program(traces=6)
def sinkhorn_until():
    c = torch.rand(5, 5)

    def step(a, b):
        k = torch.exp(-c / 0.5)
        u = torch.ones(5)
        n = 0
        while True:
            v = b / (k.t() @ u)
            new = a / (k @ v)
            err = (new - u).abs().max()
            u = new
            n += 1
            if err < 1e-3 or n >= 20:
                break
        return u, v, n

    return step, lambda i: (torch.softmax(torch.randn(5), 0), torch.softmax(torch.randn(5), 0)), []


Out = collections.namedtuple("Out", ["loss", "logits"])


@program()
def outputs_of_own():
    m = network(4, 8, 3)
    o = torch.optim.Adam(m.parameters())

    def step(*, x, y, scale=2.0, **more):
        logits = m(x)
        loss = F.cross_entropy(logits, y) * scale
        o.zero_grad()
        loss.backward()
        o.step()
        return Out(loss.detach(), logits.detach())

    return (lambda x, y: step(x=x, y=y, foo=None)), batches, [m, o]


@program()
def epoch():
    m = network(4, 8, 3)
    o = torch.optim.Adam(m.parameters())

    def run(batches):
        total = 0.0
        for k, (x, y) in enumerate(batches):
            loss = F.cross_entropy(m(x), y)
            o.zero_grad()
            loss.backward()
            o.step()
            total += loss.detach() * x.size(0)
        return total / 18

    return run, lambda i: ([batches(i) for _ in range(3)],), [m, o]
