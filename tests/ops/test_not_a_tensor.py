"""Ops that are given something else than a tensor say what they met."""

import pytest

import versant as vs
from versant.nn import functional as F

OPS = {
    **{
        name: getattr(vs, name)
        for name in ("sum", "mean", "prod", "median", "norm", "unique", "softmax", "flatten", "mode", "diff")
    },
    "numel": vs.numel,
    "nn.functional.softmax": F.softmax,
    "nn.functional.normalize": F.normalize,
}


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize(("value", "kind"), [([1.0, 2.0], "list"), (None, "NoneType"), ("a", "str")])
def test_the_op_and_what_it_met_are_named(name, value, kind):
    with pytest.raises(TypeError, match=rf"\[[a-z_.]+\].*{kind}"):
        OPS[name](value)


def test_other_missing_attributes_stay_attribute_errors():
    with pytest.raises(AttributeError, match="shape_of_things"):
        vs.ones(2).shape_of_things  # noqa: B018


@pytest.mark.parametrize("name", ["entr", "bessel_j0", "airy_ai", "ndtri"])
def test_the_namespace_is_a_part_of_the_name(name) -> None:
    with pytest.raises(
        TypeError, match=rf"\[special\.{name}\] argument 'input' must be a tensor or a number, got str"
    ):
        getattr(vs.special, name)("x")


def test_polynomials_take_tensors_and_numbers() -> None:
    with pytest.raises(TypeError, match="must be a tensor or a number, got str"):
        vs.special.hermite_polynomial_h("x", 2)
