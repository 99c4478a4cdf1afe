"""More programs in the style of torch.func, as people write them for their research; see programs.py."""

from typing import Any

import numpy as np
from func.programs import PROGRAMS, fill, floats, mlp, program, state_of

__all__ = ["PROGRAMS"]


@program
def laplace_approximation(t: Any, wrapped: Any) -> Any:
    model = mlp(t, 2, 3, 1)
    parameters, _ = state_of(model)
    sizes = [p.numel() for p in parameters.values()]
    x, y, new = floats(t, 8, 2), floats(t, 8, 1, seed=1), floats(t, 4, 2, seed=2)

    def unravel(flat: Any) -> Any:
        parts = t.split(flat, sizes)
        return {k: p.view(v.shape) for (k, v), p in zip(parameters.items(), parts, strict=True)}

    def loss(flat: Any) -> Any:
        fit = (t.func.functional_call(model, unravel(flat), (x,)) - y).square().sum() / 2
        return fit + 0.5 * flat.square().sum()

    def predictive(flat: Any) -> Any:
        at_data = t.func.jacfwd(lambda p: t.func.functional_call(model, unravel(p), (x,)).squeeze(-1))(flat)
        precision = at_data.T @ at_data + t.eye(len(flat))
        jacobian = t.func.vmap(
            t.func.jacrev(lambda p, x: t.func.functional_call(model, unravel(p), (x,))), (None, 0)
        )(flat, new)[:, 0]
        factor = t.linalg.cholesky(precision)
        half = t.linalg.solve_triangular(factor, jacobian.T, upper=False)
        evidence = t.linalg.slogdet(precision)[1] - 2 * factor.diagonal().log().sum()
        return half.square().sum(0), t.func.hessian(loss)(flat), evidence

    return wrapped(predictive)(t.cat([p.flatten() for p in parameters.values()]))


@program
def private_training(t: Any, wrapped: Any) -> Any:
    model = mlp(t, 3, 5, 2)
    parameters, _ = state_of(model)
    x, y = floats(t, 8, 3), t.tensor(np.arange(8) % 2)
    noise = {k: floats(t, *p.shape, seed=30 + i) for i, (k, p) in enumerate(parameters.items())}

    def loss(p: Any, x: Any, y: Any) -> Any:
        return t.nn.functional.cross_entropy(t.func.functional_call(model, p, (x[None],)), y[None])

    def step(p: Any, state: Any, n: int) -> Any:
        grads = t.func.vmap(t.func.grad(loss), in_dims=(None, 0, 0))(p, x, y)
        norms = t.stack([g.flatten(1).norm(dim=1) for g in grads.values()]).norm(dim=0)
        factors = (1.0 / (norms + 1e-6)).clamp(max=1.0)
        new, moved = {}, {}
        for k, g in grads.items():
            g = t.einsum("n,n...->...", factors, g) + 0.1 * noise[k]
            moved[k] = 0.9 * state[k] + g / len(x)
            new[k] = p[k] - 0.5 * moved[k] / (1 + 0.01 * n)
        return new, moved

    state = {k: t.zeros_like(p) for k, p in parameters.items()}
    run = wrapped(lambda p, s: step(p, s, 0))
    return run(parameters, state)


@program
def an_ensemble_with_adam(t: Any, wrapped: Any) -> Any:
    models = [mlp(t, 2, 4, 1) for _ in range(3)]
    for i, model in enumerate(models):
        for p in model.parameters():
            p.data.mul_(1 + 0.2 * i)
    params, buffers = t.func.stack_module_state(models)
    params = {k: v.detach() for k, v in params.items()}
    x, y = floats(t, 3, 6, 2), floats(t, 6, 1, seed=9)

    def loss(p: Any, b: Any, x: Any) -> Any:
        return (t.func.functional_call(models[0], (p, b), (x,)) - y).square().mean()

    def train(p: Any, m: Any, v: Any) -> Any:
        losses = []
        for n in range(1, 4):
            grads, value = t.func.vmap(t.func.grad_and_value(loss))(p, buffers, x)
            m = {k: 0.9 * m[k] + 0.1 * g for k, g in grads.items()}
            v = {k: 0.99 * v[k] + 0.01 * g * g for k, g in grads.items()}
            p = {
                k: w - 0.01 * (m[k] / (1 - 0.9**n)) / ((v[k] / (1 - 0.99**n)).sqrt() + 1e-8)
                for k, w in p.items()
            }
            losses.append(value)
        return p, t.stack(losses)

    zeros = {k: t.zeros_like(w) for k, w in params.items()}
    return wrapped(train)(params, zeros, zeros)


@program
def implicit_differentiation(t: Any, wrapped: Any) -> Any:
    class FixedPoint(t.autograd.Function):  # type: ignore[misc, name-defined]
        """z = tanh(w z + x): the gradient solves a linear system at the fixed point (Bai et al. 2019)."""

        generate_vmap_rule = True

        @staticmethod
        def forward(w: Any, x: Any) -> Any:
            z = t.zeros_like(x)
            for _ in range(30):
                z = t.tanh(w @ z + x)
            return z

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(inputs[0], output)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            w, z = ctx.saved_tensors
            slope = 1 - z * z
            u = t.linalg.solve(t.eye(len(z)) - (slope[:, None] * w).T, g)
            return t.outer(u * slope, z), u * slope

    w, x = 0.3 * floats(t, 3, 3), floats(t, 4, 3, seed=1)

    def loss(w: Any, x: Any) -> Any:
        return FixedPoint.apply(w, x).square().sum()

    def everything(w: Any, x: Any) -> Any:
        by_sample = t.func.vmap(t.func.grad(loss, argnums=(0, 1)), (None, 0))(w, x)
        return by_sample, t.func.jacrev(lambda x: FixedPoint.apply(w, x))(x[0])

    return wrapped(everything)(w, x)


@program
def hutchinson_traces(t: Any, wrapped: Any) -> Any:
    model = mlp(t, 3, 6, 3)
    x = floats(t, 5, 3)
    probes = t.sign(floats(t, 8, 3, seed=4))

    def field(x: Any) -> Any:
        return model(x)

    def exact(x: Any) -> Any:
        return t.func.jacfwd(field)(x).diagonal().sum()

    def estimated(x: Any) -> Any:
        return t.func.vmap(lambda v: (t.func.jvp(field, (x,), (v,))[1] * v).sum())(probes).mean()

    def laplacian(x: Any) -> Any:
        energy = t.func.grad(lambda x: field(x).logsumexp(-1))
        return t.func.vmap(lambda v: (t.func.jvp(energy, (x,), (v,))[1] * v).sum())(probes).mean()

    def all_three(x: Any) -> Any:
        return tuple(t.func.vmap(f)(x).detach() for f in (exact, estimated, laplacian))

    return wrapped(all_three)(x)


@program
def natural_gradient(t: Any, wrapped: Any) -> Any:
    model = mlp(t, 3, 4, 3)
    parameters, _ = state_of(model)
    x, y = floats(t, 10, 3), t.tensor(np.arange(10) % 3)

    def logits(p: Any) -> Any:
        return t.func.functional_call(model, p, (x,))

    def dot(a: Any, b: Any) -> Any:
        return sum((a[k] * b[k]).sum() for k in a)

    def step(p: Any) -> Any:
        g = t.func.grad(lambda p: t.nn.functional.cross_entropy(logits(p), y))(p)
        _, pull = t.func.vjp(logits, p)

        def product(v: Any) -> Any:
            z, dz = t.func.jvp(logits, (p,), (v,))
            q = z.softmax(-1)
            (found,) = pull((q * (dz - (q * dz).sum(-1, keepdim=True))) / len(x))
            return {k: found[k] + 0.5 * v[k] for k in v}

        d = {k: t.zeros_like(v) for k, v in g.items()}
        r, s = dict(g), dict(g)
        for _ in range(3):  # conjugate gradients
            h = product(s)
            length = dot(r, r)
            alpha = length / dot(s, h)
            d = {k: d[k] + alpha * s[k] for k in d}
            r = {k: r[k] - alpha * h[k] for k in r}
            s = {k: r[k] + dot(r, r) / length * s[k] for k in s}
        return {k: p[k] - 0.1 * d[k] for k in p}

    return wrapped(step)(parameters)


@program
def sensitivities_of_an_ode(t: Any, wrapped: Any) -> Any:
    field = mlp(t, 2, 5, 2)
    parameters, _ = state_of(field)

    def solve(p: Any, y: Any) -> Any:
        f = lambda y: t.func.functional_call(field, p, (y,))  # noqa: E731
        for _ in range(4):  # Runge and Kutta's method of fourth order
            k1 = f(y)
            k2 = f(y + 0.05 * k1)
            k3 = f(y + 0.05 * k2)
            k4 = f(y + 0.1 * k3)
            y = y + 0.1 / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return y

    def all_of(p: Any, y: Any) -> Any:
        start = t.func.vmap(t.func.jacfwd(solve, argnums=1), (None, 0))(p, y)
        ones = {k: t.ones_like(v) for k, v in p.items()}
        value, along = t.func.jvp(lambda p: t.func.vmap(solve, (None, 0))(p, y), (p,), (ones,))
        back = t.func.grad(lambda p: t.func.vmap(solve, (None, 0))(p, y).square().mean())(p)
        return start, value, along, back

    return wrapped(all_of)(parameters, floats(t, 3, 2))


@program
def forward_derivatives_through_time(t: Any, wrapped: Any) -> Any:
    cell, head = fill(t, t.nn.LSTMCell(3, 4)), fill(t, t.nn.Linear(4, 2))
    parameters, _ = state_of(cell)

    def run(p: Any, xs: Any) -> Any:
        h, c = t.zeros(2, 4), t.zeros(2, 4)
        out = []
        for x in xs:
            h, c = t.func.functional_call(cell, p, (x, (h, c)))
            out.append(head(h))
        return t.stack(out)

    def derivatives(p: Any, xs: Any, vs: Any) -> Any:
        value, along = t.func.jvp(run, (p, xs), (p, vs))
        second = t.func.jvp(lambda xs: t.func.jvp(lambda x: run(p, x), (xs,), (vs,))[1], (xs,), (vs,))[1]
        return value.detach(), along.detach(), second.detach()

    return wrapped(derivatives)(parameters, floats(t, 5, 2, 3), floats(t, 5, 2, 3, seed=1))


@program
def a_differential_equation(t: Any, wrapped: Any) -> Any:
    model = mlp(t, 2, 6, 1)
    parameters, _ = state_of(model)
    points = floats(t, 7, 2)

    def u(p: Any, x: Any, time: Any) -> Any:
        return t.func.functional_call(model, p, (t.stack([x, time]),))[0]

    def residual(p: Any, point: Any) -> Any:
        x, time = point
        u_t = t.func.grad(u, argnums=2)(p, x, time)
        u_x = t.func.grad(u, argnums=1)
        u_xx = t.func.grad(u_x, argnums=1)(p, x, time)
        mixed = t.func.jacfwd(u_x, argnums=2)(p, x, time)
        return u_t + u(p, x, time) * u_x(p, x, time) - 0.1 * u_xx + 0.01 * mixed

    def loss(p: Any) -> Any:
        return t.func.vmap(residual, (None, 0))(p, points).square().mean()

    return wrapped(t.func.grad_and_value(loss))(parameters)


@program
def jacobians_in_chunks(t: Any, wrapped: Any) -> Any:
    model = mlp(t, 5, 7, 6)
    x = floats(t, 4, 5)

    def chunked(x: Any) -> Any:
        return (
            t.func.jacrev(model, chunk_size=4)(x[0]).detach(),
            t.func.jacrev(model, chunk_size=5)(x).detach(),
            t.func.vmap(t.func.jacrev(model), chunk_size=3)(x).detach(),
            t.func.vmap(t.func.hessian(lambda x: model(x).square().sum()), chunk_size=1)(x).detach(),
        )

    return wrapped(chunked)(x)


@program
def one_linearization_for_many_directions(t: Any, wrapped: Any) -> Any:
    model = mlp(t, 4, 5, 3)
    for p in model.parameters():
        p.requires_grad_(False)
    directions = floats(t, 6, 4, seed=3)

    def reuse(x: Any) -> Any:
        value, tangent = t.func.linearize(lambda x: model(x).softmax(-1), x)
        _, pull = t.func.vjp(lambda x: model(x).softmax(-1), x)
        rows = t.func.vmap(tangent)(directions)
        back = t.func.vmap(pull)(t.eye(3))[0]
        return value, rows, back, rows - directions @ back.T

    return wrapped(reuse)(floats(t, 4))


@program
def a_hamiltonian_network(t: Any, wrapped: Any) -> Any:
    model = mlp(t, 2, 6, 1)
    parameters, _ = state_of(model)
    state, target = floats(t, 5, 2), floats(t, 5, 2, seed=7)

    def energy(p: Any, z: Any) -> Any:
        return t.func.functional_call(model, p, (z,)).sum()

    def field(p: Any, z: Any) -> Any:
        dq, dp = t.func.grad(energy, argnums=1)(p, z).unbind(-1)
        return t.stack([dp, -dq], -1)

    def loss(p: Any) -> Any:
        z = state
        for _ in range(3):  # the midpoint method
            z = z + 0.1 * field(p, z + 0.05 * field(p, z))
        return (z - target).square().mean()

    return wrapped(t.func.grad_and_value(loss))(parameters)


@program
def randomness_by_mode(t: Any, wrapped: Any) -> Any:
    x = t.ones(4, 50)

    def noisy(x: Any) -> Any:
        return t.nn.functional.dropout(x, 0.5) + t.randn(50) * 0 + t.rand_like(x) * 0

    def drawn(x: Any) -> Any:
        same = t.func.vmap(noisy, randomness="same")(x)
        different = t.func.vmap(noisy, randomness="different")(x)
        values = t.func.vmap(lambda x: t.bernoulli(x * 0.5), randomness="different")(x)
        return (
            (same == same[:1]).all().float(),
            (different == different[:1]).all().float(),
            ((same == 0) | (same == 2)).all().float(),
            ((values == 0) | (values == 1)).all().float(),
        )

    return wrapped(drawn)(x)


@program
def a_penalty_on_jacobians(t: Any, wrapped: Any) -> Any:
    model = mlp(t, 3, 5, 2)
    parameters, _ = state_of(model)
    x = floats(t, 6, 3)

    def loss(p: Any) -> Any:
        f = lambda x: t.func.functional_call(model, p, (x,))  # noqa: E731
        jacobians = t.func.vmap(t.func.jacrev(f))(x)
        spectral = t.linalg.matrix_norm(jacobians, 2)
        return jacobians.square().sum((1, 2)).mean() + spectral.max(), f(x)

    return wrapped(t.func.grad_and_value(loss, has_aux=True))(parameters)


@program
def rates_that_are_learned(t: Any, wrapped: Any) -> Any:
    model = mlp(t, 1, 5, 1)
    parameters, _ = state_of(model)
    rates = {k: t.full((), 0.1) for k in parameters}
    x, y = floats(t, 4, 6, 1), floats(t, 4, 6, 1, seed=2)

    def loss(p: Any, x: Any, y: Any) -> Any:
        return (t.func.functional_call(model, p, (x,)) - y).square().mean()

    def adapted(p: Any, rates: Any, x: Any, y: Any) -> Any:
        for _ in range(2):
            g = t.func.grad(loss)(p, x[:3], y[:3])
            p = {k: p[k] - rates[k] * g[k] for k in p}
        return loss(p, x[3:], y[3:])

    def outer(p: Any, rates: Any) -> Any:
        return t.func.vmap(adapted, (None, None, 0, 0))(p, rates, x, y).mean()

    return wrapped(t.func.grad_and_value(outer, argnums=(0, 1)))(parameters, rates)


@program
def densities_under_a_flow(t: Any, wrapped: Any) -> Any:
    model = mlp(t, 3, 6, 3)
    parameters, _ = state_of(model)

    def density(p: Any, x: Any) -> Any:
        f = lambda x: x + 0.3 * t.func.functional_call(model, p, (x,)).tanh()  # noqa: E731
        jacobian, z = t.func.jacfwd(lambda x: (f(x), f(x)), has_aux=True)(x)
        return -0.5 * z.square().sum() + t.linalg.slogdet(jacobian).logabsdet

    def loss(p: Any, x: Any) -> Any:
        return -t.func.vmap(density, (None, 0))(p, x).mean()

    return wrapped(t.func.grad_and_value(loss))(parameters, floats(t, 5, 3))


@program
def matching_scores(t: Any, wrapped: Any) -> Any:
    model = mlp(t, 2, 6, 1)
    parameters, _ = state_of(model)

    def energy(p: Any, x: Any) -> Any:
        return t.func.functional_call(model, p, (x,)).squeeze() + 0.5 * x.square().sum()

    def one(p: Any, x: Any) -> Any:
        score = t.func.grad(energy, argnums=1)(p, x)
        return 0.5 * score.square().sum() - t.func.hessian(energy, argnums=1)(p, x).diagonal().sum()

    def loss(p: Any, x: Any) -> Any:
        return t.func.vmap(one, (None, 0))(p, x).mean()

    return wrapped(t.func.grad_and_value(loss))(parameters, floats(t, 6, 2))
