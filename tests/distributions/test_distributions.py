"""Distributions: draws against moments and densities, gradients of draws, transforms, compiled use."""

import math

import numpy as np
import pytest

import versant as vs
from versant import distributions as D

N = 40000
CONTINUOUS = {
    "Normal": lambda: D.Normal(1.0, 0.5),
    "Laplace": lambda: D.Laplace(1.0, 0.5),
    "Gumbel": lambda: D.Gumbel(1.0, 0.5),
    "HalfNormal": lambda: D.HalfNormal(2.0),
    "Exponential": lambda: D.Exponential(2.0),
    "Uniform": lambda: D.Uniform(-1.0, 2.0),
    "LogNormal": lambda: D.LogNormal(0.0, 0.3),
    "MixtureSameFamily": lambda: D.MixtureSameFamily(
        D.Categorical(vs.tensor([1.0, 3.0])), D.Normal(vs.tensor([-1.0, 2.0]), 0.5)
    ),
}
DISCRETE = {
    "Bernoulli": lambda: D.Bernoulli(0.3),
    "Geometric": lambda: D.Geometric(0.4),
    "Poisson": lambda: D.Poisson(2.5),
    "OneHotCategorical": lambda: D.OneHotCategorical(vs.tensor([1.0, 2.0, 3.0])),
}


@pytest.mark.parametrize("name", [*CONTINUOUS, *DISCRETE])
def test_draws_have_the_moments(name) -> None:
    vs.manual_seed(0)
    distribution = (CONTINUOUS | DISCRETE)[name]()
    drawn = distribution.sample((N,)).double().numpy()
    assert drawn.shape == (N, *distribution.event_shape)
    sigma = distribution.stddev.double().numpy()
    np.testing.assert_allclose(drawn.mean(0), distribution.mean.numpy(), atol=float(5 * sigma.max() / N**0.5))
    np.testing.assert_allclose(drawn.std(0), sigma, rtol=0.05)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_draws_fall_as_cdf_and_density_say(name) -> None:
    vs.manual_seed(0)
    distribution = CONTINUOUS[name]()
    drawn = distribution.sample((N,))
    low, high = float(drawn.quantile(0.1)), float(drawn.quantile(0.8))
    assert float(distribution.cdf(vs.tensor(low))) == pytest.approx(0.1, abs=0.015)
    assert float(distribution.cdf(vs.tensor(high))) == pytest.approx(0.8, abs=0.015)
    x = np.linspace(low, high, 2001)
    density = distribution.log_prob(vs.tensor(x)).exp().numpy()
    inside = float(np.sum((density[1:] + density[:-1]) / 2 * np.diff(x)))
    assert inside == pytest.approx(
        float(distribution.cdf(vs.tensor(high)) - distribution.cdf(vs.tensor(low))), abs=1e-4
    )


def test_normal_vectors_have_the_covariance() -> None:
    vs.manual_seed(0)
    matrix = vs.tensor([[2.0, 0.6], [0.6, 1.0]])
    drawn = D.MultivariateNormal(vs.tensor([1.0, -1.0]), matrix).sample((N,)).numpy()
    np.testing.assert_allclose(np.cov(drawn.T), matrix.numpy(), atol=0.05)
    np.testing.assert_allclose(drawn.mean(0), [1, -1], atol=0.05)


def test_categories_come_with_their_probabilities() -> None:
    vs.manual_seed(0)
    odds = vs.tensor([[1.0, 3.0], [4.0, 1.0]])
    drawn = D.Categorical(odds).sample((N,))
    assert drawn.dtype is vs.int64
    np.testing.assert_allclose((drawn == 1).double().mean(0).numpy(), [0.75, 0.2], atol=0.02)


@pytest.mark.parametrize(
    ("make", "slope"),
    [
        (lambda t: D.Normal(t, 1.0), 1.0),
        (lambda t: D.Uniform(t, t + 1), 1.0),
        (lambda t: D.Laplace(t, 1.0), 1.0),
        (lambda t: D.TransformedDistribution(D.Normal(t, 1.0), D.AffineTransform(0.0, 3.0)), 3.0),
        (lambda t: D.Independent(D.Normal(t.expand(2), 1.0), 1), 2.0),
    ],
)
def test_gradients_flow_through_rsample_alone(make, slope) -> None:
    t = vs.tensor(0.5, requires_grad=True)
    distribution = make(t)
    assert distribution.has_rsample
    assert not distribution.sample().requires_grad
    assert vs.autograd.grad(distribution.rsample().sum(), t)[0].item() == pytest.approx(slope)


def test_a_straight_through_draw_has_the_gradient_of_the_probabilities() -> None:
    logits = vs.randn(4).requires_grad_()
    weights = vs.tensor([1.0, 2.0, 3.0, 4.0])
    drawn = D.OneHotCategoricalStraightThrough(logits=logits).rsample()
    grads = [vs.autograd.grad((x * weights).sum(), logits)[0] for x in (drawn, vs.softmax(logits, 0))]
    vs.testing.assert_close(*grads)


def test_logits_keep_their_history_when_a_draw_asks_for_them_first() -> None:
    probs = vs.tensor([0.25, 0.75], requires_grad=True)
    distribution = D.Categorical(probs)
    with vs.no_grad():
        assert distribution.logits.requires_grad
    assert distribution.log_prob(distribution.sample()).requires_grad


def test_a_cache_makes_inverses_exact() -> None:
    x = vs.tensor([0.1, 9.5])
    for size, exact in ((0, False), (1, True)):
        transform = D.TanhTransform(cache_size=size)
        assert bool((transform.inv(transform(x)) == x).all()) is exact
    with pytest.raises(ValueError, match="cache_size must be 0 or 1, got 2"):
        D.TanhTransform(cache_size=2)


def test_transforms_compare_by_their_numbers() -> None:
    assert D.AffineTransform(0.0, 2.0) == D.AffineTransform(0.0, 2.0)
    assert D.AffineTransform(0.0, 2.0) != D.AffineTransform(1.0, 2.0)
    assert D.ExpTransform().inv == D.ExpTransform().inv
    assert D.ExpTransform() != D.TanhTransform()


def test_divergences_of_a_users_own() -> None:
    class Point(D.Distribution):
        def __init__(self, at):
            self.at = at
            super().__init__(at.shape)

    with pytest.raises(NotImplementedError, match=r"p type Point and q type Point"):
        D.kl_divergence(Point(vs.zeros(1)), Point(vs.zeros(1)))

    @D.register_kl(Point, Point)
    def kl(p, q):
        return vs.where(p.at == q.at, 0.0, math.inf)

    assert D.kl_divergence(Point(vs.zeros(2)), Point(vs.tensor([0.0, 1.0]))).tolist() == [0.0, math.inf]
    with pytest.raises(TypeError, match="two classes of distributions"):
        D.register_kl(int, Point)


def test_checks_can_be_switched_off() -> None:
    assert D.Normal(0.0, -1.0, validate_args=False).scale.item() == -1.0
    D.Distribution.set_default_validate_args(False)
    try:
        assert D.Bernoulli(0.5).log_prob(vs.tensor(0.5)).item() == pytest.approx(math.log(0.5))
    finally:
        D.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError, match="True or False, got 1"):
        D.Distribution.set_default_validate_args(1)


def test_compiled_functions_do_not_look_at_values() -> None:
    function = vs.compile(lambda p, x: D.Bernoulli(p).log_prob(x))
    with pytest.raises(ValueError, match="do not broadcast"):
        function(vs.tensor([0.5, 0.5]), vs.tensor([0.0, 1.0, 1.0]))
    assert function(vs.tensor([0.5]), vs.tensor([0.5])).item() == pytest.approx(math.log(0.5))


def test_texts() -> None:
    assert repr(D.Normal(vs.zeros(2), 1.0)) == "Normal(loc: versant.Size([2]), scale: versant.Size([2]))"
    assert repr(D.Normal(0.0, 1.0)) == "Normal(loc: 0.0, scale: 1.0)"
    assert repr(D.constraints.positive) == "GreaterThan(lower_bound=0.0)"


@pytest.mark.parametrize(
    "make",
    [
        lambda w: D.Normal(w, vs.nn.functional.softplus(w)),
        lambda w: D.Categorical(logits=w),
        lambda w: D.Independent(D.Bernoulli(logits=w), 1),
        lambda w: D.TransformedDistribution(D.Normal(w, 1.0), [D.TanhTransform(cache_size=1)]),
        lambda w: D.MultivariateNormal(w, vs.eye(4)),
    ],
)
def test_compiled_steps_leave_the_bits_of_eager_ones(make) -> None:
    results = []
    for compiled in (False, True):
        vs.manual_seed(0)
        w = vs.nn.Parameter(vs.randn(3, 4))
        optimizer = vs.optim.Adam([w], lr=0.1)

        def step(reward, w=w, optimizer=optimizer):
            distribution = make(w)
            action = distribution.sample()
            loss = -(distribution.log_prob(action).mean() * reward)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.detach()

        function = vs.compile(step) if compiled else step
        results.append([function(vs.tensor(float(i))).item() for i in range(5)] + w.tolist())
        if compiled:
            assert function.stats()["traces"] == 1, function.explain()
    assert results[0] == results[1]


GAMMA_FAMILY = {
    "Gamma": lambda p: D.Gamma(p, 1 + p),
    "Chi2": lambda p: D.Chi2(p),
    "InverseGamma": lambda p: D.InverseGamma(p + 3, p),
    "Beta": lambda p: D.Beta(p, 2 * p.flip(0)),
    "Dirichlet": lambda p: D.Dirichlet(p),
    "StudentT": lambda p: D.StudentT(p + 3, p, 2 * p),
    "FisherSnedecor": lambda p: D.FisherSnedecor(p, p + 6),
    "HalfCauchy": lambda p: D.HalfCauchy(p),
    "Pareto": lambda p: D.Pareto(p, p + 3),
    "Weibull": lambda p: D.Weibull(p, p),
    "Kumaraswamy": lambda p: D.Kumaraswamy(p, p.flip(0)),
    "LogisticNormal": lambda p: D.LogisticNormal(p, p),
    "VonMises": lambda p: D.VonMises(p, p),
    "ContinuousBernoulli": lambda p: D.ContinuousBernoulli(p / 5),
    "Binomial": lambda p: D.Binomial(7, p / 5),
    "NegativeBinomial": lambda p: D.NegativeBinomial(p, p / 5),
    "Multinomial": lambda p: D.Multinomial(5, p),
    "LKJCholesky": lambda p: D.LKJCholesky(3, p),
    "Wishart": lambda p: D.Wishart(p[0] + 3, vs.diag(p)),
    "LowRankMultivariateNormal": lambda p: D.LowRankMultivariateNormal(p, p.unsqueeze(-1), p),
}
PARAMETERS = [0.6, 1.7, 4.0]


@pytest.mark.parametrize("name", GAMMA_FAMILY)
def test_compiled_draws_are_the_same(name) -> None:
    def step(p):
        distribution = GAMMA_FAMILY[name](p)
        drawn = distribution.sample((4,))
        return drawn, distribution.log_prob(drawn)

    compiled = vs.compile(step)
    p = vs.tensor(PARAMETERS)
    results = []
    for run in (step, compiled, compiled):
        vs.manual_seed(3)
        results.append(run(p))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert a.tolist() == b.tolist()


@pytest.mark.parametrize("name", GAMMA_FAMILY)
def test_draws_do_not_depend_on_threads(name) -> None:
    before = vs.get_num_threads()
    drawn = []
    for threads in (1, 2, 4):
        vs.set_num_threads(threads)
        vs.manual_seed(4)
        drawn.append(GAMMA_FAMILY[name](vs.tensor(PARAMETERS)).sample((700,)).tolist())
    vs.set_num_threads(before)
    assert drawn[0] == drawn[1] == drawn[2]


@pytest.mark.parametrize("name", GAMMA_FAMILY)
def test_draws_lie_in_the_support_and_have_the_means(name) -> None:
    vs.manual_seed(5)
    distribution = GAMMA_FAMILY[name](vs.tensor(PARAMETERS, dtype=vs.float64))
    drawn = distribution.sample((N,))
    assert tuple(drawn.shape) == (N, *distribution.batch_shape, *distribution.event_shape)
    assert bool(distribution.support.check(drawn).all())
    if name in ("HalfCauchy", "LKJCholesky", "LogisticNormal", "VonMises"):
        return  # no mean, or none of ordinary numbers
    sigma = distribution.stddev
    assert bool(((drawn.mean(0) - distribution.mean).abs() <= 5 * sigma / N**0.5).all())


def test_correlations_and_angles_fall_as_their_densities_say() -> None:
    vs.manual_seed(6)
    # A correlation of two is 2 b - 1 of a beta distributed b.
    factors = D.LKJCholesky(2, 1.5).sample((N,))
    correlation = factors[:, 1, 0]
    assert float(correlation.mean()) == pytest.approx(0, abs=0.02)
    assert float(correlation.square().mean()) == pytest.approx(4 * float(D.Beta(1.5, 1.5).variance), rel=0.03)
    angles = D.VonMises(0.3, 2.0)
    turned = angles.sample((N,)) - 0.3
    assert float(turned.sin().mean()) == pytest.approx(0, abs=0.02)
    assert 1 - float(turned.cos().mean()) == pytest.approx(float(angles.variance), abs=0.01)


@pytest.mark.parametrize(
    ("make", "at"),
    [
        (lambda t: D.Gamma(t, 1.0), [0.4, 1.0, 7.0]),
        (lambda t: D.Beta(t, 1.5), [0.4, 1.0, 7.0]),
        (lambda t: D.Dirichlet(vs.stack([t, t.square(), vs.ones(())])), [0.4, 2.0]),
        (lambda t: D.StudentT(t), [9.0, 20.0]),
        (lambda t: D.FisherSnedecor(t, 20.0), [0.5, 4.0]),
        (lambda t: D.InverseGamma(t, 1.0), [7.0, 9.0]),
        (lambda t: D.Wishart(t, vs.eye(2, dtype=vs.float64)), [3.5, 8.0]),
    ],
    ids=["Gamma", "Beta", "Dirichlet", "StudentT", "FisherSnedecor", "InverseGamma", "Wishart"],
)
def test_gradients_of_gamma_draws_are_those_of_means(make, at) -> None:
    """The derivative of a mean of f(x) is the mean of the derivatives of f of draws."""
    vs.manual_seed(7)
    for value in at:
        slopes = []
        for move in (-1e-3, 0.0, 1e-3):
            t = vs.tensor(value * (1 + move), requires_grad=True, dtype=vs.float64)
            distribution = make(t)
            # the mean of x**2, by the first two moments
            second = (distribution.variance + distribution.mean.square()).sum()
            slopes.append(second.item())
        t = vs.tensor(value, requires_grad=True, dtype=vs.float64)
        drawn = make(t.expand(())).rsample((N,)).square()
        (slope,) = vs.autograd.grad(drawn.sum() / N, t)
        expected = (slopes[2] - slopes[0]) / (2e-3 * value)
        assert slope.item() == pytest.approx(expected, rel=0.1, abs=0.02)


CONSTRAINTS = {
    "real": D.constraints.real,
    "positive": D.constraints.positive,
    "below": D.constraints.less_than(2.0),
    "above": D.constraints.greater_than_eq(-1.0),
    "unit": D.constraints.unit_interval,
    "interval": D.constraints.interval(-2.0, 3.0),
    "simplex": D.constraints.simplex,
    "lower_cholesky": D.constraints.lower_cholesky,
    "positive_definite": D.constraints.positive_definite,
    "corr_cholesky": D.constraints.corr_cholesky,
    "vector": D.constraints.independent(D.constraints.positive, 1),
    "cat": D.constraints.cat([D.constraints.positive, D.constraints.unit_interval], -1, [1, 2]),
    "stack": D.constraints.stack([D.constraints.positive] * 3, -1),
}


@pytest.mark.parametrize("registry", [D.biject_to, D.transform_to], ids=["biject_to", "transform_to"])
@pytest.mark.parametrize("name", CONSTRAINTS)
def test_transforms_onto_constraints_and_back(name, registry) -> None:
    vs.manual_seed(8)
    constraint = CONSTRAINTS[name]
    transform = registry(constraint)
    x = vs.randn(4, 3, 3, dtype=vs.float64)
    y = transform(x)
    assert tuple(y.shape) == tuple(transform.forward_shape(x.shape))
    assert bool(constraint.check(y).all())
    vs.testing.assert_close(transform(transform.inv(y)), y)
    if transform.bijective and name not in ("lower_cholesky", "positive_definite"):
        vs.testing.assert_close(transform.inv(y), x)


def test_the_support_of_what_transforms_make_is_their_codomain() -> None:
    tanh = D.TransformedDistribution(D.Normal(0.0, 1.0), D.TanhTransform())
    assert repr(tanh.support) == "Interval(lower_bound=-1.0, upper_bound=1.0)"
    with pytest.raises(ValueError, match="Interval"):
        tanh.log_prob(vs.tensor(1.5))
    vectors = D.TransformedDistribution(D.Independent(D.Normal(vs.zeros(3), 1.0), 1), D.ExpTransform())
    assert vectors.support.event_dim == 1
    with pytest.raises(ValueError, match="GreaterThan"):
        vectors.log_prob(vs.tensor([1.0, -1.0, 1.0]))


def test_a_wishart_distribution_of_too_few_degrees_of_freedom_is_refused() -> None:
    with pytest.raises(ValueError, match="greater than ndim - 1 = 2"):
        D.Wishart(2.0, vs.eye(3))


def test_parameters_are_mapped() -> None:
    """Values are not looked at under vmap, which would be one answer for many samples."""
    c = vs.tensor([0.5, 2.0, 3.0])

    def log_prob(c):
        return D.Gamma(c, 1.0).log_prob(vs.tensor(2.0))

    vs.testing.assert_close(vs.func.vmap(log_prob)(c), log_prob(c))
    drawn = vs.func.vmap(lambda c: D.Gamma(c, 1.0).rsample((2,)), randomness="different")(c)
    assert drawn.shape == (3, 2)


def test_a_constraint_that_depends_on_parameters() -> None:
    class Within(D.Distribution):
        arg_constraints = {"low": D.constraints.dependent(is_discrete=False, event_dim=0)}  # noqa: RUF012

        def __init__(self):
            self.low = vs.zeros(2)
            super().__init__((2,))

        @D.constraints.dependent_property(is_discrete=False, event_dim=0)
        def support(self):
            return D.constraints.greater_than(self.low)

    assert D.constraints.is_dependent(Within.support)
    assert Within().support.check(vs.tensor([1.0, -1.0])).tolist() == [True, False]
    with pytest.raises(ValueError, match="cannot be checked"):
        Within.support.check(vs.ones(2))
