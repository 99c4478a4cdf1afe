"""Complex forms of elementwise records: against numpy's functions of complex numbers, and their gradients."""

import numpy as np
import pytest

import versant as vs
from versant import testing
from versant.ops import table

FORMS = [r for r in table.values() if r.kind == "elementwise" and r.formula.complex_form() is not None]


def settings_of(record):
    return dict(record.settings[0]) if record.settings and not testing.all_defaults(record) else {}


def inputs_of(record, rng):
    """Complex inputs near the real domain of each, where no branch is cut; conditions stay bool."""
    made = []
    for domain in record.sample:
        size = (4, 5)
        if domain.kind == "float":
            made.append(rng.uniform(0.2, 0.9, size) + 1j * rng.uniform(0.2, 0.9, size))
        else:
            made.append(testing.draw(testing.Array(size, domain), "float64", rng))
    return made


def test_the_usual_functions_are_among_them():
    assert {r.name for r in FORMS} >= {
        "add",
        "mul",
        "div",
        "exp",
        "log",
        "sqrt",
        "pow",
        "tanh",
        "acosh",
        "abs",
    }
    assert not {r.name for r in FORMS} & {"maximum", "lt", "floor", "erf", "sign", "remainder", "bitwise_and"}


@pytest.mark.parametrize("record", FORMS, ids=lambda r: r.name)
def test_values(record):
    rng = np.random.default_rng(1)
    inputs = inputs_of(record, rng)
    setting = settings_of(record)
    parameters = [setting.get(a.name, a.default) for a in record.signature if a.kind == "number"]
    try:
        expected = np.asarray(record.ref(*inputs, *parameters))
    except TypeError:  # numpy has it for real numbers only: there both must agree
        inputs = [x.real if x.dtype.kind == "c" else x for x in inputs]
        expected = np.asarray(record.ref(*inputs, *parameters))
        inputs = [x + 0j if x.dtype.kind == "f" else x for x in inputs]
    result = record.call(*map(vs.from_numpy, inputs), **setting).numpy()
    np.testing.assert_allclose(result, expected, 1e-11, 1e-13)


@pytest.mark.parametrize("record", [r for r in FORMS if r.differentiable], ids=lambda r: r.name)
def test_gradients(record):
    """By real and imaginary parts, against differences, in reverse and forward mode to order 2."""
    inputs = inputs_of(record, np.random.default_rng(2))
    setting = settings_of(record)
    leaves = [vs.from_numpy(p.copy()) for x in inputs if x.dtype.kind == "c" for p in (x.real, x.imag)]

    def parts(*values):
        rest = iter(values)
        args = [
            vs.complex(next(rest), next(rest)) if x.dtype.kind == "c" else vs.from_numpy(x) for x in inputs
        ]
        result = record.call(*args, **setting)
        return vs.view_as_real(result) if result.is_complex() else result

    testing.check_gradients(parts, [leaf.requires_grad_() for leaf in leaves])


def test_float_power_is_complex128_where_either_is_complex():
    z = vs.tensor([1 + 2j, -0.5j], dtype=vs.complex64)
    for base, exponent in ((z, 1.5), (2.0, z), (z, vs.tensor([2, 3])), (vs.tensor([2, 3]), z)):
        result = vs.float_power(base, exponent)
        assert result.dtype is vs.complex128
        wide = [t.numpy().astype("complex128") if isinstance(t, vs.Tensor) else t for t in (base, exponent)]
        np.testing.assert_allclose(result.numpy(), np.power(*wide), rtol=1e-12)
    with pytest.raises(TypeError, match="float_power_"):
        z.float_power_(2.0)
