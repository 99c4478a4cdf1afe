"""vmap: axes, containers, randomness, modules, bad use."""

import pytest

import versant as vs
from versant import func, nn
from versant.nn import functional as F
from versant.testing import assert_close, assert_same


def test_axes_in_and_out():
    x, y = vs.randn(4, 3), vs.randn(3, 4)
    assert_close(func.vmap(vs.mul, in_dims=(0, 1))(x, y), x * y.T)
    assert_close(func.vmap(vs.mul, in_dims=(0, -1), out_dims=1)(x, y), (x * y.T).T)
    assert_close(func.vmap(vs.add, in_dims=(0, None))(x, x[0]), x + x[0])
    out = func.vmap(lambda a: (a, a.sum(), vs.ones(2)), out_dims=(1, 0, None))(x)
    assert out[0].shape == (3, 4)
    assert out[1].shape == (4,)
    assert out[2].shape == (2,)


def test_containers():
    tree = {"a": vs.randn(5, 2), "b": [vs.randn(2), vs.randn(2, 5)]}
    f = lambda t: {"s": t["a"] @ t["b"][0] + t["b"][1].sum()}  # noqa: E731
    dims = ({"a": 0, "b": [None, 1]},)
    found = func.vmap(f, in_dims=dims)(tree)["s"]
    expected = tree["a"] @ tree["b"][0] + tree["b"][1].sum(0)
    assert_close(found, expected)
    assert_close(func.vmap(lambda a, *, scale: a * scale)(vs.ones(3), scale=vs.arange(3.0)), [0.0, 1.0, 2.0])


def test_nested():
    x, y = vs.randn(3, 2), vs.randn(4, 2)
    outer = func.vmap(lambda a: func.vmap(lambda b: a @ b)(y))(x)
    assert_close(outer, x @ y.T)


def test_chunks():
    x = vs.randn(7, 3)
    whole = func.vmap(lambda a: (a.sum(), a * 2), out_dims=(0, 1))(x)
    for size in (1, 3, 7, 100):
        parts = func.vmap(lambda a: (a.sum(), a * 2), out_dims=(0, 1), chunk_size=size)(x)
        for got, want in zip(parts, whole, strict=True):
            assert_same(got, want)


def test_randomness():
    x = vs.ones(6, 50)
    vs.manual_seed(0)
    same = func.vmap(lambda a: F.dropout(a) + vs.randn(50), randomness="same")(x)
    assert all(vs.equal(same[0], row) for row in same)
    different = func.vmap(lambda a: F.dropout(a) + vs.randn(50), randomness="different")(x)
    assert not vs.equal(different[0], different[1])
    drawn = func.vmap(lambda a: vs.randn(4), randomness="different")(x)
    assert drawn.shape == (6, 4)
    assert len({float(row[0]) for row in drawn}) == 6
    permuted = func.vmap(lambda a: vs.randperm(20), randomness="different")(x)
    assert permuted.shape == (6, 20)
    assert not vs.equal(permuted[0], permuted[1])
    for draw in (lambda a: vs.rand(3), F.dropout, vs.bernoulli):
        with pytest.raises(RuntimeError, match="randomness"):
            func.vmap(draw)(vs.full((6, 5), 0.5))
    # Gradients see the same mask as values.
    vs.manual_seed(1)
    grads = func.vmap(func.grad(lambda a: F.dropout(a).sum()), randomness="different")(x)
    assert set(grads.unique().tolist()) == {0.0, 2.0}
    assert not vs.equal(grads[0], grads[1])


def test_gradients_per_sample():
    vs.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.LayerNorm(4 * 36), nn.Linear(4 * 36, 10)
    )
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    images, labels = vs.randn(5, 1, 8, 8), vs.randint(0, 10, (5,))

    def loss(parameters, image, label):
        logits = func.functional_call(model, parameters, (image.unsqueeze(0),))
        return F.cross_entropy(logits, label.unsqueeze(0))

    found = func.vmap(func.grad(loss), in_dims=(None, 0, 0))(parameters, images, labels)
    for i in range(5):
        one = func.grad(loss)(parameters, images[i], labels[i])
        for name, gradient in one.items():
            assert_close(found[name][i], gradient, 1e-5, name)


def test_ensembles():
    models = [nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)) for _ in range(3)]
    parameters, buffers = func.stack_module_state(models)
    x = vs.randn(6, 3)
    run = lambda p, b, x: func.functional_call(models[0], (p, b), (x,))  # noqa: E731
    found = func.vmap(run, in_dims=(0, 0, None))(parameters, buffers, x)
    for got, model in zip(found, models, strict=True):
        assert_close(got, model(x), 1e-5)
    parameters["0.weight"].grad = None
    found.sum().backward()
    assert parameters["0.weight"].grad.shape == (3, 4, 3)


def test_batch_norm_trains_side_by_side():
    models = [nn.BatchNorm1d(3) for _ in range(2)]
    parameters, buffers = func.stack_module_state(models)
    x = vs.randn(2, 8, 3)
    run = lambda p, b, x: (func.functional_call(models[0], (p, b), (x,)), b)  # noqa: E731
    found, after = func.vmap(run)(parameters, buffers, x)
    for i, model in enumerate(models):
        assert_close(found[i], model(x[i]), 1e-5)
        assert_close(after["running_mean"][i], model.running_mean, 1e-5)
        assert_close(after["running_var"][i], model.running_var, 1e-5)
    with pytest.raises(RuntimeError, match="vmap"):  # one running mean cannot take those of many samples
        func.vmap(nn.BatchNorm1d(3))(x)


def test_in_place():
    x = vs.arange(6.0).reshape(3, 2)

    def f(a):
        b = a.clone()
        b[0] += 1
        b.mul_(2)
        c = a.new_zeros(2)
        c[1] = a[0]
        return b, c

    found = func.vmap(f)(x)
    assert_close(found[0], [[2.0, 2.0], [6.0, 6.0], [10.0, 10.0]])
    assert_close(found[1], [[0.0, 0.0], [0.0, 2.0], [0.0, 4.0]])
    outside = vs.zeros(2)
    with pytest.raises(RuntimeError, match="without a batch"):
        func.vmap(lambda a: outside.add_(a))(x)
    assert_close(outside, [0.0, 0.0])


def test_indices_of_every_sample():
    x, i = vs.randn(3, 5, 4), vs.tensor([[0, 2], [4, 1], [3, 3]])
    assert_same(func.vmap(lambda a, i: a[i])(x, i), vs.stack([x[k][i[k]] for k in range(3)]))
    assert_same(func.vmap(lambda i: x[0][i])(i), vs.stack([x[0][row] for row in i]))
    j = i % 4
    assert_same(func.vmap(lambda a, j: a[:, j])(x, j), vs.stack([x[k][:, j[k]] for k in range(3)]))
    assert_same(func.vmap(lambda a: a[:, j[0]])(x), x[:, :, j[0]])
    index = func.vmap(lambda a, i: a.index_put((i,), vs.tensor(9.0)))(x, i)
    for k in range(3):
        expected = x[k].clone()
        expected[i[k]] = 9.0
        assert_same(index[k], expected)
    with pytest.raises((IndexError, RuntimeError), match="out of"):
        func.vmap(lambda a, i: F.embedding(i, a))(x, i + vs.tensor([[0], [0], [9]]))
    with pytest.raises((IndexError, RuntimeError), match="out of bounds"):
        func.vmap(lambda a, t: F.cross_entropy(a, t))(vs.randn(3, 2, 4), vs.tensor([[0, 1], [2, 3], [1, 4]]))


def test_compiled_functions_and_loops_inside():
    compiled = vs.compile(lambda a: a * 2 + 1)
    x = vs.arange(6.0).reshape(3, 2)
    compiled(x[0])  # a trace of one sample must not answer for all
    assert_same(func.vmap(compiled)(x), x * 2 + 1)
    assert_same(func.jvp(compiled, (x,), (x,))[1], x * 2)
    assert_same(vs.compile(func.vmap(compiled))(x), x * 2 + 1)

    def running(a):
        return vs.scan(lambda total, item: (total + item, total * item), vs.zeros(()), a)[1]

    expected = vs.stack([running(row) for row in x])
    assert_same(func.vmap(running)(x), expected)
    again = vs.compile(func.vmap(running))
    assert_same(again(x), expected)
    assert_same(again(x), expected)


def test_shows_all_samples():
    shown = []
    func.vmap(lambda a: shown.append(repr(a)) or a)(vs.tensor([1.0, 2.0]))
    assert "Batch(level=1" in shown[0]
    assert "[1., 2.]" in shown[0]


BAD = {
    "sizes": (lambda: func.vmap(vs.add)(vs.ones(3), vs.ones(4)), ValueError, r"sizes \[3, 4\]"),
    "axis": (lambda: func.vmap(vs.sin, in_dims=2)(vs.ones(3, 2)), ValueError, "in_dim=2"),
    "a number": (lambda: func.vmap(vs.add)(vs.ones(3), 2.0), ValueError, "type float"),
    "no axis": (lambda: func.vmap(vs.sin, in_dims=None), ValueError, "in_dims"),
    "nothing mapped": (
        lambda: func.vmap(vs.sin, in_dims=(None,))(vs.ones(3)),
        ValueError,
        "all of in_dims is None",
    ),
    "structure": (
        lambda: func.vmap(vs.sin, in_dims=(0, 0))(vs.ones(3)),
        ValueError,
        "2 entries for a tuple of 1",
    ),
    "without axes": (lambda: func.vmap(vs.sin)(vs.tensor(1.0)), ValueError, "without dimensions"),
    "branches": (lambda: func.vmap(lambda x: x if x > 0 else -x)(vs.ones(3)), RuntimeError, "where"),
    "item": (lambda: func.vmap(lambda x: x.item())(vs.ones(3)), RuntimeError, "vmap"),
    "a copy": (lambda: func.vmap(vs.tensor)(vs.ones(3, 2)), RuntimeError, "vmap"),
    "data": (
        lambda: func.vmap(lambda x: setattr(vs.zeros(2), "data", x))(vs.ones(3, 2)),
        RuntimeError,
        "vmap",
    ),
    "grad": (
        lambda: func.vmap(lambda x: setattr(vs.zeros(2), "grad", x))(vs.ones(3, 2)),
        RuntimeError,
        "vmap",
    ),
    "numpy": (lambda: func.vmap(lambda x: x.numpy())(vs.ones(3, 2)), RuntimeError, "vmap"),
    "tolist": (lambda: func.vmap(lambda x: x.tolist())(vs.ones(3, 2)), RuntimeError, "vmap"),
    "sizes that differ": (
        lambda: func.vmap(lambda x: x[x > 0])(vs.ones(3, 2)),
        RuntimeError,
        "size of the result",
    ),
    "no tensor": (lambda: func.vmap(lambda x: 3)(vs.ones(3)), ValueError, "return tensors"),
    "out_dims": (
        lambda: func.vmap(lambda x: x, out_dims=None)(vs.ones(3)),
        ValueError,
        "differs between samples",
    ),
    "out_dim": (lambda: func.vmap(lambda x: x, out_dims=3)(vs.ones(3)), IndexError, "out_dim=3"),
    "randomness": (lambda: func.vmap(vs.sin, randomness="maybe"), RuntimeError, "'maybe'"),
    "chunk_size": (lambda: func.vmap(vs.sin, chunk_size=0), ValueError, "chunk_size"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_use(case):
    call, kind, message = BAD[case]
    with pytest.raises(kind, match=message):
        call()
    assert vs._core.level_depth() == 0


@pytest.mark.parametrize("in_dims", [(0, 0), (0, None)])
def test_errors_of_products_show_one_sample(in_dims):
    b = vs.ones(5, 4, 3) if in_dims[1] == 0 else vs.ones(4, 3)
    with pytest.raises(vs.ShapeError, match=r"\(2, 3\) @ \(4, 3\)"):
        func.vmap(lambda a, b: a @ b, in_dims)(vs.ones(5, 2, 3), b)
    with pytest.raises(vs.ShapeError, match=r"matmul.*\(6,\).*\(7,\)"):
        func.vmap(lambda a, b: a @ b)(vs.ones(5, 6, 2, 3), vs.ones(5, 7, 3, 2))
