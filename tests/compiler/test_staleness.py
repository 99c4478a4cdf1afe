"""What a compiled function reaches may change between calls: results are never those of before."""

import collections
import enum
import functools
import types

import numpy as np
import pytest
from compiler.comparison import X, bits, follows, once

import versant as vs
from versant import nn

# Python values ----------------------------------------------------------------------------------------------

FACTOR = 2.0
CONFIG = types.ModuleType("config")
CONFIG.scale = 3.0
CONFIG.nested = {"shift": [1.0, 2.0]}


def set_global(name, value):
    globals()[name] = value


def test_globals():
    follows(lambda x: x * FACTOR, lambda: set_global("FACTOR", 5.0), lambda: set_global("FACTOR", 5))


def test_a_zero_of_another_sign():
    set_global("FACTOR", 0.0)
    follows(lambda x: x * FACTOR, lambda: set_global("FACTOR", -0.0))


def helper(x):
    return x + FACTOR


def test_globals_of_functions_that_are_called():
    follows(lambda x: helper(x), lambda: set_global("FACTOR", 7.0))


def test_a_function_that_is_replaced():
    before = helper
    follows(lambda x: helper(x), lambda: set_global("helper", lambda x: x - 1))
    set_global("helper", before)


def test_a_builtin_that_is_hidden():
    follows(lambda x: x * len(x), lambda: set_global("len", lambda x: 9))
    del globals()["len"]


def test_attributes_of_modules():
    follows(
        lambda x: x * CONFIG.scale + CONFIG.nested["shift"][1],
        lambda: setattr(CONFIG, "scale", 4.0),
        lambda: CONFIG.nested["shift"].__setitem__(1, 9.0),
        lambda: CONFIG.nested.update(shift=[0.0, 0.0]),
    )


def test_closures():
    factor = 1.0

    def change():
        nonlocal factor
        factor = 3.0

    follows(lambda x: x * factor, change)


def test_default_arguments():
    def f(x, factor=2.0, *, shift=1.0):
        return x * factor + shift

    follows(
        f,
        lambda: setattr(f, "__defaults__", (5.0,)),
        lambda: f.__kwdefaults__.update(shift=8.0),
        lambda: setattr(f, "__code__", (lambda x, factor=2.0, *, shift=1.0: x - factor).__code__),
    )


def test_lists_dicts_sets_and_deques():
    factors, named, chosen, last = [1.0, 2.0], {"a": 1.0, "b": 2.0}, {"a"}, collections.deque([1.0])

    def f(x):
        for factor in factors:
            x = x * factor
        for name, value in named.items():
            x = x + value if name in chosen else x - value
        return x / last[-1]

    follows(
        f,
        lambda: factors.append(3.0),
        lambda: factors.__setitem__(0, 7.0),
        lambda: named.update(c=1.0),
        lambda: named.pop("a"),
        lambda: chosen.add("b"),
        lambda: (chosen.remove("a"), chosen.add("c")),
        lambda: last.append(4.0),
    )


class Settings:
    factor = 2.0  # of the class

    def __init__(self):
        self.shift = 1.0

    @property
    def both(self):
        return self.factor * 2 + self.shift

    @staticmethod
    def bend(x):
        return x.tanh()

    @classmethod
    def shrink(cls, x):
        return x / cls.factor

    def __call__(self, x):
        return self.shrink(self.bend(x * self.both))


class Narrow:
    __slots__ = ("factor",)

    def __init__(self):
        self.factor = 2.0


def test_attributes_of_objects_and_classes():
    settings, narrow = Settings(), Narrow()
    method = Settings.bend
    follows(
        lambda x: settings(x) * narrow.factor,
        lambda: setattr(settings, "shift", 2.0),
        lambda: setattr(Settings, "factor", 3.0),
        lambda: setattr(settings, "factor", 4.0),
        lambda: setattr(narrow, "factor", 5.0),
        lambda: setattr(Settings, "bend", staticmethod(lambda x: x.sin())),
    )
    Settings.bend, Settings.factor = staticmethod(method), 2.0


def test_attributes_by_name_and_partial():
    settings = Settings()

    def f(x, y):
        return x * getattr(settings, "shift") + y  # noqa: B009

    follows(functools.partial(f, y=2.0), lambda: setattr(settings, "shift", 5.0))
    held = functools.partial(f, y=2.0)
    follows(lambda x: held(x), lambda: held.keywords.update(y=5.0))


Bounds = collections.namedtuple("Bounds", "low high")


class Kind(enum.Enum):
    UP = 1
    DOWN = 2


def test_enumerations_and_named_tuples():
    kind = Kind.UP
    bounds = Bounds(-0.5, 0.5)

    def change():
        nonlocal kind
        kind = Kind.DOWN

    def narrow():
        nonlocal bounds
        bounds = Bounds(-0.1, 0.1)

    follows(lambda x: (x if kind is Kind.UP else -x).clamp(*bounds), change, narrow)


def test_values_of_numpy():
    array, number = np.array([1.0, 2.0]), np.float32(2.0)

    def f(x):
        return x * float(array[0]) + float(number)

    def change():
        nonlocal number
        number = np.float32(3.0)

    follows(f, lambda: array.__setitem__(0, 5.0), change)


def test_arguments_of_numpy():
    g = vs.compile(lambda x, a: x * float(a[0]))
    array = np.array([2.0])
    assert bits(g(X, array)) == bits(X * 2.0)
    array[0] = 3.0
    assert bits(g(X, array)) == bits(X * 3.0)
    h = vs.compile(lambda x, n: x * float(n))
    for number in (np.float64(2.0), np.float64(2.0), np.float64(4.0)):
        assert bits(h(X, number)) == bits(X * float(number))
    once(h, 2)


def test_arguments_that_are_objects_of_users():
    settings = Settings()
    follows(lambda x, s: x * s.shift, lambda: setattr(settings, "shift", 9.0), args=(X, settings))
    other = Settings()
    g = vs.compile(lambda x, s: x * s.shift)
    assert bits(g(X, settings)) != bits(g(X, other))


def test_containers_of_arguments_may_be_used_again():
    g = vs.compile(lambda batch: batch["x"] * 2)
    batch = {"x": X}
    g(batch)
    batch["x"] = X + 1
    assert bits(g(batch)) == bits((X + 1) * 2)
    once(g)


def test_shapes_slices_and_ranges_as_arguments():
    g = vs.compile(lambda x, shape, part, steps: x.reshape(shape)[part] * len(steps))
    for _ in range(2):
        assert bits(g(X, X.T.shape, slice(0, 2), range(3))) == bits(X.reshape(3, 2)[:2] * 3)
    once(g)
    assert bits(g(X, X.shape, slice(0, 1), range(4))) == bits(X[:1] * 4)


# Tensors ----------------------------------------------------------------------------------------------------


def test_tensors_that_are_swapped_in_containers():
    held, row = {"w": vs.ones(3)}, [vs.ones(3)]
    follows(
        lambda x: x * held["w"] + row[0],
        lambda: held.update(w=vs.zeros(3)),
        lambda: row.__setitem__(0, vs.arange(3.0)),
        lambda: held["w"].add_(4),
    )


def test_data_that_is_swapped():
    w = vs.ones(3)
    base = vs.arange(6.0)
    view = base[:3]
    follows(
        lambda x: x * w.detach() + view + base.sum(),
        lambda: setattr(w, "data", vs.arange(3.0)),
        lambda: setattr(base, "data", vs.ones(6)),
        lambda: setattr(view, "data", vs.ones(3)),
        lambda: setattr(w, "data", view),  # shares memory now
        lambda: setattr(w, "data", vs.arange(6.0)[::2]),
    )


def test_arguments_that_are_reached_otherwise_too():
    w = vs.arange(3.0)
    g = vs.compile(lambda x: x * w)
    for x in (w, vs.ones(3), w, w.clone(), w.detach()):
        assert bits(g(x)) == bits(x * w)


def test_arguments_that_are_one_another():
    def f(a, b):
        a.add_(1)
        return a * b

    g = vs.compile(f)
    for make in (
        lambda: [vs.ones(3), vs.ones(3)],
        lambda: [vs.ones(3)] * 2,
        lambda: (lambda x: [x, x[:]])(vs.ones(3)),
        lambda: (lambda x: [x[:3], x[1:]])(vs.ones(4)),
        lambda: [vs.ones(6)[::2], vs.ones(3)],
        lambda: [vs.ones(3), vs.ones(1).expand(3)],
    ):
        for _ in range(2):
            assert bits(g(*make())) == bits(f(*make()))


def test_gradients_of_arguments_that_are_one_another():
    def f(a, b):
        (a * b * b).sum().backward()
        return a.grad, b.grad

    g = vs.compile(f)

    def leaf():
        return vs.arange(3.0).requires_grad_()

    for make in (lambda: (leaf(), leaf()), lambda: (leaf(),) * 2, lambda: (leaf(), leaf())):
        assert bits(g(*make())) == bits(f(*make()))


def test_gradients_go_to_the_arguments_of_now():
    g = vs.compile(lambda w: (w * w).sum().backward())
    for i in range(3):
        w = (vs.arange(3.0) + i).requires_grad_()
        g(w)
        assert bits(w.grad) == bits(w.detach() * 2)
    once(g)


def test_constants_are_new_in_every_call():
    def f(x):
        total = vs.tensor(0.0)
        for row in x:
            total += row.sum()
        part = vs.Tensor([1, 2])
        part[0] = total
        return total, part, vs.tensor([3.0, 4.0])

    g = vs.compile(f)
    for i in range(4):
        found = g(X + i)
        assert bits(found) == bits(f(X + i))
        for result in found:
            result.add_(5)  # it is the caller's
    once(g)


def test_results_that_are_one_another():
    def f(x):
        y = x * 2
        return y, x, y, y.sort(1), Bounds(y, 3)

    g = vs.compile(f)
    for _ in range(3):
        a, b, c, found, bounds = g(X)
        assert a is c is bounds.low
        assert b is X
        assert bits(found.values) == bits((X * 2).sort(1).values)
    once(g)


def test_a_branch_whose_tensor_is_swapped():
    w = vs.tensor(1.0)
    g = vs.compile(lambda x: x * 2 if w > 0 else x * 3)
    for value in (1.0, -1.0, 1.0):
        w.data = vs.tensor(value)
        assert bits(g(X)) == bits(X * 2 if value > 0 else X * 3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: vs.zeros(0, 3),
        lambda: vs.tensor(2.0),
        lambda: vs.arange(12.0).reshape(3, 4).T,
        lambda: vs.arange(12.0).reshape(3, 4)[:, 1:3],
        lambda: vs.arange(12.0)[::-1] if False else vs.arange(12.0).flip(0),
        lambda: vs.ones(1, 3).expand(4, 3),
        lambda: vs.arange(5),
        lambda: vs.ones(3, dtype=vs.bool),
        lambda: vs.randn(3, dtype=vs.complex64),
        lambda: vs.randn(3).to(vs.bfloat16),
    ],
)
def test_layouts_of_arguments(make):
    g = vs.compile(lambda x: (x * 2, x.sum(), x.reshape(-1)))
    for _ in range(2):
        x = make()
        assert bits(g(x)) == bits((x * 2, x.sum(), x.reshape(-1)))
    once(g)


def test_requires_grad_that_is_switched():
    layer = nn.Linear(3, 3)

    def f(x):
        y = layer(x)
        return y, y.requires_grad, [p.requires_grad for p in layer.parameters()]

    follows(f, lambda: layer.weight.requires_grad_(False), lambda: layer.requires_grad_(True))


def test_a_subclass_of_tensors_is_told_apart():
    g = vs.compile(lambda x: x * 2 if isinstance(x, nn.Parameter) else x * 3)
    assert bits(g(nn.Parameter(X)).detach()) == bits(X * 2)
    assert bits(g(X.clone().requires_grad_()).detach()) == bits(X * 3)


# Modules and modes ------------------------------------------------------------------------------------------


class Model(nn.Module):
    gain = 1.5

    def __init__(self):
        super().__init__()
        self.first, self.drop = nn.Linear(3, 4), nn.Dropout(0.5)
        self.rest = nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False), nn.ReLU())
        self.register_buffer("shift", vs.ones(4))
        self.options = {"scale": 2.0}

    def forward(self, x):
        return self.rest(self.drop(self.first(x))) * self.options["scale"] * self.gain + self.shift


def test_modules():
    vs.manual_seed(1)
    model = Model()
    follows(
        lambda x: model(x),
        model.eval,
        model.train,
        model.drop.eval,
        lambda: setattr(model.drop, "p", 0.1),
        lambda: setattr(model, "first", nn.Linear(3, 4, bias=False)),
        lambda: setattr(model.first, "weight", nn.Parameter(vs.ones(4, 3))),
        lambda: setattr(model.first, "bias", nn.Parameter(vs.ones(4))),
        lambda: setattr(model, "shift", vs.zeros(4)),
        lambda: model.options.update(scale=3.0),
        lambda: setattr(Model, "gain", 2.5),
        lambda: setattr(model, "gain", 3.5),
        lambda: model.rest.append(nn.Tanh()),
        lambda: model.rest.__setitem__(1, nn.Sigmoid()),
        lambda: setattr(model, "forward", lambda x: model.first(x)),
    )
    Model.gain = 1.5


def test_a_module_that_is_converted_or_loaded():
    model = nn.Linear(3, 2)
    state = {key: value + 1 for key, value in model.state_dict().items()}
    g = follows(lambda x: model(x.to(model.weight.dtype)), lambda: model.load_state_dict(state), model.double)
    once(g, 2)


def test_hooks_of_modules():
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    handles = []
    follows(
        lambda x: model(x),
        lambda: handles.append(model[0].register_forward_hook(lambda module, args, y: y * 2)),
        lambda: handles.append(model.register_forward_pre_hook(lambda module, args: (args[0] + 1,))),
        lambda: handles.pop(0).remove(),
        lambda: handles.pop(0).remove(),
    )


def test_hooks_of_tensors():
    w = vs.ones(3, requires_grad=True)
    factor, handles = [2.0], []

    def f(x):
        w.grad = None
        (w * x).sum().backward()
        return w.grad

    follows(
        f,
        lambda: handles.append(w.register_hook(lambda g: g * factor[0])),
        lambda: factor.__setitem__(0, 5.0),
        lambda: handles.append(w.register_hook(lambda g: g + 1)),
        lambda: handles.pop(0).remove(),
        lambda: handles.pop(0).remove(),
    )


def test_hooks_of_tensors_outside():
    runs = []
    w, x = vs.ones(3, requires_grad=True), vs.arange(3.0)
    g = vs.compile(lambda x: (w * x).sum())
    w.register_hook(lambda grad: runs.append(1) or grad * 3)
    for _ in range(3):
        w.grad = None
        g(x).backward()
        assert bits(w.grad) == bits(x * 3)
    assert len(runs) == 3


def test_modes():
    w = vs.ones(3, 3, requires_grad=True)
    f = lambda x: (x @ w, vs.zeros(2), vs.is_grad_enabled())  # noqa: E731
    g = vs.compile(f)
    before = vs.get_default_dtype()
    for _ in range(2):
        assert bits(g(X)) == bits(f(X))
        with vs.no_grad():
            assert bits(g(X)) == bits(f(X))
        with vs.autocast("cpu", dtype=vs.bfloat16):
            assert bits(g(X)) == bits(f(X))
        with vs.inference_mode():
            assert bits(g(X)) == bits(f(X))
        vs.set_default_dtype(vs.float64)
        try:
            assert bits(g(X)) == bits(f(X))
        finally:
            vs.set_default_dtype(before)
    once(g, 5)


def test_casts_that_autocast_remembers_are_not_kept():
    w = vs.ones(3, 3, requires_grad=True)
    g = vs.compile(lambda x: x @ w)
    for i in range(3):
        with vs.autocast("cpu", dtype=vs.bfloat16):
            assert bits(X @ w) == bits(g(X))
        with vs.no_grad():
            w.mul_(2 + i)


def test_rates_that_are_set_by_hand():
    def training(compiled):
        vs.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = vs.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)

        def step(x):
            optimizer.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()

        step = vs.compile(step) if compiled else step
        for rate in (0.1, 0.1, 0.01, 1.0):
            optimizer.param_groups[0]["lr"] = rate
            step(X)
        optimizer.param_groups[0]["momentum"] = 0.0
        step(X)
        optimizer.add_param_group({"params": [vs.ones(1, requires_grad=True)]})
        step(X)
        return bits([model.state_dict(), optimizer.state_dict()])

    assert training(True) == training(False)


def test_rates_that_code_reads():
    optimizer = vs.optim.SGD([vs.ones(1, requires_grad=True)], lr=0.1)
    follows(
        lambda x: x * optimizer.param_groups[0]["lr"],
        lambda: optimizer.param_groups[0].update(lr=0.5),
    )


def test_sets_deques_and_arrays_are_compared_without_python():
    chosen, last = {"a", "b"}, collections.deque([1.0, 2.0], maxlen=2)
    array, turned = np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(2, 3).T
    nothing = np.zeros((0, 3))

    def f(x):
        factor = ("a" in chosen) + 2 * ("c" in chosen) + sum(last)
        return x * factor + float(array[0, 1]) + float(turned.sum()) + len(nothing)

    def empties():
        nonlocal nothing
        nothing = np.zeros((3, 3))

    def changes():
        array[0, 1] = 9.0

    def turns():
        turned[2, 1] = -1.0

    g = vs.compile(f)
    for change in (None, lambda: chosen.add("c"), lambda: last.append(5.0), changes, turns, empties):
        if change:
            change()
        assert bits(g(X)) == bits(f(X))
        before = g._quick_replays
        assert bits(g(X)) == bits(f(X))
        assert g._quick_replays == before + 1
    once(g, 6)
