"""Networks of images: patches, windows, channels last, spectra, rays, margins, queues."""

import math

import versant as torch
import versant.nn.functional as F
from tests.compiler.programs.table import program
from versant import nn
from versant.nn.modules.batchnorm import _BatchNorm
from versant.nn.modules.utils import _pair
from versant.nn.utils import spectral_norm


def classify(model, size=8, channels=3, lr=1e-3, **options):
    """A step of classification, its arguments, and what it changes."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.05, **options)

    def step(x, y):
        loss = F.cross_entropy(model(x), y, label_smoothing=0.1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.detach()

    def arguments(i):
        return torch.randn(4, channels, size, size), torch.randint(0, 5, (4,))

    return step, arguments, [model, optimizer]


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.scale = heads, (dim // heads) ** -0.5
        self.qkv, self.proj = nn.Linear(dim, dim * 3, bias=False), nn.Linear(dim, dim)

    def forward(self, x, bias=None):
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        attn = (q * self.scale) @ k.transpose(-2, -1)
        if bias is not None:
            attn = attn + bias
        return self.proj((attn.softmax(dim=-1) @ v).transpose(1, 2).reshape(b, n, c))


class ViT(nn.Module):
    def __init__(self, size=8, patch=4, dim=12, depth=2, heads=2, classes=5):
        super().__init__()
        height, width = _pair(size)
        self.patch = patch
        self.embed = nn.Linear(3 * patch * patch, dim)
        self.cls = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos = nn.Parameter(torch.zeros(1, height // patch * (width // patch) + 1, dim))
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm1": nn.LayerNorm(dim, eps=1e-6),
                    "attn": Attention(dim, heads),
                    "norm2": nn.LayerNorm(dim, eps=1e-6),
                    "mlp": nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim)),
                }
            )
            for _ in range(depth)
        )
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, classes)
        nn.init.trunc_normal_(self.pos, std=0.02)
        self.apply(self.init)

    @staticmethod
    def init(module):
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, x):
        b, c, h, w = x.shape
        p = self.patch
        x = x.reshape(b, c, h // p, p, w // p, p).permute(0, 2, 4, 3, 5, 1).reshape(b, -1, p * p * c)
        x = torch.cat([self.cls.expand(b, -1, -1), self.embed(x)], dim=1) + self.pos
        for block in self.blocks:
            x = x + block["attn"](block["norm1"](x))
            x = x + block["mlp"](block["norm2"](x))
        return self.head(self.norm(x)[:, 0])


@program()
def vision_transformer():
    return classify(ViT())


class ChannelNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        u = x.mean(1, keepdim=True)
        s = (x - u).pow(2).mean(1, keepdim=True)
        x = (x - u) / torch.sqrt(s + 1e-6)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


class ConvNeXtBlock(nn.Module):
    def __init__(self, dim, drop):
        super().__init__()
        self.depthwise = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.wide, self.narrow, self.act = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim), nn.GELU()
        self.gamma = nn.Parameter(1e-1 * torch.ones(dim))
        self.drop = drop

    def forward(self, x):
        y = self.depthwise(x).permute(0, 2, 3, 1)
        y = self.gamma * self.narrow(self.act(self.wide(self.norm(y))))
        y = y.permute(0, 3, 1, 2)
        if self.training and self.drop > 0:
            keep = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(1 - self.drop)
            y = y * keep.div_(1 - self.drop)
        return x + y


@program()
def convnext():
    model = nn.Sequential(
        nn.Conv2d(3, 6, 2, stride=2),
        ChannelNorm(6),
        ConvNeXtBlock(6, 0.1),
        ConvNeXtBlock(6, 0.2),
        ChannelNorm(6),
        nn.Conv2d(6, 8, 2, stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(1),
        nn.LayerNorm(8),
        nn.Linear(8, 5),
    )
    return classify(model)


def windows(x, size):
    b, h, w, c = x.shape
    x = x.view(b, h // size, size, w // size, size, c)
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, size * size, c)


class SwinBlock(nn.Module):
    def __init__(self, dim, heads, size, window, shift):
        super().__init__()
        self.size, self.window, self.shift, self.heads = size, window, shift, heads
        self.norm, self.attn = nn.LayerNorm(dim), Attention(dim, heads)
        self.table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.table, std=0.02)
        at = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
        apart = (at[:, :, None] - at[:, None, :]).permute(1, 2, 0).contiguous() + window - 1
        self.register_buffer("places", apart[..., 0] * (2 * window - 1) + apart[..., 1], persistent=False)
        regions = torch.zeros(1, size, size, 1)
        count = 0
        spans = (slice(0, -window), slice(-window, -shift or None), slice(-shift, None))
        for rows in spans:
            for columns in spans:
                regions[:, rows, columns] = count
                count += 1
        marks = windows(regions, window).squeeze(-1)
        mask = marks.unsqueeze(1) - marks.unsqueeze(2)
        mask = mask.masked_fill(mask != 0, -100.0).masked_fill(mask == 0, 0.0)
        self.register_buffer("mask", mask if shift else None)

    def forward(self, x):
        h = self.norm(x)
        if self.shift:
            h = torch.roll(h, shifts=(-self.shift, -self.shift), dims=(1, 2))
        parts = windows(h, self.window)
        bias = self.table[self.places.view(-1)].view(*self.places.shape, -1).permute(2, 0, 1).unsqueeze(0)
        if self.mask is not None:
            bias = bias + self.mask.repeat(x.shape[0], 1, 1).unsqueeze(1)
        parts = self.attn(parts, bias)
        n = self.size // self.window
        parts = parts.view(-1, n, n, self.window, self.window, parts.shape[-1])
        h = parts.permute(0, 1, 3, 2, 4, 5).reshape(x.shape)
        if self.shift:
            h = torch.roll(h, shifts=(self.shift, self.shift), dims=(1, 2))
        return x + h


class Swin(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 2, stride=2)
        self.blocks = nn.Sequential(SwinBlock(8, 2, 4, 2, 0), SwinBlock(8, 2, 4, 2, 1))
        self.merge = nn.Linear(32, 16, bias=False)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        x = self.blocks(self.stem(x).permute(0, 2, 3, 1))
        x = torch.cat([x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)], -1)
        return self.head(self.merge(x).mean((1, 2)))


@program()
def shifted_windows():
    return classify(Swin())


class SpectralConv2d(nn.Module):
    def __init__(self, channels, modes):
        super().__init__()
        self.modes = modes
        shape = (2, channels, channels, modes, modes)
        self.weight = nn.Parameter(torch.view_as_complex(torch.rand(*shape, 2) / channels))

    def forward(self, x):
        spectrum, m = torch.fft.rfft2(x), self.modes
        out = torch.zeros_like(spectrum)
        out[:, :, :m, :m] = torch.einsum("bixy,ioxy->boxy", spectrum[:, :, :m, :m], self.weight[0])
        out[:, :, -m:, :m] = torch.einsum("bixy,ioxy->boxy", spectrum[:, :, -m:, :m], self.weight[1])
        return torch.fft.irfft2(out, s=x.shape[-2:])


@program()
def fourier_neural_operator():
    lift, head = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 1, 1)
    spectral = nn.ModuleList(SpectralConv2d(4, 3) for _ in range(2))
    local = nn.ModuleList(nn.Conv2d(4, 4, 1) for _ in range(2))
    model = nn.ModuleList([lift, spectral, local, head])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def step(field, target):
        n = field.shape[-1]
        grid = torch.linspace(0, 1, n).expand(field.shape[0], 1, n, n)
        x = lift(torch.cat([field, grid, grid.transpose(2, 3)], 1))
        for fourier, pointwise in zip(spectral, local):
            x = F.gelu(fourier(x) + pointwise(x))
        error = (head(x) - target).flatten(1).norm(2, 1) / target.flatten(1).norm(2, 1)
        loss = error.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randn(2, 1, 8, 8), torch.randn(2, 1, 8, 8)), [model, optimizer]


def encoded(x, octaves):
    scaled = x[..., None] * 2.0 ** torch.arange(octaves) * math.pi
    return torch.cat([x, scaled.sin().flatten(-2), scaled.cos().flatten(-2)], -1)


@program()
def radiance_field():
    trunk = nn.Sequential(nn.Linear(21, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU())
    density, colour = nn.Linear(16, 1), nn.Sequential(nn.Linear(16 + 9, 8), nn.ReLU(), nn.Linear(8, 3))
    model = nn.ModuleList([trunk, density, colour])
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4)

    def step(origins, directions, pixels):
        n = 6
        edges = torch.linspace(2.0, 6.0, n + 1)
        depth = edges[:-1] + (edges[1:] - edges[:-1]) * torch.rand(origins.shape[0], n)
        points = origins[:, None] + directions[:, None] * depth[..., None]
        h = trunk(encoded(points, 3))
        sigma = F.softplus(density(h)).squeeze(-1)
        seen = encoded(F.normalize(directions, dim=-1), 1)[:, None].expand(-1, n, -1)
        rgb = torch.sigmoid(colour(torch.cat([h, seen], -1)))
        delta = torch.cat([depth[:, 1:] - depth[:, :-1], torch.full_like(depth[:, :1], 1e10)], -1)
        alpha = 1 - torch.exp(-sigma * delta)
        passed = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha + 1e-10], -1), -1)[:, :-1]
        weights = alpha * passed
        rendered = (weights[..., None] * rgb).sum(-2)
        loss = F.mse_loss(rendered, pixels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        psnr = -10.0 * torch.log10(loss.detach())
        return loss.detach(), psnr, (weights * depth).sum(-1).detach()

    return (
        step,
        lambda i: (torch.randn(5, 3), torch.randn(5, 3), torch.rand(5, 3)),
        [model, optimizer],
    )


@program(traces=2)
def hinge_adversaries_with_spectral_norms():
    """The norms as hooks: the weights of the first call were computed by none."""
    generator = nn.Sequential(
        nn.ConvTranspose2d(4, 6, 4),
        nn.BatchNorm2d(6),
        nn.ReLU(True),
        nn.ConvTranspose2d(6, 1, 4, 2, 1),
        nn.Tanh(),
    )
    critic = nn.Sequential(
        spectral_norm(nn.Conv2d(1, 4, 4, 2, 1)),
        nn.LeakyReLU(0.1),
        spectral_norm(nn.Conv2d(4, 1, 4)),
        nn.Flatten(0),
    )
    for module in generator.modules():
        if isinstance(module, _BatchNorm):
            nn.init.normal_(module.weight, 1.0, 0.02)
            module.eval()
    opt_g = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.0, 0.9))
    opt_c = torch.optim.Adam(critic.parameters(), lr=4e-3, betas=(0.0, 0.9))

    def step(real, z):
        fake = generator(z)
        opt_c.zero_grad()
        loss_c = F.relu(1 - critic(real)).mean() + F.relu(1 + critic(fake.detach())).mean()
        loss_c.backward()
        opt_c.step()
        opt_g.zero_grad()
        loss_g = -critic(fake).mean()
        loss_g.backward()
        opt_g.step()
        return loss_c.detach(), loss_g.detach()

    return (
        step,
        lambda i: (torch.randn(3, 1, 8, 8), torch.randn(3, 4, 1, 1)),
        [generator, critic, opt_g, opt_c],
    )


@program()
def additive_angular_margin():
    backbone, weight = nn.Linear(6, 4), nn.Parameter(torch.empty(5, 4))
    nn.init.xavier_uniform_(weight)
    optimizer = torch.optim.SGD([*backbone.parameters(), weight], lr=0.1, momentum=0.9, nesterov=True)

    def step(x, y):
        cosine = F.linear(F.normalize(backbone(x)), F.normalize(weight)).clamp(-1 + 1e-7, 1 - 1e-7)
        theta = torch.acos(cosine)
        target = torch.zeros_like(cosine).scatter_(1, y.view(-1, 1), 1.0)
        logits = 16.0 * torch.where(target.bool(), torch.cos(theta + 0.3), cosine)
        loss = F.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), theta.gather(1, y[:, None]).mean().detach()

    return step, lambda i: (torch.randn(6, 6), torch.randint(0, 5, (6,))), [backbone, weight, optimizer]


@program()
def momentum_contrast_with_a_queue():
    query, key = (nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4)) for _ in range(2))
    key.load_state_dict(query.state_dict())
    for p in key.parameters():
        p.requires_grad_(False)
    queue = F.normalize(torch.randn(4, 12), dim=0)
    pointer = torch.zeros(1, dtype=torch.long)
    optimizer = torch.optim.SGD(query.parameters(), lr=0.03, momentum=0.9, weight_decay=1e-4)

    def step(one, two):
        q = F.normalize(query(one), dim=1)
        with torch.no_grad():
            for p, k in zip(query.parameters(), key.parameters()):
                k.data = k.data * 0.99 + p.data * 0.01
            k = F.normalize(key(two), dim=1)
        positive = torch.einsum("nc,nc->n", [q, k]).unsqueeze(-1)
        negative = torch.einsum("nc,ck->nk", [q, queue.clone().detach()])
        logits = torch.cat([positive, negative], dim=1) / 0.07
        loss = F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            places = (pointer + torch.arange(len(k))) % queue.shape[1]
            queue[:, places] = k.T
            pointer.copy_((pointer + len(k)) % queue.shape[1])
        return loss.detach()

    return step, lambda i: (torch.randn(4, 6), torch.randn(4, 6)), [query, key, queue, pointer, optimizer]


@program()
def redundancy_reduction():
    net = nn.Sequential(
        nn.Linear(6, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Linear(8, 5)
    )
    norm = nn.BatchNorm1d(5, affine=False)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)

    def off_diagonal(x):
        n, _ = x.shape
        return x.flatten()[:-1].view(n - 1, n + 1)[:, 1:].flatten()

    def step(one, two):
        c = norm(net(one)).T @ norm(net(two)) / len(one)
        on = torch.diagonal(c).add_(-1).pow_(2).sum()
        off = off_diagonal(c).pow_(2).sum()
        loss = on + 0.0051 * off
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randn(7, 6), torch.randn(7, 6)), [net, norm, optimizer]
