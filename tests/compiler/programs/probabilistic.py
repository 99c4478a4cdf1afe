"""Models that speak of distributions: evidence, counts, weights that are drawn, angles, policies."""

import math

import versant as torch
import versant.nn.functional as F
from tests.compiler.programs.table import program
from versant import distributions, nn
from versant.distributions import Beta, Dirichlet, Gamma, Independent, NegativeBinomial, Normal, StudentT
from versant.distributions.kl import kl_divergence


@program()
def evidential_regression():
    """Amini et al. 2020: a normal inverse gamma distribution over each target."""
    net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 4))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)

    def step(x, y):
        gamma, v, alpha, beta = net(x).chunk(4, dim=-1)
        v, alpha, beta = F.softplus(v), F.softplus(alpha) + 1.0, F.softplus(beta)
        two_beta = 2 * beta * (1 + v)
        nll = (
            0.5 * torch.log(math.pi / v)
            - alpha * torch.log(two_beta)
            + (alpha + 0.5) * torch.log(v * (y - gamma) ** 2 + two_beta)
            + torch.lgamma(alpha)
            - torch.lgamma(alpha + 0.5)
        )
        regularizer = (y - gamma).abs() * (2 * v + alpha)
        loss = (nll + 0.01 * regularizer).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        aleatoric = beta / (alpha - 1)
        return loss.detach(), aleatoric.mean().detach()

    return step, lambda i: (torch.randn(8, 4), torch.randn(8, 1)), [net, optimizer]


@program()
def prior_network():
    """Sensoy et al. 2018: evidence for classes, with a divergence to the uniform Dirichlet distribution."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(9, 12), nn.Tanh(), nn.Linear(12, 3))
    optimizer = torch.optim.RMSprop(net.parameters(), lr=1e-3)

    def step(x, target):
        alpha = F.softplus(net(x)) + 1
        y = F.one_hot(target, 3).to(alpha.dtype)
        s = alpha.sum(dim=1, keepdim=True)
        fit = (y * (torch.digamma(s) - torch.digamma(alpha))).sum(1)
        held = y + (1 - y) * alpha
        kl = kl_divergence(Dirichlet(held), Dirichlet(torch.ones_like(held)))
        loss = (fit + 0.1 * kl).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        uncertainty = 3 / s.detach().squeeze(1)
        return loss.detach(), uncertainty, Dirichlet(alpha.detach()).entropy()

    return step, lambda i: (torch.randn(6, 1, 3, 3), torch.arange(6) % 3), [net, optimizer]


@program()
def counts_of_cells():
    """Lopez et al. 2018: counts from a negative binomial decoder, a normal latent space."""

    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = nn.Sequential(nn.Linear(3, 10), nn.BatchNorm1d(10, momentum=0.01), nn.ReLU())
            self.scale = nn.Sequential(nn.Linear(10, 7), nn.Softmax(dim=-1))
            self.log_theta = nn.Parameter(torch.randn(7))

        def forward(self, z, library):
            mean = torch.exp(library) * self.scale(self.hidden(z))
            theta = self.log_theta.exp()
            return NegativeBinomial(total_count=theta, logits=(mean + 1e-8).log() - (theta + 1e-8).log())

    encoder, decoder = nn.Linear(7, 6), Decoder()
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-2, eps=0.01)

    def step(counts):
        mean, log_var = encoder(torch.log1p(counts)).chunk(2, -1)
        posterior = Normal(mean, torch.exp(0.5 * log_var) + 1e-4)
        z = mean + posterior.stddev * torch.randn_like(mean)
        library = counts.sum(-1, keepdim=True).log()
        reconstruction = -decoder(z, library).log_prob(counts).sum(-1)
        kl = kl_divergence(posterior, Normal(torch.zeros_like(mean), torch.ones_like(mean))).sum(-1)
        loss = torch.mean(reconstruction + 0.5 * kl)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def arguments(i):
        return (torch.randint(0, 9, (5, 7)).to(torch.get_default_dtype()) + 1,)

    return step, arguments, [encoder, decoder, optimizer]


@program(traces=2)
def weights_that_are_drawn():
    """Blundell et al. 2015: a distribution over weights, and a mixture as their prior."""

    class BayesLinear(nn.Module):
        def __init__(self, inputs, outputs):
            super().__init__()
            self.mu = nn.Parameter(torch.empty(outputs, inputs).uniform_(-0.2, 0.2))
            self.rho = nn.Parameter(torch.full((outputs, inputs), -5.0))
            self.register_buffer("zero", torch.zeros(outputs, inputs), persistent=False)

        def forward(self, x):
            sigma = torch.log1p(torch.exp(self.rho))
            w = self.mu + sigma * torch.randn_like(sigma)
            q = Normal(self.mu, sigma).log_prob(w).sum()
            wide, narrow = Normal(self.zero, 1.0).log_prob(w), Normal(self.zero, 0.1).log_prob(w)
            p = (torch.logaddexp(wide, narrow) + math.log(0.5)).sum()
            self.kl = q - p
            return F.linear(x, w)

    net = nn.Sequential(BayesLinear(3, 6), nn.Sigmoid(), BayesLinear(6, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-2, nesterov=True, momentum=0.9)

    def step(x, y):
        optimizer.zero_grad()
        losses = []
        for _ in range(2):
            out = net(x)
            kl = sum(layer.kl for layer in net if isinstance(layer, BayesLinear))
            losses.append(F.mse_loss(out, y, reduction="sum") + kl / 100)
        loss = torch.stack(losses).mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (torch.randn(4, 3), torch.randn(4, 2)), [net, optimizer]


@program()
def policy_on_an_interval():
    """Chou et al. 2017: actions of bounded joints from beta distributions, with their entropy."""
    body = nn.Sequential(nn.Linear(5, 16), nn.Tanh())
    heads = nn.ModuleDict({"alpha": nn.Linear(16, 2), "beta": nn.Linear(16, 2), "value": nn.Linear(16, 1)})
    optimizer = torch.optim.Adam([*body.parameters(), *heads.parameters()], lr=3e-3)

    def step(observation, action, advantage, old_log_prob):
        h = body(observation)
        policy = Independent(Beta(F.softplus(heads["alpha"](h)) + 1, F.softplus(heads["beta"](h)) + 1), 1)
        log_prob = policy.log_prob(action.clamp(1e-3, 1 - 1e-3))
        ratio = (log_prob - old_log_prob).exp()
        surrogate = torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
        value = heads["value"](h).squeeze(-1)
        loss = -surrogate.mean() + 0.5 * F.huber_loss(value, advantage) - 0.01 * policy.entropy().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([*body.parameters(), *heads.parameters()], 0.5)
        optimizer.step()
        return loss.detach(), policy.mean.detach(), policy.base_dist.mode.detach()

    def arguments(i):
        return torch.randn(6, 5), torch.rand(6, 2), torch.randn(6), torch.randn(6) * 0.1

    return step, arguments, [body, heads, optimizer]


@program()
def heavy_tails():
    """A robust regression whose noise is Student's, and a gamma distribution over its scale."""
    net = nn.Linear(3, 1)
    log_df, log_scale = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.Adamax([*net.parameters(), log_df, log_scale], lr=2e-2)

    def step(x, y):
        noise = StudentT(log_df.exp() + 2.0, net(x), log_scale.exp())
        prior = Gamma(torch.tensor(2.0), torch.tensor(1.0)).log_prob(log_scale.exp())
        loss = -(noise.log_prob(y).mean() + prior)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), noise.variance.detach().mean()

    return step, lambda i: (torch.randn(9, 3), torch.randn(9, 1) * 3), [net, optimizer]


@program()
def directions():
    """Angles by von Mises distributions: a mixture over heads, by its log likelihood."""
    net = nn.Sequential(nn.Linear(4, 10), nn.SiLU(), nn.Linear(10, 9))
    optimizer = torch.optim.NAdam(net.parameters(), lr=5e-3)

    def step(x, angle):
        loc, kappa, logits = net(x).reshape(-1, 3, 3).unbind(1)
        parts = distributions.VonMises(loc, F.softplus(kappa) + 0.05)
        log_prob = parts.log_prob(angle.unsqueeze(-1)) + F.log_softmax(logits, -1)
        loss = -torch.logsumexp(log_prob, dim=-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        best = loc.gather(1, logits.argmax(1, keepdim=True)).squeeze(1)
        return loss.detach(), torch.atan2(best.sin(), best.cos()).detach()

    return step, lambda i: (torch.randn(7, 4), torch.randn(7)), [net, optimizer]


@program()
def neighbour_embedding():
    """Van der Maaten and Hinton 2008: points in two dimensions with the neighbours of many dimensions."""
    y = nn.Parameter(torch.randn(10, 2) * 1e-2)
    optimizer = torch.optim.SGD([y], lr=10.0, momentum=0.5)

    def step(x):
        d = torch.cdist(x, x).pow(2)
        d.fill_diagonal_(float("inf"))
        p = F.softmax(-d / (2 * 1.5**2), dim=1)
        p = ((p + p.T) / (2 * x.size(0))).clamp_min(1e-12)
        q = 1 / (1 + torch.cdist(y, y).pow(2))
        q = q * (1 - torch.eye(x.size(0)))
        q = (q / q.sum()).clamp(min=1e-12)
        loss = torch.sum(p * (torch.log(p) - torch.log(q)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            y.sub_(y.mean(0, keepdim=True))
        return loss.detach()

    x = torch.randn(10, 5)
    return step, lambda i: (x,), [y]
