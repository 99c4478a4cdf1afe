"""Models of graphs, sets, boxes, signals and fixed points; optimizers and schedules of one's own."""

import copy
import math

import versant as torch
import versant.nn.functional as F
from tests.compiler.programs.table import program
from versant import Tensor, nn
from versant.optim import Optimizer


@program()
def attention_over_a_graph():
    """Velickovic et al. 2018: softmax over the edges that come in, by scatter, and a sum over each graph."""

    class Attend(nn.Module):
        def __init__(self, inputs, outputs, heads):
            super().__init__()
            self.heads, self.width = heads, outputs
            self.lin = nn.Linear(inputs, heads * outputs, bias=False)
            self.att = nn.Parameter(torch.empty(1, heads, 2 * outputs))
            nn.init.xavier_uniform_(self.att, gain=nn.init.calculate_gain("leaky_relu", 0.2))

        def forward(self, x, edge_index):
            source, target = edge_index
            h = self.lin(x).view(-1, self.heads, self.width)
            e = torch.cat([h[source], h[target]], dim=-1).mul(self.att).sum(-1)
            e = F.leaky_relu(e, 0.2)
            index = target.unsqueeze(-1).expand_as(e)
            top = torch.full((x.size(0), self.heads), -1e9).scatter_reduce(0, index, e, "amax")
            e = (e - top.index_select(0, target)).exp()
            norm = torch.zeros(x.size(0), self.heads).scatter_add_(0, index, e)
            a = e / (norm[target] + 1e-16)
            out = torch.zeros_like(h).index_add_(0, target, h[source] * a.unsqueeze(-1))
            return out.flatten(1)

    first, second = Attend(4, 5, 2), Attend(10, 3, 1)
    optimizer = torch.optim.Adam([*first.parameters(), *second.parameters()], lr=5e-3, weight_decay=5e-4)
    edges = torch.tensor([[0, 1, 2, 3, 4, 5, 0, 2, 6], [1, 0, 3, 2, 5, 4, 2, 0, 6]])
    batch = torch.tensor([0, 0, 0, 0, 1, 1, 1])

    def step(x, y):
        h = F.elu(first(x, edges))
        h = second(h, edges)
        sizes = torch.bincount(batch, minlength=2).unsqueeze(1)
        pooled = torch.zeros(2, 3).index_add(0, batch, h) / sizes
        loss = F.nll_loss(F.log_softmax(pooled, dim=1), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), pooled.argmax(dim=1)

    return step, lambda i: (torch.randn(7, 4), torch.tensor([i % 3, 2])), [first, second, optimizer]


@program()
def edges_that_pass_messages():
    """Gilmer et al. 2017: messages by the features of edges, a gated update, degrees in the square root."""
    message = nn.Sequential(nn.Linear(2 * 4 + 3, 8), nn.Softplus(), nn.Linear(8, 4))
    update, readout = nn.GRUCell(4, 4), nn.Linear(4, 1)
    parameters = [p for m in (message, update, readout) for p in m.parameters()]
    optimizer = torch.optim.Adagrad(parameters, lr=1e-2)
    row, col = torch.tensor([[0, 1, 1, 2, 3, 3], [1, 0, 2, 1, 0, 2]])

    def step(h, edge, target):
        degree = torch.zeros(h.size(0)).scatter_add(0, row, torch.ones(row.numel()))
        norm = degree.clamp(min=1).rsqrt()
        for _ in range(2):
            m = message(torch.cat([h[row], h[col], edge], dim=1))
            m = m * (norm[row] * norm[col]).view(-1, 1)
            total = torch.zeros_like(h)
            total.scatter_add_(0, row[:, None].repeat(1, m.size(1)), m)
            h = update(total, h)
        loss = F.l1_loss(readout(h).sum(), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randn(4, 4), torch.randn(6, 3), torch.randn(())), [message, update, readout]


@program()
def boxes():
    """One-stage detection: boxes by centre and size, overlaps as a loss, the best of those that overlap."""
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.SiLU(), nn.Conv2d(8, 5, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-2, momentum=0.937, nesterov=True)

    def corners(b):
        xy, wh = b[..., :2], b[..., 2:4]
        return torch.cat((xy - wh / 2, xy + wh / 2), -1)

    def overlap(a, b):
        low = torch.maximum(a[:, None, :2], b[None, :, :2])
        high = torch.minimum(a[:, None, 2:], b[None, :, 2:])
        inter = (high - low).clamp(min=0).prod(-1)
        area = (a[:, 2:] - a[:, :2]).prod(-1)[:, None] + (b[:, 2:] - b[:, :2]).prod(-1)[None]
        return inter / (area - inter + 1e-9)

    ys, xs = torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij")
    grid = torch.stack((xs, ys), -1).view(1, 16, 2)

    def step(images, truth):
        out = net(images).flatten(2).transpose(1, 2)
        xy = (out[..., :2].sigmoid() + grid) / 4
        b = torch.cat((xy, out[..., 2:4].sigmoid()), -1)
        iou = torch.stack(
            [torch.diag(overlap(corners(p), corners(t.expand(16, 4)))) for p, t in zip(b, truth)]
        )
        cell = (truth[:, :2] * 4).long().clamp(0, 3)
        positive = F.one_hot(cell[:, 1] * 4 + cell[:, 0], 16).to(out.dtype)
        box_loss = ((1 - iou) * positive).sum() / positive.sum()
        weight = torch.where(positive > 0, 1.0, 0.5)
        objectness = F.binary_cross_entropy_with_logits(out[..., 4], positive, weight=weight)
        loss = 5 * box_loss + objectness
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            scores, order = out[0, :, 4].sort(descending=True)
            kept = corners(b[0][order])
            shadow = torch.triu(overlap(kept, kept), diagonal=1).max(dim=0).values
            survives = shadow < 0.5
        return loss.detach(), scores, survives

    return step, lambda i: (torch.randn(2, 3, 4, 4), torch.rand(2, 4) * 0.8 + 0.1), [net, optimizer]


@program()
def sound():
    """Spectrograms on a mel scale with masked bands, a recurrent network over frames, weighted classes."""
    window = torch.hann_window(16, dtype=torch.float64)
    to_mel = torch.linspace(0, 1, 9 * 5, dtype=torch.float64).reshape(9, 5).roll(2, 0)
    net = nn.GRU(5, 6, num_layers=2, batch_first=True, bidirectional=True)
    head = nn.Linear(12, 3)
    optimizer = torch.optim.AdamW([*net.parameters(), *head.parameters()], lr=1e-2, amsgrad=True)

    def step(wave, labels):
        w = window.to(wave.dtype)
        spectrum = torch.stft(wave, 16, hop_length=8, window=w, center=True, return_complex=True)
        power = spectrum.abs().pow(2)
        mel = torch.matmul(power.transpose(1, 2), to_mel.to(wave.dtype))
        log_mel = 10 * torch.log10(mel.clamp(min=1e-10))
        log_mel = torch.maximum(log_mel, log_mel.amax(dim=(-2, -1), keepdim=True) - 80)
        log_mel = (log_mel - log_mel.mean(1, keepdim=True)) / (log_mel.std(1, keepdim=True) + 1e-5)
        band = torch.randint(0, 4, (1,))
        axis = torch.arange(5)
        log_mel = log_mel.masked_fill((axis >= band) & (axis < band + 2), 0.0)
        out, last = net(log_mel)
        logits = head(torch.cat([last[-2], last[-1]], dim=-1) + out.mean(1))
        weight = torch.tensor([1.0, 2.0, 0.5])
        loss = F.cross_entropy(logits, labels, weight=weight, label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randn(3, 64), torch.arange(3)), [net, head, optimizer]


@program()
def long_convolution():
    """Gu et al. 2022: a diagonal state space as a convolution by Fourier transforms, complex parameters."""

    class Diagonal(nn.Module):
        def __init__(self, width, states=4):
            super().__init__()
            self.log_dt = nn.Parameter(torch.rand(width) * (math.log(0.1) - math.log(0.01)) + math.log(0.01))
            self.C = nn.Parameter(torch.view_as_real(torch.complex(*torch.randn(2, width, states))))
            self.log_real = nn.Parameter(torch.log(0.5 * torch.ones(width, states)))
            self.imag = nn.Parameter(math.pi * torch.arange(states).repeat(width, 1))
            self.D = nn.Parameter(torch.randn(width))

        def forward(self, u):
            length = u.size(-1)
            dt = torch.exp(self.log_dt)
            a = -torch.exp(self.log_real) + 1j * self.imag
            scaled = a * dt.unsqueeze(-1)
            powers = scaled.unsqueeze(-1) * torch.arange(length)
            c = torch.view_as_complex(self.C) * (torch.exp(scaled) - 1.0) / a
            kernel = 2 * torch.einsum("hn,hnl->hl", c, torch.exp(powers)).real
            k = torch.fft.rfft(kernel, n=2 * length)
            y = torch.fft.irfft(torch.fft.rfft(u, n=2 * length) * k, n=2 * length)[..., :length]
            return F.gelu(y + u * self.D.unsqueeze(-1))

    layer = Diagonal(3)
    out = nn.Sequential(nn.Conv1d(3, 6, kernel_size=1), nn.GLU(dim=-2))
    optimizer = torch.optim.AdamW(
        [{"params": layer.parameters(), "lr": 1e-3, "weight_decay": 0.0}, {"params": out.parameters()}],
        lr=1e-2,
    )

    def step(x, y):
        loss = F.mse_loss(out(layer(x)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randn(2, 3, 10), torch.randn(2, 3, 10)), [layer, out, optimizer]


@program()
def fixed_point():
    """Bai et al. 2019: an equilibrium found without history; its gradient by the same iteration in a hook."""
    inside, across, head = nn.Linear(6, 6, bias=False), nn.Linear(4, 6), nn.Linear(6, 2)
    inside.weight.data.mul_(0.3)
    optimizer = torch.optim.Adam([*inside.parameters(), *across.parameters(), *head.parameters()], lr=1e-2)

    def iterate(f, start, steps=12):
        for _ in range(steps):
            start = f(start)
        return start

    def step(x, y):
        with torch.no_grad():
            z = iterate(lambda z: torch.tanh(inside(z) + across(x)), torch.zeros(x.size(0), 6))
        z = torch.tanh(inside(z) + across(x))
        z0 = z.clone().detach().requires_grad_()
        f0 = torch.tanh(inside(z0) + across(x))

        def backward_hook(grad):
            return iterate(lambda g: torch.autograd.grad(f0, z0, g, retain_graph=True)[0] + grad, grad)

        z.register_hook(backward_hook)
        loss = F.mse_loss(head(z), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), (f0 - z0).norm().detach()

    return step, lambda i: (torch.randn(5, 4), torch.randn(5, 2)), [inside, across, head, optimizer]


@program()
def adversarial_training():
    """Madry et al. 2018: several signed steps on the input within a ball, then one on the weights."""
    net = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[2, 4], gamma=0.1)

    def step(x, y):
        net.eval()
        delta = torch.zeros_like(x).uniform_(-0.1, 0.1).requires_grad_(True)
        for _ in range(3):
            loss = F.cross_entropy(net(x + delta), y)
            (grad,) = torch.autograd.grad(loss, [delta])
            delta = (delta.detach() + 0.04 * torch.sign(grad)).clamp_(-0.1, 0.1)
            delta = (torch.clamp(x + delta, 0, 1) - x).requires_grad_()
        net.train()
        optimizer.zero_grad()
        clean, attacked = net(x), net(x + delta.detach())
        robust = F.kl_div(F.log_softmax(attacked, 1), F.softmax(clean, 1), reduction="batchmean")
        loss = F.cross_entropy(clean, y) + 6.0 * robust
        loss.backward()
        optimizer.step()
        scheduler.step()
        return loss.detach(), (attacked.argmax(1) == y).sum()

    return step, lambda i: (torch.rand(4, 1, 8, 8), torch.arange(4) % 3), [net, optimizer]


class Factored(Optimizer):
    """Shazeer and Stern 2018: second moments of matrices by their rows and columns."""

    def __init__(self, params, lr=1e-2, beta2_decay=-0.8, eps=(1e-30, 1e-3), d=1.0):
        super().__init__(params, {"lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                grad, state = p.grad, self.state[p]
                if len(state) == 0:
                    state["step"] = torch.tensor(0.0)
                    if p.dim() >= 2:
                        state["row"] = grad.new_zeros(grad.shape[:-1])
                        state["col"] = grad.new_zeros(grad.shape[:-2] + grad.shape[-1:])
                    else:
                        state["square"] = torch.zeros_like(p, memory_format=torch.preserve_format)
                state["step"] += 1
                rate = state["step"] ** group["beta2_decay"]
                square = grad.square().add_(group["eps"][0])
                if p.dim() >= 2:
                    state["row"].lerp_(square.mean(-1), rate)
                    state["col"].lerp_(square.mean(-2), rate)
                    row = (state["row"] / state["row"].mean(-1, keepdim=True)).rsqrt_().unsqueeze(-1)
                    update = grad * row * state["col"].unsqueeze(-2).rsqrt()
                else:
                    state["square"].lerp_(square, rate)
                    update = grad * state["square"].rsqrt()
                size = update.norm(2) / (update.numel() ** 0.5)
                update.div_((size / group["d"]).clamp_(min=1.0))
                scale = torch.clamp(p.norm(2) / p.numel() ** 0.5, min=group["eps"][1])
                p.sub_(update * scale * group["lr"])
        return loss


@program(traces=2)
def factored_moments():
    net = nn.Sequential(nn.Embedding(8, 5), nn.Flatten(), nn.Linear(15, 8))
    optimizer = Factored(net.parameters(), lr=0.05)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6)

    def step(tokens, target):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(tokens), target)
        loss.backward()
        optimizer.step()
        scheduler.step()
        return loss.detach()

    return step, lambda i: (torch.randint(0, 8, (4, 3)), torch.randint(0, 8, (4,))), [net]


@program(traces=2)
def moments_of_all_tensors_at_once():
    """Chen et al. 2023 (Lion), by torch._foreach functions over lists of tensors."""
    net = nn.Sequential(nn.Linear(4, 6), nn.Hardswish(), nn.Linear(6, 2))
    parameters = list(net.parameters())
    averages = [torch.zeros_like(p) for p in parameters]

    def step(x, y):
        loss = F.mse_loss(net(x), y)
        grads = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            torch._foreach_mul_(parameters, 1 - 1e-2 * 0.1)
            updates = torch._foreach_mul(averages, 0.9)
            torch._foreach_add_(updates, grads, alpha=0.1)
            updates = [torch.sign(u) for u in updates]
            torch._foreach_add_(parameters, updates, alpha=-1e-2)
            torch._foreach_lerp_(averages, grads, 0.01)
            norms = torch.stack(torch._foreach_norm(grads))
        return loss.detach(), norms

    return step, lambda i: (torch.randn(6, 4), torch.randn(6, 2)), [net, averages]


@program()
def search_for_a_learning_rate():
    """Smith 2017: the rate grows from batch to batch; then the weights are what they were."""
    net = nn.Sequential(nn.Linear(3, 8), nn.PReLU(), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=3.0)
    before = copy.deepcopy(net.state_dict())

    def step(x, y):
        loss = F.mse_loss(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        return loss.detach()

    return step, lambda i: (torch.randn(8, 3), torch.randn(8, 1)), [net, before]


@program(traces=2)
def induced_points_of_sets():
    """Lee et al. 2019: attention of learned points to a set, masked, and of queries to what comes out."""

    class Attend(nn.Module):
        def __init__(self, width, heads):
            super().__init__()
            self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
            self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
            self.rff = nn.Sequential(nn.Linear(width, width), nn.ReLU(inplace=True))

        def forward(self, q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:
            h, weights = self.attention(q, k, k, key_padding_mask=mask, need_weights=True)
            self.last = weights.detach()
            h = self.norms[0](q + h)
            return self.norms[1](h + self.rff(h))

    points, seeds = nn.Parameter(torch.randn(1, 3, 8) / 3), nn.Parameter(torch.randn(1, 2, 8) / 3)
    blocks = nn.ModuleList(Attend(8, 2) for _ in range(3))
    head = nn.Linear(16, 1)
    optimizer = torch.optim.Adam([points, seeds, *blocks.parameters(), *head.parameters()], lr=1e-3)

    def step(x, lengths, y):
        mask = torch.arange(x.size(1))[None, :] >= lengths[:, None]
        h = blocks[0](points.expand(x.size(0), -1, -1), x, mask)
        x = blocks[1](x, h)
        pooled = blocks[2](seeds.repeat(x.size(0), 1, 1), x, mask)
        loss = F.binary_cross_entropy_with_logits(head(pooled.flatten(1)).squeeze(-1), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), blocks[2].last

    def arguments(i):
        return torch.randn(3, 5, 8), torch.tensor([5, 2, 4]), torch.tensor([0.0, 1.0, i % 2])

    return step, arguments, [points, seeds, blocks, head, optimizer]


@program(traces=2)
def gradients_of_one_flat_buffer():
    """What data-parallel training does on each process: buckets, a mean over the group, a clipped step."""
    net = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, dampening=0.1)

    def flatten(tensors):
        return torch.cat([t.contiguous().view(-1) for t in tensors], dim=0)

    def unflatten(flat, tensors):
        sizes = [t.numel() for t in tensors]
        return tuple(part.view_as(t) for part, t in zip(flat.split(sizes), tensors, strict=True))

    def step(x, y):
        for micro_x, micro_y in zip(x.chunk(2), y.chunk(2), strict=True):
            (F.cross_entropy(net(micro_x), micro_y) / 2).backward()
        grads = [p.grad for p in net.parameters() if p.requires_grad]
        bucket = flatten(grads)
        bucket.div_(1)
        norm = bucket.norm()
        bucket *= torch.clamp(1.0 / (norm + 1e-6), max=1.0)
        for g, synced in zip(grads, unflatten(bucket, grads), strict=True):
            g.copy_(synced)
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        return norm

    return step, lambda i: (torch.randn(6, 5), torch.arange(6) % 3), [net, optimizer]


@program()
def super_resolution():
    """Shi et al. 2016: residual blocks, pixels from channels, a smooth loss over images and their edges."""

    class Residual(nn.Module):
        def __init__(self, n):
            super().__init__()
            self.body = nn.Sequential(
                nn.ReplicationPad2d(1), nn.Conv2d(n, n, 3), nn.InstanceNorm2d(n, affine=True), nn.PReLU(n),
                nn.Conv2d(n, n, 3, padding="same", padding_mode="reflect"),
            )  # fmt: skip

        def forward(self, x):
            return x + self.body(x).mul(0.1)

    net = nn.Sequential(
        nn.Conv2d(1, 4, 5, padding=2), Residual(4), Residual(4), nn.Conv2d(4, 4, 1), nn.PixelShuffle(2)
    )
    optimizer = torch.optim.RAdam(net.parameters(), lr=1e-3)
    sobel = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
    kernels = torch.stack([sobel, sobel.t()]).unsqueeze(1)

    def step(high):
        low = F.interpolate(high, scale_factor=0.5, mode="bicubic", align_corners=False, antialias=False)
        out = net(low) + F.interpolate(low, size=high.shape[-2:], mode="bilinear", align_corners=False)
        charbonnier = torch.sqrt((out - high) ** 2 + 1e-6).mean()
        edges = F.conv2d(F.pad(out - high, (1, 1, 1, 1), mode="reflect"), kernels).abs().mean()
        variation = (out.diff(dim=-1).abs().mean() + out.diff(dim=-2).abs().mean()) * 1e-2
        loss = charbonnier + 0.1 * edges + variation
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        psnr = 10 * torch.log10(1.0 / F.mse_loss(out.detach().clamp(0, 1), high))
        return loss.detach(), psnr

    return step, lambda i: (torch.rand(2, 1, 8, 8),), [net, optimizer]
