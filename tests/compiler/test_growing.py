"""Calls of which none is like another: they cost no trace each, and what is kept of them is bounded."""

import logging

import pytest
from compiler.comparison import bits

import versant as vs
from versant import nn
from versant.compiler import CompileError
from versant.compiler.entries import IN_VAIN, MOST_ALL
from versant.nn import functional as F


def attention(training):
    projection = nn.Linear(8, 24)
    optimizer = vs.optim.SGD(projection.parameters(), lr=0.01)

    def step(x, keys, values):
        q, k, v = projection(x).chunk(3, -1)
        keys, values = vs.cat([keys, k], 1), vs.cat([values, v], 1)
        y = F.softmax(q @ keys.mT, -1) @ values
        if training:
            optimizer.zero_grad()
            y.square().mean().backward()
            optimizer.step()
        return y.detach(), keys.detach(), values.detach()

    return step, lambda n: (vs.randn(1, 1, 8), vs.randn(1, n, 8), vs.randn(1, n, 8)), projection


def recurrent(training):
    layer = nn.LSTM(4, 6)
    optimizer = vs.optim.Adam(layer.parameters())

    def step(x):
        y, _ = layer(x)
        if training:
            optimizer.zero_grad()
            y.square().mean().backward()
            optimizer.step()
        return y[-1].detach()

    return step, lambda n: (vs.randn(n, 2, 4),), layer


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("make", [attention, recurrent])
def test_a_sequence_that_grows_by_one_in_each_of_500_calls(make, training):
    seen = []
    for compiled in (False, True):
        vs.manual_seed(0)
        step, arguments, layer = make(training)
        function = vs.compile(step) if compiled else step
        seen.append([bits(function(*arguments(n))) for n in range(1, 501)] + [bits(layer.state_dict())])
    assert seen[0] == seen[1]
    assert function.stats() == {"traces": IN_VAIN, "recompilations": IN_VAIN - 1, "replays": 0}
    assert "492 calls that came once ran as written" in function.explain()


def test_what_comes_again_is_traced():
    g = vs.compile(lambda x: x * 2)
    for _ in range(4):
        for n in range(1, 33):
            assert bits(g(vs.ones(n))) == bits(vs.ones(n) * 2)
    assert g.stats()["traces"] == 32
    assert g.stats()["replays"] >= 64
    g(vs.ones(99))  # the traces of before are in use
    assert g.stats()["traces"] == 33


def test_it_is_logged_once(caplog):
    g = vs.compile(lambda x: x * 2, name="doubling")
    with caplog.at_level(logging.INFO, "versant.compile"):
        for n in range(1, 40):
            g(vs.ones(n))
    assert [record.message for record in caplog.records][-1].startswith(
        "doubling runs as it is written where a call is like none before"
    )
    assert len(caplog.records) == IN_VAIN


def test_numbers_and_attributes_that_differ_in_every_call():
    class Schedule:
        beta = 0.0

    schedule = Schedule()
    f = lambda x, step: x * step + schedule.beta  # noqa: E731
    g, h = vs.compile(f), vs.compile(f)
    for step in range(40):
        schedule.beta = step / 8
        assert bits(g(vs.ones(3), 1)) == bits(f(vs.ones(3), 1))
        schedule.beta = 0.0
        assert bits(h(vs.ones(3), step)) == bits(f(vs.ones(3), step))
    assert g.stats()["traces"] == h.stats()["traces"] == IN_VAIN


def test_it_is_an_error_where_recompiling_is_one():
    g = vs.compile(lambda x: x * 2, recompiles="error")
    g(vs.ones(1))
    for n in range(2, 20):
        with pytest.raises(CompileError, match="compiled again"):
            g(vs.ones(n))


def test_what_is_kept_is_bounded():
    g = vs.compile(lambda x, n: x * n)
    x = vs.ones(2)
    for n in range(700):
        for _ in range(3):
            g(x, n)
    assert g.stats()["traces"] == MOST_ALL
    assert len(g._entries) == MOST_ALL
    assert g(x, 699).tolist() == [699, 699]
    assert g(x, 0).tolist() == [0, 0]


def test_what_is_used_most_is_kept():
    g = vs.compile(lambda x: x * 2)
    x = vs.ones(1)
    for n in range(2, 200):
        for _ in range(3):
            g(vs.ones(n))
            g(x)
    traces = g._traces
    g(x)
    assert g._traces == traces
