"""What tensors come and go in: replays make containers anew, and what they cannot make anew is refused."""

import collections
import dataclasses
import functools
import types

import pytest
from compiler.comparison import bits, once

import versant as vs
from versant.compiler import CompileError

X = vs.arange(1.0, 4.0)


class Rows(list):
    pass


class Named(dict):
    def __getattr__(self, name):
        return self[name]


class Output(collections.OrderedDict):
    """Items that are attributes too."""

    def __init__(self, **items):
        super().__init__(**items)
        self.__dict__.update(items)


@dataclasses.dataclass
class Sample:
    y: vs.Tensor
    size: int = dataclasses.field(init=False)

    def __post_init__(self):
        self.size = self.y.numel()
        self.twice = self.y * 2


class Plain:
    def __init__(self, y):
        self.y = y


class Slots:
    __slots__ = ("y",)

    def __init__(self, y):
        self.y = y


CONTAINERS = {
    "OrderedDict": lambda y: collections.OrderedDict(y=y, z=1),
    "defaultdict": lambda y: collections.defaultdict(list, y=y),
    "a dict read by attributes": lambda y: Named(y=y),
    "a dict of its own": lambda y: Output(y=y, n=2),
    "a list": lambda y: Rows([y, 1]),
    "deque": lambda y: collections.deque([0, y], maxlen=2),
    "SimpleNamespace": lambda y: types.SimpleNamespace(y=y, parts=[y, y.sum()]),
    "dataclass": Sample,
}


def described(value):
    """All that a container holds."""
    attributes = bits(dict(sorted(getattr(value, "__dict__", {}).items())))
    items = bits(dict(value)) if isinstance(value, dict) else None
    if isinstance(value, (list, collections.deque)):
        items = bits(list(value))
    kind = type(value)
    others = (
        hasattr(kind, "maxlen") and value.maxlen,
        hasattr(kind, "default_factory") and value.default_factory,
    )
    return kind, attributes, items, others


@pytest.mark.parametrize("name", CONTAINERS)
def test_results(name):
    make = CONTAINERS[name]
    g = vs.compile(lambda x: make(x * 2))
    found = [g(X + i) for i in range(3)]
    assert [described(value) for value in found] == [described(make((X + i) * 2)) for i in range(3)]
    assert len({id(value) for value in found}) == 3
    assert "y=" in g.ir() or "[" in g.ir() or "y'" in g.ir()
    once(g)


@pytest.mark.parametrize("name", CONTAINERS)
def test_arguments(name):
    make = CONTAINERS[name]

    def f(value):
        parts = [*value.values()] if isinstance(value, dict) else [*getattr(value, "__dict__", {}).values()]
        parts += list(value) if isinstance(value, (list, collections.deque)) else []
        return [part * 2 for part in parts if isinstance(part, vs.Tensor)]

    g = vs.compile(f)
    for i in range(3):
        assert bits(g(make(X + i))) == bits(f(make(X + i)))
    once(g)


def test_what_a_call_changes_in_a_container_of_its_caller():
    for make in (CONTAINERS["SimpleNamespace"], CONTAINERS["a dict of its own"], Sample):
        with pytest.raises(CompileError, match=r"value\.n was not there|value\.y was a tensor"):
            vs.compile(lambda value: setattr(value, "y", value.y * 2) or value.y)(make(X))
    with pytest.raises(CompileError, match="other contents"):
        vs.compile(lambda queue: queue.append(X) or X * 2)(collections.deque([X]))


SCALE = 2.0


class Scaled(collections.namedtuple("Scaled", "y")):
    def total(self):
        return self.y.sum() * SCALE


def test_methods_of_containers_may_read_what_changes():
    global SCALE
    g = vs.compile(lambda value: value.total())
    for scale in (2.0, 3.0, 2.0):
        SCALE = scale
        assert g(Scaled(X)).item() == 6.0 * scale
    once(g, 2)


HOLDERS = {
    "an object": Plain,
    "slots": Slots,
    "a function": lambda y: lambda: y,
    "partial": lambda y: functools.partial(vs.mul, y),
    "a method": lambda y: y.sum,
    "a set": lambda y: {y},
    "a view of a dict": lambda y: {"y": y}.values(),
    "a class": lambda y: type("Holder", (), {"y": y}),
    "an error": ValueError,
    "deep within": lambda y: (1, {"a": [Plain([Plain(y)])]}),
}


@pytest.mark.parametrize("name", HOLDERS)
def test_objects_that_hold_tensors_are_refused(name):
    with pytest.raises(CompileError, match="with tensors in it, which replays would not make again"):
        vs.compile(lambda x: HOLDERS[name](x * 2))(X)


LATER = {
    "a generator": lambda y: (part for part in [y]),
    "map": lambda y: map(float, y),
    "an iterator": lambda y: iter([y]),
    "enumerate": lambda y: [enumerate([y])],
}


@pytest.mark.parametrize("name", LATER)
def test_what_runs_later_is_refused(name):
    with pytest.raises(CompileError, match="runs later and once"):
        vs.compile(lambda x: LATER[name](x * 2))(X)


@pytest.mark.filterwarnings("ignore:coroutine")
def test_generator_functions_and_coroutines_are_refused():
    def generates(x):
        yield x * 2

    async def waits(x):
        return x * 2

    with pytest.raises(CompileError, match="an object of generator, which runs later"):
        vs.compile(generates)(X)
    with pytest.raises(CompileError, match="an object of coroutine"):
        vs.compile(waits)(X)


def test_objects_that_were_there_before_are_themselves():
    held = Plain(X)

    def f(x):
        return held, x * 2, len, Plain, {"k": held}

    g = vs.compile(f)
    for _ in range(3):
        found = g(X)
        assert found[0] is held is found[4]["k"]
        assert found[2:4] == (len, Plain)
    once(g)


def test_such_containers_are_saved_as_plain_ones(tmp_path):
    g = vs.compile(lambda x: collections.OrderedDict(a=x * 2, b=[x + 1]))
    g(X)
    g.save(tmp_path / "f.vsp", X)
    found = vs.load_program(tmp_path / "f.vsp")(X)
    assert type(found) is dict
    assert bits(found) == bits({"a": X * 2, "b": [X + 1]})
    with pytest.raises(CompileError, match="in attributes of SimpleNamespace"):
        vs.compile(CONTAINERS["SimpleNamespace"]).save(tmp_path / "g.vsp", X)
