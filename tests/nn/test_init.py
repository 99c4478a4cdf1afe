"""Initial values that are matrices of a kind: orthogonal, unit, Dirac, sparse."""

import numpy as np
import pytest

import versant as vs
from versant.nn import functional as F
from versant.nn import init


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 2, 3), (6, 2, 3, 3)])
@pytest.mark.parametrize("dtype", [vs.float32, vs.float64, vs.complex64, vs.bfloat16])
def test_orthogonal(shape, dtype):
    weight = vs.empty(shape, dtype=dtype, requires_grad=True)
    assert init.orthogonal_(weight, 2.0) is weight
    rows = weight.detach().to(vs.complex128).reshape(shape[0], -1)
    product = rows @ rows.mH if rows.shape[0] <= rows.shape[1] else rows.mH @ rows
    unit = 4 * np.eye(min(rows.shape))
    np.testing.assert_allclose(product.numpy(), unit, atol=0.1 if dtype.itemsize == 2 else 1e-5)


def test_orthogonal_matrices_have_no_preferred_sign():
    signs = [float(init.orthogonal_(vs.empty(2, 2))[0, 0]) > 0 for _ in range(60)]
    assert 10 < sum(signs) < 50


def test_eye_keeps_inputs():
    x = vs.randn(2, 3)
    np.testing.assert_array_equal(F.linear(x, init.eye_(vs.empty(2, 3))).numpy(), x[:, :2].numpy())


@pytest.mark.parametrize("groups", [1, 2])
def test_dirac_keeps_channels(groups):
    x = vs.randn(1, 4, 5, 5)
    y = F.conv2d(x, init.dirac_(vs.empty(4, 4 // groups, 3, 3), groups), padding=1, groups=groups)
    np.testing.assert_array_equal(y.numpy(), x.numpy())


def test_sparse_columns():
    weight = init.sparse_(vs.empty(10, 300), 0.25, std=0.5)
    assert (weight == 0).sum(0).tolist() == [3] * 300
    assert weight[weight != 0].std().item() == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (lambda: init.orthogonal_(vs.empty(3)), "at least 2 dimensions"),
        (lambda: init.eye_(vs.empty(3, 3, 3)), "expected 2 dimensions"),
        (lambda: init.dirac_(vs.empty(3, 3)), "expected 3, 4 or 5 dimensions"),
        (lambda: init.dirac_(vs.empty(3, 3, 3), 2), "must divide the 3 output channels"),
        (lambda: init.sparse_(vs.empty(3), 0.1), "expected 2 dimensions"),
    ],
)
def test_refusals(fill, message):
    with pytest.raises(ValueError, match=message):
        fill()


def test_first_names_warn() -> None:
    for name, args in (("constant", (2.0,)), ("uniform", ()), ("kaiming_normal", ()), ("eye", ())):
        vs.manual_seed(0)
        expected = getattr(init, f"{name}_")(vs.empty(3, 3), *args)
        vs.manual_seed(0)
        with pytest.warns(FutureWarning, match=f"nn.init.{name}_"):
            assert (getattr(init, name)(vs.empty(3, 3), *args) == expected).all()
