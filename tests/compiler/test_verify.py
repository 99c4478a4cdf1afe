"""The verifier of traces and plans: it passes what the passes make, and finds each kind of fault."""

from typing import Any

import pytest

import versant as vs
from versant import _core
from versant.compiler.record import read_record


def chain() -> vs.compiler.Compiled:
    """Two products with elementwise steps between: buffers of the arena that follow one another."""

    @vs.compile
    def f(x, y):
        a = (x @ y).tanh()
        b = (a @ y) * a
        return (b @ x).exp()

    f(vs.ones(20, 20), vs.ones(20, 20))
    return f


def mixed() -> vs.compiler.Compiled:
    """A reading, random numbers, and a result with a history."""
    weight = vs.ones(6).requires_grad_()

    @vs.compile
    def f(x):
        y = x * weight
        if y.sum() > -1e9:
            return y.exp() + vs.rand(6)
        return y

    f(vs.ones(6))
    return f


def stepping() -> vs.compiler.Compiled:
    """An optimizer's step, before which a reading has moved."""
    weight = vs.ones(6).requires_grad_()
    optimizer = vs.optim.SGD([weight], lr=0.1)

    @vs.compile
    def f(x):
        loss = (x * weight).sum()
        loss.backward()
        optimizer.step()
        if loss > -1e9:
            return x * 2
        return x

    f(vs.ones(6))
    return f


def writing() -> vs.compiler.Compiled:
    """Writes to parts of one buffer."""

    @vs.compile
    def f(x, y):
        x[0] = y[1]
        x[1] = y[0]

    f(vs.ones(2, 6), vs.ones(2, 6))
    return f


def in_a_chain() -> vs.compiler.Compiled:
    """A row chain: products and elementwise steps of which every thread does a share of the rows."""
    weight = vs.ones(64, 64)

    @vs.compile
    def f(x):
        y = ((x @ weight).tanh() @ weight).tanh()
        return (y @ weight).exp()

    f(vs.ones(256, 64))
    return f


def behind_a_chain() -> vs.compiler.Compiled:
    """A product that reads all of what a row chain before it writes."""
    weight, other = vs.ones(64, 64), vs.ones(256, 256)

    @vs.compile
    def f(x):
        return other @ ((x @ weight).tanh() @ weight).exp()

    f(vs.ones(256, 64))
    return f


def large() -> vs.compiler.Compiled:
    """Buffers too large for the arena, one of which takes another's memory."""

    @vs.compile
    def f(x):
        return (x.cumsum(0) * 2).cumsum(0)

    f(vs.ones(100_000))
    return f


def step(function: vs.compiler.Compiled, name: str) -> int:
    """The number of the first step of that name."""
    record = read_record(entry(function), 0)
    return next(s for s, step in enumerate(record.steps) if step.name == name)


def entry(function: vs.compiler.Compiled) -> Any:
    (some,) = function._entries.values()
    return some[0].branches


def number(function: vs.compiler.Compiled, what: str | int) -> int:
    return what if isinstance(what, int) else step(function, what)


@pytest.mark.parametrize("make", [chain, mixed, stepping, writing, in_a_chain, large])
def test_what_the_passes_make_obeys_the_rules(make):
    _core.verify_changed(entry(make()), [])


# In what, the changes (field, a step's name or a number, which one there, the value), and the complaint.
FAULTS: dict[str, tuple[Any, list[tuple[str, Any, int, int]], str]] = {
    "a buffer that is not there": (chain, [("in.buffer", "tanh", 0, 99)], "names the buffer %99"),
    "an output without a buffer": (chain, [("out.buffer", "tanh", 0, -1)], "names the buffer %-1"),
    "a number among arrays": (chain, [("in.buffer", "multiply", 0, -1)], "names the buffer %-1"),
    "a window behind the end": (chain, [("in.offset", "tanh", 0, 64)], "ends at byte 1664 of 1600"),
    "a window before the start": (chain, [("out.offset", "tanh", 0, -4)], "ends at byte 1596 of 1600"),
    "sizes of another number": (chain, [("out.size", "multiply", 0, 3)], "of another size than it says"),
    "a read before the write": (chain, [("swap", 0, 1, 0)], "reads %2, which nobody has written"),
    "an output too few": (chain, [("out.remove", "tanh", 0, 0)], "1 inputs and 1 outputs for 1 and 0"),
    "a register that is not ready": (chain, [("operand", "tanh", 0, 9)], "register 9, which is not ready"),
    "a register too many": (chain, [("register", "tanh", 0, 9)], "register 9, which does not exist"),
    "given back too soon": (chain, [("last.add", 2, 0, 3)], "gives back %3, which is used afterwards"),
    "given back twice": (chain, [("last.add", 3, 0, 3)], "gives back %3 again"),
    "given back by a stranger": (
        chain,
        [("last.remove", 3, 0, 3), ("last.add", 4, 0, 3)],
        "gives back %3, which it does not touch",
    ),
    "never given back": (chain, [("last.remove", 3, 0, 3)], "does not give back %3"),
    "an argument given back": (chain, [("last.add", 0, 0, 0)], "gives back %0, which is not its own"),
    "a result without a buffer": (chain, [("result", 0, 0, -1)], "has a result without a buffer"),
    "a result of the way back": (mixed, [("result", 0, 0, 9)], "reads %9, which nobody has written"),
    "a gradient of no result": (mixed, [("differentiable", 0, 0, 5)], "takes gradients of result 5"),
    "an incoming gradient elsewhere": (mixed, [("incoming", 0, 0, 0)], "gradient 0 of another result"),
    "an outgoing gradient elsewhere": (mixed, [("outgoing", 0, 0, 99)], "names the buffer %99"),
    "a gradient for no tensor": (mixed, [("outgoing.captured", 0, 0, 7)], "goes to no tensor"),
    "a buffer of no tensor": (mixed, [("buffer.index", 0, 0, 7)], "a tensor that it does not have, 7"),
    "a stream that is not there": (mixed, [("stream", "uniform_", 0, 3)], "draws from stream 3"),
    "a call into nothing": (stepping, [("index", "SGD.step", 0, 8)], "calls back into nothing"),
    "a change of no tensor": (stepping, [("index", "gradient", 0, 8)], "tensor 8, which was not captured"),
    "in place elsewhere": (large, [("in_place", "cumsum", 0, 1)], "in place over another buffer"),
    "sizes that do not spread": (chain, [("out.size", "tanh", 0, 3)], "does not spread over float32[3]"),
    "writes in another order": (writing, [("swap", 0, 1, 0)], "%0 is read and written in another order"),
    "calls in another order": (stepping, [("swap", "gradient", -1, 0)], "of the host stand in another order"),
    "an arena too small": (chain, [("layout.offset", 2, 0, 1 << 20)], "%2 across the end of the arena"),
    "a crooked place": (chain, [("layout.offset", 2, 0, 4)], "puts %2 at 4, which is not aligned"),
    "a buffer larger than planned": (chain, [("layout.extent", 2, 0, 8)], "ends behind its buffer %2"),
    "two living buffers in one place": (chain, [("layout.offset", 4, 0, 0)], "%4 over %3, which is still"),
    "two buffers across each other": (chain, [("layout.offset", 3, 0, 64)], "puts %3 across %2"),
    "over what other rows read": (in_a_chain, [("layout.offset", 6, 0, 0)], "other rows of the chain still"),
    "all of what rows are written of": (
        behind_a_chain,
        [("layout.chain", 4, 0, 0)],
        "one reads all of it and one writes rows of it",
    ),
    "no rows in a chain": (
        large,
        [("layout.chain", 0, 0, 0), ("layout.chain", 1, 0, 0)],
        "is in a chain that",
    ),
    "a chain with a gap": (in_a_chain, [("layout.chain", 2, 0, -1)], "begins a row chain with a gap"),
    "a chain of one step": (in_a_chain, [("layout.chain", 5, 0, 7)], "is a row chain by itself"),
    "a chain of other rows": (in_a_chain, [("layout.rows", 0, 0, 128)], "does not work over 128 rows"),
    "an argument in the arena": (chain, [("layout.offset", 0, 0, 0)], "which is not fresh"),
    "a result in the arena": (
        chain,
        [("layout.allocated.remove", 5, 0, 7), ("layout.offset", 7, 0, 0)],
        "puts %7 into the arena, which others see afterwards",
    ),
    "memory twice": (large, [("layout.allocated.add", "mul", 0, 2)], "gives memory twice to %2"),
    "memory for nothing": (chain, [("layout.allocated.add", 0, 0, 99)], "plans memory for %99"),
    "memory never": (chain, [("layout.offset", 2, 0, -1)], "writes without memory %2"),
    "over what lives on": (large, [("layout.inherited.add", "mul", 2, 0)], "writes %2 over %0, which it"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_found(fault):
    make, changes, complaint = FAULTS[fault]
    function = make()
    last = len(read_record(entry(function), 0).steps) - 1
    changes = [(field, number(function, i), last if k == -1 else k, value) for field, i, k, value in changes]
    with pytest.raises(RuntimeError) as error:
        _core.verify_changed(entry(function), changes)
    assert complaint in str(error.value)


def test_a_fault_names_the_pass_the_step_and_the_line():
    function = chain()
    with pytest.raises(RuntimeError, match=r"after changes: step 1, tanh of .*test_verify\.py:\d+, names"):
        _core.verify_changed(entry(function), [("in.buffer", 1, 0, 99)])


def test_what_cannot_be_changed_is_an_error():
    branches = entry(chain())
    with pytest.raises(ValueError, match="no field colour"):
        _core.verify_changed(branches, [("colour", 0, 0, 0)])
    with pytest.raises(IndexError, match="99 of 6"):
        _core.verify_changed(branches, [("index", 99, 0, 0)])
    with pytest.raises(IndexError, match="branch 3 of 1"):
        _core.trace_record(branches, 3)
