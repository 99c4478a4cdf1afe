"""no_grad, enable_grad, set_grad_enabled and inference_mode, as contexts, calls and decorators."""

import threading

import pytest

import versant as vs


def leaf(values):
    return vs.tensor(values, dtype=vs.float64, requires_grad=True)


X = [1.0, 2.0]


def records():
    return (leaf(X) * 2).requires_grad


# --- contexts -----------------------------------------------------------------------------------------------


def test_contexts_nest():
    assert vs.is_grad_enabled()
    assert records()
    with vs.no_grad():
        assert not vs.is_grad_enabled()
        assert not records()
        with vs.enable_grad():
            assert records()
            with vs.no_grad():
                assert not records()
            assert records()
        assert not records()
    assert records()


@pytest.mark.parametrize("make", [vs.no_grad, vs.inference_mode, lambda: vs.set_grad_enabled(False)])
def test_an_exception_leaves_the_mode(make):
    with pytest.raises(KeyError), make():
        raise KeyError
    assert vs.is_grad_enabled()
    assert not vs.is_inference_mode_enabled()


def test_one_object_may_be_entered_again():
    mode = vs.no_grad()
    for _ in range(2):
        with mode:
            with mode:
                assert not records()
            assert not records()
        assert records()


def test_set_grad_enabled_as_a_call():
    try:
        vs.set_grad_enabled(False)
        assert not records()
        vs.set_grad_enabled(True)
        assert records()
    finally:
        vs.set_grad_enabled(True)


@pytest.mark.parametrize("on", [True, False])
def test_set_grad_enabled_as_a_context(on):
    with vs.set_grad_enabled(on):
        assert vs.is_grad_enabled() is on
        with vs.set_grad_enabled(not on):
            assert vs.is_grad_enabled() is not on
        assert vs.is_grad_enabled() is on
    assert vs.is_grad_enabled()
    with vs.no_grad():
        with vs.set_grad_enabled(on):
            assert records() is on
        assert not records()


def test_creation_in_no_grad_may_still_require_grad():
    with vs.no_grad():
        x = leaf(X)
    assert x.requires_grad
    assert (x * 2).requires_grad


def test_backward_works_inside_no_grad():
    x = leaf(X)
    y = (x * x).sum()
    with vs.no_grad():
        y.backward()
        assert not vs.is_grad_enabled()
    assert x.grad.tolist() == [2, 4]


# --- decorators ---------------------------------------------------------------------------------------------


@vs.no_grad
def bare(x):
    """Doubles."""
    return x * 2


@vs.no_grad()
def called(x):
    """Doubles."""
    return x * 2


@vs.set_grad_enabled(False)
def switched(x):
    """Doubles."""
    return x * 2


@vs.inference_mode
def inferred(x):
    """Doubles."""
    return x * 2


@vs.inference_mode()
def inferred_too(x):
    """Doubles."""
    return x * 2


@pytest.mark.parametrize("function", [bare, called, switched, inferred, inferred_too])
def test_decorated_functions(function):
    x = leaf(X)
    assert not function(x).requires_grad
    assert vs.is_grad_enabled()
    assert function.__doc__ == "Doubles."
    assert function.__name__ in (
        "bare",
        "called",
        "switched",
        "inferred",
        "inferred_too",
    )
    with pytest.raises(TypeError):
        function(None)
    assert vs.is_grad_enabled()
    assert not vs.is_inference_mode_enabled()


def test_the_decorator_set_grad_enabled_does_not_switch_at_definition():
    @vs.set_grad_enabled(False)
    def f():
        return records()

    assert vs.is_grad_enabled()
    assert not f()
    assert vs.is_grad_enabled()


def test_enable_grad_as_a_decorator():
    @vs.enable_grad()
    def f():
        return records()

    @vs.enable_grad
    def g():
        return records()

    with vs.no_grad():
        assert f()
        assert g()
        assert not records()


def test_decorated_methods_and_recursion():
    class Thing:
        @vs.no_grad()
        def down(self, n):
            assert not vs.is_grad_enabled()
            return n if n == 0 else self.down(n - 1)

        @staticmethod
        @vs.no_grad
        def plain():
            return records()

    assert Thing().down(5) == 0
    assert Thing.plain() is False
    assert vs.is_grad_enabled()


@pytest.mark.parametrize(
    "decorate",
    [
        vs.no_grad,
        lambda f: vs.no_grad()(f),
        lambda f: vs.set_grad_enabled(False)(f),
        lambda f: vs.inference_mode()(f),
    ],
)
def test_generators_are_inside_only_while_they_run(decorate):
    @decorate
    def numbers():
        seen = []
        try:
            for i in range(3):
                assert not vs.is_grad_enabled()
                seen.append((yield i))
                assert not vs.is_grad_enabled()
        finally:
            assert not vs.is_grad_enabled()
        return seen

    generator = numbers()
    assert vs.is_grad_enabled()
    assert next(generator) == 0
    assert vs.is_grad_enabled()
    assert generator.send("a") == 1
    assert vs.is_grad_enabled()
    with vs.no_grad():
        assert next(generator) == 2
        assert not vs.is_grad_enabled()
    with pytest.raises(StopIteration) as stop:
        generator.send("c")
    assert stop.value.value == ["a", None, "c"]
    assert list(numbers()) == [0, 1, 2]
    assert vs.is_grad_enabled()

    closed = numbers()
    next(closed)
    closed.close()
    assert vs.is_grad_enabled()

    thrown = numbers()
    next(thrown)
    with pytest.raises(KeyError):
        thrown.throw(KeyError("x"))
    assert vs.is_grad_enabled()


def test_a_generator_may_swallow_what_is_thrown_in():
    @vs.no_grad()
    def steady():
        while True:
            try:
                yield vs.is_grad_enabled()
            except ValueError:
                yield "caught"

    generator = steady()
    assert next(generator) is False
    assert generator.throw(ValueError()) == "caught"
    assert next(generator) is False
    assert vs.is_grad_enabled()


# --- threads ------------------------------------------------------------------------------------------------


def test_modes_belong_to_a_thread():
    seen = []
    with vs.no_grad():
        thread = threading.Thread(target=lambda: seen.append((vs.is_grad_enabled(), records())))
        thread.start()
        thread.join()
        assert not records()
    assert seen == [(True, True)]


# --- inference mode -----------------------------------------------------------------------------------------


def test_inference_mode_makes_inference_tensors():
    x = leaf(X)
    with vs.inference_mode():
        assert vs.is_inference_mode_enabled()
        assert not vs.is_grad_enabled()
        y = x * 2
        made = vs.ones(2, dtype=vs.float64)
        assert y.is_inference()
        assert made.is_inference()
        assert made[0].is_inference()
        assert not y.requires_grad
        assert not x.is_inference()
        assert not x[0].is_inference()
        y.add_(1)
        with vs.inference_mode(False):
            assert records()
            assert not (x * 2).is_inference()
    assert not vs.is_inference_mode_enabled()
    assert vs.is_grad_enabled()
    assert y.is_inference()
    assert y.tolist() == [3, 5]


def test_an_inference_tensor_outside():
    with vs.inference_mode():
        y = vs.ones(2, dtype=vs.float64)
    w = leaf(X)
    # what saves nothing may use it
    (w + y).sum().backward()
    assert w.grad.tolist() == [1, 1]
    assert not (y * 2).is_inference()
    assert not y.clone().is_inference()
    assert y[0].is_inference()
    assert y.view(2, 1).is_inference()
    assert y.detach().is_inference()
    with pytest.raises(RuntimeError, match="inference tensors cannot be saved"):
        w * y
    assert (w * y.clone()).requires_grad
    for change in (lambda: y.add_(1), lambda: y.zero_(), lambda: y.__setitem__(0, 2.0)):
        with pytest.raises(RuntimeError, match="outside inference mode"):
            change()
        with vs.no_grad(), pytest.raises(RuntimeError, match="outside inference mode"):
            change()
    with pytest.raises(RuntimeError, match="outside inference mode"):
        y.requires_grad_()
    assert y.tolist() == [1, 1]


def test_normal_tensors_may_be_changed_in_inference_mode():
    x = leaf(X)
    a = x * 1
    saved = a.sin()
    with vs.inference_mode():
        a.add_(1)
    assert not a.is_inference()
    a.sum().backward()
    assert x.grad.tolist() == [1, 1]
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        saved.sum().backward()


def test_a_view_of_a_normal_tensor_made_in_inference_mode():
    x = leaf(X)
    a = x * 1
    with vs.inference_mode():
        v = a[:1]
        v.mul_(1)
    assert not v.is_inference()
    with pytest.raises(RuntimeError, match="view made in no_grad"):
        v.mul_(2)


def test_inference_matrix_products_are_refused_when_saved():
    with vs.inference_mode():
        y = vs.ones(2, 2, dtype=vs.float64)
    w = vs.ones(2, 2, dtype=vs.float64, requires_grad=True)
    with pytest.raises(RuntimeError, match="inference tensors cannot be saved"):
        w @ y
    assert w.grad is None


def test_enable_grad_inside_inference_mode_records_nothing():
    w = vs.ones(2, requires_grad=True)
    with vs.inference_mode(), vs.enable_grad():
        x = vs.ones(2, requires_grad=True)
        assert not (x * w).requires_grad
    with vs.inference_mode(), vs.inference_mode(False):
        assert (w * 2).requires_grad
    assert (w * 2).requires_grad
