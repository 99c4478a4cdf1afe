"""vs.distributions against torch.distributions; skipped where the extra `oracle` is not installed."""

import pytest

pytest.importorskip("torch", reason="the oracle is PyTorch: pip install versant[oracle]")

import torch
from oracle.bridge import difference, to_versant
from torch import distributions as theirs

import versant as vs
from versant import distributions as ours

torch.manual_seed(0)
X = torch.randn(3, 4, dtype=torch.float64)
P = X.abs() + 0.3
U = X.sigmoid()
MATRIX = torch.randn(4, 4, dtype=torch.float64)
MATRIX = MATRIX @ MATRIX.T + torch.eye(4, dtype=torch.float64)

# A distribution from the module D and tensors, and values that it can have.
CASES = {
    "Normal": (lambda D, x, p, u, m: D.Normal(x, p), X + 1),
    "Laplace": (lambda D, x, p, u, m: D.Laplace(x, p), X + 1),
    "Gumbel": (lambda D, x, p, u, m: D.Gumbel(x, p), X + 1),
    "Cauchy": (lambda D, x, p, u, m: D.Cauchy(x, p), X + 1),
    "HalfNormal": (lambda D, x, p, u, m: D.HalfNormal(p), P + 1),
    "Exponential": (lambda D, x, p, u, m: D.Exponential(p), P + 1),
    "Uniform": (lambda D, x, p, u, m: D.Uniform(x, x + p), X + P * U),
    "LogNormal": (lambda D, x, p, u, m: D.LogNormal(x, p), P + 1),
    "Bernoulli": (lambda D, x, p, u, m: D.Bernoulli(u), (X > 0).double()),
    "Bernoulli of logits": (lambda D, x, p, u, m: D.Bernoulli(logits=x), (X > 0).double()),
    "Geometric": (lambda D, x, p, u, m: D.Geometric(u), P.floor()),
    "Poisson": (lambda D, x, p, u, m: D.Poisson(p), P.floor()),
    "Categorical": (lambda D, x, p, u, m: D.Categorical(p), torch.tensor([0, 3, 1])),
    "Categorical of logits": (lambda D, x, p, u, m: D.Categorical(logits=x), torch.tensor([0, 3, 1])),
    "OneHotCategorical": (
        lambda D, x, p, u, m: D.OneHotCategorical(logits=x),
        torch.eye(4, dtype=torch.float64)[:3],
    ),
    "OneHotCategoricalStraightThrough": (
        lambda D, x, p, u, m: D.OneHotCategoricalStraightThrough(p),
        torch.eye(4, dtype=torch.float64)[:3],
    ),
    "Independent": (lambda D, x, p, u, m: D.Independent(D.Normal(x, p), 1), X + 1),
    "MultivariateNormal": (lambda D, x, p, u, m: D.MultivariateNormal(x, m), X + 1),
    "MultivariateNormal of precision": (
        lambda D, x, p, u, m: D.MultivariateNormal(x, precision_matrix=m),
        X + 1,
    ),
    "MultivariateNormal of scale": (
        lambda D, x, p, u, m: D.MultivariateNormal(x, scale_tril=m.tril() + 4 * (m * 0 + 1).tril().triu()),
        X + 1,
    ),
    "MixtureSameFamily": (
        lambda D, x, p, u, m: D.MixtureSameFamily(D.Categorical(p), D.Normal(x, p)),
        X[:, 0],
    ),
    "MixtureSameFamily of vectors": (
        lambda D, x, p, u, m: D.MixtureSameFamily(D.Categorical(p[0, :3]), D.Independent(D.Normal(x, p), 1)),
        X[0],
    ),
    "Gamma": (lambda D, x, p, u, m: D.Gamma(p, u), P + 1),
    "Chi2": (lambda D, x, p, u, m: D.Chi2(p), P + 1),
    "Beta": (lambda D, x, p, u, m: D.Beta(p, p.flip(0)), U),
    "Dirichlet": (lambda D, x, p, u, m: D.Dirichlet(p), P / P.sum(-1, keepdim=True)),
    "StudentT": (lambda D, x, p, u, m: D.StudentT(p * 2, x, u), X + 1),
    "FisherSnedecor": (lambda D, x, p, u, m: D.FisherSnedecor(p * 3, 4 * p.flip(0)), P),
    "InverseGamma": (lambda D, x, p, u, m: D.InverseGamma(p * 2, u), P),
    "HalfCauchy": (lambda D, x, p, u, m: D.HalfCauchy(p), P + 1),
    "Pareto": (lambda D, x, p, u, m: D.Pareto(u, p * 3), P + 1),
    # torch compares its concentration with a float32
    "GeneralizedPareto": (
        lambda D, x, p, u, m: D.GeneralizedPareto(*(t.float() for t in (x, p, u - 0.7))),
        (X + P * U).float(),
    ),
    "Weibull": (lambda D, x, p, u, m: D.Weibull(p, p + 1), P + 1),
    "Kumaraswamy": (lambda D, x, p, u, m: D.Kumaraswamy(p, u), U),
    "ContinuousBernoulli": (lambda D, x, p, u, m: D.ContinuousBernoulli(u), U),
    "ContinuousBernoulli near the middle": (
        lambda D, x, p, u, m: D.ContinuousBernoulli(logits=x * 1e-3),
        U,
    ),
    "VonMises": (lambda D, x, p, u, m: D.VonMises(x, p), X + 1),
    "Binomial": (lambda D, x, p, u, m: D.Binomial(5, u), P.floor()),
    "Binomial of logits": (lambda D, x, p, u, m: D.Binomial(5, logits=x), P.floor()),
    "NegativeBinomial": (lambda D, x, p, u, m: D.NegativeBinomial(p * 4, u), P.floor()),
    "Multinomial": (
        lambda D, x, p, u, m: D.Multinomial(4, p),
        torch.tensor([[0.0, 1, 3, 0], [4, 0, 0, 0], [1, 1, 1, 1]], dtype=torch.float64),
    ),
    "LogisticNormal": (
        lambda D, x, p, u, m: D.LogisticNormal(x, p),
        torch.nn.functional.pad(P, (0, 1), value=0.5) / (P.sum(-1, keepdim=True) + 0.5),
    ),
    "LowRankMultivariateNormal": (
        lambda D, x, p, u, m: D.LowRankMultivariateNormal(x, m[:, :2], p),
        X + 1,
    ),
    "LKJCholesky": (
        lambda D, x, p, u, m: D.LKJCholesky(3, p),
        torch.linalg.cholesky(torch.eye(3, dtype=torch.float64) * 0.6 + 0.4),
    ),
    "Wishart": (lambda D, x, p, u, m: D.Wishart(p[0, 0] + 9, m), MATRIX + 1.0),
    "Wishart of precision": (
        lambda D, x, p, u, m: D.Wishart(p[0, 0] + 9, precision_matrix=m),
        MATRIX + 1.0,
    ),
    "stick breaking": (
        lambda D, x, p, u, m: D.TransformedDistribution(D.Normal(x, p), D.StickBreakingTransform()),
        torch.nn.functional.pad(P, (0, 1), value=0.5) / (P.sum(-1, keepdim=True) + 0.5),
    ),
    "reshaped": (
        lambda D, x, p, u, m: D.TransformedDistribution(
            D.Normal(x, p), [D.ReshapeTransform((4,), (2, 2)), D.ExpTransform()]
        ),
        P.reshape(3, 2, 2),
    ),
    "RelaxedBernoulli": (lambda D, x, p, u, m: D.RelaxedBernoulli(p[0, 0], logits=x), U),
    "RelaxedOneHotCategorical": (
        lambda D, x, p, u, m: D.RelaxedOneHotCategorical(p[0, 0], logits=x),
        P / P.sum(-1, keepdim=True),
    ),
    "tanh": (lambda D, x, p, u, m: D.TransformedDistribution(D.Normal(x, p), D.TanhTransform()), X.tanh()),
    "a chain": (
        lambda D, x, p, u, m: D.TransformedDistribution(
            D.Normal(x, p),
            [D.SigmoidTransform(), D.AffineTransform(1.0, -2.0), D.AffineTransform(x, p)],
        ),
        X + P * (1 - 2 * U),
    ),
    "a chain in one": (
        lambda D, x, p, u, m: D.TransformedDistribution(
            D.Normal(x, p),
            D.ComposeTransform([D.SoftplusTransform(), D.PowerTransform(2.0), D.ExpTransform().inv]),
        ),
        X,
    ),
}
# Where torch's answer is not that of the definition: a mode that is NaN for ordinary parameters, Bessel
# functions to seven digits.
WRONG = {("Kumaraswamy", "mode"), ("VonMises", "variance"), ("VonMises", "stddev")}
QUESTIONS = ("mean", "mode", "variance", "stddev", "entropy", "perplexity", "enumerate_support")


def both(name):
    """The distribution on both sides, and what it is made of."""
    made = []
    for D, convert in ((ours, to_versant), (theirs, lambda t: t)):
        leaves = [convert(t.clone().requires_grad_()) for t in (X, P, U, MATRIX)]
        made.append((CASES[name][0](D, *leaves), leaves))
    return made


def answer(distribution, question, *args):
    try:
        found = getattr(distribution, question)
        return found(*args) if callable(found) else found
    except NotImplementedError:
        return NotImplementedError


@pytest.mark.parametrize("name", CASES)
def test_questions(name) -> None:
    (mine, _), (other, _) = both(name)
    assert tuple(mine.batch_shape) == tuple(other.batch_shape)
    assert tuple(mine.event_shape) == tuple(other.event_shape)
    assert mine.has_rsample == other.has_rsample
    assert mine.has_enumerate_support == other.has_enumerate_support
    for question in QUESTIONS:
        expected = answer(other, question)
        if expected is not NotImplementedError and (name, question) not in WRONG:
            text = difference(answer(mine, question), expected, question)
            assert not text, text


@pytest.mark.parametrize("name", CASES)
def test_densities_and_their_gradients(name) -> None:
    (mine, leaves), (other, their_leaves) = both(name)
    value = CASES[name][1]
    result, expected = mine.log_prob(to_versant(value)), other.log_prob(value)
    text = difference(result, expected, "log_prob")
    assert not text, text
    grads = vs.autograd.grad(result.sum(), leaves, allow_unused=True)
    for a, b in zip(grads, torch.autograd.grad(expected.sum(), their_leaves, allow_unused=True), strict=True):
        if b is not None:
            text = difference(a, b, "gradient", scale=10)
            assert not text, text
    expected = answer(other, "cdf", value)
    if expected is not NotImplementedError:
        text = difference(mine.cdf(to_versant(value)), expected, "cdf")
        assert not text, text


@pytest.mark.parametrize(
    "name",
    ["Normal", "Laplace", "Gumbel", "Cauchy", "HalfNormal", "Exponential", "Uniform", "LogNormal", "a chain"],
)
def test_inverses_of_cdf(name) -> None:
    (mine, _), (other, _) = both(name)
    text = difference(mine.icdf(to_versant(U)), other.icdf(U))
    assert not text, text


@pytest.mark.filterwarnings("ignore:Singular sample detected")  # torch's, of asymmetry by rounding
@pytest.mark.parametrize("name", CASES)
def test_expanded(name) -> None:
    (mine, _), (other, _) = both(name)
    value, shape = CASES[name][1], (2, *other.batch_shape)
    wide, expected = mine.expand(shape), other.expand(shape)
    assert tuple(wide.batch_shape) == shape
    text = difference(wide.log_prob(to_versant(value)), expected.log_prob(value))
    assert not text, text
    assert tuple(wide.sample((5,)).shape) == tuple(expected.sample((5,)).shape)


PAIRS = [
    name
    for name in CASES
    if name not in ("Cauchy", "a chain in one") and not name.startswith(("Mixture", "Relaxed"))
]


@pytest.mark.parametrize("name", PAIRS)
def test_divergences(name) -> None:
    results = []
    for D, convert in ((ours, to_versant), (theirs, lambda t: t)):
        x, p, u, m = (convert(t) for t in (X, P, U, MATRIX))
        make = CASES[name][0]
        second = (
            make(D, x, p * 1.5, u * 0.9, m * 2)
            if name == "a chain"
            else make(D, x - 0.5, p * 1.5, u * 0.9, m * 2)
        )
        try:
            results.append(D.kl_divergence(make(D, x, p, u, m), second))
        except NotImplementedError:
            results.append(None)
    text = None if results[1] is None else difference(*results)
    assert not text, text


FAMILIES = {
    "Beta": lambda D, t: D.Beta(t(0.7), t(2.5)),
    "ContinuousBernoulli": lambda D, t: D.ContinuousBernoulli(t(0.3)),
    "Exponential": lambda D, t: D.Exponential(t(1.3)),
    "Gamma": lambda D, t: D.Gamma(t(2.2), t(1.7)),
    "Gumbel": lambda D, t: D.Gumbel(t(0.4), t(1.1)),
    "Laplace": lambda D, t: D.Laplace(t(0.3), t(0.8)),
    "Normal": lambda D, t: D.Normal(t(0.2), t(0.9)),
    "Pareto": lambda D, t: D.Pareto(t(0.1), t(3.5)),
    "Uniform": lambda D, t: D.Uniform(t(0.2), t(0.8)),
    "wide Uniform": lambda D, t: D.Uniform(t(-1.0), t(3.0)),
    "Bernoulli": lambda D, t: D.Bernoulli(t(0.3)),
    "Poisson": lambda D, t: D.Poisson(t(2.0)),
    "Binomial": lambda D, t: D.Binomial(4, t(0.3)),
}


def between(D, convert, first, second):
    """The divergence of a distribution of one family from one of another; None where there is none."""
    p, q = (FAMILIES[name](D, convert) for name in (first, second))
    try:
        return D.kl_divergence(p, q)
    except NotImplementedError:
        return None


def in_torch(value):
    return torch.tensor(value, dtype=torch.float64)


TWO_FAMILIES = [
    (first, second)
    for first in FAMILIES
    for second in FAMILIES
    if between(theirs, in_torch, first, second) is not None
]


@pytest.mark.parametrize(("first", "second"), TWO_FAMILIES)
def test_divergences_between_families(first, second) -> None:
    result = between(ours, lambda v: vs.tensor(v, dtype=vs.float64), first, second)
    text = difference(result, between(theirs, in_torch, first, second))
    assert not text, text


@pytest.mark.parametrize(
    "call",
    [
        lambda D, t: D.Normal(t([0.0]), t([-1.0])),
        lambda D, t: D.Normal(0.0, float("nan")),
        lambda D, t: D.Normal("a", 1.0),
        lambda D, t: D.Uniform(1.0, 0.0),
        lambda D, t: D.Categorical(),
        lambda D, t: D.Categorical(t([1.0]), t([1.0])),
        lambda D, t: D.Categorical(t(1.0)),
        lambda D, t: D.Categorical(t([1.0, -1.0])),
        lambda D, t: D.Categorical(t([1.0, 1.0])).log_prob(t(2)),
        lambda D, t: D.Bernoulli(1.5),
        lambda D, t: D.Bernoulli(0.5).log_prob(t(0.5)),
        lambda D, t: D.Normal(t([0.0, 1.0]), 1.0).log_prob(t([0.0, 1.0, 2.0])),
        lambda D, t: D.Normal(0.0, 1.0).log_prob(1.0),
        lambda D, t: D.Exponential(1.0).log_prob(t(-1.0)),
        lambda D, t: D.Independent(D.Normal(0.0, 1.0), 1),
        lambda D, t: D.MultivariateNormal(t([0.0, 1.0])),
        lambda D, t: D.MultivariateNormal(t(0.0), t([[1.0]])),
        lambda D, t: D.MultivariateNormal(t([0.0, 1.0]), t([[1.0, 2.0], [2.0, 1.0]])),
        lambda D, t: D.MixtureSameFamily(D.Categorical(t([1.0, 1.0])), D.Normal(t([0.0, 1.0, 2.0]), 1.0)),
        lambda D, t: D.TransformedDistribution(D.Normal(0.0, 1.0), [1]),
        lambda D, t: D.kl_divergence(D.Normal(0.0, 1.0), D.Bernoulli(0.5)),
        lambda D, t: D.Normal(0.0, 1.0).enumerate_support(),
        lambda D, t: D.Bernoulli(0.5).rsample(),
    ],
)
def test_errors(call) -> None:
    with pytest.raises((ValueError, NotImplementedError)) as expected:
        call(theirs, torch.tensor)
    with pytest.raises(expected.type, match=r"\[\w+\] .+"):
        call(ours, vs.tensor)
