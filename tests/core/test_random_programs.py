"""Random programs of views, changes in place and arithmetic.

The same program runs on tensors and on complex numpy arrays, whose views share memory in the same way. A step
of 1e-30 along the imaginary axis gives numpy's derivative to full precision (Squire and Trapp, "Using complex
variables to estimate derivatives of real functions", 1998).
"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import versant as vs

SETTINGS = settings(max_examples=150, deadline=None, derandomize=True)
STEP = 1e-30


class OnTensors:
    """What a program asks for, done by Versant. Operands that gradients read are copied: they may change."""

    def start(self, x, y):
        # Plain memory becomes part of the graph when something with a gradient is written to it.
        return [x * 1, y * 1, vs.zeros(2, 3, dtype=vs.float64)]

    def transpose(self, a):
        return a.t() if a.dim() == 2 else a

    def unsqueeze(self, a):
        return a.unsqueeze(0)

    def expand(self, a):
        return a.expand(2, *a.shape)

    def copy(self, a):
        return a.clone()

    def sin(self, a):
        return a.clone().sin()

    def mul(self, a, b):
        return a.clone() * b.clone()

    def total(self, a):
        return a.sum() * 0.1

    def scale_(self, a, factor):
        a.mul_(factor)

    def add_(self, a, b):
        a.add_(b)

    def mul_(self, a, b):
        a.mul_(b.clone())

    def sin_(self, a):
        a.sin_()

    def square_(self, a):
        a.mul_(a)

    def assign(self, a, b):
        a.copy_(b)

    def store(self, a, key, b):
        a[key] = b


class OnArrays:
    """The same by numpy."""

    def start(self, x, y):
        return [x * 1, y * 1, np.zeros((2, 3), dtype=complex)]

    def transpose(self, a):
        return a.T if a.ndim == 2 else a

    def unsqueeze(self, a):
        return a[None]

    def expand(self, a):
        return np.broadcast_to(a, (2, *a.shape))

    def copy(self, a):
        return a.copy()

    def sin(self, a):
        return np.asarray(np.sin(a))

    def mul(self, a, b):
        return np.asarray(a * b)

    def total(self, a):
        return np.asarray(a.sum() * 0.1)

    def scale_(self, a, factor):
        a *= factor

    def add_(self, a, b):
        a += b

    def mul_(self, a, b):
        a *= b.copy()

    def sin_(self, a):
        a[...] = np.sin(a)

    def square_(self, a):
        a *= a.copy()

    def assign(self, a, b):
        a[...] = b.copy()

    def store(self, a, key, b):
        a[key] = b.copy()


numbers = st.integers(0, 1 << 16)
instruction = st.tuples(st.integers(0, 15), numbers, numbers, numbers)


def subscript(shape, number):
    """A basic subscript of an array of this shape, made of the bits of a number."""
    key = []
    for size in shape:
        kind, number = number % 4, number // 4
        at, number = number % max(size, 1), number // max(size, 1)
        if kind == 0 or size == 0:
            key.append(slice(None))
        elif kind == 1:
            key.append(slice(at, None))
        elif kind == 2:
            key.append(slice(None, None, 2))
        else:
            key.append(at)
    return (*key, ...)  # with the ellipsis numpy gives views of single elements, too


def broadcasts_to(a, b):
    """Whether an array of shape a may be written to one of shape b."""
    return len(a) <= len(b) and all(m in (1, n) for m, n in zip(a[::-1], b[::-1], strict=False))


def run(machine, program, x, y):
    """A number made of everything that is alive in the end, each with a weight of its own."""
    alive = machine.start(x, y)
    fixed = set()  # expanded: may be read only
    for op, i, j, k in program:
        at = i % len(alive)
        a, b = alive[at], alive[j % len(alive)]
        shape = tuple(a.shape)
        made = None
        if op <= 2:
            made = a[subscript(shape, k)]
        elif op == 3:
            made = machine.transpose(a)
        elif op == 4:
            made = machine.unsqueeze(a) if len(shape) < 4 else a
        elif op == 5:
            made = machine.copy(a)
        elif op == 6:
            made = machine.sin(a)
        elif op == 7:
            made = machine.mul(a, machine.total(b))
        elif op == 8:
            made = machine.expand(a) if len(shape) < 3 else machine.copy(a)
        elif at in fixed:
            continue
        elif op == 9:
            machine.scale_(a, 1 + (k % 7) / 10)
        elif op == 10:
            machine.sin_(a)
        elif op == 11:
            machine.square_(a)
        elif op == 12:
            machine.mul_(a, machine.total(b))
        elif op in (13, 14):
            b = b if broadcasts_to(tuple(b.shape), shape) else machine.total(b)
            (machine.add_ if op == 13 else machine.assign)(a, b)
        else:
            machine.store(a, subscript(shape, k), machine.total(b))
        if made is not None:
            if (op == 8 and len(shape) < 3) or (at in fixed and op in (0, 1, 2, 3, 4)):
                fixed.add(len(alive))
            alive.append(made)
    out = 0.0
    for n, a in enumerate(alive):
        out = out + machine.sin(machine.total(a)) * (1 + 0.3 * n)
    return out


POINT = np.linspace(0.2, 1.3, 6).reshape(2, 3), np.array([0.7, -0.4, 0.9])


def reference_gradient(program, point):
    """The gradient of both inputs in a row."""
    sizes = [p.size for p in point]
    result = np.zeros(sum(sizes))
    for n in range(sum(sizes)):
        flat = np.concatenate([p.ravel() for p in point]).astype(complex)
        flat[n] += 1j * STEP
        x, y = flat[: sizes[0]].reshape(point[0].shape), flat[sizes[0] :].reshape(point[1].shape)
        result[n] = complex(run(OnArrays(), program, x, y)).imag / STEP
    return result


def flat(gradients):
    return np.concatenate([g.detach().numpy().ravel() for g in gradients])


@SETTINGS
@given(st.lists(instruction, min_size=1, max_size=25))
def test_values_and_gradients(program):
    leaves = [vs.tensor(p, dtype=vs.float64, requires_grad=True) for p in POINT]
    out = run(OnTensors(), program, *leaves)
    expected = run(OnArrays(), program, *(p.astype(complex) for p in POINT))
    np.testing.assert_allclose(out.item(), complex(expected).real, rtol=1e-9, atol=1e-12)
    out.backward()
    got = flat([x.grad if x.grad is not None else vs.zeros_like(x) for x in leaves])
    np.testing.assert_allclose(got, reference_gradient(program, POINT), rtol=1e-8, atol=1e-10)


@SETTINGS
@given(st.lists(instruction, min_size=1, max_size=12))
def test_second_derivatives(program):
    leaves = [vs.tensor(p, dtype=vs.float64, requires_grad=True) for p in POINT]
    out = run(OnTensors(), program, *leaves)
    first = vs.autograd.grad(out, leaves, create_graph=True, materialize_grads=True)
    np.testing.assert_allclose(flat(first), reference_gradient(program, POINT), rtol=1e-8, atol=1e-10)
    direction = np.cos(np.arange(9.0))
    weights = [vs.tensor(direction[:6].reshape(2, 3)), vs.tensor(direction[6:])]
    product = sum((g * w).sum() for g, w in zip(first, weights, strict=True))
    if not product.requires_grad:
        return
    got = flat(vs.autograd.grad(product, leaves, materialize_grads=True))
    ends = []
    for step in (1e-5, -1e-5):
        shifted = [p + step * w.numpy() for p, w in zip(POINT, weights, strict=True)]
        ends.append(reference_gradient(program, shifted))
    expected = (ends[0] - ends[1]) / 2e-5
    scale = 1 + np.abs(expected).max() + np.abs(flat(first)).max()
    np.testing.assert_allclose(got / scale, expected / scale, atol=1e-5)
