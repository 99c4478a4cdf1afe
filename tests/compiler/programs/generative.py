"""Models that generate: diffusion, variational autoencoders, adversaries, flows."""

import math
from dataclasses import dataclass

import versant as torch
import versant.nn.functional as F
from tests.compiler.programs.table import program
from versant import nn


class TimeEmbedding(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, t):
        half = self.dim // 2
        freqs = torch.exp(-math.log(10000) * torch.arange(half, device=t.device) / half)
        args = t[:, None].float() * freqs[None]
        return self.mlp(torch.cat([torch.cos(args), torch.sin(args)], dim=-1))


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.time = TimeEmbedding(16)
        self.inp, self.out = nn.Linear(6, 16), nn.Linear(16, 6)

    def forward(self, x, t):
        h = self.inp(x) + self.time(t)
        return self.out(F.silu(h))


@program()
def diffusion():
    model = Denoiser()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    betas = torch.linspace(1e-4, 0.02, 50)
    alphas_bar = torch.cumprod(1 - betas, dim=0)

    def step(x):
        t = torch.randint(0, 50, (x.shape[0],))
        noise = torch.randn_like(x)
        a = alphas_bar[t].unsqueeze(1)
        noisy = a.sqrt() * x + (1 - a).sqrt() * noise
        loss = F.mse_loss(model(noisy, t), noise)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randn(8, 6),), [model, optimizer]


@program()
def ddpm_sampling():
    model = Denoiser()
    betas = torch.linspace(1e-4, 0.02, 10)
    alphas = 1 - betas
    bars = torch.cumprod(alphas, 0)

    @torch.no_grad()
    def sample(n):
        x = torch.randn(n, 6)
        for i in reversed(range(10)):
            t = torch.full((n,), i, dtype=torch.long)
            eps = model(x, t)
            x = (x - betas[i] / (1 - bars[i]).sqrt() * eps) / alphas[i].sqrt()
            if i > 0:
                x += betas[i].sqrt() * torch.randn_like(x)
        return x

    return sample, lambda i: (4,), [model]


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(12, 16), nn.ReLU(inplace=True))
        self.mu, self.logvar = nn.Linear(16, 3), nn.Linear(16, 3)
        self.decoder = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 12), nn.Sigmoid())

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return eps.mul(std).add_(mu)

    def forward(self, x):
        h = self.encoder(x.view(-1, 12))
        mu, logvar = self.mu(h), self.logvar(h)
        return self.decoder(self.reparameterize(mu, logvar)), mu, logvar


@program()
def variational_autoencoder():
    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step(x):
        model.train()
        recon, mu, logvar = model(x)
        bce = F.binary_cross_entropy(recon, x.view(-1, 12), reduction="sum")
        kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        loss = bce + kld
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"loss": loss.detach(), "bce": bce.detach(), "kld": kld.detach()}

    return step, lambda i: (torch.rand(5, 3, 4),), [model, optimizer]


@program()
def wgan_gp():
    generator = nn.Sequential(nn.Linear(4, 16), nn.LeakyReLU(0.2), nn.Linear(16, 2))
    critic = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
    opt_g = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.0, 0.9))
    opt_c = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.0, 0.9))

    def gradient_penalty(real, fake):
        alpha = torch.rand(real.size(0), 1).expand_as(real)
        interpolates = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
        scores = critic(interpolates)
        (grads,) = torch.autograd.grad(
            outputs=scores,
            inputs=interpolates,
            grad_outputs=torch.ones_like(scores),
            create_graph=True,
            retain_graph=True,
            only_inputs=True,
        )
        return ((grads.norm(2, dim=1) - 1) ** 2).mean()

    def step(real):
        for _ in range(2):
            with torch.no_grad():
                fake = generator(torch.randn(real.size(0), 4))
            opt_c.zero_grad()
            loss_c = critic(fake).mean() - critic(real).mean() + 10.0 * gradient_penalty(real, fake)
            loss_c.backward()
            opt_c.step()
        for p in critic.parameters():
            p.requires_grad = False
        opt_g.zero_grad()
        loss_g = -critic(generator(torch.randn(real.size(0), 4))).mean()
        loss_g.backward()
        opt_g.step()
        for p in critic.parameters():
            p.requires_grad = True
        return loss_c.detach(), loss_g.detach()

    return step, lambda i: (torch.randn(8, 2),), [generator, critic, opt_g, opt_c]


class Coupling(nn.Module):
    def __init__(self, mask):
        super().__init__()
        self.register_buffer("mask", mask)
        self.scale = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4), nn.Tanh())
        self.shift = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4))

    def forward(self, x):
        kept = x * self.mask
        s = self.scale(kept) * (1 - self.mask)
        t = self.shift(kept) * (1 - self.mask)
        return kept + (1 - self.mask) * (x * torch.exp(s) + t), s.sum(dim=1)


@program()
def normalizing_flow():
    masks = [torch.tensor([1.0, 0.0, 1.0, 0.0]), torch.tensor([0.0, 1.0, 0.0, 1.0])]
    flow = nn.ModuleList([Coupling(masks[i % 2]) for i in range(3)])
    optimizer = torch.optim.Adam(flow.parameters())

    def log_prob(z):
        return -0.5 * (z**2 + math.log(2 * math.pi)).sum(1)

    def step(x):
        log_det = torch.zeros(x.shape[0])
        z = x
        for layer in flow:
            z, d = layer(z)
            log_det += d
        loss = -(log_prob(z) + log_det).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randn(8, 4),), [flow, optimizer]


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1 = self.block(1, 4)
        self.down2 = self.block(4, 8)
        self.middle = self.block(8, 8)
        self.up1 = nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.dec1 = self.block(16, 4)
        self.up2 = nn.Upsample(scale_factor=2, mode="nearest")
        self.dec2 = self.block(8, 4)
        self.head = nn.Conv2d(4, 1, 1)

    @staticmethod
    def block(i, o):
        return nn.Sequential(
            nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(inplace=True), nn.Dropout2d(0.1)
        )

    def forward(self, x):
        skips = []
        for down in (self.down1, self.down2):
            x = down(x)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        x = self.middle(x)
        x = self.dec1(torch.cat([self.up1(x), skips.pop()], dim=1))
        x = self.dec2(torch.cat([self.up2(x), skips.pop()], dim=1))
        return self.head(x)


@program()
def unet():
    model = UNet()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3, momentum=0.9)
    criterion = nn.BCEWithLogitsLoss()

    def dice(logits, target):
        p = torch.sigmoid(logits)
        return 1 - (2 * (p * target).sum() + 1) / (p.sum() + target.sum() + 1)

    def step(x, mask):
        optimizer.zero_grad()
        logits = model(x)
        loss = criterion(logits, mask) + dice(logits, mask)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return (
        step,
        lambda i: (torch.randn(2, 1, 8, 8), (torch.rand(2, 1, 8, 8) > 0.5).float()),
        [model, optimizer],
    )


@dataclass
class Batch:
    images: torch.Tensor
    labels: torch.Tensor
    weight: float = 1.0


@program()
def dataclass_batches_and_losses_in_dicts():
    trunk = nn.Linear(6, 8)
    heads = nn.ModuleDict({"kind": nn.Linear(8, 3), "size": nn.Linear(8, 1)})
    weights = {"kind": 1.0, "size": 0.3}
    optimizer = torch.optim.SGD(
        [{"params": trunk.parameters()}, {"params": heads.parameters(), "lr": 1e-2}],
        lr=1e-3,
        momentum=0.9,
        nesterov=True,
    )

    def step(batch: Batch):
        h = torch.relu(trunk(batch.images))
        out = {name: head(h) for name, head in heads.items()}
        losses = {
            "kind": F.cross_entropy(out["kind"], batch.labels),
            "size": F.smooth_l1_loss(out["size"].squeeze(-1), batch.labels.float()),
        }
        total = sum(weights[k] * v for k, v in losses.items()) * batch.weight
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        return {k: v.detach() for k, v in losses.items()} | {"total": total.detach()}

    return step, lambda i: (Batch(torch.randn(5, 6), torch.randint(0, 3, (5,))),), [trunk, heads, optimizer]


@program()
def masked_autoencoder():
    encoder, decoder = nn.Linear(4, 8), nn.Linear(8, 4)
    token = nn.Parameter(torch.zeros(1, 1, 8))
    params = [*encoder.parameters(), *decoder.parameters(), token]
    optimizer = torch.optim.AdamW(params)

    def step(x):
        b, n, d = x.shape
        noise = torch.rand(b, n)
        shuffle = torch.argsort(noise, dim=1)
        restore = torch.argsort(shuffle, dim=1)
        keep = shuffle[:, : n // 2]
        visible = torch.gather(x, 1, keep.unsqueeze(-1).repeat(1, 1, d))
        h = encoder(visible)
        full = torch.cat([h, token.repeat(b, n - h.shape[1], 1)], dim=1)
        full = torch.gather(full, 1, restore.unsqueeze(-1).repeat(1, 1, full.shape[2]))
        mask = torch.ones(b, n)
        mask[:, : n // 2] = 0
        mask = torch.gather(mask, 1, restore)
        loss = ((decoder(full) - x) ** 2).mean(dim=-1)
        loss = (loss * mask).sum() / mask.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randn(3, 6, 4),), [encoder, decoder, token, optimizer]
