"""What a function reaches on ways that its code does not name is watched all the same."""

import collections
import contextvars
import ctypes
import dataclasses
import functools
import operator
import sys
import threading
import types
import weakref

import pytest
from compiler.comparison import X, bits, follows

import versant as vs
from versant import nn


class Box:
    """Some number under a name."""

    def __init__(self, value=2.0):
        self.value = value

    def change(self):
        self.value += 1.0


# Each case gives a function and what changes its result.


def compiled_functions_within():
    box = Box()
    inner = vs.compile(lambda x: x * box.value)
    return lambda x: inner(x) + 1, box.change


def code_in_text():
    scope = {"FACTOR": 2.0}
    exec("def f(x): return x * eval('FACTOR')", scope)
    return scope["f"], lambda: scope.update(FACTOR=3.0)


def code_in_text_that_is_put_together():
    scope = {"FACTOR": 2.0}
    exec("def f(x): return x * eval('FAC' + 'TOR')", scope)
    return scope["f"], lambda: scope.update(FACTOR=3.0)


def all_globals():
    scope = {"FACTOR": 2.0}
    exec("def f(x): return x * globals()['FAC' + 'TOR']", scope)
    return scope["f"], lambda: scope.update(FACTOR=3.0)


def rules_of_custom_functions():
    box = Box()

    class Scale(vs.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * box.value

        @staticmethod
        def backward(ctx, grad):
            return grad * box.value * 2

    def f(x):
        x = x.detach().requires_grad_()
        y = Scale.apply(x)
        return y, vs.autograd.grad(y.sum(), x)[0]

    return f, box.change


def rules_of_custom_derivatives():
    box = Box()
    scale = vs.func.custom_vjp(lambda x: x * 2)
    scale.defvjp(lambda x: (x * 2, None), lambda res, grad: (grad * box.value,))
    return lambda x: vs.func.grad(lambda x: scale(x).sum())(x), box.change


def functions_of_functions():
    box = Box()
    derivative = vs.func.grad(lambda x: (x * x * box.value).sum())
    return lambda x: derivative(x), box.change


def batched_functions():
    box = Box()
    batched = vs.func.vmap(lambda x: x * box.value)
    return lambda x: batched(x), box.change


def operators():
    class Scale(Box):
        def __rmul__(self, x):
            return x * self.value

        def __getitem__(self, x):
            return x + self.value

    scale = Scale()
    return lambda x: (x.sum() * scale) + scale[x], scale.change


def truth_and_length():
    class Some(Box):
        def __bool__(self):
            return self.value < 2.5

        def __len__(self):
            return int(self.value)

        def __contains__(self, x):
            return x < self.value

    some = Some()
    return lambda x: (x if some else -x) * len(some) + (2.2 in some), some.change


def descriptors():
    box = Box()

    class Doubled:
        def __get__(self, instance, owner):
            return box.value * 2

    class Holder:
        factor = Doubled()

    holder = Holder()
    return lambda x: x * holder.factor, box.change


def metaclasses():
    box = Box()

    class Meta(type):
        def __getattr__(cls, name):
            return box.value

        def __call__(cls, x):
            return x * box.value

    class Made(metaclass=Meta):
        pass

    return lambda x: Made(x) + Made.anything, box.change


def weak_references():
    box = Box()
    reference = weakref.ref(box)
    return lambda x: x * reference().value, box.change


def weak_proxies():
    box = Box()
    proxy = weakref.proxy(box)
    return lambda x: x * proxy.value, box.change


def weak_dictionaries():
    box = Box()
    boxes = weakref.WeakValueDictionary(a=box)
    return lambda x: x * boxes["a"].value, box.change


def names_that_are_put_together():
    box = Box()
    return lambda x: x * getattr(box, "val" + "ue"), box.change


def names_in_variables():
    box, name = Box(), "value"
    return lambda x: x * vars(box)[name] + box.__dict__[name], box.change


def attributes_that_may_come():
    box = Box()
    return lambda x: x * getattr(box, "factor", 1.0), lambda: setattr(box, "factor", 5.0)


def attributes_that_are_asked_for():
    class Plain:
        pass

    plain = Plain()
    return lambda x: x + hasattr(plain, "shift"), lambda: setattr(Plain, "shift", 5.0)


def attributes_that_are_missed():
    box = Box()

    def f(x):
        try:
            return x * box.factor
        except AttributeError:
            return x

    return f, lambda: setattr(box, "factor", 5.0)


def classes_that_hide_others():
    class Narrow(Box):
        scale = 2.0

    class Narrower(Narrow):
        pass

    narrower = Narrower()
    return lambda x: x * narrower.scale, lambda: setattr(Narrower, "scale", 4.0)


def methods_of_bases():
    box = Box()

    class Base:
        def bend(self, x):
            return x * box.value

    class Derived(Base):
        def bend(self, x):
            return super().bend(x) + 1

    derived = Derived()
    return lambda x: derived.bend(x), box.change


def classes_of_objects():
    class Other(Box):
        factor = 5.0

    class First(Box):
        factor = 2.0

    box = First()
    return lambda x: x * box.factor, lambda: setattr(box, "__class__", Other)


def dicts_with_attributes():
    class Config(dict):
        __getattr__ = dict.__getitem__

    config = Config(factor=2.0)
    return lambda x: x * config.factor, lambda: config.update(factor=3.0)


def dicts_with_defaults():
    box = Box()

    class Config(dict):
        def __missing__(self, key):
            return box.value

    config = Config()
    return lambda x: x * config["factor"], box.change


def numbers_with_methods():
    class Scaled(float):
        def __rmul__(self, other):
            return other * (float(self) + Scaled.more)

    Scaled.more = 1.0
    scaled = Scaled(2.0)
    return lambda x: x.sum().item() * scaled + x, lambda: setattr(Scaled, "more", 3.0)


def getters():
    box = Box()
    get, part = operator.attrgetter("value"), operator.methodcaller("__add__", 1.0)
    return lambda x: x * get(box) + part(get(box)), box.change


def chains_of_maps():
    inner = {"factor": 2.0}
    chain = collections.ChainMap({}, inner)
    return lambda x: x * chain["factor"], lambda: inner.update(factor=3.0)


def views_of_mappings():
    inner = {"factor": 2.0}
    view = types.MappingProxyType(inner)
    return lambda x: x * view["factor"], lambda: inner.update(factor=3.0)


def dicts_of_users():
    class Settings(collections.UserDict):
        pass

    settings = Settings(factor=2.0)
    return lambda x: x * settings["factor"], lambda: settings.update(factor=3.0)


def context_variables():
    factor = contextvars.ContextVar("factor", default=2.0)
    return lambda x: x * factor.get(), lambda: factor.set(3.0)


def variables_of_threads():
    local = threading.local()
    local.factor = 2.0
    return lambda x: x * local.factor, lambda: setattr(local, "factor", 3.0)


def values_of_c():
    number = ctypes.c_float(2.0)
    return lambda x: x * number.value, lambda: setattr(number, "value", 3.0)


def cached_functions():
    box = Box()

    @functools.lru_cache
    def unit():
        return 1.0

    @functools.wraps(unit)
    def wrapped(x):
        return x * box.value * unit()

    return lambda x: wrapped(x), box.change


def functions_by_type():
    box = Box()

    @functools.singledispatch
    def bend(x):
        return x

    @bend.register
    def _(x: vs.Tensor):
        return x * box.value

    return lambda x: bend(x), box.change


def partial_methods():
    class Scale(Box):
        def bend(self, x, power):
            return x * self.value**power

        squared = functools.partialmethod(bend, power=2)

    scale = Scale()
    return lambda x: scale.squared(x), scale.change


def modules_by_name():
    module = types.ModuleType("hidden_settings")
    module.factor = 2.0
    sys.modules["hidden_settings"] = module
    return lambda x: x * sys.modules["hidden_settings"].factor, lambda: setattr(module, "factor", 3.0)


def attributes_of_modules_that_are_made():
    module = types.ModuleType("made_settings")
    box = module.box = Box()
    exec("def __getattr__(name): return box.value", vars(module))
    return lambda x: x * module.factor, box.change


def hooks_that_others_call():
    box = Box()
    layer = nn.Linear(3, 2)
    with vs.no_grad():
        layer.weight.copy_(vs.ones(2, 3))
        layer.bias.zero_()
    layer.register_forward_hook(lambda module, args, result: result * box.value)
    net = nn.Sequential(layer)
    return lambda x: net(x), box.change


def attributes_of_functions():
    def bend(x):
        return x * bend.factor

    bend.factor = 2.0
    return lambda x: bend(x), lambda: setattr(bend, "factor", bend.factor + 1)


def names_of_attributes_in_lists():
    class Both:
        first, second = 1.0, 2.0

    both, names = Both(), ["first", "second"]

    def f(x):
        for name in names:
            x = x * getattr(both, name)
        return x

    return f, lambda: setattr(Both, "second", Both.second + 1)


def objects_that_answer_for_all_attributes():
    values = {"factor": 2.0}

    class Any:
        def __getattribute__(self, name):
            return values[name]

    anything = Any()
    return lambda x: x * anything.factor, lambda: values.update(factor=3.0)


def functions_of_ours_that_are_replaced():
    module = types.ModuleType("versant.patched")  # as another name of this package
    module.bend = lambda x: x * 2
    return lambda x: module.bend(x), lambda: setattr(module, "bend", lambda x: x * 3)


def layers_that_are_replaced():
    class Layer(nn.Identity):
        pass

    layer = Layer()
    return lambda x: layer(x), lambda: setattr(Layer, "forward", lambda self, x: x * 3)


def fields_of_dataclasses():
    @dataclasses.dataclass
    class Pair:
        low: float = 1.0
        high: float = dataclasses.field(default_factory=lambda: 2.0)

        def __post_init__(self):
            self.middle = (self.low + self.high) / 2

    pair = Pair()
    return lambda x: x * pair.middle + Pair().low, lambda: setattr(pair, "middle", 7.0)


CASES = [
    compiled_functions_within,
    code_in_text,
    code_in_text_that_is_put_together,
    all_globals,
    rules_of_custom_functions,
    rules_of_custom_derivatives,
    functions_of_functions,
    batched_functions,
    operators,
    truth_and_length,
    descriptors,
    metaclasses,
    weak_references,
    weak_proxies,
    weak_dictionaries,
    names_that_are_put_together,
    names_in_variables,
    attributes_that_may_come,
    attributes_that_are_asked_for,
    attributes_that_are_missed,
    classes_that_hide_others,
    methods_of_bases,
    classes_of_objects,
    dicts_with_attributes,
    dicts_with_defaults,
    numbers_with_methods,
    getters,
    chains_of_maps,
    views_of_mappings,
    dicts_of_users,
    context_variables,
    variables_of_threads,
    values_of_c,
    cached_functions,
    functions_by_type,
    partial_methods,
    modules_by_name,
    attributes_of_modules_that_are_made,
    hooks_that_others_call,
    attributes_of_functions,
    names_of_attributes_in_lists,
    objects_that_answer_for_all_attributes,
    functions_of_ours_that_are_replaced,
    layers_that_are_replaced,
    fields_of_dataclasses,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_hidden_reads(case):
    f, change = case()
    compiled = follows(f, change, change, calls=3)
    assert compiled.stats()["replays"], compiled.explain()


def test_a_method_of_ours_that_is_replaced(monkeypatch):
    layer = nn.ReLU()
    compiled = vs.compile(lambda x: layer(x))
    assert bits(compiled(X)) == bits(X.relu())
    monkeypatch.setattr(nn.ReLU, "forward", lambda self, x: x * 3)
    assert bits(compiled(X)) == bits(X * 3)
