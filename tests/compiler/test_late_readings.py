"""Values of arguments that Python reads behind steps of optimizers and schedulers."""

import pytest
from compiler.comparison import bits

import versant as vs
from versant import nn

F = nn.functional


def training(reads, schedule=None):
    """A model, and a step that reads something in the end."""
    vs.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    optimizer = vs.optim.Adam(model.parameters(), lr=0.1)
    scheduler = schedule(optimizer) if schedule else None

    def step(x, y):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), vs.stack([y, y], 1).float())
        loss.backward()
        optimizer.step()
        if scheduler:
            scheduler.step()
        return loss.detach(), reads(model(x).detach(), x, y)

    return model, step


READS = {
    "a truth": lambda p, x, y: p * 2 if y.max() > 1 else p,
    "a number": lambda p, x, y: p[: int(y[0])],
    "a list": lambda p, x, y: y.tolist(),
    "a mask": lambda p, x, y: p[y > 0],
    "a size": lambda p, x, y: y.unique(),
    "a chain": lambda p, x, y: p * float((y * 2).sum().clamp(max=3)),
    "an assertion": lambda p, x, y: [p, *[F.one_hot(y, 3)] * bool((y >= 0).all())],
}
SCHEDULES = {
    "none": None,
    "steps": lambda o: vs.optim.lr_scheduler.StepLR(o, 1, 0.5),
    "several": lambda o: vs.optim.lr_scheduler.ChainedScheduler(
        [vs.optim.lr_scheduler.ConstantLR(o, 0.5, 1), vs.optim.lr_scheduler.ExponentialLR(o, 0.9)]
    ),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("reads", READS)
def test_an_argument_is_read_behind_a_step(reads, schedule):
    found = []
    for compiled in (False, True):
        model, step = training(READS[reads], SCHEDULES[schedule])
        step = vs.compile(step) if compiled else step
        vs.manual_seed(1)
        results = [step(vs.randn(3, 3), vs.tensor(y)) for y in ([1, 0, 2], [1, 0, 1], [1, 0, 2], [1, 0, 1])]
        found.append((bits(results), bits(list(model.parameters()))))
    assert found[0] == found[1]
    assert step.stats()["traces"] <= 2
    assert step.stats()["replays"] >= 2


@pytest.mark.parametrize("what", ["the parameter", "a buffer of the optimizer"])
def test_arguments_over_the_memory_of_what_a_step_changes(what):
    weight = vs.ones(2, requires_grad=True)
    weight.grad = vs.ones(2)
    optimizer = vs.optim.SGD([weight], lr=1.0, momentum=0.5)

    @vs.compile
    def step(x):
        optimizer.step()
        return x.sum().item()

    optimizer.step()
    for _ in range(3):
        assert step(vs.ones(2)) == 2.0
    assert step.stats()["replays"] == 2
    argument = weight.detach() if what == "the parameter" else optimizer.state[weight]["momentum_buffer"]
    with pytest.raises(RuntimeError, match=r"reads a value behind SGD.step"):
        step(argument)


CHANGED = {
    "it is changed in between": lambda w, o, x: (o.step(), x.add_(1), x.sum().item())[-1],
    "it is a parameter": lambda w, o, x: (o.step(), w.sum().item())[-1],
    "it depends on a parameter": lambda w, o, x: (o.step(), (w * x).sum().item())[-1],
}


@pytest.mark.parametrize("change", CHANGED)
def test_what_a_step_may_change_is_refused(change):
    weight = vs.ones(2, requires_grad=True)
    weight.grad = vs.ones(2)
    optimizer = vs.optim.SGD([weight], lr=1.0)
    words = r"reads a value behind SGD.step, which may have changed it .* read it before"
    with pytest.raises(RuntimeError, match=words):
        vs.compile(lambda x: CHANGED[change](weight, optimizer, x))(vs.ones(2))


def test_steps_of_which_nothing_is_known():
    weight = vs.ones(2, requires_grad=True)
    weight.grad = vs.ones(2)

    class Own(vs.optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {})

        def step(self):
            weight.data.sub_(weight.grad)

    optimizers = [Own([weight]), vs.optim.SGD([weight], lr=1.0), vs.optim.SGD([weight], lr=1.0)]
    optimizers[1].register_step_post_hook(lambda *args: None)
    scheduler = vs.optim.lr_scheduler.LambdaLR(optimizers[2], lambda epoch: 0.5)
    optimizers[2].step()
    for step in (optimizers[0].step, optimizers[1].step, scheduler.step):
        with pytest.raises(RuntimeError, match=r"reads a value behind .*step"):
            vs.compile(lambda x, step=step: (step(), x.sum().item())[1])(vs.ones(2))


def test_constants_may_be_read_behind_a_step():
    weight = vs.ones(3, requires_grad=True)
    optimizer = vs.optim.SGD([weight], lr=1.0)
    bounds = vs.compile(
        lambda: (optimizer.step(), weight.quantile(vs.tensor(0.5)), weight.quantile(0.25))[1:]
    )
    for n in range(3):
        weight.grad = vs.tensor([1.0, 2.0, 3.0])
        assert [float(x) for x in bounds()] == [-1 - 2 * n, -1.5 - 2.5 * n]
    assert bounds.stats()["replays"] == 2
    with pytest.raises(ValueError, match=r"\[quantile\] expected q between 0 and 1"):
        weight.quantile(1.5)


def test_a_parameter_that_has_moved_in_its_memory():
    weight = vs.ones(3)
    f = vs.compile(lambda: weight * 2)
    f()
    weight.data = vs.arange(6.0)[3:]
    assert f().tolist() == [6.0, 8.0, 10.0]
    assert "compiled again: float32[3] begins elsewhere in its memory" in f.explain()
