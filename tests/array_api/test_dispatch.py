"""scikit-learn and SciPy take tensors, give tensors, and compute what they do of numpy arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import versant as vs

xp = vs.array_api
RNG = np.random.default_rng(5)
X = RNG.standard_normal((60, 6)) + np.repeat(np.eye(3, 6) * 4, 20, axis=0)
KIND = np.repeat(np.arange(3), 20)
Y = X @ np.arange(1.0, 7.0) + 0.1 * RNG.standard_normal(60)
P = np.exp(X) / np.exp(X).sum(1, keepdims=True)


def learn(where: str, name: str, **settings: Any) -> Any:
    """An estimator of scikit-learn."""
    return getattr(pytest.importorskip(f"sklearn.{where}"), name)(**settings)


def call(where: str, name: str) -> Any:
    """A function of scikit-learn or SciPy."""
    return getattr(pytest.importorskip(where), name)


ESTIMATORS: dict[str, Callable[[Any, Callable[[Any], Any]], Any]] = {
    "StandardScaler": lambda xp, a: learn("preprocessing", "StandardScaler").fit_transform(a(X)),
    "MinMaxScaler": lambda xp, a: learn("preprocessing", "MinMaxScaler").fit_transform(a(X)),
    "Normalizer": lambda xp, a: learn("preprocessing", "Normalizer").fit_transform(a(X)),
    "PolynomialFeatures": lambda xp, a: learn("preprocessing", "PolynomialFeatures").fit_transform(a(X)),
    "LabelEncoder": lambda xp, a: learn("preprocessing", "LabelEncoder").fit_transform(a(KIND + 4)),
    "PCA": lambda xp, a: xp.abs(
        learn("decomposition", "PCA", n_components=2, svd_solver="full").fit_transform(a(X))
    ),
    "Ridge": lambda xp, a: learn("linear_model", "Ridge", solver="svd").fit(a(X), a(Y)).predict(a(X)),
    "LogisticRegression": lambda xp, a: (
        learn("linear_model", "LogisticRegression").fit(a(X), a(KIND)).predict(a(X))
    ),
    "LinearDiscriminantAnalysis": lambda xp, a: (
        learn("discriminant_analysis", "LinearDiscriminantAnalysis").fit(a(X), a(KIND)).predict_proba(a(X))
    ),
    "GaussianNB": lambda xp, a: learn("naive_bayes", "GaussianNB").fit(a(X), a(KIND)).predict_proba(a(X)),
    "GaussianMixture": lambda xp, a: (
        learn("mixture", "GaussianMixture", n_components=3, init_params="random_from_data", random_state=0)
        .fit(a(X))
        .score_samples(a(X))
    ),
    "train_test_split": lambda xp, a: call("sklearn.model_selection", "train_test_split")(
        a(X), a(KIND), random_state=0, stratify=a(KIND)
    ),
    "rbf_kernel": lambda xp, a: call("sklearn.metrics.pairwise", "rbf_kernel")(a(X), a(X[:5])),
}
SCORES: dict[str, Callable[[Callable[[Any], Any]], float]] = {
    "accuracy_score": lambda a: call("sklearn.metrics", "accuracy_score")(a(KIND), a(KIND[::-1].copy())),
    "f1_score": lambda a: call("sklearn.metrics", "f1_score")(a(KIND % 2), a(KIND // 2)),
    "r2_score": lambda a: call("sklearn.metrics", "r2_score")(a(Y), a(X[:, 5])),
    "log_loss": lambda a: call("sklearn.metrics", "log_loss")(
        a(KIND), a(P[:, :3] / P[:, :3].sum(1)[:, None])
    ),
}
FUNCTIONS: dict[str, Callable[[Any, Callable[[Any], Any]], Any]] = {
    "stats.describe": lambda xp, a: call("scipy.stats", "describe")(a(X))[1:],
    "stats.zscore": lambda xp, a: call("scipy.stats", "zscore")(a(X), axis=1),
    "stats.pearsonr": lambda xp, a: [
        getattr(call("scipy.stats", "pearsonr")(a(X[:, 0]), a(Y)), part) for part in ("statistic", "pvalue")
    ],
    "stats.ttest_ind": lambda xp, a: [
        getattr(call("scipy.stats", "ttest_ind")(a(X[:20]), a(X[20:])), part)
        for part in ("statistic", "pvalue")
    ],
    "stats.rankdata": lambda xp, a: call("scipy.stats", "rankdata")(a(np.round(Y))),
    "special.logsumexp": lambda xp, a: call("scipy.special", "logsumexp")(a(X), axis=1),
    "special.softmax": lambda xp, a: call("scipy.special", "softmax")(a(X), axis=1),
    "special.gammaln": lambda xp, a: call("scipy.special", "gammaln")(a(P)),
    "signal.fftconvolve": lambda xp, a: call("scipy.signal", "fftconvolve")(a(X), a(X[:5]), axes=0),
    "signal.hilbert": lambda xp, a: call("scipy.signal", "hilbert")(a(X), axis=0),
    "signal.detrend": lambda xp, a: call("scipy.signal", "detrend")(a(X), axis=0),
    "fft.rfft": lambda xp, a: call("scipy.fft", "rfft")(a(X), axis=0),
    "cluster.vq.whiten": lambda xp, a: call("scipy.cluster.vq", "whiten")(a(X)),
    "cluster.hierarchy.linkage": lambda xp, a: call("scipy.cluster.hierarchy", "linkage")(a(X)),
    "integrate.trapezoid": lambda xp, a: call("scipy.integrate", "trapezoid")(a(X), axis=0),
    "integrate.cumulative_trapezoid": lambda xp, a: call("scipy.integrate", "cumulative_trapezoid")(
        a(X), axis=0
    ),
    "optimize.elementwise.find_root": lambda xp, a: (
        call("scipy.optimize.elementwise", "find_root")(
            lambda x, c: x**3 - c, (a(np.zeros(3)), a(np.full(3, 9.0))), args=(a(np.array([1.0, 8.0, 30.0])),)
        ).x
    ),
    "differentiate.derivative": lambda xp, a: call("scipy.differentiate", "derivative")(xp.sin, a(Y[:4])).df,
}


def compare(found: Any, expected: Any) -> None:
    if isinstance(expected, (tuple, list)):
        for one, other in zip(found, expected, strict=True):
            compare(one, other)
        return
    assert isinstance(found, vs.Tensor)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators(name: str) -> None:
    sklearn = pytest.importorskip("sklearn", reason="pip install versant[array-api]")
    with sklearn.config_context(array_api_dispatch=True):
        compare(ESTIMATORS[name](xp, xp.asarray), ESTIMATORS[name](np, np.asarray))


@pytest.mark.parametrize("name", SCORES)
def test_scores(name: str) -> None:
    sklearn = pytest.importorskip("sklearn", reason="pip install versant[array-api]")
    with sklearn.config_context(array_api_dispatch=True):
        assert SCORES[name](xp.asarray) == pytest.approx(SCORES[name](np.asarray))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    pytest.importorskip("scipy", reason="pip install versant[array-api]")
    compare(FUNCTIONS[name](xp, xp.asarray), FUNCTIONS[name](np, np.asarray))


def test_gradients_flow_through_logsumexp() -> None:
    special = pytest.importorskip("scipy.special", reason="pip install versant[array-api]")
    x = xp.asarray(X).requires_grad_()
    special.logsumexp(x, axis=1).sum().backward()
    compare(x.grad, P)


def test_gradients_flow_through_a_fitted_scaler() -> None:
    sklearn = pytest.importorskip("sklearn", reason="pip install versant[array-api]")
    with sklearn.config_context(array_api_dispatch=True):
        scale = learn("preprocessing", "StandardScaler").fit(xp.asarray(X))
        x = xp.asarray(X).requires_grad_()
        scale.transform(x).sum().backward()
    compare(x.grad, np.broadcast_to(1 / X.std(0), X.shape))
