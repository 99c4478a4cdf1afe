"""Steps that take derivatives inside of themselves: along directions, of samples, of ensembles, of slopes."""

import copy

import versant as torch
import versant.nn.functional as F
from tests.compiler.programs.table import program
from versant import Tensor, nn
from versant.func import functional_call, grad, hessian, jvp, stack_module_state, vmap


def mlp(*widths):
    layers = []
    for i, (n, m) in enumerate(zip(widths, widths[1:])):
        layers += [nn.Tanh()] * (i > 0) + [nn.Linear(n, m)]
    return nn.Sequential(*layers)


@program()
def gradient_by_forward_derivative():
    """Baydin et al. 2022: a derivative along a random direction, times the direction; nothing goes back."""
    model = mlp(3, 5, 2)
    parameters = {name: p.detach().clone() for name, p in model.named_parameters()}

    def step(x, y):
        def loss_of(values):
            return F.mse_loss(functional_call(model, values, (x,)), y)

        direction = {name: torch.randn_like(p) for name, p in parameters.items()}
        loss, slope = jvp(loss_of, (parameters,), (direction,))
        for name, p in parameters.items():
            p.sub_(0.05 * slope * direction[name])
        return loss, slope

    return step, lambda i: (torch.randn(6, 3), torch.randn(6, 2)), [list(parameters.values())]


@program()
def dual_numbers():
    """The same by levels of dual numbers, with the curvature along the direction."""
    import versant.autograd.forward_ad as fwad

    weight = torch.randn(3, 2) * 0.5

    def step(x):
        direction = torch.randn_like(weight)
        with fwad.dual_level():
            dual = fwad.make_dual(weight, direction)
            loss = (x @ dual).tanh().square().mean()
            value, slope = fwad.unpack_dual(loss)
        weight.sub_(0.1 * slope * direction)
        return value, slope

    return step, lambda i: (torch.randn(4, 3),), [weight]


@program()
def forces_of_an_energy():
    """Satorras et al. 2021: an energy of distances; forces are its slope, trained through."""
    embed, edge, node, out = nn.Embedding(3, 4), mlp(9, 6, 4), mlp(8, 6, 4), mlp(4, 1)
    modules = nn.ModuleList([embed, edge, node, out])
    optimizer = torch.optim.AdamW(modules.parameters(), lr=1e-2, weight_decay=0.0)
    i, j = torch.triu_indices(4, 4, offset=1)
    source, target = torch.cat([i, j]), torch.cat([j, i])

    def step(kinds, positions, forces):
        positions = positions.detach().requires_grad_(True)
        h = embed(kinds)
        apart = positions[source] - positions[target]
        squared = apart.pow(2).sum(-1, keepdim=True)
        for _ in range(2):
            message = F.silu(edge(torch.cat([h[source], h[target], squared], -1)))
            h = h + node(torch.cat([h, torch.zeros_like(h).index_add(0, target, message)], -1))
        energy = out(h).sum()
        (slope,) = torch.autograd.grad(energy, positions, create_graph=True)
        loss = F.mse_loss(-slope, forces) + 0.01 * energy.square()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_value_(modules.parameters(), 1.0)
        optimizer.step()
        return energy.detach(), slope.detach(), loss.detach()

    return (
        step,
        lambda i: (torch.randint(0, 3, (4,)), torch.randn(4, 3), torch.randn(4, 3)),
        [modules, optimizer],
    )


@program()
def hamiltonian_network():
    """Greydanus et al. 2019: the field of a learned energy, followed by leapfrog steps with gradients."""
    energy = mlp(2, 8, 1)
    optimizer = torch.optim.Adam(energy.parameters(), lr=1e-2)

    def field(q, p):
        (dq, dp) = torch.autograd.grad(energy(torch.cat([q, p], -1)).sum(), (q, p), create_graph=True)
        return dp, -dq

    def step(q, p, q_after, p_after):
        q, p = q.clone().requires_grad_(), p.clone().requires_grad_()
        for _ in range(2):
            _, force = field(q, p)
            p = p + 0.05 * force
            speed, _ = field(q, p)
            q = q + 0.1 * speed
            _, force = field(q, p)
            p = p + 0.05 * force
        loss = (q - q_after).square().mean() + (p - p_after).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: tuple(torch.randn(5, 1) for _ in range(4)), [energy, optimizer]


@program()
def lagrangian_network():
    """Cranmer et al. 2020: accelerations by the Hessian of a learned Lagrangian, for each sample."""
    model = mlp(4, 6, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def acceleration(q, v):
        lagrangian = lambda s: F.softplus(model(s)).sum()  # noqa: E731
        state = torch.cat([q, v])
        h, slope = hessian(lagrangian)(state), grad(lagrangian)(state)
        mass = h[2:, 2:] + torch.eye(2)
        return torch.linalg.solve(mass, slope[:2] - h[2:, :2] @ v)

    def step(q, v, a):
        found = vmap(acceleration)(q, v)
        loss = F.smooth_l1_loss(found, a)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return found.detach(), loss.detach()

    return step, lambda i: tuple(torch.randn(3, 2) for _ in range(3)), [model, optimizer]


@program()
def continuous_flow():
    """Grathwohl et al. 2019: the trace of a Jacobian by one random vector, along a path."""
    model = mlp(3, 8, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)

    def field(t, z, noise):
        z = z if z.requires_grad else z.requires_grad_()
        dz = model(torch.cat([z, t.expand(len(z), 1)], 1))
        (along,) = torch.autograd.grad(dz, z, noise, create_graph=True)
        return dz, -(along * noise).sum(1)

    def step(x):
        z, density = x.clone().requires_grad_(), torch.zeros(len(x))
        noise = torch.randn_like(x).sign()
        h = 0.25
        for k in range(3):
            t = torch.tensor(k * h)
            k1, d1 = field(t, z, noise)
            k2, d2 = field(t + h / 2, z + h / 2 * k1, noise)
            k3, d3 = field(t + h, z + h * (2 * k2 - k1), noise)
            z = z + h / 6 * (k1 + 4 * k2 + k3)
            density = density + h / 6 * (d1 + 4 * d2 + d3)
        loss = -(-0.5 * z.square().sum(1) - density).mean()
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        return loss.detach(), norm

    return step, lambda i: (torch.randn(6, 2),), [model, optimizer]


@program()
def adjoint_of_a_path():
    """Chen et al. 2018: the way back is a path of its own, with nothing kept from the way there."""
    model = mlp(2, 6, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)

    class Path(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z, steps, *parameters):
            with torch.no_grad():
                for _ in range(steps):
                    z = z + model(z) / steps
            ctx.save_for_backward(z)
            ctx.steps = steps
            return z

        @staticmethod
        def backward(ctx, grad_output):
            (z,) = ctx.saved_tensors
            a, sums = grad_output, [torch.zeros_like(p) for p in model.parameters()]
            for _ in range(ctx.steps):
                with torch.enable_grad():
                    z = z.detach().requires_grad_(True)
                    dz = model(z)
                    back, *along = torch.autograd.grad(dz, (z, *model.parameters()), a)
                z = z - dz.detach() / ctx.steps
                a = a + back / ctx.steps
                sums = [s + g / ctx.steps for s, g in zip(sums, along)]
            return (a, None, *sums)

    def step(x, y):
        loss = F.mse_loss(Path.apply(x, 4, *model.parameters()), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randn(5, 2), torch.randn(5, 2)), [model, optimizer]


@program()
def particles_of_stein():
    """Liu and Wang 2016: particles follow the slope of a density and keep apart; the width is a median."""
    particles = torch.randn(7, 2)
    moments = torch.zeros(7, 2)

    def step(mean):
        x = particles.detach().requires_grad_(True)
        log_density = torch.logsumexp(-0.5 * (x[:, None] - mean).square().sum(-1), 1)
        (slope,) = torch.autograd.grad(log_density.sum(), x)
        apart = torch.cdist(x, x.detach()) ** 2
        width = apart.detach().flatten().median() / (2 * torch.log(torch.tensor(8.0)))
        kernel = (-apart / (2 * width)).exp()
        (push,) = torch.autograd.grad(kernel.sum(), x)
        phi = (kernel.detach() @ slope - push) / len(x)
        moments.mul_(0.9).addcmul_(phi, phi, value=0.1)
        particles.add_(0.1 * phi / (moments.sqrt() + 1e-6))
        return phi, width

    return step, lambda i: (torch.tensor([[1.0, 0.0], [-1.0, 0.5]]) * (1 + i / 10),), [particles, moments]


@program()
def ensemble_in_one_call():
    """Members' weights in a stack, one vmap over models and bootstrapped batches, then one update."""
    members = [mlp(3, 6, 1) for _ in range(4)]
    parameters, buffers = stack_module_state(members)
    base = copy.deepcopy(members[0])
    optimizer = torch.optim.Adam(list(parameters.values()), lr=1e-2)

    def step(x, y):
        def loss_of(values, kept, inputs, targets):
            return F.mse_loss(functional_call(base, (values, kept), (inputs,)), targets)

        index = torch.randint(0, len(x), (4, 5))
        losses = vmap(loss_of)(parameters, buffers, x[index], y[index])
        optimizer.zero_grad()
        losses.sum().backward()
        optimizer.step()
        with torch.no_grad():
            spread = vmap(lambda p, b: functional_call(base, (p, b), (x,)))(parameters, buffers).std(0)
        return losses.detach(), spread

    return step, lambda i: (torch.randn(8, 3), torch.randn(8, 1)), [list(parameters.values()), optimizer]


@program()
def elastic_weights():
    """Kirkpatrick et al. 2017: Fisher information by gradients of samples holds weights where they were."""
    model = mlp(4, 6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    fisher = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    anchor = {name: p.detach().clone() for name, p in model.named_parameters()}

    def log_likelihood(values, x, y):
        return F.log_softmax(functional_call(model, values, (x[None],)), -1)[0].gather(0, y[None]).squeeze()

    def step(x, y):
        values = {name: p.detach() for name, p in model.named_parameters()}
        slopes = vmap(grad(log_likelihood), in_dims=(None, 0, 0))(values, x, y)
        penalty = 0
        for name, p in model.named_parameters():
            fisher[name].lerp_(slopes[name].square().mean(0), 0.3)
            penalty = penalty + (fisher[name] * (p - anchor[name]) ** 2).sum()
        loss = F.cross_entropy(model(x), y) + 10 * penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), penalty.detach()

    return (
        step,
        lambda i: (torch.randn(6, 4), torch.randint(0, 3, (6,))),
        [model, list(fisher.values())],
    )


@program(traces=2)
def trust_region():
    """Schulman et al. 2015: conjugate gradients with Fisher products, a line search that keeps the best."""
    policy = mlp(3, 6, 2)
    parameters = list(policy.parameters())

    def surrogate(states, actions, gains, before):
        log_p = F.log_softmax(policy(states), -1)
        ratio = (log_p.gather(1, actions[:, None]).squeeze(1) - before).exp()
        return (ratio * gains).mean()

    def step(states, actions, gains):
        with torch.no_grad():
            old = F.log_softmax(policy(states), -1)
            before = old.gather(1, actions[:, None]).squeeze(1)
        slope = torch.cat(
            [
                g.reshape(-1)
                for g in torch.autograd.grad(surrogate(states, actions, gains, before), parameters)
            ]
        )

        def product(v):
            kl = (old.exp() * (old - F.log_softmax(policy(states), -1))).sum(1).mean()
            flat = torch.cat([g.reshape(-1) for g in torch.autograd.grad(kl, parameters, create_graph=True)])
            found = torch.autograd.grad(flat @ v, parameters)
            return torch.cat([g.contiguous().view(-1) for g in found]) + 0.1 * v

        x, r = torch.zeros_like(slope), slope.clone()
        p, rr = r.clone(), r @ r
        for _ in range(4):
            ap = product(p)
            alpha = rr / (p @ ap + 1e-8)
            x, r = x + alpha * p, r - alpha * ap
            new = r @ r
            p, rr = r + new / (rr + 1e-10) * p, new
        full = (2 * 0.01 / (x @ product(x) + 1e-8)).sqrt() * x
        with torch.no_grad():
            start = nn.utils.parameters_to_vector(parameters)
            best, gain = start.clone(), torch.tensor(0.0)
            for k in range(3):
                nn.utils.vector_to_parameters(start + full * 0.5**k, parameters)
                found = surrogate(states, actions, gains, before)
                better = found > gain
                best = torch.where(better, start + full * 0.5**k, best)
                gain = torch.where(better, found, gain)
            nn.utils.vector_to_parameters(best, parameters)
        return gain, slope

    return (
        step,
        lambda i: (torch.randn(8, 3), torch.randint(0, 2, (8,)), torch.randn(8)),
        [parameters],
    )


@program()
def invariant_risk():
    """Arjovsky et al. 2019: the slope of each environment's loss by a scale of one."""
    model = mlp(4, 6, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def step(environments, weight):
        losses, penalties = [], []
        for x, y in environments:
            scale = torch.ones((), requires_grad=True)
            loss = F.binary_cross_entropy_with_logits(model(x).squeeze(1) * scale, y)
            (slope,) = torch.autograd.grad(loss, [scale], create_graph=True)
            losses.append(loss)
            penalties.append(slope**2)
        loss = torch.stack(losses).mean() + weight * torch.stack(penalties).mean()
        loss = loss / weight if weight > 1 else loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), torch.stack(penalties).detach()

    def arguments(i):
        return [
            (torch.randn(5, 4), torch.randint(0, 2, (5,)).to(torch.get_default_dtype())) for _ in range(2)
        ], 3.0

    return step, arguments, [model, optimizer]


@program()
def few_shots_by_vmap():
    """Finn et al. 2017: two inner steps for each task at once, and the outer gradient through them."""
    model = mlp(1, 8, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def step(x_support, y_support, x_query, y_query):
        values = dict(model.named_parameters())

        def loss_of(values, x, y):
            return F.mse_loss(functional_call(model, values, (x,)), y)

        def adapted(xs, ys, xq, yq):
            fast = values
            for _ in range(2):
                slopes = grad(loss_of)(fast, xs, ys)
                fast = {name: p - 0.1 * slopes[name] for name, p in fast.items()}
            return loss_of(fast, xq, yq)

        losses = vmap(adapted)(x_support, y_support, x_query, y_query)
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()
        return losses.detach()

    return step, lambda i: tuple(torch.randn(3, 5, 1) for _ in range(4)), [model, optimizer]


@program()
def mirrors_of_gradients():
    """Ganin and Lempitsky 2015: a layer that turns gradients around, by a share that grows with the call."""

    class Reverse(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, share):
            ctx.share = share
            return x.view_as(x)

        @staticmethod
        def backward(ctx, grad):
            return -ctx.share * grad, None

    features, label, domain = mlp(4, 6, 5), mlp(5, 3), mlp(5, 4, 2)
    optimizer = torch.optim.SGD(
        [
            {"params": features.parameters()},
            {"params": label.parameters(), "lr": 0.2},
            {"params": domain.parameters()},
        ],
        lr=0.1,
        momentum=0.5,
    )

    def step(source, y, target):
        f = features(torch.cat([source, target]))
        loss = F.cross_entropy(label(f[: len(source)]), y, label_smoothing=0.1)
        domains = torch.cat([torch.zeros(len(source)), torch.ones(len(target))]).long()
        adversarial = F.cross_entropy(domain(Reverse.apply(f, 0.3)), domains)
        optimizer.zero_grad()
        (loss + adversarial).backward()
        optimizer.step()
        return {"loss": loss.detach(), "domain": adversarial.detach()}

    def arguments(i) -> tuple[Tensor, ...]:
        return torch.randn(4, 4), torch.randint(0, 3, (4,)), torch.randn(3, 4)

    return step, arguments, [features, label, domain, optimizer]
