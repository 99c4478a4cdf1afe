"""Options of compile: what sizes may do, and what bad values raise."""

import copy
import logging
import subprocess
import sys

import pytest
from compiler.comparison import bits

import versant as vs
from versant import nn
from versant.compiler import CompileError
from versant.compiler.record import short_place


def doubled(x, others=(), *, scale=1.0):
    for other in others:
        x = x + other.sum()
    return x * 2 * scale


def test_new_sizes_count_unless_they_are_expected(caplog):
    for dynamic, counted in ((None, 3), (True, 0)):
        g = vs.compile(doubled, dynamic=dynamic)
        caplog.clear()
        with caplog.at_level(logging.INFO, "versant.compile"):
            for n in (1, 2, 3, 4, 3, 1):
                assert bits(g(vs.ones(n))) == bits(doubled(vs.ones(n)))
        assert g.stats() == {"traces": 4, "recompilations": counted, "replays": 2}
        assert len(caplog.records) == counted
    g = vs.compile(doubled, dynamic=True, recompiles="error")
    g(vs.ones(2))
    g(vs.ones(3))


def test_what_is_expected_are_sizes_only():
    g = vs.compile(doubled, dynamic=True, recompiles="error")
    g(vs.ones(2))
    for x in (vs.ones(2, dtype=vs.float64), vs.ones(2, 2)):
        with pytest.raises(CompileError, match="compiled again: `x` was float32"):
            g(x)
    with pytest.raises(CompileError, match="compiled again: `scale`"):
        g(vs.ones(2), scale=3.0)


def test_sizes_may_be_kept_as_they_are():
    g = vs.compile(doubled, dynamic=False, name="doubling")
    g(vs.ones(2))
    with pytest.raises(CompileError, match=r"doubling: x had shape \(2,\), now \(3,\), and dynamic=False"):
        g(vs.ones(3))
    assert bits(g(vs.ones(2) * 2)) == bits(doubled(vs.ones(2) * 2))
    g(vs.ones(2), [vs.ones(1), vs.ones(2)])
    with pytest.raises(CompileError, match=r"tensor 1 in others had shape \(2,\), now \(5,\)"):
        g(vs.ones(2), [vs.ones(1), vs.ones(5)])
    g(vs.ones(2), others=(vs.ones(1),))
    with pytest.raises(CompileError, match=r"others had shape \(1,\), now \(4,\)"):
        g(vs.ones(2), others=(vs.ones(4),))
    g(vs.ones(2, dtype=vs.float64))  # not a matter of sizes
    assert g.stats()["traces"] == 4


@pytest.mark.parametrize(
    ("option", "value"), [("dynamic", "yes"), ("dynamic", 1), ("guards", "none"), ("recompiles", "never")]
)
def test_bad_values(option, value):
    with pytest.raises(ValueError, match=f"{option} is"):
        vs.compile(doubled, **{option: value})


def test_copies_have_traces_of_their_own():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(3, 2)
            self.fast = vs.compile(self.inner, name="inner")

        def forward(self, x):
            return self.fast(x) * 2

    model = Model()
    model(vs.ones(3))
    twin = copy.deepcopy(model)
    with vs.no_grad():
        twin.inner.weight.zero_()
        twin.inner.bias.zero_()
    assert twin(vs.ones(3)).tolist() == [0, 0]
    assert bits(model(vs.ones(3))) == bits(model.inner(vs.ones(3)) * 2)
    assert (twin.fast.__name__, twin.fast.stats()["traces"]) == ("inner", 1)
    assert bits(copy.copy(vs.compile(doubled))(vs.ones(3))) == bits(vs.ones(3) * 2)


def test_a_compiled_module_is_trained_by_its_own_name():
    """As in `model = compile(model)`."""

    def training(compiled):
        vs.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1))
        model = vs.compile(model) if compiled else model
        optimizer = vs.optim.SGD(model.parameters(), lr=0.1)
        model.train()
        for _ in range(4):
            optimizer.zero_grad()
            model(vs.ones(2, 3)).sum().backward()
            optimizer.step()
        model.eval()
        return bits([model(vs.ones(2, 3)), model.state_dict(), [p.grad for p in model.parameters()]])

    assert training(True) == training(False)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = vs.compile(doubled).nothing


def test_what_programs_of_pytorch_say_of_compilation() -> None:
    g = vs.compile(doubled, mode="reduce-overhead", fullgraph=True, backend="inductor", options={"x": 1})
    assert g(vs.ones(2)).tolist() == doubled(vs.ones(2)).tolist()
    assert g.stats()["traces"] == 1

    @vs.compile(mode="max-autotune")
    def other(x):
        return x + 1

    assert other(vs.ones(1)).item() == 2
    assert vs.compile(doubled, disable=True) is doubled
    with pytest.raises(TypeError, match="expected names as backend and mode"):
        vs.compile(doubled, backend=lambda graph, inputs: graph)


def test_reasons_name_the_value_that_is_new_and_its_line():
    def step(x):
        if x.sum() > 0:
            x = x * 2
        return x * int(x[0])

    compiled = vs.compile(step)
    first = step.__code__.co_firstlineno
    for value in (1.0, -1.0, 2.0):
        compiled(vs.full((3,), value))
    lines = compiled.explain().splitlines()
    reasons = [line.partition(": ")[2].partition(";")[0] for line in lines if "compiled again" in line]
    place = f"the value that is read at {short_place(__file__ + ':0')[:-2]}"
    assert reasons == [f"{place}:{first + 1} was True, now False", f"{place}:{first + 3} was 2.0, now 4.0"]
    strict = vs.compile(step, recompiles="error")
    strict(vs.full((3,), 1.0))
    with pytest.raises(CompileError, match=r"read at .*test_options\.py:\d+ was True, now False"):
        strict(vs.full((3,), -1.0))


def test_a_function_without_modules_imports_none():
    code = """
import sys, versant as vs
vs.compile(lambda x: x * 2)(vs.ones(2))
assert "versant.nn" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
