"""Ways to train: optimizers written out, hooks that collect, losses of preferences, teachers and queues."""

import copy
from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import numpy as np

import versant as torch
import versant.nn.functional as F
from tests.compiler.programs.table import program
from versant import Tensor, nn
from versant.optim.optimizer import Optimizer


def mlp(*widths, act=nn.ReLU):
    layers = []
    for i, (n, m) in enumerate(zip(widths, widths[1:])):
        layers += [act()] * (i > 0) + [nn.Linear(n, m)]
    return nn.Sequential(*layers)


def updated(parameters, average, decay):
    with torch.no_grad():
        for p, a in zip(parameters, average):
            a.lerp_(p, 1 - decay)


@program()
def statistics_by_hooks():
    """Martens and Grosse 2015: covariances of what layers take and of what comes back, kept by hooks."""
    model = mlp(4, 5, 3, act=nn.Tanh)
    layers = [m for m in model if isinstance(m, nn.Linear)]
    inputs = {m: torch.eye(m.in_features + 1) for m in layers}
    outputs = {m: torch.eye(m.out_features) for m in layers}

    def before(module, args):
        if torch.is_grad_enabled():
            a = torch.cat([args[0].detach(), torch.ones(len(args[0]), 1)], 1)
            inputs[module].mul_(0.9).add_(a.t() @ a / len(a), alpha=0.1)

    def after(module, grad_input, grad_output):
        g = grad_output[0].detach() * len(grad_output[0])
        outputs[module].mul_(0.9).add_(g.t() @ g / len(g), alpha=0.1)

    for m in layers:
        m.register_forward_pre_hook(before)
        m.register_full_backward_hook(after)

    def step(x, y):
        model.zero_grad()
        loss = F.cross_entropy(model(x.requires_grad_()), y)
        loss.backward()
        with torch.no_grad():
            for m in layers:
                slope = torch.cat([m.weight.grad, m.bias.grad[:, None]], 1)
                a = torch.linalg.inv(inputs[m] + 0.1 * torch.eye(len(inputs[m])))
                g = torch.linalg.inv(outputs[m] + 0.1 * torch.eye(len(outputs[m])))
                change = g @ slope @ a
                m.weight -= 0.05 * change[:, :-1]
                m.bias -= 0.05 * change[:, -1]
        return loss.detach()

    return (
        step,
        lambda i: (torch.randn(6, 4), torch.randint(0, 3, (6,))),
        [model, list(inputs.values()), list(outputs.values())],
    )


@program()
def seeds_instead_of_memory():
    """Malladi et al. 2023: two looks along a direction that a seed draws again whenever it is needed."""
    model = mlp(3, 4, 2)
    generator = torch.Generator()

    def perturb(scale, seed):
        generator.manual_seed(seed)
        for p in model.parameters():
            p.data.add_(torch.randn(p.shape, generator=generator, dtype=torch.float32).to(p.dtype) * scale)

    @torch.no_grad()
    def step(x, y):
        perturb(1e-2, 17)
        up = F.mse_loss(model(x), y)
        perturb(-2e-2, 17)
        down = F.mse_loss(model(x), y)
        perturb(1e-2, 17)
        slope = (up - down) / 2e-2
        generator.manual_seed(17)
        for p in model.parameters():
            drawn = torch.randn(p.shape, generator=generator, dtype=torch.float32)
            p.sub_(0.01 * slope * drawn.to(p.dtype))
        return up, down

    return step, lambda i: (torch.randn(5, 3), torch.randn(5, 2)), [model]


@program()
def layerwise_trust():
    """You et al. 2020: a subclass of Optimizer that holds tensors as state and scales each layer's step."""

    class Lamb(Optimizer):
        def __init__(self, params, lr=1e-2, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.01):
            super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                beta1, beta2 = group["betas"]
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    if len(state) == 0:
                        state["exp_avg"] = torch.zeros_like(p)
                        state["exp_avg_sq"] = torch.zeros_like(p)
                    m, v = state["exp_avg"], state["exp_avg_sq"]
                    m.mul_(beta1).add_(p.grad, alpha=1 - beta1)
                    v.mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                    update = m / v.sqrt().add(group["eps"]) + group["weight_decay"] * p
                    weight_norm, update_norm = p.norm(2.0), update.norm(2.0)
                    ratio = torch.where(
                        weight_norm > 0,
                        torch.where(update_norm > 0, weight_norm / update_norm, 1.0),
                        1.0,
                    )
                    p.add_(update * ratio, alpha=-group["lr"])

    model = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 2))
    decay = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = Lamb([{"params": decay}, {"params": rest, "weight_decay": 0.0}])

    def step(x, y):
        optimizer.zero_grad(set_to_none=True)
        loss = F.huber_loss(model(x), y, delta=0.5)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randn(5, 4), torch.randn(5, 2)), [model]


@program()
def preconditioners_of_both_sides():
    """Gupta et al. 2018: roots of the sums of outer products, by eigenvalues."""
    weight = nn.Parameter(torch.randn(4, 3) * 0.3)
    left, right = torch.eye(4) * 0.1, torch.eye(3) * 0.1

    def root(matrix):
        values, vectors = torch.linalg.eigh(matrix)
        return (vectors * values.clamp(min=1e-6).pow(-0.25)) @ vectors.mT

    def step(x, y):
        loss = F.mse_loss(x @ weight, y)
        (g,) = torch.autograd.grad(loss, weight)
        with torch.no_grad():
            left.addmm_(g, g.T)
            right.addmm_(g.T, g)
            weight.sub_(root(left) @ g @ root(right), alpha=0.1)
        return loss.detach()

    return step, lambda i: (torch.randn(6, 4), torch.randn(6, 3)), [weight, left, right]


@program()
def averages_without_a_schedule():
    """Defazio et al. 2024: gradients at a point between the fast iterate and the average of all."""
    model = mlp(3, 5, 1)
    parameters = list(model.parameters())
    z = [p.detach().clone() for p in parameters]
    average = [p.detach().clone() for p in parameters]
    count = torch.zeros(())

    def step(x, y):
        count.add_(1)
        with torch.no_grad():
            for p, fast, slow in zip(parameters, z, average):
                p.copy_(torch.lerp(fast, slow, 0.9))
        loss = F.mse_loss(model(x), y)
        slopes = torch.autograd.grad(loss, parameters)
        torch._foreach_add_(z, slopes, alpha=-0.1)
        with torch.no_grad():
            for fast, slow in zip(z, average):
                slow.add_((fast - slow) / count)
        return loss.detach(), count.clone()

    return step, lambda i: (torch.randn(6, 3), torch.randn(6, 1)), [model, z, average]


@program()
def preferences():
    """Rafailov et al. 2023: log odds of chosen answers against rejected ones, beside a frozen reference."""

    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.gru, self.head = (
                nn.Embedding(11, 6),
                nn.GRU(6, 6, batch_first=True),
                nn.Linear(6, 11),
            )

        def forward(self, tokens):
            return self.head(self.gru(self.embed(tokens))[0])

    model = Small()
    reference = copy.deepcopy(model).eval().requires_grad_(False)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)

    def log_probabilities(net, tokens, mask):
        found = F.log_softmax(net(tokens[:, :-1]), -1).gather(2, tokens[:, 1:].unsqueeze(2)).squeeze(2)
        return (found * mask[:, 1:]).sum(-1)

    def step(chosen, rejected, mask):
        both = torch.cat([chosen, rejected])
        masks = torch.cat([mask, mask])
        policy = log_probabilities(model, both, masks)
        with torch.inference_mode():
            kept = log_probabilities(reference, both, masks)
        margin = policy - kept.clone()
        good, bad = margin.chunk(2)
        loss = -F.logsigmoid(0.5 * (good - bad)).mean() - 0.1 * policy.chunk(2)[0].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), (good > bad).float().mean()

    def arguments(i):
        mask = (torch.arange(7)[None] < torch.tensor([7, 5, 4])[:, None]).to(torch.get_default_dtype())
        return torch.randint(0, 11, (3, 7)), torch.randint(0, 11, (3, 7)), mask

    return step, arguments, [model, optimizer]


@program(traces=2)
def relative_policy():
    """Shao et al. 2024: advantages within groups of samples, clipped ratios, an estimate of the KL."""
    policy = mlp(5, 8, 4, act=nn.SiLU)
    reference = copy.deepcopy(policy)
    for p in reference.parameters():
        p.requires_grad = False
    optimizer = torch.optim.AdamW(policy.parameters(), lr=3e-3, betas=(0.9, 0.95))
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=20)

    def step(prompts, epochs):
        with torch.no_grad():
            logits = policy(prompts).repeat_interleave(3, dim=0)
            actions = torch.multinomial(logits.softmax(-1), 1).squeeze(1)
            before = logits.log_softmax(-1).gather(1, actions[:, None])[:, 0]
            kept = (
                reference(prompts).repeat_interleave(3, 0).log_softmax(-1).gather(1, actions[:, None])[:, 0]
            )
            rewards = (actions % 2 == 0).to(logits.dtype) + 0.1 * actions
            groups = rewards.view(-1, 3)
            gains = ((groups - groups.mean(1, keepdim=True)) / (groups.std(1, keepdim=True) + 1e-4)).view(-1)
        for _ in range(epochs):
            now = policy(prompts).repeat_interleave(3, 0).log_softmax(-1).gather(1, actions[:, None])[:, 0]
            ratio = torch.exp(now - before)
            clipped = torch.clamp(ratio, 0.8, 1.2)
            kl = torch.exp(kept - now) - (kept - now) - 1
            loss = -(torch.min(ratio * gains, clipped * gains) - 0.04 * kl).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
        return loss.detach(), rewards.mean()

    return step, lambda i: (torch.randn(4, 5), 2), [policy, optimizer, scheduler]


@program()
def teacher_without_labels():
    """Caron et al. 2021: a student follows a centred, sharpened teacher that is its own average."""
    student = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 5, bias=False))
    teacher = copy.deepcopy(student)
    for p in teacher.parameters():
        p.requires_grad_(False)
    optimizer = torch.optim.AdamW(student.parameters(), lr=2e-3, weight_decay=0.04)
    center = torch.zeros(1, 5)

    def step(views, momentum):
        found = student(torch.cat(views)).chunk(len(views))
        with torch.no_grad():
            seen = teacher(torch.cat(views[:2]))
            targets = F.softmax((seen - center) / 0.04, dim=-1).chunk(2)
        losses = [
            torch.sum(-t * F.log_softmax(s / 0.1, dim=-1), dim=-1).mean()
            for i, t in enumerate(targets)
            for j, s in enumerate(found)
            if i != j
        ]
        loss = sum(losses) / len(losses)
        optimizer.zero_grad()
        loss.backward()
        for name, p in student.named_parameters():
            norm = p.grad.data.norm(2)
            p.grad.data.mul_(torch.clamp(3.0 / (norm + 1e-6), max=1.0))
            if "2." in name:
                p.grad = None
        optimizer.step()
        with torch.no_grad():
            for a, b in zip(student.parameters(), teacher.parameters()):
                b.data.mul_(momentum).add_((1 - momentum) * a.detach().data)
            center.copy_(center * 0.9 + seen.mean(0, keepdim=True) * 0.1)
        return loss.detach(), center.clone()

    return step, lambda i: ([torch.randn(3, 6) for _ in range(4)], 0.99), [student, teacher, center]


@program()
def codes_of_balanced_clusters():
    """Caron et al. 2020: prototypes on the sphere, codes by three turns of Sinkhorn over a queue."""
    body, prototypes = mlp(5, 8, 4), nn.Linear(4, 6, bias=False)
    optimizer = torch.optim.SGD([*body.parameters(), *prototypes.parameters()], lr=0.1, momentum=0.9)
    queue = torch.randn(8, 4)

    @torch.no_grad()
    def codes(scores):
        q = torch.exp(scores / 0.5).t()
        q /= q.sum()
        for _ in range(3):
            q /= q.sum(dim=1, keepdim=True) * len(q)
            q /= q.sum(dim=0, keepdim=True) * q.shape[1]
        return (q * q.shape[1]).t()

    def step(a, b):
        with torch.no_grad():
            prototypes.weight.copy_(F.normalize(prototypes.weight, dim=1, p=2))
        z = F.normalize(body(torch.cat([a, b])), dim=1)
        scores = prototypes(z)
        z_a, z_b = z.detach().chunk(2)
        s_a, s_b = scores.chunk(2)
        with torch.no_grad():
            behind = prototypes(queue)
            q_a = codes(torch.cat([s_a.detach(), behind]))[: len(a)]
            q_b = codes(torch.cat([s_b.detach(), behind]))[: len(b)]
            queue.copy_(torch.cat([z_a, queue[: -len(a)]]))
        loss = (
            -0.5
            * ((q_a * F.log_softmax(s_b / 0.1, 1)).sum(1) + (q_b * F.log_softmax(s_a / 0.1, 1)).sum(1)).mean()
        )
        optimizer.zero_grad()
        loss.backward()
        prototypes.weight.grad *= 0.5
        optimizer.step()
        return loss.detach(), z_b

    return step, lambda i: (torch.randn(4, 5), torch.randn(4, 5)), [body, prototypes, queue]


@program()
def federated_averages():
    """McMahan et al. 2017: clients train copies, and the states are averaged key by key."""
    server = nn.Sequential(OrderedDict(hidden=nn.Linear(3, 4), norm=nn.BatchNorm1d(4), out=nn.Linear(4, 2)))
    clients = [copy.deepcopy(server) for _ in range(2)]
    optimizers = [torch.optim.SGD(c.parameters(), lr=0.1) for c in clients]

    def step(data):
        losses = []
        for client, optimizer, (x, y) in zip(clients, optimizers, data):
            client.load_state_dict(server.state_dict())
            for _ in range(2):
                optimizer.zero_grad()
                loss = F.cross_entropy(client(x), y)
                loss.backward()
                optimizer.step()
            losses.append(loss.detach())
        states = [client.state_dict() for client in clients]
        average = {}
        for key in states[0]:
            stacked = torch.stack([state[key].float() for state in states])
            average[key] = stacked.mean(0).to(states[0][key].dtype)
        server.load_state_dict(average)
        return losses

    return (
        step,
        lambda i: ([(torch.randn(4, 3), torch.randint(0, 2, (4,))) for _ in range(2)],),
        [server],
    )


@program()
def packed_saved_tensors():
    """Saved tensors in half precision: what the way back reads is what the hooks unpack."""
    model = mlp(4, 6, 6, 2, act=nn.Sigmoid)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, amsgrad=True)

    def pack(x):
        return x.dtype, x.to(torch.float32)

    def unpack(packed):
        dtype, x = packed
        return x.to(dtype)

    def step(x, y):
        optimizer.zero_grad()
        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randn(5, 4), torch.randn(5, 2)), [model, optimizer]


Batch = namedtuple("Batch", "tokens lengths labels")


@dataclass
class Output:
    loss: Tensor
    logits: Tensor
    states: tuple[Tensor, ...] = ()

    def accuracy(self, labels):
        return (self.logits.argmax(-1) == labels).to(torch.get_default_dtype()).mean()


@program()
def batches_of_numpy_tables():
    """Class weights, positions and a vocabulary's frequencies lie in arrays of NumPy that the step reads."""
    weights = np.array([1.0, 0.5, 2.0])
    angles = np.outer(np.arange(6), 1.0 / 100 ** (np.arange(0, 4, 2) / 4))
    table = np.stack([np.sin(angles), np.cos(angles)], -1).reshape(6, 4)
    frequencies = {"counts": np.array([5, 3, 1, 1, 2, 4, 1])}
    embed, lstm, head = nn.Embedding(7, 4, padding_idx=0), nn.LSTM(4, 5, batch_first=True), nn.Linear(5, 3)
    modules = nn.ModuleDict({"embed": embed, "lstm": lstm, "head": head})
    optimizer = torch.optim.NAdam(modules.parameters(), lr=1e-2)

    def step(batch):
        dtype = embed.weight.dtype
        x = embed(batch.tokens) + torch.from_numpy(table).to(dtype)[None, : batch.tokens.shape[1]]
        rare = torch.tensor(1.0 / np.sqrt(frequencies["counts"]), dtype=dtype)
        x = x * rare[batch.tokens].unsqueeze(-1)
        packed = nn.utils.rnn.pack_padded_sequence(x, batch.lengths, batch_first=True, enforce_sorted=False)
        _, (h, c) = lstm(packed)
        logits = head(h[-1])
        loss = F.cross_entropy(logits, batch.labels, weight=torch.as_tensor(weights, dtype=dtype))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        out = Output(loss.detach(), logits.detach(), (h.detach(), c.detach()))
        return out.loss, out.logits, out.states, out.accuracy(batch.labels)

    def arguments(i):
        return (Batch(torch.randint(1, 7, (3, 6)), torch.tensor([6, 4, 2]), torch.tensor([0, 2, 1])),)

    return step, arguments, [modules, optimizer]


@program()
def masks_of_lottery_tickets():
    """Frankle and Carbin 2019: magnitudes decide which weights stay; hooks keep other gradients out."""
    model = mlp(4, 8, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    masks = {name: torch.ones_like(p) for name, p in model.named_parameters() if p.dim() > 1}
    for name, p in model.named_parameters():
        if name in masks:
            p.register_hook(lambda g, name=name: g * masks[name])

    def step(x, y, keep):
        loss = F.multi_margin_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            sizes = torch.cat(
                [(p.abs() * masks[n]).flatten() for n, p in model.named_parameters() if n in masks]
            )
            bound = torch.quantile(sizes, 1 - keep)
            for n, p in model.named_parameters():
                if n in masks:
                    masks[n].copy_((p.abs() >= bound).to(p.dtype))
                    p.mul_(masks[n])
        return loss.detach(), torch.stack([m.mean() for m in masks.values()])

    return step, lambda i: (torch.randn(6, 4), torch.randint(0, 3, (6,)), 0.8), [model, list(masks.values())]
