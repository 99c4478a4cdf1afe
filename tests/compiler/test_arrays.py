"""Arrays of NumPy that compiled functions make tensors of: constants as long as nobody writes to them."""

import array
import ctypes
import types

import numpy as np
import pytest
from compiler.comparison import bits

import versant as vs
import versant.tf as tf
from versant.compiler.facts import Contents

MAKERS = {
    "tensor": vs.tensor,
    "as_tensor": vs.as_tensor,
    "asarray": vs.asarray,
    "from_numpy": vs.from_numpy,
    "tf.constant": tf.constant,
    "tf.convert_to_tensor": tf.convert_to_tensor,
    "a list": lambda a: vs.tensor([a, a])[1],
    "an operand": lambda a: vs.zeros(3) + a,
    "an operand of the dialect": lambda a: tf.zeros([3]) + a,
    "an operand on the right": lambda a: a + vs.zeros(3),
    "a cast": lambda a: vs.tensor(a, dtype=vs.float64),
    "a tensor of another dtype": lambda a: tf.cast(a, tf.float64),
    "a view": lambda a: vs.from_numpy(a[::-1][::-1]),
    "every second element": lambda a: vs.from_numpy(np.repeat(a, 2)[::2]),
    "a tensor turned": lambda a: vs.from_numpy(np.stack([a, a + 1], 1).T)[1],
    "what numpy computes": lambda a: vs.tensor(np.sqrt(a) * 2),
    "an array that it makes": lambda a: vs.tensor(np.full(3, float(a[1]), np.float32)),
    "a buffer that it fills": lambda a: vs.tensor(np.concatenate([a, a])[3:]),
    "an index": lambda a: vs.arange(9.0)[a.astype(np.int64)],
    "memory": lambda a: vs.tensor(memoryview(a)),
}


def numbers(values=(1.0, 2.0, 3.0)):
    return np.array(values, np.float32)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("size", ["small", "large"])
def test_a_changed_array_is_seen(make, size, monkeypatch):
    if size == "large":
        monkeypatch.setattr(vs.compiler.function, "MOST_BYTES", 4)
    held = types.SimpleNamespace(array=numbers())
    maker = MAKERS[make]

    def f(x):
        return maker(held.array) * 2 + 1

    compiled = vs.compile(f)
    x = vs.ones(3)
    tracing = 2 if size == "large" else 1  # the first call finds that large arrays matter
    for change in (
        None,
        lambda: held.array.__setitem__(1, 7.0),
        lambda: setattr(held, "array", numbers([4, 5, 6])),
    ):
        if change:
            change()
        for _ in range(tracing + 2):
            assert bits(compiled(x)) == bits(f(x))
        tracing = 1
    assert compiled.stats()["traces"] == 3
    assert compiled.stats()["replays"] == 6


@pytest.mark.parametrize("make", MAKERS)
def test_arrays_among_the_arguments(make):
    maker = MAKERS[make]
    compiled = vs.compile(lambda a: maker(a) * 2)
    a, b = numbers(), numbers()
    first = bits(compiled(a))
    assert bits(compiled(b)) == first
    a[1] = 7.0
    assert bits(compiled(a)) == bits(maker(a) * 2) != first
    assert bits(compiled(b)) == first
    assert compiled.stats()["traces"] == 2


def test_an_array_that_nothing_names():
    """What hands it out is of C, so that only the array itself can tell of changes."""
    hidden = [numbers()]
    give = types.MethodType(ctypes.py_object, hidden[0])

    def f(x):
        return x + vs.tensor(give().value)

    compiled = vs.compile(f)
    x = vs.ones(3)
    compiled(x)
    assert bits(compiled(x)) == bits(f(x))
    hidden[0][:] = 5
    assert bits(compiled(x)) == bits(f(x))


def test_memory_that_is_no_array():
    held = array.array("f", [1, 2, 3])

    def f(x):
        return x + vs.tensor(held)

    compiled = vs.compile(f)
    x = vs.ones(3)
    compiled(x)
    assert bits(compiled(x)) == bits(f(x))
    held[0] = 9
    assert bits(compiled(x)) == bits(f(x))


def test_arrays_of_a_new_branch():
    held = numbers()
    memory = memoryview(held)

    def f(x):
        return x + (vs.tensor(np.asarray(memory)) if x.sum() > 0 else 1)

    compiled = vs.compile(f)
    for x in (-vs.ones(3), vs.ones(3), -vs.ones(3), vs.ones(3)):
        assert bits(compiled(x)) == bits(f(x))
    assert compiled.stats()["replays"] == 2
    held[:] = 8
    assert bits(compiled(vs.ones(3))) == bits(f(vs.ones(3)))


def test_what_a_function_makes_is_not_watched():
    compiled = vs.compile(lambda x: x + vs.tensor(np.arange(3.0)) + vs.from_numpy(np.eye(3)[:, 1]))
    compiled(vs.ones(3))
    (entries,) = compiled._entries.values()
    assert not any(isinstance(fact, Contents) for fact in entries[0].facts)


WRITES = {
    "returned": lambda a: vs.from_numpy(a),
    "written": lambda a: vs.from_numpy(a).mul_(2).sum(),
    "written through a view": lambda a: vs.as_tensor(a)[1:].add_(2).sum(),
}


@pytest.mark.parametrize("use", WRITES)
def test_a_tensor_over_the_memory_of_an_array_stays_as_it_is(use):
    array = numbers()
    with pytest.raises(RuntimeError, match=r"shares its memory with an array.*versant.tensor"):
        vs.compile(lambda: WRITES[use](array))()


CHANGES = {
    "before": lambda a: (a.__setitem__(0, a[0] + 1), vs.tensor(a))[1],
    "after": lambda a: (vs.from_numpy(a) * 1, a.__setitem__(0, a[0] + 1))[0],
    "made here and written later": lambda a: (lambda b: (vs.from_numpy(b), b.fill(3))[0] * 1)(np.zeros(3)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_function_that_writes_to_an_array_is_refused(change):
    array = numbers()
    with pytest.raises(vs.compiler.CompileError, match="changes what it reads"):
        vs.compile(lambda: CHANGES[change](array))()


def test_gradients_and_saved_programs(tmp_path):
    table = numbers()
    weight = vs.ones(3, requires_grad=True)

    @vs.compile
    def step(x):
        weight.grad = None
        loss = (weight * vs.tensor(table) * x).sum()
        loss.backward()
        return loss.detach()

    for scale in (1.0, 2.0, 3.0):
        step(vs.full((3,), scale))
        assert bits(weight.grad) == bits(vs.tensor(table) * scale)
    forward = vs.compile(lambda x: x * vs.from_numpy(np.stack([table, table], 1)[:, 1]))
    forward.save(tmp_path / "f.versant", vs.ones(3))
    program = vs.load_program(tmp_path / "f.versant")
    assert bits(program(vs.ones(3))) == bits(vs.tensor(table))
