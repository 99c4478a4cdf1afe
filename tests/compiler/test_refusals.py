"""What replays would not repeat is refused, and never gives the results of before."""

import dataclasses
import datetime
import os
import random
import sys
import time
import uuid

import numpy as np
import pytest
from compiler.comparison import bits, once

import versant as vs
from versant.compiler import CompileError

X = vs.linspace(-1, 1, 6).reshape(2, 3)


@dataclasses.dataclass
class Meter:
    total: float = 0.0
    last: object = None


def refused(f, match, *args):
    with pytest.raises((CompileError, RuntimeError), match=match):
        vs.compile(f)(*(args or (X,)))


def test_what_is_changed_and_not_repeated():
    meter, losses, seen, count = Meter(), [], {}, 0

    def counts(x):
        nonlocal count
        count += 1
        return x + count

    def adds(x):
        meter.total += 1.0
        return x * meter.total

    refused(counts, "count was 0, now 1")
    refused(adds, "total was")
    refused(lambda x: losses.append(x) or x, "losses had 0 items")
    refused(lambda x: seen.update(y=1) or x, "seen had 0 items")
    refused(lambda x: setattr(meter, "last", 2) or x, "last")

    def fills(x, out):
        out["y"] = x * 2
        return x

    refused(fills, "items", X, {})


def test_what_is_read_from_outside_and_not_read_again(tmp_path):
    batches = iter([vs.ones(2, 3), vs.zeros(2, 3)])
    generator = (x for x in [vs.ones(3)])
    refused(lambda x: x + next(batches), "iterator")
    refused(lambda x: x + next(generator), "iterator")
    refused(lambda x: x * random.random(), "random numbers")
    refused(lambda x: x * np.random.rand(), "random numbers")
    refused(lambda x: x * time.perf_counter(), "clock")
    path = tmp_path / "scale"
    path.write_text("2")

    def reads(x):
        with open(path) as file:
            return x * float(file.read())

    def reads_or_not(x):
        try:
            return reads(x)
        except RuntimeError:
            return x

    refused(reads, r"opens .*scale")
    refused(reads_or_not, r"opens .*scale")
    refused(lambda x: x * float(path.read_text()), r"opens .*scale")
    refused(lambda x: path.write_text("3") and x, r"opens .*scale")
    refused(lambda x: x * len(os.listdir(tmp_path)), "lists .*which replays would not")
    refused(lambda x: x * float(np.load(path)), r"opens .*scale")
    refused(lambda x: x * datetime.datetime.now().second, "datetime reads the clock")
    refused(lambda x: x * os.urandom(1)[0], "system's random numbers")
    refused(lambda x: x * uuid.uuid4().int, "system's random numbers")
    own = random.Random(0)
    refused(lambda x: x * own.random(), "own, an object of Random, has other contents")
    rng = np.random.default_rng(0)
    refused(lambda x: x * rng.random(), "rng")


def test_memory_that_is_changed_unseen():
    array = np.ones(3, np.float32)
    refused(lambda x: x + vs.from_numpy(x.numpy() * 2), "gives its memory")
    refused(lambda x: x + vs.tensor(np.asarray(x)), "gives its memory")
    refused(lambda x: vs.from_numpy(array).add_(x[0]), "shares its memory with an array")
    refused(lambda x: x * x.reshape(-1).repeat(100).tolist()[0], "a list of 600 values")


def test_lists_of_values_are_read_one_by_one():
    g = vs.compile(lambda x: x + vs.tensor(x.tolist()))
    for x in (X, X + 1, X, X + 1):
        assert bits(g(x)) == bits(x + x)
    once(g, 2)


def test_a_file_that_the_call_does_not_open(tmp_path):
    def f(x, path):
        return x * 2 if path is None else x * float(open(path).read())

    g = vs.compile(f)
    assert bits(g(X, None)) == bits(g(X, None)) == bits(X * 2)
    with pytest.raises(CompileError, match="opens"):
        g(X, str(tmp_path / "scale"))
    assert bits(g(X, None)) == bits(X * 2)


def test_variables_of_the_environment(monkeypatch):
    def f(x):
        return x * float(os.environ.get("SCALE", "1")) + float(os.getenv("SHIFT") or 0)

    g = vs.compile(f)
    for name, value in (("SCALE", "2"), ("SHIFT", "3"), ("SCALE", "4")):
        monkeypatch.setenv(name, value)
        assert bits(g(X)) == bits(g(X)) == bits(f(X))
    once(g, 3)


def test_modules_that_the_first_call_imports(tmp_path, monkeypatch):
    (tmp_path / "late_settings.py").write_text("scale = 2.0")
    monkeypatch.syspath_prepend(tmp_path)

    def f(x):
        import late_settings

        return x * late_settings.scale

    g = vs.compile(f)
    for scale in (2.0, 3.0):
        for _ in range(3):
            assert bits(g(X)) == bits(X * scale)
        sys.modules["late_settings"].scale = 3.0
    once(g, 2)
    del sys.modules["late_settings"]
