"""Programs that run in superinstructions have the bits of their micro-ops one by one."""

import numpy as np
import pytest

import versant as vs
from versant.ops import table
from versant.ops.derivation import GRADIENT, _formula_of
from versant.ops.expression import Application, Constant, in_order

CORNERS = [0.0, -0.0, 1.0, -1.0, 3.0, -3.0, 6.0, 88.0, -88.0, 104.0, -104.0, np.inf, -np.inf, np.nan]


def is_plain(record):
    """A function of floats alone, every micro-op of which is an op by itself."""
    if record.kind != "elementwise" or not record.formula.differentiable:
        return False
    if record.name in ("where", "masked_fill"):  # of a bool
        return False
    roots = [record.formula.value, *record.formula.vjp]
    return all(e.micro in _formula_of for e in in_order(roots) if isinstance(e, Application))


RECORDS = [r for r in table.values() if is_plain(r)]


def evaluate(expression, sources):
    """The expression, each micro-op an op of its own."""
    values = {}
    for e in in_order([expression]):
        if isinstance(e, Application):
            dtype = next(iter(sources.values())).dtype
            operands = [values[o] for o in e.operands]
            if e.micro.name == "select":
                operands[0] = operands[0] != 0
            shape = np.broadcast_shapes(*(o.shape for o in operands))
            values[e] = _formula_of[e.micro].op(*(o.expand(shape) for o in operands)).to(dtype)
        elif isinstance(e, Constant):
            values[e] = vs.tensor(float(e.value), dtype=next(iter(sources.values())).dtype).expand(1)
        else:
            values[e] = sources[e]
    return values[expression]


def same_bits(a, b):
    """Equal bits; one NaN is as good as another."""
    a, b = a.numpy(), b.numpy()
    return np.array_equal(a, b, equal_nan=True) and np.array_equal(
        np.signbit(a[~np.isnan(a)]), np.signbit(b[~np.isnan(b)])
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.name)
def test_same_bits(record, dtype):
    formula = record.formula
    rng = np.random.default_rng(5)
    count = formula.sources[-1].number
    drawn = [np.concatenate([rng.permutation(CORNERS), rng.normal(size=700) * 3]) for _ in range(count + 1)]
    tensors = [vs.tensor(a, dtype=getattr(vs, dtype)) for a in drawn]
    # Parameters are numbers; some ops ask for positive or rising ones.
    numbers = sorted(abs(t[-1].item()) for t in tensors[formula.n_inputs + 1 :])
    for k, number in enumerate(numbers, formula.n_inputs + 1):
        tensors[k] = vs.full(tensors[0].shape, number, dtype=getattr(vs, dtype))
    names = dict(zip(formula.sources, tensors[1:], strict=True))
    arguments = [t.clone().requires_grad_() for t in tensors[1 : formula.n_inputs + 1]]
    y = formula.op(*arguments, *(t[0].item() for t in tensors[formula.n_inputs + 1 :]))
    assert same_bits(y.detach(), evaluate(formula.value, names).expand(y.shape))
    if not y.requires_grad:
        return
    gradients = vs.autograd.grad(y, arguments, tensors[0], allow_unused=True)
    names |= {formula.output: y.detach(), GRADIENT: tensors[0]}
    for gradient, expression in zip(gradients, formula.vjp, strict=True):
        if gradient is not None and isinstance(expression, Application):
            assert same_bits(gradient, evaluate(expression, names).expand(y.shape))
