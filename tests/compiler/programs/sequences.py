"""Sequences, sets and actions as repositories have them: attention, scans, policies, mixtures."""

import math

import versant as torch
import versant.nn.functional as F
from tests.compiler.programs.table import program
from versant import nn
from versant.autograd import Function
from versant.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    Normal,
    TanhTransform,
    TransformedDistribution,
    kl_divergence,
)
from versant.nn.utils import weight_norm


def rotate_half(x):
    x1, x2 = x.chunk(2, dim=-1)
    return torch.cat((-x2, x1), dim=-1)


class LlamaAttention(nn.Module):
    def __init__(self, dim, heads, groups, length):
        super().__init__()
        self.heads, self.groups, self.size = heads, groups, dim // heads
        self.q_proj = nn.Linear(dim, heads * self.size, bias=False)
        self.k_proj = nn.Linear(dim, groups * self.size, bias=False)
        self.v_proj = nn.Linear(dim, groups * self.size, bias=False)
        self.o_proj = nn.Linear(dim, dim, bias=False)
        inverse = 1.0 / (10000 ** (torch.arange(0, self.size, 2, dtype=torch.int64) / self.size))
        self.register_buffer("inv_freq", inverse, persistent=False)

    def forward(self, x, mask):
        b, n, _ = x.shape
        q = self.q_proj(x).view(b, n, self.heads, self.size).transpose(1, 2)
        k = self.k_proj(x).view(b, n, self.groups, self.size).transpose(1, 2)
        v = self.v_proj(x).view(b, n, self.groups, self.size).transpose(1, 2)
        angles = torch.outer(torch.arange(n).to(self.inv_freq), self.inv_freq)
        angles = torch.cat((angles, angles), dim=-1)
        cos, sin = angles.cos(), angles.sin()
        q, k = q * cos + rotate_half(q) * sin, k * cos + rotate_half(k) * sin
        repeats = self.heads // self.groups
        k = k[:, :, None].expand(b, self.groups, repeats, n, self.size).reshape(b, self.heads, n, self.size)
        v = torch.repeat_interleave(v, repeats, dim=1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.o_proj(y.transpose(1, 2).contiguous().view(b, n, -1))


@program()
def llama():
    embed, norm, final = nn.Embedding(11, 16), nn.RMSNorm(16, eps=1e-6), nn.RMSNorm(16, eps=1e-6)
    attention = LlamaAttention(16, 4, 2, 6)
    gate, up, down = (
        nn.Linear(16, 24, bias=False),
        nn.Linear(16, 24, bias=False),
        nn.Linear(24, 16, bias=False),
    )
    model = nn.ModuleList([embed, norm, attention, gate, up, down, final])
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95), fused=False)
    warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: min(1.0, (i + 1) / 4))

    def step(tokens):
        x = embed(tokens)
        n = tokens.shape[1]
        mask = torch.full((n, n), torch.finfo(x.dtype).min).triu(1)[None, None]
        x = x + attention(norm(x), mask)
        h = final(x)
        x = x + down(F.silu(gate(h)) * up(h))
        logits = F.linear(x, embed.weight)
        shifted, labels = logits[..., :-1, :].contiguous(), tokens[..., 1:].contiguous()
        loss = F.cross_entropy(shifted.view(-1, 11), labels.view(-1))
        z = torch.logsumexp(logits, -1).pow(2).mean()
        (loss + 1e-4 * z).backward()
        optimizer.step()
        warmup.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    return step, lambda i: (torch.randint(0, 11, (2, 6)),), [model, optimizer]


@program()
def relative_position_buckets():
    """T5's attention: logarithmic buckets of distances, no scale, biases of heads from an embedding."""
    q, k, v = (nn.Linear(8, 8, bias=False) for _ in range(3))
    bias = nn.Embedding(8, 2)
    model = nn.ModuleList([q, k, v, bias])
    optimizer = torch.optim.Adafactor(model.parameters(), lr=1e-2)

    def bucket(apart):
        n = 4
        result = (apart > 0).to(torch.long) * n
        apart = torch.abs(apart)
        exact = n // 2
        far = exact + (torch.log(apart.float() / exact) / math.log(16 / exact) * (n - exact)).to(torch.long)
        far = torch.min(far, torch.full_like(far, n - 1))
        return result + torch.where(apart < exact, apart, far)

    def step(x):
        b, n, _ = x.shape
        places = torch.arange(n)[None, :] - torch.arange(n)[:, None]
        heads = [w(x).view(b, n, 2, 4).transpose(1, 2) for w in (q, k, v)]
        scores = torch.matmul(heads[0], heads[1].transpose(3, 2))
        scores = scores + bias(bucket(places)).permute(2, 0, 1).unsqueeze(0)
        weights = F.softmax(scores.float(), dim=-1).type_as(scores)
        loss = torch.matmul(weights, heads[2]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randn(2, 7, 8),), [model, optimizer]


@program()
def selective_state_space():
    """Mamba's scan, step by step, behind a causal depthwise convolution."""
    d, n = 6, 3
    proj, conv = nn.Linear(4, 2 * d, bias=False), nn.Conv1d(d, d, 3, groups=d, padding=2)
    x_proj, dt_proj, out = nn.Linear(d, 2 + 2 * n, bias=False), nn.Linear(2, d), nn.Linear(d, 4, bias=False)
    a_log = nn.Parameter(torch.log(torch.arange(1, n + 1).float().repeat(d, 1)).to(torch.get_default_dtype()))
    skip = nn.Parameter(torch.ones(d))
    model = nn.ModuleList([proj, conv, x_proj, dt_proj, out])
    optimizer = torch.optim.AdamW([*model.parameters(), a_log, skip], lr=1e-2)

    def step(u):
        x, z = proj(u).chunk(2, dim=-1)
        x = F.silu(conv(x.transpose(1, 2))[..., : u.shape[1]]).transpose(1, 2)
        dt, b, c = torch.split(x_proj(x), [2, n, n], dim=-1)
        dt = F.softplus(dt_proj(dt))
        decay = torch.exp(torch.einsum("bld,dn->bldn", dt, -torch.exp(a_log)))
        drive = torch.einsum("bld,bln,bld->bldn", dt, b, x)
        state, ys = x.new_zeros(x.shape[0], d, n), []
        for i in range(x.shape[1]):
            state = decay[:, i] * state + drive[:, i]
            ys.append(torch.einsum("bdn,bn->bd", state, c[:, i]))
        y = (torch.stack(ys, dim=1) + x * skip) * F.silu(z)
        loss = F.mse_loss(out(y)[:, :-1], u[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randn(2, 5, 4),), [model, a_log, skip, optimizer]


@program()
def dilated_convolutions_with_weight_norms():
    """WaveNet's gates; a spectrogram as the loss."""
    front, back = weight_norm(nn.Conv1d(1, 4, 1)), weight_norm(nn.Conv1d(4, 1, 1))
    gates = nn.ModuleList(weight_norm(nn.Conv1d(4, 8, 2, dilation=2**i)) for i in range(3))
    model = nn.ModuleList([front, gates, back])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    window = torch.hann_window(8)

    def spectrum(x):
        s = torch.stft(x, 8, hop_length=4, window=window, center=True, return_complex=True)
        return torch.sqrt(s.real**2 + s.imag**2 + 1e-7)

    def step(x):
        h, total = front(x), 0
        for i, gate in enumerate(gates):
            t, s = gate(F.pad(h, (2**i, 0))).chunk(2, dim=1)
            y = torch.tanh(t) * torch.sigmoid(s)
            h, total = h + y, total + y
        guess = back(F.relu(total)).squeeze(1)
        loss = F.l1_loss(spectrum(guess), spectrum(x.squeeze(1)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randn(2, 1, 24),), [model, optimizer]


@program()
def categories_by_gumbel_softmax():
    encoder, decoder = nn.Linear(8, 6), nn.Linear(6, 8)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-2)

    def step(x, tau):
        logits = encoder(x).view(-1, 2, 3)
        soft = F.gumbel_softmax(logits, tau=tau, hard=False)
        hard = F.gumbel_softmax(logits, tau=1.0, hard=True, dim=-1)
        recon = F.mse_loss(decoder(soft.flatten(1)), x) + F.mse_loss(decoder(hard.flatten(1)), x)
        q = logits.softmax(-1)
        kl = (q * (q.clamp_min(1e-8).log() - math.log(1 / 3))).sum((1, 2)).mean()
        loss = recon + 0.1 * kl
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randn(5, 8), torch.tensor(1.0)), [encoder, decoder, optimizer]


@program()
def policy_of_normal_actions():
    """CleanRL's continuous PPO with torch.distributions."""
    actor, critic = nn.Linear(5, 2), nn.Linear(5, 1)
    logstd = nn.Parameter(torch.zeros(1, 2))
    optimizer = torch.optim.Adam([*actor.parameters(), *critic.parameters(), logstd], lr=3e-4, eps=1e-5)

    def policy(x):
        mean = actor(x)
        return Normal(mean, torch.exp(logstd.expand_as(mean)))

    def step(x, returns, advantages):
        with torch.no_grad():
            before = policy(x)
            action = before.sample()
            old = before.log_prob(action).sum(1)
        for _ in range(2):
            now = policy(x)
            ratio = (now.log_prob(action).sum(1) - old).exp()
            adv = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
            pg = torch.max(-adv * ratio, -adv * torch.clamp(ratio, 0.8, 1.2)).mean()
            value = 0.5 * ((critic(x).view(-1) - returns) ** 2).mean()
            loss = pg - 0.01 * now.entropy().sum(1).mean() + 0.5 * value
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_([*actor.parameters(), *critic.parameters(), logstd], 0.5)
            optimizer.step()
        return loss.detach(), kl_divergence(before, policy(x)).mean().detach()

    return (
        step,
        lambda i: (torch.randn(6, 5), torch.randn(6), torch.randn(6)),
        [actor, critic, logstd, optimizer],
    )


@program(traces=2)
def squashed_actions():
    """A soft actor: tanh of normal draws. The critic's gradients are None in the first call."""
    net, critic = nn.Linear(5, 4), nn.Linear(7, 1)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)

    def step(x):
        mean, log_std = net(x).chunk(2, dim=-1)
        base = Independent(Normal(mean, log_std.clamp(-5, 2).exp()), 1)
        squashed = TransformedDistribution(base, [TanhTransform(cache_size=1)])
        action = squashed.rsample()
        loss = (0.2 * squashed.log_prob(action) - critic(torch.cat([x, action], 1)).squeeze(-1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), action.detach()

    return step, lambda i: (torch.randn(6, 5),), [net, critic, optimizer]


@program()
def masked_categorical_actions():
    net = nn.Linear(5, 4)
    optimizer = torch.optim.RMSprop(net.parameters(), lr=1e-2)

    def step(x, allowed, reward):
        logits = torch.where(allowed, net(x), torch.tensor(-1e8))
        policy = Categorical(logits=logits)
        action = policy.sample()
        loss = -(policy.log_prob(action) * reward).mean() - 0.01 * policy.entropy().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), action, policy.probs.detach()

    def arguments(i):
        return torch.randn(6, 5), torch.tensor([[True, False, True, True]] * 6), torch.randn(6)

    return step, arguments, [net, optimizer]


@program()
def mixture_density_network():
    net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 9))
    optimizer = torch.optim.NAdam(net.parameters(), lr=1e-2)

    def step(x, y):
        logits, loc, scale = net(x).split(3, dim=-1)
        mixture = MixtureSameFamily(Categorical(logits=logits), Normal(loc, F.softplus(scale) + 1e-3))
        loss = -mixture.log_prob(y).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), mixture.mean.detach(), mixture.stddev.detach()

    return step, lambda i: (torch.randn(6, 1), torch.randn(6)), [net, optimizer]


@program()
def sets_of_points():
    """A deep set beside induced attention, padding masked out."""
    phi, rho = nn.Sequential(nn.Linear(3, 8), nn.ELU(), nn.Linear(8, 8)), nn.Linear(16, 2)
    induced = nn.Parameter(torch.empty(1, 2, 8))
    nn.init.xavier_uniform_(induced)
    attend = nn.MultiheadAttention(8, 2, batch_first=True)
    optimizer = torch.optim.Adam([*phi.parameters(), *rho.parameters(), *attend.parameters(), induced])

    def step(x, lengths, y):
        pad = torch.arange(x.shape[1])[None, :] >= lengths[:, None]
        h = phi(x)
        pooled = h.masked_fill(pad[..., None], 0.0).sum(1) / lengths[:, None]
        looks, _ = attend(induced.expand(len(x), -1, -1), h, h, key_padding_mask=pad, need_weights=False)
        loss = F.cross_entropy(rho(torch.cat([pooled, looks.amax(1)], -1)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def arguments(i):
        return torch.randn(3, 4, 3), torch.tensor([4, 2, 3]), torch.randint(0, 2, (3,))

    return step, arguments, [phi, rho, attend, induced, optimizer]


class Rounding(Function):
    @staticmethod
    def forward(ctx, x, scale):
        ctx.save_for_backward(x, scale)
        return torch.round(x / scale).clamp_(-4, 3) * scale

    @staticmethod
    def backward(ctx, grad):
        x, scale = ctx.saved_tensors
        inside = ((x / scale >= -4) & (x / scale <= 3)).to(grad.dtype)
        edges = torch.where(x > 0, 3.0, -4.0) * (1 - inside)
        error = (torch.round(x / scale) - x / scale) * inside + edges
        return grad * inside, (grad * error).sum().reshape(scale.shape)


@program()
def learned_step_sizes():
    net, scale = nn.Linear(6, 4), nn.Parameter(torch.tensor([0.3]))
    optimizer = torch.optim.SGD([*net.parameters(), scale], lr=0.05)

    def step(x, y):
        quantized = F.linear(x, Rounding.apply(net.weight, scale), net.bias)
        loss = F.mse_loss(quantized, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), scale.grad.clone()

    return step, lambda i: (torch.randn(5, 6), torch.randn(5, 4)), [net, scale, optimizer]
