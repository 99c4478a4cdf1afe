"""Tests made from the op table: each record against its numpy reference, its forms against one another."""

import numpy as np
import pytest

from versant import testing
from versant.ops import table

RECORDS = list(table.values())
ELEMENTWISE = [r for r in RECORDS if r.kind == "elementwise"]
STRUCTURED = [r for r in RECORDS if r.kind != "elementwise" and r.ref is not None]


def each(records, *dtypes):
    """One test for each record, and for each dtype that it takes."""
    if not dtypes:
        return pytest.mark.parametrize("record", records, ids=lambda r: r.name)
    pairs = [(r, d) for r in records for d in testing.dtypes_of(r) if d in dtypes]
    return pytest.mark.parametrize(("record", "dtype"), pairs, ids=[f"{r.name}-{d}" for r, d in pairs])


@each(ELEMENTWISE, *testing.FLOATS, *testing.HALVES, *testing.INTEGERS)
def test_elementwise_values(record, dtype):
    testing.check_values(record, dtype)


@each(STRUCTURED, *testing.FLOATS)
def test_structured_values(record, dtype):
    testing.check_values(record, dtype)


@each(ELEMENTWISE, *testing.FLOATS)
def test_corners(record, dtype):
    testing.check_corners(record, dtype)


@each(ELEMENTWISE)
def test_dtypes(record):
    testing.check_dtypes(record)


@each([r for r in RECORDS if r.differentiable])
def test_gradients(record):
    testing.check_record_gradients(record)


@each([r for r in ELEMENTWISE if not r.differentiable and "float64" in testing.dtypes_of(r)])
def test_results_without_gradient(record):
    (args, kwargs), leaves = testing.differentiable_inputs(
        testing.samples_of(record)[0], np.random.default_rng(0)
    )
    assert leaves
    assert not record.call(*args, **kwargs).requires_grad


@each([r for r in RECORDS if r.in_place and r.samples] + [r for r in ELEMENTWISE if r.in_place])
def test_in_place(record):
    testing.check_in_place(record)


@each([r for r in RECORDS if r.kind != "host" and (r.samples or r.kind == "elementwise")])
def test_out(record):
    testing.check_out(record)


@each([r for r in RECORDS if r.kind == "primitive" and r.definition])
def test_fused_equals_its_definition(record):
    testing.check_definition(record)


@each(RECORDS)
def test_record_is_complete(record):
    missing = [facet for facet in missing_facets(record) if facet not in record.without]
    assert not missing, f"{record.name} lacks {missing} and does not say why"


def missing_facets(record):
    """The facets that a record should have, or say why not."""
    if not record.doc:
        yield "doc"
    if record.ref is None:
        yield "ref"
    if record.kind == "host":
        if not record.samples:
            yield "samples"
        if not record.differentiable:
            yield "vjp"
        return  # exported as a call of the host, or not at all
    if record.kind == "elementwise":
        formula = record.formula
        if not record.settings and not testing.all_defaults(record):
            yield "settings"
        from versant.ops.expression import Micro

        if not isinstance(formula.definition, Micro):
            return  # exported as its definition
        if formula.stated is None:
            yield "d"
    elif record.kind == "composite":
        if record.ref is not None and not record.samples:
            yield "samples"
        return  # exported as its definition
    elif record.ref is not None and not record.samples:
        yield "samples"
    if record.definition is not None:
        return
    if record.onnx is None:
        yield "onnx"
    if record.stablehlo is None:
        yield "stablehlo"
