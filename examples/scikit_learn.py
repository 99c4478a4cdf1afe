"""scikit-learn's estimators learn from tensors: a classifier of handwritten digits, all of it in our memory.

    python examples/scikit_learn.py

Estimators that take arrays of the array API standard give tensors back. What a fitted estimator computes from
a tensor has a gradient, so that it can stand inside a model that is trained.
"""

import os
from typing import Any

os.environ["SCIPY_ARRAY_API"] = "1"  # scikit-learn asks for it, and SciPy reads it when it is imported

import sklearn
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.metrics import accuracy_score, r2_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import versant as vs
from versant.datasets import digits


def classify(x: vs.Tensor, y: vs.Tensor) -> float:
    """The share of held-out digits that a chain of three estimators names rightly."""
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.25, stratify=y, random_state=0)
    model = make_pipeline(StandardScaler(), PCA(30, svd_solver="full"), LinearDiscriminantAnalysis())
    model.fit(x_train, y_train)
    named = model.predict(x_test)
    assert isinstance(named, vs.Tensor)
    return float(accuracy_score(y_test, named))


def fill_in(x: vs.Tensor) -> float:
    """How well the upper half of a digit tells how much ink its lower half has (R²)."""
    x_train, x_test = train_test_split(x, random_state=0)
    model = Ridge(alpha=1.0, solver="svd").fit(x_train[:, :32], x_train[:, 32:].sum(1))
    return float(r2_score(x_test[:, 32:].sum(1), model.predict(x_test[:, :32])))


def clusters(x: vs.Tensor, y: vs.Tensor) -> float:
    """Ten clusters found without labels: the share of digits that are their cluster's commonest digit."""
    x = PCA(10, svd_solver="full").fit_transform(x)
    mixture = GaussianMixture(10, init_params="random_from_data", reg_covar=1e-3, random_state=0)
    found = mixture.fit(x).predict(x)
    commonest = [vs.bincount(y[found == k]).max() for k in range(10) if bool((found == k).any())]
    return float(sum(commonest) / len(y))


def what_makes_an_eight(x: vs.Tensor, y: vs.Tensor) -> tuple[int, int]:
    """The pixel that would make a three an eight soonest: the gradient through two fitted estimators."""
    scale = StandardScaler().fit(x)
    model = LinearDiscriminantAnalysis().fit(scale.transform(x), y)
    image = x[y == 3][:1].clone().requires_grad_()
    score = model.decision_function(scale.transform(image))
    (score[0, 8] - score[0, 3]).backward()
    assert image.grad is not None
    return divmod(int((image.grad * x.std(0)).argmax()), 8)


def main() -> dict[str, Any]:
    images, labels = digits()
    x = images.reshape(len(images), -1).double()
    with sklearn.config_context(array_api_dispatch=True):
        result: dict[str, Any] = {
            "accuracy": classify(x, labels),
            "r2": fill_in(x),
            "purity": clusters(x, labels),
            "pixel": what_makes_an_eight(x, labels),
        }
    print(f"discriminant analysis names {result['accuracy']:.1%} of the digits held out")
    print(f"the upper half explains {result['r2']:.1%} of the variance of the ink in the lower half")
    print(f"{result['purity']:.1%} of the digits are the commonest digit of their cluster")
    row, column = result["pixel"]
    print(f"ink in row {row}, column {column} would make a three an eight soonest")
    return result


if __name__ == "__main__":
    main()
