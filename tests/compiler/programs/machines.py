"""Networks with memory, flows and loops of their own; samplers and losses that are dynamic programs."""

import math

import versant as torch
import versant.nn.functional as F
from tests.compiler.programs.table import program
from versant import nn


def mlp(*widths, act=nn.ReLU):
    layers = []
    for i, (n, m) in enumerate(zip(widths, widths[1:])):
        layers += [act()] * (i > 0) + [nn.Linear(n, m)]
    return nn.Sequential(*layers)


@program()
def weighted_keys_and_values():
    """Peng et al. 2023: attention as a recurrence whose numerators keep a maximum beside them."""

    class Mix(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.decay, self.bonus = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.ones(width) * 0.3)
            self.mix = nn.Parameter(torch.rand(3, width))
            self.key, self.value, self.gate = (nn.Linear(width, width, bias=False) for _ in range(3))
            self.out = nn.Linear(width, width, bias=False)

        def forward(self, x):
            before = F.pad(x, (0, 0, 1, -1))
            k, v, r = (
                layer(x * m + before * (1 - m))
                for layer, m in zip((self.key, self.value, self.gate), self.mix)
            )
            w = -torch.exp(self.decay)
            num = den = torch.zeros_like(k[:, 0])
            top = torch.full_like(num, -1e38)
            found = []
            for t in range(x.shape[1]):
                kt, vt = k[:, t], v[:, t]
                m = torch.maximum(top, self.bonus + kt)
                a, b = torch.exp(top - m), torch.exp(self.bonus + kt - m)
                found.append((a * num + b * vt) / (a * den + b))
                m = torch.maximum(top + w, kt)
                a, b = torch.exp(top + w - m), torch.exp(kt - m)
                num, den, top = a * num + b * vt, a * den + b, m
            return self.out(r.sigmoid() * torch.stack(found, 1))

    embed, mix, norm, head = nn.Embedding(9, 6), Mix(6), nn.LayerNorm(6), nn.Linear(6, 9)
    modules = nn.ModuleList([embed, mix, norm, head])
    optimizer = torch.optim.Adam(modules.parameters(), lr=1e-2, eps=1e-9)

    def step(tokens):
        h = embed(tokens)
        logits = head(norm(h + mix(norm(h))))
        loss = F.cross_entropy(logits[:, :-1].transpose(1, 2), tokens[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randint(0, 9, (2, 5)),), [modules, optimizer]


@program()
def tape_of_memory():
    """Graves et al. 2014: addressing by content, interpolation, shifts, sharpening; erase and add."""

    class Machine(nn.Module):
        def __init__(self, inputs, width, slots, cells):
            super().__init__()
            self.cell = nn.LSTMCell(inputs + width, 8)
            self.head = nn.Linear(8, width + 1 + 1 + 3 + 1 + 2 * width)
            self.out = nn.Linear(8 + width, inputs)
            self.register_buffer("start", torch.rand(slots, width))
            self.width, self.slots = width, slots

        def address(self, memory, weights, k, beta, g, s, gamma):
            w = F.softmax(F.softplus(beta) * F.cosine_similarity(memory, k[:, None], dim=-1), dim=-1)
            w = g.sigmoid() * w + (1 - g.sigmoid()) * weights
            s = s.softmax(-1)
            w = sum(torch.roll(w, shift, dims=1) * s[:, i : i + 1] for i, shift in enumerate((-1, 0, 1)))
            w = (w + 1e-8) ** (1 + F.softplus(gamma))
            return w / w.sum(1, keepdim=True)

        def forward(self, x):
            n = x.shape[1]
            memory = self.start.expand(n, -1, -1)
            weights = torch.full((n, self.slots), 1 / self.slots)
            read = torch.zeros(n, self.width)
            h = c = torch.zeros(n, 8)
            found = []
            for xt in x:
                h, c = self.cell(torch.cat([xt, read], 1), (h, c))
                parts = self.head(h).split([self.width, 1, 1, 3, 1, self.width, self.width], dim=1)
                weights = self.address(memory, weights, *parts[:5])
                erase, add = parts[5].sigmoid(), parts[6].tanh()
                memory = (
                    memory * (1 - weights[..., None] * erase[:, None]) + weights[..., None] * add[:, None]
                )
                read = torch.einsum("ns,nsw->nw", weights, memory)
                found.append(self.out(torch.cat([h, read], 1)))
            return torch.stack(found), weights

    machine = Machine(3, 4, 5, 1)
    optimizer = torch.optim.RMSprop(machine.parameters(), lr=1e-3, momentum=0.9, alpha=0.95, centered=True)

    def step(x):
        y, weights = machine(torch.cat([x, torch.zeros_like(x)]))
        loss = F.binary_cross_entropy_with_logits(y[len(x) :], x)
        optimizer.zero_grad()
        loss.backward()
        for p in machine.parameters():
            if p.grad is not None:
                p.grad.data.clamp_(-10, 10)
        optimizer.step()
        return loss.detach(), weights.detach().argmax(1)

    return step, lambda i: (torch.bernoulli(torch.full((3, 2, 3), 0.5)),), [machine, optimizer]


@program()
def turns_until_it_halts():
    """Graves 2016: each sample ponders until its halting shares add up, with a price for time."""
    cell, halt, out = nn.GRUCell(4, 6), nn.Linear(6, 1), nn.Linear(6, 3)
    modules = nn.ModuleList([cell, halt, out])
    optimizer = torch.optim.Adam(modules.parameters(), lr=1e-2)

    def step(x, y):
        h = torch.zeros(len(x), 6)
        left, time = torch.ones(len(x), 1), torch.zeros(len(x), 1)
        total = torch.zeros(len(x), 3)
        for n in range(4):
            h = cell(x, h)
            p = halt(h).sigmoid()
            runs = (left > 0.05).to(x.dtype)
            last = ((left - p <= 0.05) | torch.tensor(n == 3)).to(x.dtype) * runs
            share = torch.where(last.bool(), left, p) * runs
            total = total + share * out(h)
            time = time + runs + share * last
            left = left - share
        loss = F.cross_entropy(total, y) + 0.01 * time.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), time.detach()

    return step, lambda i: (torch.randn(5, 4), torch.randint(0, 3, (5,))), [modules, optimizer]


@program()
def trees():
    """Tai et al. 2015: children's states are summed; a tree is nested tuples that Python walks."""
    w_iou, u_iou = nn.Linear(4, 15), nn.Linear(5, 15, bias=False)
    w_f, u_f, out = nn.Linear(4, 5), nn.Linear(5, 5, bias=False), nn.Linear(5, 2)
    modules = nn.ModuleList([w_iou, u_iou, w_f, u_f, out])
    optimizer = torch.optim.Adagrad(modules.parameters(), lr=0.05, lr_decay=1e-3)
    embed = nn.Embedding(8, 4)
    tree = (0, (1, (2,), (3,)), (4, (5, (6,))))

    def node(tree, x):
        word, *children = tree
        states = [node(child, x) for child in children]
        h_sum = sum((h for h, _ in states), torch.zeros(5))
        i, o, u = (w_iou(x[word]) + u_iou(h_sum)).chunk(3)
        c = i.sigmoid() * u.tanh()
        for h, child in states:
            c = c + (w_f(x[word]) + u_f(h)).sigmoid() * child
        return o.sigmoid() * c.tanh(), c

    def step(words, y):
        h, _ = node(tree, embed(words))
        loss = F.nll_loss(out(h).log_softmax(0)[None], y)
        optimizer.zero_grad()
        embed.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            embed.weight.add_(embed.weight.grad, alpha=-0.1)
        return loss.detach()

    return step, lambda i: (torch.randint(0, 8, (7,)), torch.tensor([i % 2])), [modules, embed]


@program()
def transducer():
    """Graves 2012: the log sum over all alignments of a grid, row by row by logcumsumexp."""
    encoder, predictor, joint = nn.GRU(3, 5), nn.Embedding(4, 5), nn.Linear(5, 4)
    modules = nn.ModuleList([encoder, predictor, joint])
    optimizer = torch.optim.Adamax(modules.parameters(), lr=1e-2)

    def step(x, labels):
        f, _ = encoder(x)
        g = predictor(F.pad(labels, (1, 0)))
        logits = joint(torch.tanh(f[:, None] + g[None])).log_softmax(-1)
        blank = logits[..., 0]
        emit = logits[:, :-1].gather(2, labels[None, :, None].expand(len(x), -1, -1)).squeeze(2)
        row = torch.cat([torch.zeros(1), emit[0].cumsum(0)])
        for t in range(1, len(x)):
            along = torch.cat([torch.zeros(1), emit[t].cumsum(0)])
            row = torch.logcumsumexp(row + blank[t - 1] - along, 0) + along
        loss = -(row[-1] + blank[-1, -1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randn(6, 3), torch.randint(1, 4, (3,))), [modules, optimizer]


@program()
def masked_autoregressive_flow():
    """Papamakarios et al. 2017: masks make each number depend on those before it; batch norm between."""

    class Masked(nn.Linear):
        def __init__(self, inputs, outputs, mask):
            super().__init__(inputs, outputs)
            self.register_buffer("mask", mask)

        def forward(self, x):
            return F.linear(x, self.weight * self.mask, self.bias)

    class Layer(nn.Module):
        def __init__(self, n, hidden):
            super().__init__()
            degrees = torch.arange(hidden) % (n - 1) + 1
            into = (degrees[:, None] >= torch.arange(1, n + 1)[None]).float()
            out = (torch.arange(1, n + 1)[:, None] > degrees[None]).float().repeat(2, 1)
            self.net = nn.Sequential(Masked(n, hidden, into), nn.ReLU(), Masked(hidden, 2 * n, out))
            self.log_gamma, self.beta = nn.Parameter(torch.zeros(n)), nn.Parameter(torch.zeros(n))

        def forward(self, x):
            shift, scale = self.net(x).chunk(2, dim=1)
            u = (x - shift) * torch.exp(-scale.tanh())
            mean, var = u.mean(0), u.var(0, unbiased=False) + 1e-5
            y = self.log_gamma.exp() * (u - mean) / var.sqrt() + self.beta
            return y.flip(1), -scale.tanh().sum(1) + (self.log_gamma - 0.5 * var.log()).sum()

    layers = nn.ModuleList([Layer(4, 9), Layer(4, 9)])
    optimizer = torch.optim.SGD(layers.parameters(), lr=5e-2, weight_decay=1e-6)

    def step(x):
        density = torch.zeros(len(x))
        for layer in layers:
            x, change = layer(x)
            density = density + change
        loss = (0.5 * x.square() + 0.5 * math.log(2 * math.pi)).sum(1).sub(density).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randn(8, 4),), [layers, optimizer]


@program()
def splines():
    """Durkan et al. 2019: monotone rational quadratics between knots that searchsorted finds."""
    net = mlp(2, 8, 2 * 13)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)

    def knots(raw):
        sizes = 1e-2 + (1 - 1e-2 * 4) * raw.softmax(-1)
        edges = F.pad(sizes.cumsum(-1), (1, 0)) * 6 - 3
        return edges, edges.diff(dim=-1)

    def transform(x, parameters):
        w, h, d = parameters.split([4, 4, 5], dim=-1)
        (xs, widths), (ys, heights) = knots(w), knots(h)
        slopes = 1e-2 + F.softplus(d)
        inside = (x > -3) & (x < 3)
        safe = x.clamp(-2.99, 2.99)
        k = torch.searchsorted(xs.detach().contiguous(), safe[..., None], right=True) - 1

        def at(values):
            return values.gather(-1, k.clamp(0, values.shape[-1] - 1)).squeeze(-1)

        x0, y0, width, height = at(xs[..., :-1]), at(ys[..., :-1]), at(widths), at(heights)
        s, d0, d1 = height / width, at(slopes[..., :-1]), at(slopes[..., 1:])
        t = (safe - x0) / width
        bend = d0 + d1 - 2 * s
        below = s + bend * t * (1 - t)
        y = y0 + height * (s * t**2 + d0 * t * (1 - t)) / below
        slope = s**2 * (d1 * t**2 + 2 * s * t * (1 - t) + d0 * (1 - t) ** 2) / below**2
        return torch.where(inside, y, x), torch.where(inside, slope, torch.ones_like(x)).log()

    def step(x):
        kept, changed = x[:, :2], x[:, 2:]
        y, density = transform(changed, net(kept).view(-1, 2, 13))
        loss = (0.5 * torch.cat([kept, y], 1).square().sum(1) - density.sum(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), y.detach()

    return step, lambda i: (torch.randn(7, 4) * 1.5,), [net, optimizer]


@program()
def importance_weighted_bound():
    """Burda et al. 2016: the log of a mean of weights over samples; distributions give the densities."""
    encoder, decoder = mlp(6, 8, 6, act=nn.Tanh), mlp(3, 8, 6, act=nn.Tanh)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)

    def step(x):
        mean, raw = encoder(x).chunk(2, -1)
        q = torch.distributions.Normal(mean, F.softplus(raw) + 1e-3)
        eps = torch.randn(5, *mean.shape)
        z = q.loc + eps * q.scale
        prior = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
        seen = torch.distributions.Bernoulli(logits=decoder(z))
        weights = seen.log_prob(x).sum(-1) + prior.log_prob(z).sum(-1) - q.log_prob(z).sum(-1)
        loss = -(torch.logsumexp(weights, 0) - math.log(5)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), weights.detach().softmax(0).square().sum(0).reciprocal()

    return step, lambda i: (torch.bernoulli(torch.full((4, 6), 0.4)),), [encoder, decoder, optimizer]


@program()
def matched_flows():
    """Lipman et al. 2023: velocities of straight paths, labels left out at random; samples by Heun."""
    net, label = mlp(2 + 1 + 4, 10, 2, act=nn.SiLU), nn.Embedding(4, 4)
    optimizer = torch.optim.AdamW([*net.parameters(), *label.parameters()], lr=3e-3)
    average = [p.detach().clone() for p in net.parameters()]

    def velocity(x, t, y):
        return net(torch.cat([x, t, label(y)], -1))

    def step(x, y):
        t = torch.rand(len(x), 1)
        noise = torch.randn_like(x)
        y_or_none = torch.where(torch.rand(len(x)) < 0.2, torch.full_like(y, 3), y)
        found = velocity((1 - t) * noise + t * x, t, y_or_none)
        loss = (found - (x - noise)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for p, a in zip(net.parameters(), average):
                a.mul_(0.95).add_(p, alpha=0.05)
            z, none = torch.randn(3, 2), torch.full((3,), 3)
            for k in range(3):
                now, after = torch.full((3, 1), k / 3), torch.full((3, 1), (k + 1) / 3)
                guided = velocity(z, now, y[:3]) * 2.5 - velocity(z, now, none) * 1.5
                ahead = z + guided / 3
                again = velocity(ahead, after, y[:3]) * 2.5 - velocity(ahead, after, none) * 1.5
                z = z + (guided + again) / 6
        return loss.detach(), z

    return step, lambda i: (torch.randn(6, 2), torch.randint(0, 3, (6,))), [net, label, average, optimizer]


@program(traces=6)
def distribution_of_returns():
    """Bellemare et al. 2017: atoms are projected onto the support; noisy layers draw their weights anew."""

    class Noisy(nn.Module):
        def __init__(self, n, m):
            super().__init__()
            self.mu, self.sigma = (
                nn.Parameter(torch.randn(m, n) / n**0.5),
                nn.Parameter(torch.full((m, n), 0.1)),
            )
            self.register_buffer("epsilon", torch.zeros(m, n))

        def sample(self):
            m, n = self.mu.shape
            a, b = torch.randn(m), torch.randn(n)
            self.epsilon.copy_(torch.outer(a.sign() * a.abs().sqrt(), b.sign() * b.abs().sqrt()))

        def forward(self, x):
            return F.linear(x, self.mu + self.sigma * self.epsilon if self.training else self.mu)

    online = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), Noisy(6, 2 * 7))
    target = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), Noisy(6, 2 * 7)).eval()
    target.load_state_dict(online.state_dict())
    optimizer = torch.optim.Adam(online.parameters(), lr=1e-3, eps=1.5e-4)
    support = torch.linspace(-3, 3, 7)

    def step(s, a, r, s2, done):
        for m in online.modules():
            if isinstance(m, Noisy):
                m.sample()
        rows = torch.arange(len(s))
        with torch.no_grad():
            best = (online(s2).view(-1, 2, 7).softmax(-1) * support).sum(-1).argmax(1)
            chances = target(s2).view(-1, 2, 7).softmax(-1)[rows, best]
            moved = (r[:, None] + 0.9 * (1 - done[:, None]) * support).clamp(-3, 3)
            b = moved + 3
            low, high = b.floor().long(), b.ceil().long()
            low[(high > 0) & (low == high)] -= 1
            high[(low < 6) & (low == high)] += 1
            m = torch.zeros_like(chances)
            offset = (rows * 7)[:, None]
            m.view(-1).index_add_(0, (low + offset).view(-1), (chances * (high - b)).view(-1))
            m.view(-1).index_add_(0, (high + offset).view(-1), (chances * (b - low)).view(-1))
        log_p = online(s).view(-1, 2, 7).log_softmax(-1)[rows, a]
        losses = -(m * log_p).sum(1)
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()
        with torch.no_grad():
            for p, q in zip(online.parameters(), target.parameters()):
                q += 0.05 * (p - q)
        return losses.detach(), m

    def arguments(i):
        done = torch.tensor([0.0, 1.0, 0.0, 0.0, 1.0])
        return torch.randn(5, 3), torch.randint(0, 2, (5,)), torch.randn(5), torch.randn(5, 3), done

    return step, arguments, [online, target, optimizer]


@program()
def tokens_that_pass_by():
    """Raposo et al. 2024: a router picks the tokens that a block works on; the others go around it."""
    block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, norm_first=True)
    router, embed, head = nn.Linear(8, 1), nn.Embedding(10, 8), nn.Linear(8, 10)
    modules = nn.ModuleList([block, router, embed, head])
    optimizer = torch.optim.RAdam(modules.parameters(), lr=3e-3)

    def step(tokens):
        x = embed(tokens)
        scores = router(x).squeeze(-1)
        weights, index = torch.topk(scores, 3, dim=1, sorted=False)
        order = index.argsort(dim=1)
        index, weights = index.gather(1, order), weights.gather(1, order)
        places = index.unsqueeze(-1).expand(-1, -1, 8)
        chosen = x.gather(1, places)
        mask = torch.triu(torch.ones(3, 3, dtype=torch.bool), diagonal=1)
        x = x.scatter_add(
            1, places, (block(chosen, src_mask=mask) - chosen) * weights.sigmoid().unsqueeze(-1)
        )
        logits = head(x)
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=0)
        picked = torch.zeros_like(scores).scatter(1, index, 1.0)
        loss = loss + 0.01 * F.binary_cross_entropy_with_logits(scores, picked)
        loss = loss + 1e-3 * torch.logsumexp(logits, -1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), index

    return step, lambda i: (torch.randint(0, 10, (2, 6)),), [modules, optimizer]
