"""Every module of nn compiled: results, gradients and states are eager's, bit for bit."""

import copy

import pytest
from compiler.comparison import bits, once, state_of, tensors_in, weighted
from compiler.layers import MODULES

import versant as vs
from versant import nn

CALLS = 3
ABSTRACT = {"Module", "RNNBase", "RNNCellBase", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList"}
ABSTRACT |= {"Sequential"}


def test_the_table_is_whole():
    kinds = [kind for kind in vars(nn).values() if isinstance(kind, type) and issubclass(kind, nn.Module)]
    names = {kind.__name__ for kind in kinds} | {name for name in dir(nn) if name.endswith("Loss")}
    tried = {name.split()[0] for name in MODULES}
    become_others = {name for name in names if name.startswith("Lazy")}
    assert names - tried - ABSTRACT - become_others == set()


def made(name, training):
    vs.manual_seed(1)
    module = MODULES[name][0]().train(training)
    return module, copy.deepcopy(module)


def drawn(name, call):
    """Inputs, anew with every call, that take part in gradients where they can."""
    vs.manual_seed(10 + call)
    inputs = MODULES[name][1]()
    for t in tensors_in(inputs):
        if t.is_floating_point():
            t.requires_grad_()
    return inputs


def outside(module, inputs):
    """Values inside, gradients outside."""
    vs.manual_seed(5)
    results = module(*inputs)
    loss = weighted(results)
    if loss is not None:
        loss.backward()
    return bits([results, [t.grad for t in tensors_in(inputs)], vs.rand(1)])


def step_of(module):
    """A function that goes forward and backward."""

    def step(*inputs):
        module.zero_grad()
        results = module(*inputs)
        loss = weighted(results)
        if loss is None:
            return results
        loss.backward()
        return [t.detach() for t in tensors_in(results)], [t.grad for t in tensors_in(inputs)]

    return step


def twice_of(module):
    """A function that takes gradients of gradients."""

    def twice(*inputs):
        leaves = [t for t in (*tensors_in(inputs), *module.parameters()) if t.requires_grad]
        loss = weighted(module(*inputs))
        first = vs.autograd.grad(loss, leaves, create_graph=True, allow_unused=True)
        again = weighted(first)
        second = vs.autograd.grad(again, leaves, allow_unused=True) if again is not None else ()
        return [t.detach() for t in tensors_in([first, second])]

    return twice


def runs(function, name):
    """What some calls give, or the error of the first that raises."""
    found = []
    for call in range(CALLS):
        inputs = drawn(name, call)
        vs.manual_seed(5)
        found.append(bits([function(*inputs), vs.rand(1)]))
    return found


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", MODULES)
def test_forward_inside_and_backward_outside(name, training):
    eager, twin = made(name, training)
    compiled = vs.compile(twin)
    for call in range(CALLS):
        assert outside(compiled, drawn(name, call)) == outside(eager, drawn(name, call)), call
        assert state_of(twin) == state_of(eager), call
    once(compiled)


@pytest.mark.parametrize("name", MODULES)
def test_forward_and_backward_inside(name):
    eager, twin = made(name, True)
    compiled = vs.compile(step_of(twin))
    assert runs(compiled, name) == runs(step_of(eager), name)
    assert state_of(twin) == state_of(eager)
    once(compiled)


@pytest.mark.parametrize("name", MODULES)
def test_gradients_of_gradients_inside(name):
    eager, twin = made(name, True)
    try:
        expected = runs(twice_of(eager), name)
    except (RuntimeError, NotImplementedError):
        pytest.skip("has no second derivative")
    compiled = vs.compile(twice_of(twin))
    assert runs(compiled, name) == expected
    once(compiled)


@pytest.mark.parametrize("name", ["Linear", "Conv2d", "LSTM wide", "Transformer", "BatchNorm2d"])
def test_threads_reach_no_bit(name):
    before = vs.get_num_threads()
    eager, twin = made(name, True)
    expected = runs(step_of(eager), name)
    vs.set_num_threads(2)
    try:
        assert runs(vs.compile(step_of(twin)), name) == expected
    finally:
        vs.set_num_threads(before)


def test_batch_norm_of_plain_averages_computes_its_statistics_once():
    layer, twin = nn.BatchNorm1d(3, momentum=None), nn.BatchNorm1d(3, momentum=None)
    g = vs.compile(lambda x: layer(x))
    for i in range(4):
        x = vs.linspace(-1, 2, 12).reshape(4, 3) * (i + 1)
        assert bits(g(x)) == bits(twin(x))
        assert state_of(layer) == state_of(twin)
    once(g)
    steps = [line.split(" = ")[-1].partition("(")[0] for line in g.ir().splitlines()]
    assert steps.count("normalize_channels") == 1
    assert not any("statistics" in step and "." in step for step in steps)
