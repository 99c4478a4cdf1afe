"""Distributions by their moments and quantiles; keywords and bad arguments of everything that draws."""

import math

import numpy as np
import pytest

import versant as vs

N = 200_000


def filled(name, *args, dtype=vs.float64, **kwargs):
    generator = vs.Generator().manual_seed(1)
    return getattr(vs.zeros(N, dtype=dtype), name)(*args, generator=generator, **kwargs).numpy()


# A fill, and its distribution function.
CONTINUOUS = {
    "exponential_": ((2.0,), lambda x: 1 - np.exp(-2 * x)),
    "cauchy_": ((1.0, 3.0), lambda x: 0.5 + np.arctan((x - 1) / 3) / np.pi),
    "log_normal_": (
        (0.5, 0.7),
        lambda x: 0.5 + 0.5 * np.vectorize(math.erf)((np.log(x) - 0.5) / 0.7 / 2**0.5),
    ),
    "uniform_": ((-1.0, 3.0), lambda x: (x + 1) / 4),
    "normal_": ((1.0, 2.0), lambda x: 0.5 + 0.5 * np.vectorize(math.erf)((x - 1) / 2 / 2**0.5)),
}


@pytest.mark.parametrize("dtype", [vs.float64, vs.float32])
@pytest.mark.parametrize("name", CONTINUOUS)
def test_distribution(name, dtype):
    """The greatest distance to the distribution function (Kolmogorov) is that of a fair sample."""
    args, distribution = CONTINUOUS[name]
    draws = np.sort(filled(name, *args, dtype=dtype).astype(np.float64))
    distance = np.abs(distribution(draws) - np.arange(N) / N).max()
    assert distance < 1.95 / N**0.5  # one sample in a thousand is further


def test_geometric_counts_trials():
    draws = filled("geometric_", 0.3)
    assert draws.min() == 1
    for k in range(1, 8):
        share = 0.3 * 0.7 ** (k - 1)
        assert abs((draws == k).mean() - share) < 4 * (share / N) ** 0.5


@pytest.mark.parametrize("rate", [0.0, 0.3, 4.0, 60.0, 1000.5, 2.0**31])
def test_poisson(rate):
    n = 20_000
    draws = vs.poisson(vs.full((n,), rate, dtype=vs.float64), generator=vs.Generator().manual_seed(2)).numpy()
    assert (draws == np.floor(draws)).all()
    assert abs(draws.mean() - rate) <= 4 * (rate / n) ** 0.5
    assert abs(draws.var() - rate) <= 4 * rate * (3 / n) ** 0.5
    if 0 < rate < 10:
        for k in range(8):
            share = math.exp(-rate) * rate**k / math.factorial(k)
            assert abs((draws == k).mean() - share) < 5 * (share / n) ** 0.5


@pytest.mark.parametrize("n", [0, 1, 7, 400, 2**34])
@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 0.97, 1.0])
def test_binomial(n, p):
    draws = 20_000
    trials, odds = vs.full((draws,), float(n), dtype=vs.float64), vs.full((), p, dtype=vs.float64)
    drawn = vs.binomial(trials, odds, generator=vs.Generator().manual_seed(2)).numpy()
    assert (drawn == np.floor(drawn)).all()
    assert drawn.min() >= 0
    assert drawn.max() <= n
    variance = n * p * (1 - p)
    assert abs(drawn.mean() - n * p) <= 4 * (variance / draws) ** 0.5
    assert abs(drawn.var() - variance) <= 4 * variance * (3 / draws) ** 0.5
    if 0 < n < 10:
        for k in range(n + 1):
            share = math.comb(n, k) * p**k * (1 - p) ** (n - k)
            assert abs((drawn == k).mean() - share) <= 5 * (share / draws) ** 0.5


@pytest.mark.parametrize("shape", [0.01, 0.3, 1.0, 2.5, 80.0, 1e6])
def test_gamma_draws_fall_as_the_distribution_function_says(shape):
    n = 50_000
    shapes = vs.full((n,), shape, dtype=vs.float64)
    drawn = vs._standard_gamma(shapes, generator=vs.Generator().manual_seed(5))
    assert float(drawn.min()) > 0
    odds = np.sort(vs.igamma(shapes, drawn).numpy())
    odds = odds[odds > 1e-2]  # draws of small shapes are held above 0
    below = 1 - len(odds) / n
    assert np.abs(odds - below - np.arange(len(odds)) / n).max() < 1.95 / n**0.5


def test_a_gamma_draw_keeps_its_place_when_its_shape_moves():
    shapes = vs.tensor([0.05, 0.7, 3.0, 40.0, 2e4, 3e5], dtype=vs.float64, requires_grad=True)
    drawn = vs._standard_gamma(shapes, generator=vs.Generator().manual_seed(6))
    (slope,) = vs.autograd.grad(drawn.sum(), shapes)
    step = 1e-4 * shapes.detach()
    for sign in (-1, 1):
        moved = vs.igamma(shapes.detach() + sign * step, drawn.detach() + sign * step * slope)
        vs.testing.assert_close(moved, vs.igamma(shapes, drawn).detach(), tolerance=3e-6)


def test_dirichlet_draws_of_small_concentrations_lie_in_the_corners():
    """Their gamma draws are all below the smallest number; their logarithms are not."""
    drawn = vs._sample_dirichlet(vs.full((1000, 3), 1e-4), generator=vs.Generator().manual_seed(7))
    assert float((drawn.max(-1)[0] > 0.99).float().mean()) > 0.98
    assert float((drawn[:, 0] > 0.99).float().mean()) == pytest.approx(1 / 3, abs=0.06)
    assert bool((drawn > 0).all())


DRAWS_OF_TENSORS = {
    "poisson": lambda x, g: vs.poisson(x, generator=g),
    "binomial": lambda x, g: vs.binomial(x.floor(), x / 50, generator=g),
    "_standard_gamma": lambda x, g: vs._standard_gamma(x, generator=g),
    "_sample_dirichlet": lambda x, g: vs._sample_dirichlet(x.reshape(-1, 5), generator=g),
}


@pytest.mark.parametrize("name", DRAWS_OF_TENSORS)
def test_draws_do_not_depend_on_threads(name):
    x = vs.linspace(0, 50, 5000)
    results = []
    before = vs.get_num_threads()
    for threads in (1, 2, 4):
        vs.set_num_threads(threads)
        results.append(DRAWS_OF_TENSORS[name](x, vs.Generator().manual_seed(3)).tolist())
    vs.set_num_threads(before)
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("dtype", [vs.complex64, vs.complex128])
def test_complex_numbers(dtype):
    z = vs.randn(N, dtype=dtype, generator=vs.Generator().manual_seed(4)).numpy()
    assert z.dtype.name == dtype.name
    assert abs((abs(z) ** 2).mean() - 1) < 0.02
    assert abs((z.real * z.imag).mean()) < 0.01
    u = vs.rand(N, dtype=dtype, generator=vs.Generator().manual_seed(4)).numpy()
    for part in (u.real, u.imag):
        assert 0 <= part.min() < 0.01
        assert 0.99 < part.max() < 1


def test_random_fills_whole_ranges():
    def of(dtype, *args, **kwargs):
        generator = vs.Generator().manual_seed(5)
        return vs.zeros(100_000, dtype=dtype).random_(*args, generator=generator, **kwargs)

    assert (of(vs.int8).min().item(), of(vs.int8).max().item()) == (0, 127)
    assert (of(vs.uint8).min().item(), of(vs.uint8).max().item()) == (0, 255)
    assert of(vs.bool).float().mean().item() == pytest.approx(0.5, abs=0.01)
    assert of(vs.bfloat16).max().item() == 256
    assert of(vs.float32).max().item() <= 2**24
    assert of(vs.int64).max().item() > 2**62
    assert sorted(of(vs.int64, 3).unique().tolist()) == [0, 1, 2]
    assert sorted(of(vs.float32, -2, 1).unique().tolist()) == [-2, -1, 0]
    assert sorted(of(vs.int64, to=2).unique().tolist()) == [0, 1]
    assert sorted(of(vs.int64, **{"from": 5, "to": 7}).unique().tolist()) == [5, 6]


def test_forms_of_randint():
    for draw in (
        lambda: vs.randint(3, (100,)),
        lambda: vs.randint(0, 3, (100,)),
        lambda: vs.randint(3, size=(100,)),
        lambda: vs.randint(high=3, size=(100,)),
        lambda: vs.randint(low=0, high=3, size=(100,)),
        lambda: vs.randint_like(vs.zeros(100), 3).long(),
        lambda: vs.randint_like(vs.zeros(100, dtype=vs.int64), 0, 3),
    ):
        vs.manual_seed(6)
        first = draw()
        assert sorted(first.unique().tolist()) == [0, 1, 2]
        assert first.dtype is vs.int64


MAKERS = {
    "rand": lambda **kw: vs.rand(2, 3, **kw),
    "randn": lambda **kw: vs.randn((2, 3), **kw),
    "randint": lambda **kw: vs.randint(0, 5, (2, 3), **kw),
    "randperm": lambda **kw: vs.randperm(6, **kw),
    "normal": lambda **kw: vs.normal(0.0, 1.0, (2, 3), **kw),
    "rand_like": lambda **kw: vs.rand_like(vs.zeros(2, 3), **kw),
    "randn_like": lambda **kw: vs.randn_like(vs.zeros(2, 3), **kw),
    "randint_like": lambda **kw: vs.randint_like(vs.zeros(2, 3), 5, **kw),
}


@pytest.mark.parametrize("name", MAKERS)
def test_keywords_of_new_tensors(name):
    make = MAKERS[name]
    places = {"device": "cpu", "layout": vs.strided, "pin_memory": False}
    result = make(dtype=vs.float64, requires_grad=True, generator=vs.Generator().manual_seed(7), **places)
    again = make(dtype=vs.float64, generator=vs.Generator().manual_seed(7))
    assert result.dtype is vs.float64
    assert result.requires_grad
    assert result.is_leaf
    assert result.tolist() == again.tolist()
    with pytest.raises(RuntimeError, match="cpu"):
        make(device="cuda")
    with pytest.raises(RuntimeError, match="pin_memory"):
        make(pin_memory=True)
    with pytest.raises(NotImplementedError, match="layout"):
        make(layout="sparse")


def test_likes_keep_or_take_a_memory_format():
    x = vs.zeros(2, 3, 4, 5).contiguous(memory_format=vs.channels_last)
    assert vs.randn_like(x).stride() == x.stride()
    plain = vs.randn_like(x, memory_format=vs.contiguous_format)
    assert plain.is_contiguous()
    assert vs.rand_like(plain, memory_format=vs.channels_last).stride() == x.stride()


def test_out():
    room = vs.empty(3, dtype=vs.int64)
    assert vs.multinomial(vs.tensor([0.0, 1.0]), 3, True, out=room) is room
    assert room.tolist() == [1, 1, 1]
    room = vs.empty(4)
    assert vs.randn(4, out=room) is room
    assert vs.normal(vs.full((4,), 5.0), 0.0, out=room).tolist() == [5.0] * 4


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: vs.zeros(3).exponential_(0.0), RuntimeError),
        (lambda: vs.zeros(3).exponential_(math.nan), RuntimeError),
        (lambda: vs.zeros(3, dtype=vs.int64).exponential_(), TypeError),
        (lambda: vs.zeros(3).cauchy_(0.0, 0.0), RuntimeError),
        (lambda: vs.zeros(3, dtype=vs.int64).cauchy_(), TypeError),
        (lambda: vs.zeros(3).log_normal_(0.0, -1.0), RuntimeError),
        (lambda: vs.zeros(3).geometric_(0.0), RuntimeError),
        (lambda: vs.zeros(3).geometric_(1.0), RuntimeError),
        (lambda: vs.zeros(3).bernoulli_(1.5), RuntimeError),
        (lambda: vs.zeros(3).random_(3, 3), ValueError),
        (lambda: vs.zeros(3).random_(0), ValueError),
        (lambda: vs.zeros(3, dtype=vs.int8).random_(0, 300), ValueError),
        (lambda: vs.zeros(3, dtype=vs.complex64).random_(), TypeError),
        (lambda: vs.poisson(vs.tensor([-1.0])), RuntimeError),
        (lambda: vs.poisson(vs.tensor([math.inf])), RuntimeError),
        (lambda: vs.poisson(vs.tensor([1])), TypeError),
        (lambda: vs.binomial(vs.tensor([1.5]), vs.tensor([0.5])), RuntimeError),
        (lambda: vs.binomial(vs.tensor([1.0]), vs.tensor([1.5])), RuntimeError),
        (lambda: vs.binomial(vs.tensor([1.0]), vs.tensor([0.5], dtype=vs.float64)), TypeError),
        (lambda: vs._standard_gamma(vs.tensor([-1.0])), RuntimeError),
        (lambda: vs._standard_gamma(vs.tensor([math.nan])), RuntimeError),
        (lambda: vs._standard_gamma(vs.tensor([1])), TypeError),
        (lambda: vs.multinomial(vs.tensor([1.0]), 1, out=vs.zeros(1)), TypeError),
        (lambda: vs.randperm(300, dtype=vs.uint8), RuntimeError),
        (lambda: vs.randint(3), TypeError),
        (lambda: vs.randn(3, dtype=vs.int64), TypeError),
        (lambda: vs.normal(0.0, 1.0), TypeError),
        (lambda: vs.normal(vs.zeros(2), vs.ones(3)), ValueError),
    ],
)
def test_bad_arguments(call, error):
    with pytest.raises(error, match=r"^\[\w+\] "):
        call()
