"""What a function does on ways that its code does not name is refused where replays would not do it."""

import contextlib
import queue
import random
import time
import weakref

import numpy as np
import pytest
from compiler.comparison import X, bits

import versant as vs
from versant.compiler import CompileError


class Count:
    def __init__(self):
        self.number = 0

    def up(self):
        self.number += 1


def counts_by_reference(count):
    reference = weakref.ref(count)

    def f(x):
        reference().number += 1
        return x

    return f


def counts_by_name(count):
    return lambda x: [setattr(count, "num" + "ber", count.number + 1), x][1]


def counts_by_dict(count):
    def f(x):
        vars(count)["number"] += 1
        return x

    return f


def counts_by_descriptor(count):
    class Counting:
        def __get__(self, instance, owner):
            count.up()
            return 1.0

    class Holder:
        factor = Counting()

    holder = Holder()
    return lambda x: x * holder.factor


def counts_by_metaclass(count):
    class Meta(type):
        def __call__(cls):
            count.up()
            return 1.0

    class Made(metaclass=Meta):
        pass

    return lambda x: x * Made()


def counts_around(count):
    @contextlib.contextmanager
    def around():
        count.up()
        yield

    def f(x):
        with around():
            return x + 1

    return f


COUNTS = [
    counts_by_reference,
    counts_by_name,
    counts_by_dict,
    counts_by_descriptor,
    counts_by_metaclass,
    counts_around,
]


@pytest.mark.parametrize("make", COUNTS, ids=lambda make: make.__name__)
def test_hidden_counts(make):
    count = Count()
    compiled = vs.compile(make(count))
    with pytest.raises(CompileError, match=r"number was \d, now \d"):
        bits([compiled(X) for _ in range(3)])


def takes_from_a_queue():
    waiting = queue.Queue()
    for i in range(9):
        waiting.put(i)
    return lambda x: x * waiting.get()


CHANCES = {
    "a generator of Python": (lambda x: x * random.Random().random(), "random numbers"),
    "the system's generator": (lambda x: x * random.SystemRandom().random(), "random numbers"),
    "a generator of numpy": (lambda x: x * np.random.default_rng().random(), "random numbers"),
    "a clock by name": (lambda x: x * getattr(time, "ti" + "me")(), "the clock"),
    "a queue": (takes_from_a_queue(), "has other contents"),
}


@pytest.mark.parametrize("name", CHANCES)
def test_hidden_chances(name):
    f, words = CHANCES[name]
    with pytest.raises(CompileError, match=words):
        vs.compile(f)(X)


def test_generators_with_a_seed_give_the_same_again():
    compiled = vs.compile(lambda x: x * random.Random(3).random() * np.random.default_rng(3).random())
    assert bits(compiled(X)) == bits(compiled(X)) == bits(compiled._function(X))
    assert compiled.stats()["replays"] == 1
