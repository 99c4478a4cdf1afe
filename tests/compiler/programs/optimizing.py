"""Optimizers and derivatives written by hand: sharpness, orthogonal updates, products with Hessians."""

import versant as torch
import versant.nn.functional as F
from tests.compiler.programs.table import program
from versant import nn
from versant.nn.utils import parametrizations


def network(*sizes):
    layers = []
    for a, b in zip(sizes, sizes[1:]):
        layers += [nn.Linear(a, b), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def batches(i):
    return torch.randn(6, 4), torch.randint(0, 3, (6,))


class SAM(torch.optim.Optimizer):
    """As in the well-known repository: two steps around two backward passes."""

    def __init__(self, params, base, rho=0.05, **kwargs):
        super().__init__(params, dict(rho=rho, **kwargs))
        self.base_optimizer = base(self.param_groups, **kwargs)
        self.param_groups = self.base_optimizer.param_groups

    @torch.no_grad()
    def first_step(self, zero_grad=False):
        norm = torch.norm(
            torch.stack(
                [p.grad.norm(p=2) for g in self.param_groups for p in g["params"] if p.grad is not None]
            ),
            p=2,
        )
        for group in self.param_groups:
            scale = group["rho"] / (norm + 1e-12)
            for p in group["params"]:
                if p.grad is None:
                    continue
                self.state[p]["old_p"] = p.data.clone()
                p.add_(p.grad * scale)
        if zero_grad:
            self.zero_grad()

    @torch.no_grad()
    def second_step(self, zero_grad=False):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                p.data = self.state[p]["old_p"]
        self.base_optimizer.step()
        if zero_grad:
            self.zero_grad()


@program()
def sharpness_aware_minimization():
    """Written with functions; the perturbation stays inside of the step."""
    model = network(4, 8, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        with torch.no_grad():
            norm = torch.norm(torch.stack([p.grad.norm() for p in model.parameters()]))
            old = []
            for p in model.parameters():
                e = p.grad * (0.05 / (norm + 1e-12))
                p.add_(e)
                old.append(e)
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        with torch.no_grad():
            for p, e in zip(model.parameters(), old):
                p.sub_(e)
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return step, batches, [model, optimizer]


@program()
def sharpness_aware_optimizer():
    model = network(4, 8, 3)
    optimizer = SAM(model.parameters(), torch.optim.SGD, lr=0.1)

    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.first_step(zero_grad=True)
        F.cross_entropy(model(x), y).backward()
        optimizer.second_step(zero_grad=True)
        return loss.detach()

    return step, batches, [model, optimizer.base_optimizer]


@program(traces=2)
def lookahead():
    model = network(4, 8, 3)
    slow = [p.detach().clone() for p in model.parameters()]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def step(x, y, sync):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        if sync:
            with torch.no_grad():
                for s, p in zip(slow, model.parameters()):
                    s += 0.5 * (p.data - s)
                    p.data.copy_(s)
        return loss.detach()

    return step, lambda i: (*batches(i), (i + 1) % 3 == 0), [model, optimizer, *slow]


def newton_schulz(g, steps=3):
    a, b, c = (3.4445, -4.7750, 2.0315)
    x = g.bfloat16()
    if g.size(0) > g.size(1):
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        m = x @ x.T
        x = a * x + (b * m + c * m @ m) @ x
    if g.size(0) > g.size(1):
        x = x.T
    return x.to(g.dtype)


class Muon(torch.optim.Optimizer):
    def __init__(self, params, lr=0.02, momentum=0.95):
        super().__init__(params, dict(lr=lr, momentum=momentum))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                g = p.grad
                state = self.state[p]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(g)
                buf = state["momentum_buffer"]
                buf.mul_(group["momentum"]).add_(g)
                g = g.add(buf, alpha=group["momentum"])
                g = newton_schulz(g)
                p.data.add_(g, alpha=-group["lr"] * max(1, g.size(0) / g.size(1)) ** 0.5)


@program(traces=2)
def muon():
    """The first step makes the state, so the second is another trace."""
    model = network(4, 8, 3)
    matrices = [p for p in model.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    optimizers = [Muon(matrices), torch.optim.AdamW(others, lr=1e-3)]

    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        for opt in optimizers:
            opt.zero_grad()
        loss.backward()
        for opt in optimizers:
            opt.step()
        return loss.detach()

    return step, batches, [model, *optimizers]


@program()
def momentum_in_tensors():
    """A loop of no_grad updates with state in plain lists."""
    model = network(4, 8, 3)
    params = list(model.parameters())
    velocity = [torch.zeros_like(p) for p in params]

    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        grads = torch.autograd.grad(loss, params)
        with torch.no_grad():
            for p, v, g in zip(params, velocity, grads):
                v *= 0.9
                v += g
                p -= 0.1 * v
        return loss.detach()

    return step, batches, [model, *velocity]


@program()
def hessian_vector_products():
    model = network(4, 8, 3)
    params = list(model.parameters())

    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        grads = torch.autograd.grad(loss, params, create_graph=True)
        vs = [torch.randn_like(p) for p in params]
        dot = sum((g * v).sum() for g, v in zip(grads, vs))
        hvs = torch.autograd.grad(dot, params)
        curvature = sum((h * v).sum() for h, v in zip(hvs, vs))
        with torch.no_grad():
            for p, g, h in zip(params, grads, hvs):
                p.sub_(0.05 * g / (h.abs() + 1.0))
        return loss.detach(), curvature

    return step, batches, [model]


@program()
def conjugate_gradients():
    model = nn.Linear(4, 1)

    def step(x, y):
        params = list(model.parameters())
        grads = torch.autograd.grad(F.mse_loss(model(x), y), params, create_graph=True)
        flat = torch.cat([g.reshape(-1) for g in grads])

        def product(v):
            h = torch.autograd.grad(flat @ v, params, retain_graph=True)
            return torch.cat([g.reshape(-1) for g in h]) + 0.1 * v

        s = torch.zeros_like(flat)
        r = flat.detach().clone()
        p = r.clone()
        rs = r @ r
        for _ in range(3):
            ap = product(p)
            alpha = rs / (p @ ap)
            s += alpha * p
            r -= alpha * ap
            new = r @ r
            p = r + (new / rs) * p
            rs = new
        offset = 0
        for q in params:
            n = q.numel()
            q.data -= s[offset : offset + n].view_as(q)
            offset += n
        return rs

    return step, lambda i: (torch.randn(6, 4), torch.randn(6, 1)), [model]


@program()
def meta_learning():
    model = nn.Linear(3, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step(xs, ys, xq, yq):
        total = 0.0
        for x, y, q, t in zip(xs, ys, xq, yq):
            fast = {name: p for name, p in model.named_parameters()}
            for _ in range(2):
                inner = F.mse_loss(torch.func.functional_call(model, fast, (x,)), y)
                grads = torch.autograd.grad(inner, fast.values(), create_graph=True)
                fast = {name: p - 0.1 * g for (name, p), g in zip(fast.items(), grads)}
            total = total + F.mse_loss(torch.func.functional_call(model, fast, (q,)), t)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        return total.detach()

    return (
        step,
        lambda i: (torch.randn(2, 5, 3), torch.randn(2, 5, 1), torch.randn(2, 5, 3), torch.randn(2, 5, 1)),
        [model, optimizer],
    )


class StraightThrough(torch.autograd.Function):
    """Rounds; the second output is not differentiable."""

    @staticmethod
    def forward(ctx, x, levels):
        q = torch.round(x * levels) / levels
        index = (q * levels).long()
        ctx.mark_non_differentiable(index)
        ctx.save_for_backward(x)
        return q, index

    @staticmethod
    def backward(ctx, grad, _):
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= 1).to(grad.dtype), None


@program()
def quantized_network():
    first, second = nn.Linear(4, 8), nn.Linear(8, 3)
    optimizer = torch.optim.Adam([*first.parameters(), *second.parameters()])

    def step(x, y):
        q, index = StraightThrough.apply(torch.tanh(first(x)), 8)
        loss = F.cross_entropy(second(q), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), index

    return step, batches, [first, second, optimizer]


@program()
def hooks_that_change_gradients():
    model = network(4, 8, 3)
    model[0].weight.register_hook(lambda g: g * 0.5)
    model[2].bias.register_hook(lambda g: g.clamp(-0.01, 0.01))
    activations = []
    model[1].register_forward_hook(lambda module, args, out: out * 1.5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(x, y):
        hidden = model[1](model[0](x))
        hidden.register_hook(lambda g: g / (g.norm() + 1e-6))
        loss = F.cross_entropy(model[2](hidden), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, batches, [model, optimizer, activations]


@program()
def normalized_weights():
    model = nn.Sequential(
        parametrizations.spectral_norm(nn.Linear(4, 8)),
        nn.ReLU(inplace=True),
        parametrizations.weight_norm(nn.Linear(8, 8), dim=None),
        nn.ReLU(),
        parametrizations.orthogonal(nn.Linear(8, 8, bias=False)),
        parametrizations.weight_norm(nn.Linear(8, 3)),
    )
    optimizer = torch.optim.Adam(model.parameters())

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, batches, [model, optimizer]


@program(traces=2)
def warm_restarts_and_frozen_layers():
    """The first call finds the model in training mode, the others as it was left."""
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))
    for p in model[0].parameters():
        p.requires_grad_(False)
    optimizer = torch.optim.AdamW(filter(lambda p: p.requires_grad, model.parameters()), lr=1e-3)
    warmup = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=2)
    cosine = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
    scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, [warmup, cosine], milestones=[2])

    def step(x, y):
        model.train()
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        model.eval()
        with torch.no_grad():
            accuracy = (model(x).argmax(dim=1) == y).float().mean()
        return loss.detach(), accuracy

    return step, batches, [model, optimizer, scheduler]


@program()
def mixed_precision_with_a_scaler():
    model = network(4, 16, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

    def step(x, y):
        optimizer.zero_grad()
        with torch.autocast(device_type="cpu", dtype=torch.bfloat16):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        return loss.detach()

    return step, batches, [model, optimizer, scaler]
