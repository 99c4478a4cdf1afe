"""Fused steps: which steps become one, and that no bit depends on it."""

import numpy as np
import pytest

import versant as vs


def names(compiled):
    """The names of a trace's steps."""
    return [step.name for branch in compiled.plan().branches for step in branch.steps]


def same_in_three_calls(function, *inputs):
    """The compiled function, once its results are known to be the function's own, bit for bit."""
    compiled = vs.compile(function)
    for _ in range(3):
        copies = [[x.clone() for x in inputs] for _ in range(2)]
        expected, found = function(*copies[0]), compiled(*copies[1])
        expected = expected if isinstance(expected, tuple) else (expected,)
        found = found if isinstance(found, tuple) else (found,)
        for a, b in zip((*expected, *copies[0]), (*found, *copies[1]), strict=True):
            assert a.detach()._to_bytes() == b.detach()._to_bytes()
    assert compiled.stats()["traces"] == 1
    return compiled


def test_a_chain_is_one_step():
    compiled = same_in_three_calls(lambda x, y: (x * y + 1.5).tanh() * x.sigmoid() - y.exp(), *pair(1000))
    assert names(compiled) == ["mul+add+tanh+sigmoid+mul+exp+sub"]


def pair(*sizes, dtype=vs.float32):
    vs.manual_seed(0)
    return vs.randn(*sizes).to(dtype), vs.randn(*sizes).to(dtype)


@pytest.mark.parametrize("n", [300, 1 << 17])
def test_values_of_sixteen_bits_are_rounded_between_steps(n):
    compiled = same_in_three_calls(lambda x, y: (x * y + x) * y, *pair(n, dtype=vs.bfloat16))
    assert names(compiled) == ["mul", "add", "mul"]


def test_numbers_keep_their_kind():
    same_in_three_calls(lambda x, y: (x * -0.0 + 0.0) / (y * 0.0) + 1, *pair(50))
    same_in_three_calls(lambda x, y: (x * 2 + y).clamp(-1, 1) // 3, *(p.long() * 5 for p in pair(50)))


@pytest.mark.parametrize("n", [7, 70_000])
def test_writes_in_place_keep_their_order(n):
    def f(x, y):
        z = x + y
        x.mul_(2)
        w = z * x
        y.copy_(w)
        x.add_(y)
        return z, w, x - y

    same_in_three_calls(f, *pair(n))


@pytest.mark.parametrize("n", [64, 600])
def test_views_of_what_is_written_are_not_mistaken_for_it(n):
    def f(x, y):
        y = y * 3
        x[:, 1:] = x[:, :-1] * 2 + y[:, 1:]
        y[0] += x[1]
        return x.T * y, y.flip(0) + x

    same_in_three_calls(f, *pair(n, n))


def test_large_values_are_computed_anew_and_small_ones_kept():
    def f(x, y):
        x = x.detach().requires_grad_()
        loss = ((x * y + 1.5).tanh() * x.sigmoid()).sum()
        (gradient,) = vs.autograd.grad(loss, x)
        return loss.detach(), gradient

    large, small = (same_in_three_calls(f, *pair(n)) for n in (1 << 16, 1 << 10))

    def written(function, n):  # how many arrays of that size
        steps = function.plan().branches[0].steps
        return sum(output.bytes == 4 * n for step in steps for output in step.outputs)

    assert written(large, 1 << 16) == 1, large.ir()  # the gradient
    assert written(small, 1 << 10) > 1, small.ir()


def test_what_a_large_value_came_from_may_change_before_it_is_read():
    def f(x, y):
        z = (x * y).tanh()
        total = z.sum()
        x.zero_()
        return z * 2 + total

    same_in_three_calls(f, *pair(1 << 17))


def test_broadcast_and_strided_operands():
    row = vs.randn(40)
    same_in_three_calls(lambda x, y: ((x + row) * y.T + row[:, None]).relu() * x.t(), *pair(40, 40))
    same_in_three_calls(lambda x, y: (x[::2, 1:] * y[1::2, :-1] + 1).exp(), *pair(40, 40))


def test_programs_larger_than_a_group():
    def f(x, y):
        for i in range(100):
            x = (x * 0.99 + y * 0.01 * i).sin()
        return x

    compiled = same_in_three_calls(f, *pair(500))
    assert 2 < len(names(compiled)) < 20


def test_many_results():
    def f(x, y):
        return tuple((x * i).exp() + y for i in range(20))

    same_in_three_calls(f, *pair(90))


@pytest.mark.parametrize("seed", range(30))
def test_random_elementwise_programs(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.choice([1, 5, 300, 70_000]))
    plan = [
        (int(rng.integers(6)), *map(int, rng.integers(0, 100, 2))) for _ in range(int(rng.integers(3, 40)))
    ]

    def f(x, y):
        values = [x, y]
        for kind, i, j in plan:
            a, b = values[i % len(values)], values[j % len(values)]
            if kind == 0:
                values.append(a * b)
            elif kind == 1:
                values.append((a + b).tanh())
            elif kind == 2:
                values.append(a - 0.5 * b)
            elif kind == 3:
                a.add_(b if b is not a else 1.0)
            elif kind == 4:
                values.append(vs.where(a > b, a, b.sin()))
            else:
                a[: n // 2].mul_(0.5)
        return tuple(values[2:]) or x + y

    same_in_three_calls(f, *pair(n))


@pytest.mark.parametrize("n", [8192, 10_000, 100_003, 1 << 18])
@pytest.mark.parametrize("dtype", [vs.float32, vs.float64])
def test_sums_are_taken_in_passing(n, dtype):
    def f(x, y):
        x, y = (t.detach().requires_grad_() for t in (x, y))
        loss = ((x * y).tanh() + x.exp() * 0.1).mean() + (x * x).sum()
        return loss.detach(), *vs.autograd.grad(loss, [x, y])

    threads = vs.get_num_threads()
    try:
        for count in (1, 2, 3):
            vs.set_num_threads(count)
            compiled = same_in_three_calls(f, *pair(n, dtype=dtype))
    finally:
        vs.set_num_threads(threads)
    assert any("+mean" in name or "+sum" in name for name in names(compiled)), compiled.ir()


def test_a_sum_that_a_value_waits_for_comes_before_it():
    same_in_three_calls(lambda x, y: ((x * y).exp() / (x * y).exp().sum(), x.sum() * y), *pair(9000))
    same_in_three_calls(lambda x, y: (x.mul_(2).sum() + y, x.add_(1).mean()), *pair(9000))
    same_in_three_calls(lambda x, y: ((x * 2).view(90, 100).T.sum() + y.sum(0), (x + y).mean()), *pair(9000))
