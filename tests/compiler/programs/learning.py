"""Ways to learn: contrast, distillation, averages of models, reinforcement, losses of one's own."""

import copy

import numpy as np

import versant as torch
import versant.nn.functional as F
from tests.compiler.programs.table import program
from versant import nn


@program()
def contrastive():
    image, text = nn.Linear(8, 4), nn.Linear(6, 4)
    logit_scale = nn.Parameter(torch.ones([]) * np.log(1 / 0.07))
    optimizer = torch.optim.AdamW([*image.parameters(), *text.parameters(), logit_scale], lr=1e-3)

    def step(images, texts):
        a = image(images)
        b = text(texts)
        a = a / a.norm(dim=-1, keepdim=True)
        b = F.normalize(b, dim=-1)
        logits = logit_scale.exp() * a @ b.t()
        labels = torch.arange(len(images))
        loss = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            logit_scale.clamp_(0, np.log(100))
        return loss.detach(), F.cosine_similarity(a, b).mean().detach()

    return step, lambda i: (torch.randn(5, 8), torch.randn(5, 6)), [image, text, logit_scale, optimizer]


@program()
def simclr():
    net = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 8))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)

    def step(x):
        n = x.size(0)
        views = torch.cat([x + 0.1 * torch.randn_like(x), x + 0.1 * torch.randn_like(x)])
        z = F.normalize(net(views), dim=1)
        sim = torch.matmul(z, z.T) / 0.5
        sim.masked_fill_(torch.eye(2 * n, dtype=torch.bool), -1e9)
        target = (torch.arange(2 * n) + n) % (2 * n)
        loss = F.cross_entropy(sim, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randn(4, 6),), [net, optimizer]


@program()
def student_and_average_teacher():
    student = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Linear(8, 4))
    teacher = copy.deepcopy(student)
    for p in teacher.parameters():
        p.requires_grad = False
    center = torch.zeros(1, 4)
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-3)

    def step(x):
        s = student(x) / 0.1
        with torch.no_grad():
            t_out = teacher(x)
            t = F.softmax((t_out - center) / 0.04, dim=-1)
        loss = torch.sum(-t * F.log_softmax(s, dim=-1), dim=-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            m = 0.99
            for q, k in zip(student.parameters(), teacher.parameters()):
                k.data.mul_(m).add_((1 - m) * q.detach().data)
            center.mul_(0.9).add_(t_out.mean(dim=0, keepdim=True) * 0.1)
        return loss.detach()

    return step, lambda i: (torch.randn(6, 5),), [student, teacher, center, optimizer]


@program()
def stochastic_weight_averaging():
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    averaged = torch.optim.swa_utils.AveragedModel(model)
    schedule = torch.optim.swa_utils.SWALR(optimizer, swa_lr=0.05, anneal_epochs=3)

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        averaged.update_parameters(model)
        schedule.step()
        return loss.detach()

    return (
        step,
        lambda i: (torch.randn(4, 4), torch.randint(0, 2, (4,))),
        [model, averaged, optimizer],
    )


@program()
def distillation():
    teacher = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3)).eval()
    student = nn.Linear(5, 3)
    optimizer = torch.optim.Adam(student.parameters())
    temperature = 4.0

    def step(x, y):
        with torch.no_grad():
            soft = F.softmax(teacher(x) / temperature, dim=1)
        logits = student(x)
        kd = F.kl_div(F.log_softmax(logits / temperature, dim=1), soft, reduction="batchmean")
        loss = 0.7 * kd * temperature**2 + 0.3 * F.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return (
        step,
        lambda i: (torch.randn(6, 5), torch.randint(0, 3, (6,))),
        [teacher, student, optimizer],
    )


class FocalLoss(nn.Module):
    def __init__(self, gamma=2.0, alpha=None, reduction="mean"):
        super().__init__()
        self.gamma, self.reduction = gamma, reduction
        self.register_buffer("alpha", alpha)

    def forward(self, logits, target):
        logpt = F.log_softmax(logits, dim=-1).gather(1, target.view(-1, 1)).view(-1)
        pt = logpt.exp()
        if self.alpha is not None:
            logpt = logpt * self.alpha.gather(0, target)
        loss = -((1 - pt) ** self.gamma) * logpt
        return loss.mean() if self.reduction == "mean" else loss.sum()


@program()
def focal_loss():
    model, criterion = nn.Linear(4, 3), FocalLoss(alpha=torch.tensor([0.2, 0.3, 0.5]))
    optimizer = torch.optim.NAdam(model.parameters())

    def step(x, y):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randn(6, 4), torch.randint(0, 3, (6,))), [model, optimizer]


@program()
def mixup():
    """numpy draws outside, as arguments of the step."""
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)

    def step(x, y, lam, index):
        mixed = lam * x + (1 - lam) * x[index]
        out = model(mixed)
        loss = lam * criterion(out, y) + (1 - lam) * criterion(out, y[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), (out.argmax(1) == y).float().mean()

    def arguments(i):
        lam = torch.tensor(np.random.beta(0.4, 0.4), dtype=torch.float32)
        index = torch.from_numpy(np.random.permutation(4))
        return torch.randn(4, 3, 6, 6), torch.randint(0, 5, (4,)), lam, index

    return step, arguments, [model, optimizer]


@program()
def reinforce():
    policy = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)

    def step(states, actions, rewards):
        returns = torch.zeros_like(rewards)
        running = torch.zeros(())
        for t in reversed(range(len(rewards))):
            running = rewards[t] + 0.99 * running
            returns[t] = running
        returns = (returns - returns.mean()) / (returns.std() + 1e-8)
        logp = F.log_softmax(policy(states), dim=-1)
        chosen = logp[torch.arange(len(actions)), actions]
        loss = -(chosen * returns).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return (
        step,
        lambda i: (torch.randn(6, 4), torch.randint(0, 2, (6,)), torch.rand(6)),
        [policy, optimizer],
    )


class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 16), nn.Tanh())
        self.actor, self.critic = nn.Linear(16, 3), nn.Linear(16, 1)

    def forward(self, x):
        h = self.body(x)
        return self.actor(h), self.critic(h).squeeze(-1)


@program()
def proximal_policy_optimization():
    net = ActorCritic()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-4, eps=1e-5)

    def step(states, actions, old_logp, returns, advantages):
        losses = []
        for _ in range(2):
            for index in torch.randperm(8).chunk(2):
                logits, value = net(states[index])
                logp_all = logits.log_softmax(-1)
                logp = logp_all.gather(1, actions[index, None]).squeeze(1)
                entropy = -(logp_all.exp() * logp_all).sum(-1).mean()
                ratio = (logp - old_logp[index]).exp()
                adv = advantages[index]
                adv = (adv - adv.mean()) / (adv.std() + 1e-8)
                clipped = torch.clamp(ratio, 0.8, 1.2) * adv
                policy_loss = -torch.min(ratio * adv, clipped).mean()
                value_loss = 0.5 * (returns[index] - value).pow(2).mean()
                loss = policy_loss + 0.5 * value_loss - 0.01 * entropy
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(net.parameters(), 0.5)
                optimizer.step()
                losses.append(loss.detach())
        return torch.stack(losses)

    def arguments(i):
        return (
            torch.randn(8, 4),
            torch.randint(0, 3, (8,)),
            torch.rand(8).log(),
            torch.randn(8),
            torch.randn(8),
        )

    return step, arguments, [net, optimizer]


@program(traces=2)
def deep_q_learning():
    """The target network is renewed every third call, which the call says."""
    net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    target = copy.deepcopy(net)
    target.load_state_dict(net.state_dict())
    optimizer = torch.optim.RMSprop(net.parameters())

    def step(s, a, r, s2, done, renew):
        q = net(s).gather(1, a.unsqueeze(1)).squeeze(1)
        with torch.no_grad():
            best = net(s2).argmax(1, keepdim=True)
            expected = r + 0.99 * target(s2).gather(1, best).squeeze(1) * (~done).float()
        loss = F.huber_loss(q, expected)
        optimizer.zero_grad()
        loss.backward()
        for p in net.parameters():
            p.grad.data.clamp_(-1, 1)
        optimizer.step()
        if renew:
            target.load_state_dict(net.state_dict())
        return loss.detach()

    def arguments(i):
        done = torch.rand(5) < 0.2
        return (
            torch.randn(5, 4),
            torch.randint(0, 2, (5,)),
            torch.rand(5),
            torch.randn(5, 4),
            done,
            i % 3 == 2,
        )

    return step, arguments, [net, target, optimizer]


@program()
def soft_actor_critic():
    actor = nn.Linear(3, 4)
    critics = nn.ModuleList([nn.Linear(5, 1) for _ in range(2)])
    targets = copy.deepcopy(critics).requires_grad_(False)
    log_alpha = torch.zeros(1, requires_grad=True)
    opts = [torch.optim.Adam(p, lr=1e-3) for p in (actor.parameters(), critics.parameters(), [log_alpha])]

    def act(s):
        mean, log_std = actor(s).chunk(2, dim=-1)
        log_std = torch.clamp(log_std, -5, 2)
        u = mean + log_std.exp() * torch.randn_like(mean)
        logp = (-0.5 * ((u - mean) / log_std.exp()) ** 2 - log_std - 0.919).sum(-1)
        a = torch.tanh(u)
        return a, logp - torch.log(1 - a.pow(2) + 1e-6).sum(-1)

    def values(nets, s, a):
        return torch.cat([net(torch.cat([s, a], -1)) for net in nets], dim=-1)

    def step(s, a, r, s2):
        alpha = log_alpha.exp()
        with torch.no_grad():
            a2, logp2 = act(s2)
            backup = r + 0.99 * (values(targets, s2, a2).min(-1).values - alpha * logp2)
        loss_q = ((values(critics, s, a) - backup.unsqueeze(-1)) ** 2).sum(-1).mean()
        opts[1].zero_grad()
        loss_q.backward()
        opts[1].step()
        pi, logp = act(s)
        loss_pi = (alpha.detach() * logp - values(critics, s, pi).min(-1)[0]).mean()
        opts[0].zero_grad()
        loss_pi.backward()
        opts[0].step()
        loss_alpha = -(log_alpha * (logp.detach() - 2.0)).mean()
        opts[2].zero_grad()
        loss_alpha.backward()
        opts[2].step()
        with torch.no_grad():
            for p, q in zip(critics.parameters(), targets.parameters()):
                q.lerp_(p, 0.005)
        return loss_q.detach(), loss_pi.detach(), loss_alpha.detach()

    return (
        step,
        lambda i: (torch.randn(6, 3), torch.randn(6, 2), torch.rand(6), torch.randn(6, 3)),
        [actor, critics, targets, log_alpha, *opts],
    )


@program()
def triplets_and_prototypes():
    net = nn.Sequential(nn.Linear(4, 8), nn.PReLU(), nn.Linear(8, 4))
    optimizer = torch.optim.Adam(net.parameters())
    triplet = nn.TripletMarginLoss(margin=1.0)

    def step(anchor, positive, negative, support, query):
        loss = triplet(net(anchor), net(positive), net(negative))
        prototypes = net(support).view(3, 2, -1).mean(1)
        distances = torch.cdist(net(query), prototypes) ** 2
        loss = loss + F.cross_entropy(-distances, torch.arange(3))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: tuple(torch.randn(n, 4) for n in (5, 5, 5, 6, 3)), [net, optimizer]
