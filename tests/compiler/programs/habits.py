"""Programs with habits of their own: gradients by hand, attributes, structured models, several losses."""

import copy

import versant as torch
import versant.nn.functional as F
from tests.compiler.programs.table import program
from tests.compiler.programs.turns import batches, network
from versant import nn


@program(traces=2)
def grads_by_hand():
    m = network(4, 8, 3)
    w = network(4, 8, 3)

    def step(x, y):
        for p in m.parameters():
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad.zero_()
        F.cross_entropy(m(x), y).backward()
        for p, q in zip(m.parameters(), w.parameters()):
            p.grad += 0.1 * (p.detach() - q.detach())
            p.grad.clamp_(-0.1, 0.1)
            q.data = q.data * 0.9 + p.data * 0.1
        with torch.no_grad():
            for p in m.parameters():
                p -= 0.1 * p.grad
        return [p.grad.clone() for p in m.parameters()]

    return step, batches, [m, w]


class Trainer:
    def __init__(self):
        self.model = network(4, 8, 3)
        self.opt = torch.optim.Adam(self.model.parameters())
        self.criterion = nn.CrossEntropyLoss()
        self.device = torch.device("cpu")

    def train_step(self, batch):
        x, y = batch["x"].to(self.device), batch["y"].to(self.device, non_blocking=True)
        self.model.train()
        self.opt.zero_grad(set_to_none=True)
        with torch.set_grad_enabled(True):
            out = self.model(x)
            loss = self.criterion(out, y)
        loss.backward()
        self.opt.step()
        with torch.inference_mode():
            acc = (out.argmax(-1) == y).sum()
        return {"loss": loss.detach(), "acc": acc, "n": len(x)}


@program()
def trainer_class():
    t = Trainer()
    return (
        t.train_step,
        lambda i: ({"x": torch.randn(6, 4), "y": torch.randint(0, 3, (6,))},),
        [t.model, t.opt],
    )


class StatefulRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(4, 6)
        self.attn = None
        self.register_buffer("h", torch.zeros(3, 6))

    def forward(self, x):
        h = self.cell(x, self.h.clone())
        self.h.copy_(h.detach())
        return h


@program()
def stateful():
    m = StatefulRNN()
    o = torch.optim.Adam(m.parameters())

    def step(x):
        loss = m(x).pow(2).mean()
        o.zero_grad()
        loss.backward()
        o.step()
        return loss.detach()

    return step, lambda i: (torch.randn(3, 4),), [m, o]


@program()
def maml_opt():
    m = nn.Linear(3, 2)

    def step(x, y):
        inner = copy.copy(list(m.parameters()))
        for _ in range(3):
            l = F.mse_loss(F.linear(x, *inner), y)
            gs = torch.autograd.grad(l, inner, create_graph=True)
            inner = [p - 0.05 * g for p, g in zip(inner, gs)]
        l = F.mse_loss(F.linear(x, *inner), y)
        l.backward()
        with torch.no_grad():
            for p in m.parameters():
                p.add_(p.grad, alpha=-0.1)
                p.grad = None
        return l.detach()

    return step, lambda i: (torch.randn(5, 3), torch.randn(5, 2)), [m]


@program()
def unique_and_sort():
    e = nn.Embedding(9, 3)
    o = torch.optim.Adagrad(e.parameters())

    def step(ids):
        s, idx = ids.sort()
        flat = e(s)
        c = flat.cumsum(0)
        top = c.norm(dim=1).topk(2).indices
        loss = c[top].pow(2).mean() + flat.index_select(0, idx[:2]).sum() * 0
        o.zero_grad()
        loss.backward()
        o.step()
        return loss.detach(), torch.searchsorted(s, torch.tensor([2, 5]))

    return step, lambda i: (torch.randint(0, 9, (7,)),), [e, o]


@program()
def amp_bf16_model():
    m = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 3)).to(torch.bfloat16)
    o = torch.optim.AdamW(m.parameters(), lr=1e-2)

    def step(x, y):
        loss = F.cross_entropy(m(x.bfloat16()).float(), y)
        o.zero_grad()
        loss.backward()
        o.step()
        return loss.detach()

    return step, batches, [m, o]


@program()
def float64():
    m = network(4, 8, 3).double()
    o = torch.optim.Rprop(m.parameters())

    def step(x, y):
        loss = F.multi_margin_loss(m(x.double()), y)
        o.zero_grad()
        loss.backward()
        o.step()
        return loss.detach()

    return step, batches, [m, o]


@program(traces=2)
def augment():
    m = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
    o = torch.optim.SGD(m.parameters(), lr=0.1)

    def step(x, y):
        if torch.rand(1) < 0.5:
            x = torch.flip(x, [3])
        x = F.pad(x, (1, 1, 1, 1), mode="reflect")
        i, j = torch.randint(0, 3, (1,)), torch.randint(0, 3, (1,))
        x = x.index_select(2, i + torch.arange(8)).index_select(3, j + torch.arange(8))
        x = x + torch.randn_like(x) * 0.1
        loss = F.cross_entropy(m(x), y)
        o.zero_grad()
        loss.backward()
        o.step()
        return loss.detach()

    return step, lambda i: (torch.randn(4, 1, 8, 8), torch.randint(0, 3, (4,))), [m, o]


@program()
def crf():
    trans = nn.Parameter(torch.randn(3, 3))
    emit = nn.Linear(4, 3)
    o = torch.optim.Adam([trans, *emit.parameters()])

    def step(x, tags):
        e = emit(x)
        score = e[:, 0]
        T = x.size(1)
        for t in range(1, T):
            score = torch.logsumexp(score.unsqueeze(2) + trans + e[:, t].unsqueeze(1), 1)
        Z = torch.logsumexp(score, 1)
        gold = e.gather(2, tags.unsqueeze(2)).squeeze(2).sum(1) + trans[tags[:, :-1], tags[:, 1:]].sum(1)
        loss = (Z - gold).mean()
        o.zero_grad()
        loss.backward()
        o.step()
        with torch.no_grad():
            s = e[:, 0]
            back = []
            for t in range(1, T):
                m, i = (s.unsqueeze(2) + trans).max(1)
                back.append(i)
                s = m + e[:, t]
            best = [s.argmax(1)]
            for i in reversed(back):
                best.append(i.gather(1, best[-1].unsqueeze(1)).squeeze(1))
        return loss.detach(), torch.stack(best[::-1], 1)

    return step, lambda i: (torch.randn(2, 5, 4), torch.randint(0, 3, (2, 5))), [trans, emit, o]


@program()
def hypernetwork():
    hyper = nn.Linear(2, 4 * 3 + 3)
    o = torch.optim.Adam(hyper.parameters())

    def step(z, x, y):
        p = hyper(z)
        w, b = p[:12].view(3, 4), p[12:]
        loss = F.cross_entropy(F.linear(x, w, b), y)
        o.zero_grad()
        loss.backward()
        o.step()
        return loss.detach()

    return step, lambda i: (torch.randn(2), *batches(i)), [hyper, o]


@program()
def gan_detach():
    G = network(3, 8, 2)
    D = network(2, 8, 1)
    og = torch.optim.Adam(G.parameters())
    od = torch.optim.Adam(D.parameters())
    bce = nn.BCEWithLogitsLoss()

    def step(real):
        z = torch.randn(len(real), 3)
        fake = G(z)
        od.zero_grad()
        ld = bce(D(real), torch.ones(len(real), 1)) + bce(D(fake.detach()), torch.zeros(len(real), 1))
        ld.backward()
        od.step()
        og.zero_grad()
        lg = bce(D(fake), torch.ones_like(D(fake)))
        lg.backward()
        og.step()
        return ld, lg, fake

    return step, lambda i: (torch.randn(5, 2),), [G, D, og, od]


@program()
def decoupled_backward():
    a = nn.Linear(4, 4)
    b = nn.Linear(4, 3)
    o = torch.optim.SGD([*a.parameters(), *b.parameters()], lr=0.1)

    def step(x, y):
        h = a(x)
        cut = h.detach().requires_grad_()
        loss = F.cross_entropy(b(cut), y)
        o.zero_grad()
        loss.backward()
        h.backward(cut.grad)
        o.step()
        return loss.detach(), cut.grad

    return step, batches, [a, b, o]


@program()
def multiple_losses_retain():
    m = network(4, 8, 3)
    o = torch.optim.Adam(m.parameters())

    def step(x, y):
        out = m(x)
        l1 = F.cross_entropy(out, y)
        l2 = out.pow(2).mean()
        o.zero_grad()
        l1.backward(retain_graph=True)
        g1 = [p.grad.clone() for p in m.parameters()]
        o.zero_grad()
        l2.backward()
        dot = sum((a * p.grad).sum() for a, p in zip(g1, m.parameters()))
        with torch.no_grad():
            for a, p in zip(g1, m.parameters()):
                p.grad.add_(a - torch.where(dot < 0, dot, torch.zeros(())) * p.grad)
        o.step()
        return l1.detach(), dot

    return step, batches, [m, o]


class Cycle:
    """pix2pix style: everything in attributes"""

    def __init__(self):
        self.netG = network(3, 8, 3)
        self.opt = torch.optim.Adam(self.netG.parameters())
        self.real = None
        self.loss_G = None

    def forward(self):
        self.fake = self.netG(self.real)

    def optimize(self, x):
        self.real = x
        self.forward()
        self.loss_G = F.l1_loss(self.fake, self.real)
        self.opt.zero_grad()
        self.loss_G.backward()
        self.opt.step()
        return self.loss_G.detach()


@program(traces=2)
def attributes_pix2pix():
    t = Cycle()
    return t.optimize, lambda i: (torch.randn(4, 3),), [t.netG, t.opt]


class Attn(nn.Module):
    def __init__(self):
        super().__init__()
        self.q = nn.Linear(4, 4)
        self.weights = None

    def forward(self, x):
        w = F.softmax(self.q(x) @ x.transpose(1, 2), -1)
        self.weights = w.detach()
        return w @ x


@program(traces=2)
def attribute_attention_map():
    m = Attn()
    o = torch.optim.Adam(m.parameters())

    def step(x):
        loss = m(x).pow(2).mean()
        o.zero_grad()
        loss.backward()
        o.step()
        return loss.detach()

    return step, lambda i: (torch.randn(2, 3, 4),), [m, o]
