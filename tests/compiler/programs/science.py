"""Tensors without layers, and layers around equations."""

import math

import versant as torch
import versant.nn.functional as F
from tests.compiler.programs.table import program
from versant import nn


@program()
def neural_differential_equation():
    field = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 2))
    optimizer = torch.optim.Adam(field.parameters(), lr=1e-2)
    times = torch.linspace(0, 1, 6)

    def step(y0, target):
        y, path = y0, [y0]
        for t0, t1 in zip(times[:-1], times[1:]):
            dt = t1 - t0
            inp = torch.cat([y, t0.expand(y.shape[0], 1)], dim=1)
            y = y + dt * field(inp)
            path.append(y)
        loss = F.mse_loss(torch.stack(path), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randn(4, 2), torch.randn(6, 4, 2)), [field, optimizer]


@program()
def gaussian_process():
    log_length = torch.zeros(1, requires_grad=True)
    log_noise = torch.full((1,), -2.0, requires_grad=True)
    optimizer = torch.optim.Adam([log_length, log_noise], lr=0.1)

    def step(x, y):
        d = (x.unsqueeze(0) - x.unsqueeze(1)).pow(2).sum(-1)
        k = torch.exp(-0.5 * d / log_length.exp() ** 2) + (log_noise.exp() + 1e-4) * torch.eye(len(x))
        l = torch.linalg.cholesky(k)
        alpha = torch.cholesky_solve(y.unsqueeze(-1), l)
        loss = 0.5 * (y @ alpha.squeeze(-1)) + l.diagonal().log().sum() + 0.5 * len(x) * math.log(2 * math.pi)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randn(6, 2), torch.randn(6)), [log_length, log_noise, optimizer]


@program()
def k_means():
    centers = torch.randn(3, 2)

    @torch.no_grad()
    def step(points):
        distances = torch.cdist(points, centers)
        nearest = distances.argmin(dim=1)
        counts = torch.bincount(nearest, minlength=3).clamp(min=1)
        sums = torch.zeros_like(centers).index_add_(0, nearest, points)
        new = sums / counts.unsqueeze(1)
        moved = (new - centers).abs().max()
        centers.copy_(new)
        return moved, nearest

    return step, lambda i: (torch.randn(20, 2),), [centers]


@program()
def physics_informed_network():
    net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)

    def derivative(y, x):
        return torch.autograd.grad(y, x, torch.ones_like(y), create_graph=True)[0]

    def step(x, t):
        x.requires_grad_(True)
        t.requires_grad_(True)
        u = net(torch.cat([x, t], dim=1))
        u_t, u_x = derivative(u, t), derivative(u, x)
        u_xx = derivative(u_x, x)
        residual = u_t + u * u_x - 0.01 / math.pi * u_xx
        loss = (residual**2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.rand(8, 1), torch.rand(8, 1)), [net, optimizer]


@program()
def hamiltonian_monte_carlo():
    precision = torch.tensor([[2.0, 0.3], [0.3, 1.0]])
    position = torch.zeros(2)
    accepted = torch.zeros((), dtype=torch.long)

    def energy(q):
        return 0.5 * q @ precision @ q

    def gradient(q):
        q = q.detach().requires_grad_()
        return torch.autograd.grad(energy(q), q)[0]

    def step():
        p = torch.randn(2)
        q = position.clone()
        start = energy(q) + 0.5 * p.dot(p)
        p = p - 0.05 * gradient(q)
        for i in range(4):
            q = q + 0.1 * p
            p = p - (0.1 if i < 3 else 0.05) * gradient(q)
        end = energy(q) + 0.5 * p.dot(p)
        accept = torch.rand(()) < torch.exp(start - end)
        position.copy_(torch.where(accept, q, position))
        accepted.add_(accept)
        return position.clone(), accept

    return step, lambda i: (), [position, accepted]


@program()
def matrix_factorization():
    users, items = nn.Embedding(6, 3, sparse=False), nn.Embedding(7, 3)
    bias = nn.Parameter(torch.zeros(6))
    optimizer = torch.optim.SGD([*users.parameters(), *items.parameters(), bias], lr=0.1, weight_decay=1e-3)

    def step(u, i, r):
        predicted = (users(u) * items(i)).sum(1) + bias[u]
        loss = F.l1_loss(predicted, r) + 0.01 * (users.weight.norm() + items.weight.norm())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return (
        step,
        lambda k: (torch.randint(0, 6, (8,)), torch.randint(0, 7, (8,)), torch.randn(8)),
        [users, items, bias, optimizer],
    )


class GraphConvolution(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.linear = nn.Linear(i, o)

    def forward(self, x, edges):
        source, target = edges
        degree = torch.zeros(x.size(0)).scatter_add_(0, target, torch.ones(target.size(0)))
        norm = degree.clamp(min=1).rsqrt()
        messages = self.linear(x)[source] * (norm[source] * norm[target]).unsqueeze(-1)
        out = torch.zeros(x.size(0), messages.size(1))
        out.index_add_(0, target, messages)
        return out


@program()
def graph_network():
    layers = nn.ModuleList([GraphConvolution(4, 8), GraphConvolution(8, 2)])
    optimizer = torch.optim.Adam(layers.parameters(), lr=0.01, weight_decay=5e-4)

    def step(x, edges, y, train_mask):
        h = F.dropout(F.relu(layers[0](x, edges)), p=0.5, training=True)
        logits = layers[1](h, edges)
        losses = F.cross_entropy(logits, y, reduction="none")
        loss = (losses * train_mask).sum() / train_mask.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def arguments(i):
        return (
            torch.randn(6, 4),
            torch.randint(0, 6, (2, 14)),
            torch.randint(0, 2, (6,)),
            torch.rand(6) < 0.7,
        )

    return step, arguments, [layers, optimizer]


@program(traces=2)
def in_place_everything():
    """One gradient is None in the first call and zeros later."""
    w1 = torch.randn(4, 8, requires_grad=True)
    w2 = torch.randn(8, 2, requires_grad=True)
    seen = torch.zeros(())

    def step(x, y):
        h = x @ w1
        h += 0.1
        h[:, 0] *= 2
        h[h > 3] = 3.0
        h.relu_()
        out = h @ w2
        out -= out.max(dim=1, keepdim=True).values.detach()
        loss = -(out.softmax(1).log()[range(len(y)), y]).mean()
        loss.backward()
        with torch.no_grad():
            w1.sub_(w1.grad, alpha=0.1)
            w2.data -= 0.1 * w2.grad
            w1.grad.zero_()
            w2.grad = None
        seen.add_(len(x))
        return loss.detach()

    return step, lambda i: (torch.randn(5, 4), torch.randint(0, 2, (5,))), [w1, w2, seen]
