"""Steps whose results are known are constants, and what nobody reads is not computed."""

import versant as vs
from tests.compiler.comparison import bits, once


def names(compiled):
    return [step.name for branch in compiled.plan().branches for step in branch.steps]


def test_what_numbers_alone_make_is_a_constant():
    def f(x):
        return x * (vs.full((3,), 2.0).exp() + 1)

    x = vs.randn(3)
    compiled = vs.compile(f)
    for _ in range(3):
        assert bits(compiled(x)) == bits(f(x))
    once(compiled)
    assert names(compiled) == ["mul"]


def test_a_constant_that_is_changed_or_returned_is_new_in_every_call():
    def f(x):
        counter = vs.zeros(3) + 1
        given = vs.ones(2) * 2
        counter.add_(x)
        return counter, given

    compiled = vs.compile(f)
    compiled(vs.ones(3))
    for _ in range(3):
        counter, given = compiled(vs.ones(3))
        assert counter.tolist() == [2, 2, 2]
        assert given.tolist() == [2, 2]
        counter.zero_()
        given.zero_()


def test_what_nobody_reads_is_dropped():
    w = vs.randn(8, 8)

    def f(x):
        (x @ w).tanh().sum()
        return x + 1

    compiled = vs.compile(f)
    compiled(vs.ones(4, 8))
    assert names(compiled) == ["add"]


def test_what_may_raise_stays():
    def f(x, y):
        x // y
        return x + 1

    compiled = vs.compile(f)
    compiled(vs.tensor([4]), vs.tensor([2]))
    try:
        compiled(vs.tensor([4]), vs.tensor([0]))
    except ZeroDivisionError:
        return
    raise AssertionError("the division by zero was dropped")
