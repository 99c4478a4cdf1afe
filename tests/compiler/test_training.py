"""Training steps compiled whole: each optimizer, scheduler and helper leaves what it leaves eagerly."""

import copy

import pytest
from compiler.comparison import bits, once

import versant as vs
from versant import nn, optim
from versant.nn import functional as F
from versant.nn.utils import parametrizations
from versant.optim import lr_scheduler as s
from versant.optim.swa_utils import AveragedModel, get_ema_avg_fn, get_ema_multi_avg_fn
from versant.utils.checkpoint import checkpoint

STEPS = 5


def network():
    return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Dropout(0.2), nn.Linear(8, 3))


def trained(make_step, compiled, make_network=network, threads=1, traces=1, change=None):
    """What `STEPS` steps leave behind.  make_step(model): the step, and what else is to be compared."""
    vs.manual_seed(3)
    model = make_network()
    step, others = make_step(model)
    function = vs.compile(step) if compiled else step
    before = vs.get_num_threads()
    vs.set_num_threads(threads)
    losses = []
    try:
        for i in range(STEPS):
            if change and i == 3:
                change(model)
            x, y = vs.randn(16, 6), vs.randint(0, 3, (16,))
            losses.append(bits(function(x, y)))
    finally:
        vs.set_num_threads(before)
    if compiled and traces:
        once(function, traces)
    gradients = [p.grad for p in model.parameters()]
    return (
        losses,
        bits([model.state_dict(), gradients, *(other.state_dict() for other in others)]),
        bits(vs.rand(3)),
    )


def agree(make_step, **options):
    assert trained(make_step, True, **options) == trained(make_step, False, **{**options, "traces": 0})


def plain(make_optimizer, make_scheduler=None):
    def make_step(model):
        optimizer = make_optimizer(model.parameters())
        scheduler = make_scheduler(optimizer) if make_scheduler else None

        def step(x, y):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
            return loss.detach()

        return step, [part for part in (optimizer, scheduler) if part is not None]

    return make_step


OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "SGD with all": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": lambda p: optim.Adam(p, lr=0.01),
    "Adam with all": lambda p: optim.Adam(p, lr=0.01, amsgrad=True, weight_decay=0.1, maximize=True),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01),
    "Adamax": lambda p: optim.Adamax(p, lr=0.01),
    "NAdam": lambda p: optim.NAdam(p, lr=0.01),
    "RAdam": lambda p: optim.RAdam(p, lr=0.01),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.1),
    "Adadelta": lambda p: optim.Adadelta(p),
    "Adafactor": lambda p: optim.Adafactor(p),
    "ASGD": lambda p: optim.ASGD(p, lr=0.1, t0=2),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.01, centered=True, momentum=0.5),
    "Rprop": lambda p: optim.Rprop(p, lr=0.01),
    "Muon": lambda p: optim.Muon([q for q in p if q.ndim == 2], lr=0.01),
}
ASIDE = {"Optimizer", "LBFGS", "Any"}  # LBFGS: see test_lbfgs_takes_a_compiled_closure


def test_the_tables_are_whole():
    kinds = {n for n, k in vars(optim).items() if isinstance(k, type) and issubclass(k, optim.Optimizer)}
    assert kinds - {name.split()[0] for name in OPTIMIZERS} - ASIDE == set()
    kinds = {n for n, k in vars(s).items() if isinstance(k, type) and issubclass(k, s.LRScheduler)}
    assert kinds - {name.split()[0] for name in SCHEDULERS} - {"LRScheduler", "_LRScheduler"} == set()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name):
    # Muon has the matrices alone: the gradients of the vectors are None at first, and then gather.
    agree(plain(OPTIMIZERS[name]), traces=2 if name == "Muon" else 1)


SCHEDULERS = {
    "LambdaLR": lambda o: s.LambdaLR(o, lambda t: 1 / (1 + t)),
    "MultiplicativeLR": lambda o: s.MultiplicativeLR(o, lambda t: 0.9),
    "StepLR": lambda o: s.StepLR(o, 2, 0.1),
    "MultiStepLR": lambda o: s.MultiStepLR(o, [1, 3], 0.5),
    "ConstantLR": lambda o: s.ConstantLR(o, 0.5, 2),
    "LinearLR": lambda o: s.LinearLR(o, 0.5, 1.0, 4),
    "ExponentialLR": lambda o: s.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda o: s.PolynomialLR(o, 4, 2.0),
    "CosineAnnealingLR": lambda o: s.CosineAnnealingLR(o, 4),
    "CosineAnnealingWarmRestarts": lambda o: s.CosineAnnealingWarmRestarts(o, 2),
    "CyclicLR": lambda o: s.CyclicLR(o, 0.01, 0.2, 2),
    "OneCycleLR": lambda o: s.OneCycleLR(o, 0.2, total_steps=STEPS + 1),
    "SWALR": lambda o: s.SWALR(o, 0.05, 2),
    "SequentialLR": lambda o: s.SequentialLR(o, [s.ConstantLR(o, 0.1, 2), s.ExponentialLR(o, 0.9)], [2]),
    "ChainedScheduler": lambda o: s.ChainedScheduler([s.ExponentialLR(o, 0.9), s.StepLR(o, 2)]),
    "ReduceLROnPlateau": lambda o: s.ReduceLROnPlateau(o, patience=0),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers(name):
    def make_step(model):
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        scheduler = SCHEDULERS[name](optimizer)

        def step(x, y):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            if isinstance(scheduler, s.ReduceLROnPlateau):
                scheduler.step(loss)
            else:
                scheduler.step()
            return loss.detach()

        return step, [optimizer, scheduler]

    agree(make_step)


def test_lbfgs_takes_a_compiled_closure():
    def run(compiled):
        vs.manual_seed(0)
        model = nn.Linear(6, 3)
        optimizer = optim.LBFGS(model.parameters(), lr=0.5, max_iter=4, line_search_fn="strong_wolfe")
        x, y = vs.randn(16, 6), vs.randint(0, 3, (16,))

        def closure():
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            return loss

        closure = vs.compile(closure) if compiled else closure
        losses = [bits(optimizer.step(closure).detach()) for _ in range(3)]
        return losses, bits([model.state_dict(), optimizer.state_dict()])

    assert run(True) == run(False)


class Momentum(optim.Optimizer):
    """An optimizer of a user, with numbers of its own."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @vs.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                state["step"] = state.get("step", 0) + 1
                state["mean"] = state.get("mean", 0) * 0.9 + p.grad
                p.add_(state["mean"], alpha=-group["lr"] / state["step"])


class Halving(s.LRScheduler):
    def get_lr(self):
        return [base * 0.5**self.last_epoch for base in self.base_lrs]


def test_optimizers_and_schedulers_of_users():
    agree(plain(lambda p: Momentum(p, 0.1), Halving))


def test_hooks_of_optimizers():
    def make(params):
        optimizer = optim.SGD(params, lr=0.1)
        optimizer.register_step_post_hook(
            lambda o, args, kwargs: o.param_groups[0].update(lr=0.5 * o.param_groups[0]["lr"])
        )
        return optimizer

    agree(plain(make))


@pytest.mark.parametrize("threads", [1, 2])
def test_threads(threads):
    agree(plain(OPTIMIZERS["AdamW"]), threads=threads)


# Around the step --------------------------------------------------------------------------------------------


def clipping(model):
    optimizer = optim.SGD(model.parameters(), lr=0.5)

    def step(x, y):
        optimizer.zero_grad(set_to_none=False)
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 0.2)
        nn.utils.clip_grad_value_(model.parameters(), 0.05)
        optimizer.step()
        return norm, norm > 0.2

    return step, [optimizer]


def averaging(average, **options):
    def make_step(model):
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        mean = AveragedModel(model, **{average: options.get("fn")} if average else {})

        def step(x, y):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            mean.update_parameters(model)
            return loss.detach()

        return step, [optimizer, mean]

    return make_step


def by_hand(model):
    """Weights and their average changed in place, a limit set by new data."""
    averages = [p.detach().clone() for p in model.parameters()]
    holder = nn.ParameterList(averages)

    def step(x, y):
        model.zero_grad()
        F.cross_entropy(model(x), y).backward()
        with vs.no_grad():
            for p, average in zip(model.parameters(), averages, strict=True):
                p -= 0.1 * p.grad
                average.mul_(0.9).add_(p, alpha=0.1)
        for p in model.parameters():
            p.data = p.data.clamp(-0.3, 0.3)
        for p in model.parameters():
            p.data.mul_(0.99)
        return averages[0] + 1

    return step, [holder]


def scaling(model):
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    scaler = vs.amp.GradScaler("cpu", init_scale=2.0**30, growth_interval=2)

    def step(x, y):
        optimizer.zero_grad()
        with vs.autocast("cpu", dtype=vs.bfloat16):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss * 1e30).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        return loss.detach()

    return step, [optimizer, scaler]


def accumulating(model):
    optimizer = optim.AdamW(model.parameters(), lr=0.01)

    def step(x, y):
        optimizer.zero_grad()
        total = 0
        for part, target in zip(x.split(4), y.split(4), strict=True):
            loss = F.cross_entropy(model(part), target) / 4
            loss.backward()
            total = total + loss.detach()
        optimizer.step()
        return total

    return step, [optimizer]


def recomputing(reentrant):
    def make_step(model):
        optimizer = optim.SGD(model.parameters(), lr=0.1)

        def step(x, y):
            optimizer.zero_grad()
            h = model[0](x)
            h = checkpoint(lambda h: model[3](model[2](model[1](h))), h, use_reentrant=reentrant)
            loss = F.cross_entropy(model[4](h), y)
            loss.backward()
            optimizer.step()
            return loss.detach(), vs.rand(2)

        return step, [optimizer]

    return make_step


def two_optimizers(model):
    critic = nn.Linear(3, 1)
    first, second = optim.Adam(model.parameters(), lr=0.01), optim.RMSprop(critic.parameters(), lr=0.01)

    def step(x, y):
        made = model(x)
        second.zero_grad()
        judged = critic(made.detach()).mean() - critic(vs.randn(16, 3)).mean()
        judged.backward()
        second.step()
        first.zero_grad()
        critic.requires_grad_(False)
        loss = -critic(made).mean()
        loss.backward()
        critic.requires_grad_(True)
        first.step()
        return judged.detach(), loss.detach()

    return step, [first, second, critic]


def deep_copies(model):
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step(x, y):
        optimizer.zero_grad()
        kept = copy.deepcopy(model[0].weight.detach())
        scale = vs.tensor(0.5)
        loss = (
            F.cross_entropy(model(x), y) * scale
            + (kept * model[0].weight).sum() * vs.tensor([0.1, 0.2]).sum()
        )
        loss.backward()
        optimizer.step()
        return loss.detach(), kept

    return step, [optimizer]


def penalty(model):
    """Gradients of gradients within the step."""
    optimizer = optim.Adam(model.parameters(), lr=0.01)

    def step(x, y):
        optimizer.zero_grad()
        x = x.detach().requires_grad_()
        loss = F.cross_entropy(model(x), y)
        (slope,) = vs.autograd.grad(loss, x, create_graph=True)
        total = loss + (slope.norm(dim=1) - 1).square().mean()
        total.backward()
        optimizer.step()
        return total.detach(), slope.detach(), x.grad

    return step, [optimizer]


def normalised(wrap):
    def make_network():
        return nn.Sequential(wrap(nn.Linear(6, 8)), nn.ReLU(), nn.Linear(8, 3))

    return make_network


class Squares(vs.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor):
        ctx.save_for_backward(x)
        ctx.factor = factor
        return x * x * factor

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * 2 * x * ctx.factor, None


def own_function(model):
    optimizer = optim.SGD(model.parameters(), lr=0.01)

    def step(x, y):
        optimizer.zero_grad()
        loss = Squares.apply(model(x), 0.5).sum()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, [optimizer]


def hooked(model):
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    model[0].weight.register_hook(lambda g: g * 0.5)
    model[4].register_forward_hook(lambda module, args, y: y * 2)
    model[0].bias.register_post_accumulate_grad_hook(lambda p: p.grad.mul_(3))

    def step(x, y):
        optimizer.zero_grad()
        h = model(x)
        h.register_hook(lambda g: g.clamp(-0.01, 0.01))
        h.retain_grad()
        loss = F.cross_entropy(h, y)
        loss.backward()
        optimizer.step()
        return loss.detach(), h.grad

    return step, [optimizer]


def complex_numbers(model):
    phase = vs.randn(6, dtype=vs.complex64).requires_grad_()
    optimizer = optim.Adam([phase, *model.parameters()], lr=0.01)

    def step(x, y):
        optimizer.zero_grad()
        spectrum = vs.fft.fft(x) * phase
        loss = F.cross_entropy(model(vs.fft.ifft(spectrum).real), y) + spectrum.abs().mean()
        loss.backward()
        optimizer.step()
        return loss.detach(), phase.detach() * 1

    return step, [optimizer]


def in_place(model):
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    seen = nn.ParameterList([nn.Parameter(vs.zeros(2, 3), requires_grad=False)])

    def step(x, y):
        optimizer.zero_grad()
        h = model(x)
        h[:, 1].mul_(2)
        h.view(-1)[::5] += 1
        h[h > 3] = 3.0
        part = h[2:4]
        part.relu_()
        seen[0][0].add_(h.detach().mean(0))
        seen[0].T[2] = seen[0][0, 0]
        loss = F.cross_entropy(h, y)
        loss.backward()
        optimizer.step()
        return loss.detach(), seen[0].clone()

    return step, [optimizer, seen]


def generators(model):
    generator = vs.Generator().manual_seed(5)

    def step(x, y):
        fixed = vs.Generator().manual_seed(1)
        noise = vs.randn(16, 6, generator=generator) + vs.rand(6, generator=fixed)
        order = vs.randperm(16, generator=generator)
        picked = vs.multinomial(F.softmax(model(x[order] + noise), 1), 1, generator=generator)
        flips = vs.bernoulli(vs.full((16,), 0.5), generator=generator)
        return picked, flips, vs.rand(2, generator=generator), vs.poisson(vs.ones(3))

    class Stand:
        def state_dict(self):
            return {"offset": generator.get_offset()}

    return step, [Stand()]


def seeded(model):
    def step(x, y):
        vs.manual_seed(11)
        first = vs.rand(3)
        state = vs.get_rng_state()
        second = F.dropout(x, 0.5)
        vs.set_rng_state(state)
        return first, second, F.dropout(x, 0.5), vs.bernoulli(vs.full((3,), 0.5))

    return step, []


def restored(model):
    def step(x, y):
        state = vs.get_rng_state()
        first = F.dropout(x, 0.5)
        vs.set_rng_state(state)
        return first, F.dropout(x, 0.5), vs.randperm(5)

    return step, []


def sized_by_values(model):
    def step(x, y):
        kept = x[y > 0]  # as many rows as there are
        return kept.sum(), kept.shape[0], vs.nonzero(y)[:2], y.unique()

    return step, []


PROGRAMS = {
    "clipping": clipping,
    "an average of models": averaging(None),
    "an exponential average": averaging("avg_fn", fn=get_ema_avg_fn(0.9)),
    "an exponential average in place": averaging("multi_avg_fn", fn=get_ema_multi_avg_fn(0.9)),
    "weights by hand": by_hand,
    "scaled gradients": scaling,
    "gradients in parts": accumulating,
    "recomputing": recomputing(False),
    "recomputing, reentrant": recomputing(True),
    "two optimizers": two_optimizers,
    "copies and constants": deep_copies,
    "a penalty of slopes": penalty,
    "a function with its own gradient": own_function,
    "hooks": hooked,
    "complex numbers": complex_numbers,
    "changes in place": in_place,
    "generators": generators,
    "a seed inside": seeded,
    "a state that is restored": restored,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name):
    # Gradients that are None at first are zeros later where they are not set to None.
    agree(PROGRAMS[name], traces=2 if name == "clipping" else 1)


@pytest.mark.parametrize("wrap", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_parametrized_weights(wrap):
    agree(plain(OPTIMIZERS["SGD"]), make_network=normalised(wrap))


def test_sizes_that_depend_on_values():
    agree(sized_by_values, traces=0)
