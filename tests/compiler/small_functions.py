"""Small compiled functions, each called until it has its branches: what the golden files show."""

import versant as vs
from versant import nn
from versant.nn import functional as F


def mlp_step_with_sgd():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = vs.optim.SGD(model.parameters(), lr=0.1)

    @vs.compile
    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    step(vs.ones(5, 4), vs.zeros(5, dtype=vs.int64))
    return step


def step_with_adam():
    weight = vs.ones(3, 2).requires_grad_()
    optimizer = vs.optim.Adam([weight], lr=0.1)

    @vs.compile
    def step(x):
        optimizer.zero_grad()
        ((x @ weight).tanh() ** 2).mean().backward()
        optimizer.step()

    step(vs.ones(5, 3))
    return step


def branches():
    @vs.compile
    def absolute(x, *, least=0.5):
        if x.sum() > 0:
            return x.clamp(min=least)
        return -x

    absolute(vs.ones(4))
    absolute(-vs.ones(4))
    return absolute


def view_and_in_place():
    @vs.compile
    def rotate(x):
        rows = x.t()
        rows[0] += 1
        x[:, 1:] = rows[:2].t() * 2
        return rows

    rotate(vs.ones(3, 3))
    return rotate


def random_dropout():
    @vs.compile
    def noisy(x):
        return F.dropout(x, 0.5) + vs.rand(3) * vs.randn(2, 3)

    noisy(vs.ones(2, 3))
    return noisy


def gradients_of_gradients():
    @vs.compile
    def curvature(x):
        x = x.detach().requires_grad_()
        (slope,) = vs.autograd.grad((x.sin() * x).sum(), x, create_graph=True)
        (bend,) = vs.autograd.grad(slope.sum(), x)
        return {"slope": slope.detach(), "bend": bend}

    curvature(vs.ones(6))
    return curvature


def softmax_chain():
    @vs.compile
    def attend(scores, mask):
        scores = scores * 0.125 + (1 - mask) * -1e4
        weights = (scores - scores.amax(-1, keepdim=True)).exp()
        return weights / weights.sum(-1, keepdim=True)

    attend(vs.ones(2, 5, 5), vs.ones(5, 5))
    return attend


def captured_state():
    state = {"mean": vs.zeros(3), "seen": vs.zeros(())}

    @vs.compile
    def update(batch):
        state["seen"].add_(1)
        state["mean"].lerp_(batch["x"].mean(0), 0.1)
        return (batch["x"] - state["mean"]) * vs.tensor([1.0, 2.0, 3.0])

    update({"x": vs.ones(4, 3), "name": "train"})
    return update


def result_with_history():
    layer = nn.Linear(3, 2)

    @vs.compile
    def forward(x):
        return layer(x).sigmoid(), x

    forward(vs.ones(4, 3).requires_grad_())
    return forward


class Double(vs.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * 2 + x * 0


def custom_function():
    @vs.compile
    def through(x):
        return Double.apply(x).exp()

    through(vs.ones(3).requires_grad_())
    return through


ALL = [
    mlp_step_with_sgd,
    step_with_adam,
    branches,
    view_and_in_place,
    random_dropout,
    gradients_of_gradients,
    softmax_chain,
    captured_state,
    result_with_history,
    custom_function,
]
