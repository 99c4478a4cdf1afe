"""Programs in the style of torch.func: each takes torch, or what stands for it, and gives tensors.

Weights and inputs are numpy's. `wrapped` is what is done to functions that compute: nothing, or vs.compile.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

PROGRAMS: dict[str, Callable[[Any, Any], Any]] = {}


def program(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    PROGRAMS[function.__name__] = function
    return function


def floats(t: Any, *shape: int, seed: int = 0, scale: float = 1.0) -> Any:
    return t.tensor((np.random.RandomState(seed).normal(0, scale, shape)).astype(np.float32))


def fill(t: Any, model: Any, scale: float = 0.3) -> Any:
    for i, p in enumerate(model.parameters()):
        p.data.copy_(floats(t, *p.shape, seed=i, scale=scale))
    return model


def state_of(model: Any) -> tuple[Any, Any]:
    return (
        {name: p.detach() for name, p in model.named_parameters()},
        {name: b.detach() for name, b in model.named_buffers()},
    )


def mlp(t: Any, *widths: int) -> Any:
    layers: list[Any] = []
    for i, (n, m) in enumerate(itertools.pairwise(widths)):
        layers += [t.nn.Tanh()] * (i > 0) + [t.nn.Linear(n, m)]
    return fill(t, t.nn.Sequential(*layers), 0.5)


@program
def per_sample_gradients_of_a_convnet(t: Any, wrapped: Any) -> Any:
    nn, f = t.nn, t.nn.functional
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, groups=2),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4, 3),
    )
    fill(t, model)
    model[1].running_mean.copy_(floats(t, 4, seed=40))
    model[1].running_var.copy_(floats(t, 4, seed=41).abs() + 0.5)
    model.eval()
    parameters, buffers = state_of(model)
    labels = t.tensor(np.array([0, 2, 1, 1, 0]))

    def loss(parameters: Any, buffers: Any, x: Any, y: Any) -> Any:
        logits = t.func.functional_call(model, (parameters, buffers), (x.unsqueeze(0),))
        return f.cross_entropy(logits, y.unsqueeze(0))

    gradients = t.func.vmap(t.func.grad(loss), in_dims=(None, None, 0, 0))
    return wrapped(gradients)(parameters, buffers, floats(t, 5, 1, 8, 8), labels)


@program
def clipped_per_sample_gradients(t: Any, wrapped: Any) -> Any:
    model = mlp(t, 4, 6, 2)
    parameters, _ = state_of(model)

    def clipped(parameters: Any, x: Any, y: Any) -> Any:
        def loss(p: Any) -> Any:
            return ((t.func.functional_call(model, p, (x,)) - y) ** 2).mean()

        grads, value = t.func.grad_and_value(loss)(parameters)
        norm = t.stack([g.norm() for g in grads.values()]).norm()
        return {k: g * (0.5 / norm).clamp(max=1.0) for k, g in grads.items()}, value

    many = t.func.vmap(clipped, in_dims=(None, 0, 0), chunk_size=3)

    def private(parameters: Any, x: Any, y: Any) -> Any:
        grads, values = many(parameters, x, y)
        return {k: g.mean(0) for k, g in grads.items()}, values

    return wrapped(private)(parameters, floats(t, 8, 4), floats(t, 8, 2, seed=1))


@program
def an_ensemble(t: Any, wrapped: Any) -> Any:
    models = [fill(t, mlp(t, 3, 5, 2), 0.1 * (i + 1)) for i in range(4)]
    parameters, buffers = t.func.stack_module_state(models)
    parameters = {k: v.detach() for k, v in parameters.items()}
    base = models[0]

    def call(p: Any, b: Any, x: Any) -> Any:
        return t.func.functional_call(base, (p, b), (x,))

    x = floats(t, 6, 3)

    def together(p: Any, x: Any) -> Any:
        def loss(p: Any, x: Any) -> Any:
            return call(p, buffers, x).square().sum()

        own = t.func.vmap(call, in_dims=(0, 0, None))(p, buffers, x)
        parts = t.func.vmap(call)(p, buffers, x.unsqueeze(0).expand(4, 6, 3))
        trained = t.func.vmap(t.func.grad(loss), in_dims=(0, None))(p, x)
        return own, parts, trained

    return wrapped(together)(parameters, x)


@program
def maml(t: Any, wrapped: Any) -> Any:
    model = mlp(t, 1, 8, 8, 1)
    parameters, _ = state_of(model)

    def predict(p: Any, x: Any) -> Any:
        return t.func.functional_call(model, p, (x,))

    def task(p: Any, x1: Any, y1: Any, x2: Any, y2: Any) -> Any:
        for _ in range(2):
            grads = t.func.grad(lambda q: ((predict(q, x1) - y1) ** 2).mean())(p)
            p = {k: p[k] - 0.1 * grads[k] for k in p}
        return ((predict(p, x2) - y2) ** 2).mean()

    def meta(p: Any, *tasks: Any) -> Any:
        return t.func.vmap(lambda *one: task(p, *one))(*tasks).mean()

    tasks = [floats(t, 3, 5, 1, seed=i) for i in range(4)]
    return wrapped(t.func.grad_and_value(meta))(parameters, *tasks)


@program
def hessian_vector_products(t: Any, wrapped: Any) -> Any:
    model = mlp(t, 3, 5, 1)
    parameters, _ = state_of(model)
    x = floats(t, 7, 3)

    def loss(p: Any) -> Any:
        return t.func.functional_call(model, p, (x,)).square().mean()

    along = {k: floats(t, *v.shape, seed=9) for k, v in parameters.items()}

    def products(p: Any, v: Any) -> Any:
        forward_over_reverse = t.func.jvp(t.func.grad(loss), (p,), (v,))[1]
        _, back = t.func.vjp(t.func.grad(loss), p)
        reverse_over_reverse = back(v)[0]
        reverse_over_forward = t.func.grad(lambda p: t.func.jvp(loss, (p,), (v,))[1])(p)
        return forward_over_reverse, reverse_over_reverse, reverse_over_forward

    return wrapped(products)(parameters, along)


@program
def vjp_of_jvp(t: Any, wrapped: Any) -> Any:
    w = floats(t, 4, 3)

    def f(x: Any) -> Any:
        return t.tanh(w @ x) * x.sum()

    def both(x: Any, v: Any, u: Any) -> Any:
        value, back = t.func.vjp(lambda x: t.func.jvp(f, (x,), (v,))[1], x)
        third = t.func.jvp(
            lambda x: t.func.jvp(lambda x: t.func.jvp(f, (x,), (v,))[1], (x,), (v,))[1], (x,), (v,)
        )
        return value, back(u), third

    return wrapped(both)(floats(t, 3), floats(t, 3, seed=1), floats(t, 4, seed=2))


@program
def jacobians_of_jacobians(t: Any, wrapped: Any) -> Any:
    func = t.func
    w = floats(t, 2, 3)

    def f(x: Any) -> Any:
        return t.sin(w @ x) * t.exp(-x.norm())

    def all_four(x: Any) -> Any:
        kinds = (func.jacfwd, func.jacrev)
        return [outer(inner(f))(x) for outer in kinds for inner in kinds]

    many = func.vmap(func.hessian(lambda x: f(x).sum()))
    return wrapped(all_four)(floats(t, 3)), wrapped(many)(floats(t, 4, 3))


@program
def linearized(t: Any, wrapped: Any) -> Any:
    w = floats(t, 5, 4)

    def both(x: Any, vs: Any) -> Any:
        value, push = t.func.linearize(lambda x: t.sigmoid(w @ x).cumsum(0), x)
        return value, push(vs[0]), t.func.vmap(push)(vs)

    return wrapped(both)(floats(t, 4), floats(t, 3, 4, seed=1))


@program
def tangent_kernel(t: Any, wrapped: Any) -> Any:
    model = mlp(t, 4, 8, 3)
    parameters, _ = state_of(model)

    def single(p: Any, x: Any) -> Any:
        return t.func.functional_call(model, p, (x.unsqueeze(0),)).squeeze(0)

    def by_jacobians(p: Any, x1: Any, x2: Any) -> Any:
        def rows(x: Any) -> Any:
            found = t.func.vmap(t.func.jacrev(single), (None, 0))(p, x)
            return [j.flatten(2) for j in found.values()]

        return sum(t.einsum("Naf,Mbf->NMab", a, b) for a, b in zip(rows(x1), rows(x2), strict=True))

    def by_products(p: Any, x1: Any, x2: Any) -> Any:
        def one(x1: Any, x2: Any) -> Any:
            def product(v: Any) -> Any:
                _, back = t.func.vjp(lambda q: single(q, x2), p)
                return t.func.jvp(lambda q: single(q, x1), (p,), back(v))[1]

            return t.func.vmap(product)(t.eye(3))

        return t.func.vmap(t.func.vmap(one, (None, 0)), (0, None))(x1, x2)

    x1, x2 = floats(t, 3, 4), floats(t, 2, 4, seed=1)
    return wrapped(by_jacobians)(parameters, x1, x2), wrapped(by_products)(parameters, x1, x2)


@program
def functions_with_derivatives_of_their_own(t: Any, wrapped: Any) -> Any:
    class Cube(t.autograd.Function):  # type: ignore[misc, name-defined]
        generate_vmap_rule = True

        @staticmethod
        def forward(x: Any) -> Any:
            return x**3

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(inputs[0])
            ctx.save_for_forward(inputs[0])

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return 3 * x * x * g

        @staticmethod
        def jvp(ctx: Any, v: Any) -> Any:
            (x,) = ctx.saved_tensors
            return 3 * x * x * v

    def all_of_it(x: Any, v: Any) -> Any:
        cube = Cube.apply
        total = lambda x: cube(x).sum()  # noqa: E731
        return (
            t.func.vmap(t.func.grad(total))(x),
            t.func.grad(lambda x: t.func.grad(total)(x).sum())(x),
            t.func.jacrev(cube)(x[0]),
            t.func.vmap(lambda x: cube(x) * 2)(x),
        )

    return wrapped(all_of_it)(floats(t, 4, 3), floats(t, 4, 3, seed=1))


@program
def many_axes(t: Any, wrapped: Any) -> Any:
    vmap = t.func.vmap
    a, b = floats(t, 2, 3, 4), floats(t, 4, 3, seed=1)
    places = t.tensor(np.array([1, 0]))

    def nested(a: Any, b: Any) -> Any:
        dots = vmap(vmap(t.dot, (0, 0)), (None, 1), out_dims=1)(b.T, t.stack([b.T, b.T * 2], 1))
        containers = vmap(
            lambda d: {"sum": d["a"].sum(), "both": (d["a"] + d["b"], d["b"])}, in_dims=({"a": 2, "b": 0},)
        )({"a": a, "b": b})
        moved = vmap(lambda x, y: x * y, in_dims=(2, 0), out_dims=-1)(a, b)
        sorted_ = vmap(lambda x: t.sort(x, -1))(a)
        gathered = vmap(lambda x, i: x[i])(a, places)
        masked = vmap(lambda x: t.where(x > 0, x, x.exp()))(a)
        index = vmap(lambda x: x.argmax(-1))(a)
        written = vmap(lambda x: x.clone().index_fill_(0, places[:1], 5.0))(a)
        return dots, containers, moved, list(sorted_), gathered, masked, index, written

    return wrapped(nested)(a, b)


@program
def attention_by_sample(t: Any, wrapped: Any) -> Any:
    f = t.nn.functional
    q, k, v = (floats(t, 3, 2, 5, 4, seed=i) for i in range(3))

    def one(q: Any, k: Any, v: Any) -> Any:
        return f.scaled_dot_product_attention(q, k, v, is_causal=True).square().sum()

    def normed(x: Any) -> Any:
        x = f.layer_norm(x, (4,)) + f.gelu(x)
        return f.log_softmax(x, -1).max()

    by_sample = t.func.vmap(t.func.grad(one, argnums=(0, 1, 2)))
    return wrapped(by_sample)(q, k, v), wrapped(t.func.vmap(t.func.grad(normed)))(q[:, 0])


@program
def influence_and_gauss_newton(t: Any, wrapped: Any) -> Any:
    model = mlp(t, 3, 4, 2)
    parameters, _ = state_of(model)
    names = list(parameters)
    x, y = floats(t, 6, 3), t.tensor(np.array([0, 1, 1, 0, 1, 0]))

    def logits(p: Any, x: Any) -> Any:
        return t.func.functional_call(model, p, (x,))

    def product(p: Any, v: Any) -> Any:
        value, slope = t.func.jvp(lambda q: logits(q, x), (p,), (v,))
        weighted = t.func.jvp(t.func.grad(lambda z: t.nn.functional.cross_entropy(z, y)), (value,), (slope,))[
            1
        ]
        return t.func.vjp(lambda q: logits(q, x), p)[1](weighted)[0]

    def fisher(p: Any) -> Any:
        def loss(q: Any, x: Any, y: Any) -> Any:
            return t.nn.functional.cross_entropy(logits(q, x.unsqueeze(0)), y.unsqueeze(0))

        grads = t.func.vmap(t.func.grad(loss), (None, 0, 0))(p, x, y)
        return sum(g.flatten(1) @ g.flatten(1).T for g in grads.values())

    along = {k: floats(t, *parameters[k].shape, seed=i) for i, k in enumerate(names)}
    return wrapped(product)(parameters, along), wrapped(fisher)(parameters)


@program
def recurrent_and_loops(t: Any, wrapped: Any) -> Any:
    parameters = {"x": floats(t, 12, 3), "h": floats(t, 12, 4, seed=1), "b": floats(t, 12, seed=2)}

    def unrolled(p: Any, xs: Any) -> Any:
        h = t.zeros(4)
        for x in xs:
            r, z, n = (p["x"] @ x + p["b"]).chunk(3)
            hr, hz, hn = (p["h"] @ h).chunk(3)
            z = t.sigmoid(z + hz)
            h = (1 - z) * t.tanh(n + t.sigmoid(r + hr) * hn) + z * h
        return h.sum()

    value = t.func.vmap(t.func.grad_and_value(unrolled), (None, 0))
    return wrapped(value)(parameters, floats(t, 5, 6, 3))


@program
def auxiliary_results(t: Any, wrapped: Any) -> Any:
    func = t.func

    def f(x: Any, y: Any) -> Any:
        z = x * y
        return z.sum() ** 2, {"z": z, "n": y.norm()}

    def everything(x: Any, y: Any) -> Any:
        return (
            func.grad(f, argnums=(0, 1), has_aux=True)(x, y),
            func.grad_and_value(f, argnums=1, has_aux=True)(x, y),
            func.jacrev(lambda x: (x * y, x.sum()), has_aux=True)(x),
            func.jacfwd(lambda x, y: (x * y, x.sum()), argnums=(0, 1), has_aux=True)(x, y),
            func.vjp(lambda x: (x * y, y), x, has_aux=True)[::2],
            func.jvp(lambda x: (x * y, y), (x,), (y,), has_aux=True),
            func.vmap(func.grad(f, has_aux=True), chunk_size=2)(t.stack([x, y, x]), t.stack([y, y, x])),
        )

    return wrapped(everything)(floats(t, 3), floats(t, 3, seed=1))


def flat(found: Any) -> list[Any]:
    """The tensors among results, in order, as arrays."""
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, list | tuple):
        return [item for part in found for item in flat(part)]
    return [np.asarray(found.detach().numpy())]
