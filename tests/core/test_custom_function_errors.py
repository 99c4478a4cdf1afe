"""What goes wrong in custom functions, and how it is said."""

import traceback

import pytest

import versant as vs
from versant.autograd import Function
from versant.autograd.function import once_differentiable


def leaf(values):
    return vs.tensor(values, dtype=vs.float64, requires_grad=True)


class Cube(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return 3 * x * x * grad


class Boom(Exception):
    pass


class FailingBackward(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1

    @staticmethod
    def backward(ctx, grad):
        raise Boom("in backward")


def test_an_exception_in_backward_has_its_own_traceback():
    x = leaf([1.0])
    y = (FailingBackward.apply(x * 2) * 3).sum()
    with pytest.raises(Boom, match="in backward") as caught:
        y.backward()
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert frames[-1].name == "backward"
    assert frames[-1].line == 'raise Boom("in backward")'
    assert x.grad is None
    assert vs.is_grad_enabled()
    (x * 2).sum().backward()
    assert x.grad.item() == 2


def test_an_exception_in_forward_has_its_own_traceback():
    class FailingForward(Function):
        @staticmethod
        def forward(ctx, x):
            raise Boom("in forward")

    with pytest.raises(Boom, match="in forward"):
        FailingForward.apply(leaf([1.0]))
    assert vs.is_grad_enabled()


def returning(answer):
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x, y):
            return x + y

        @staticmethod
        def backward(ctx, grad):
            return answer(grad)

    return Wrong


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (lambda g: g, RuntimeError, "expected 2, got 1"),
        (lambda g: (), RuntimeError, "expected 2, got 0"),
        (lambda g: (g, g, g), RuntimeError, "returned 3 gradients for 2 inputs"),
        (lambda g: (g, 3.0), TypeError, "gradient 1 must be a tensor or None, got float"),
        (lambda g: "gg", RuntimeError, "expected 2, got 1"),
        (
            lambda g: (g, vs.ones(3, dtype=vs.float64)),
            vs.ShapeError,
            r"\[WrongBackward\] gradient 1 has shape \(3,\), the input \(2,\)",
        ),
    ],
)
def test_wrong_answers_of_backward(answer, error, message):
    x, y = leaf([1.0, 2.0]), leaf([1.0, 2.0])
    out = returning(answer).apply(x, y).sum()
    with pytest.raises(error, match=message):
        out.backward()


def test_none_and_surplus_nones_are_fine():
    x, y = leaf([1.0, 2.0]), leaf([1.0, 2.0])
    returning(lambda g: (g, None, None)).apply(x, y).sum().backward()
    assert x.grad.tolist() == [1, 1]
    assert y.grad is None
    x.grad = None
    returning(lambda g: (None, None)).apply(x, y).sum().backward()
    assert x.grad is None
    assert y.grad is None


def test_gradients_are_brought_to_the_shape_and_dtype_of_the_input():
    x, y = vs.ones(1, requires_grad=True), leaf([1.0, 2.0])
    returning(lambda g: (g, g.float())).apply(x, y).sum().backward()
    assert x.grad.tolist() == [2]
    assert x.grad.dtype is vs.float32
    assert y.grad.tolist() == [1, 1]
    assert y.grad.dtype is vs.float64


def test_functions_without_forward_or_backward():
    class NoBackward(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

    y = NoBackward.apply(leaf([1.0]))
    with pytest.raises(NotImplementedError, match="backward"):
        y.sum().backward()
    with pytest.raises(NotImplementedError, match="forward"):
        Function.apply(leaf([1.0]))


def test_forward_must_return_tensors():
    class Number(Function):
        @staticmethod
        def forward(ctx, x):
            return 3

    with pytest.raises(TypeError, match="must return tensors, got int"):
        Number.apply(leaf([1.0]))


def test_only_tensors_can_be_saved():
    class SaveNumber(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x, 3)
            return x * 1

    with pytest.raises(TypeError, match="attributes of ctx"):
        SaveNumber.apply(leaf([1.0]))


def test_none_can_be_saved():
    class SaveNone(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(None, x)
            return x * 1

        @staticmethod
        def backward(ctx, grad):
            nothing, x = ctx.saved_tensors
            assert nothing is None
            return grad * x

    x = leaf([4.0])
    SaveNone.apply(x).sum().backward()
    assert x.grad.item() == 4


def test_saved_values_are_gone_after_backward():
    x = leaf([1.0, 2.0])
    y = Cube.apply(x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward()


def test_saved_values_can_be_read_twice_with_retain_graph():
    x = leaf([1.0, 2.0])
    y = Cube.apply(x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [6, 24]


class Add(Function):
    """x + y with gradients for both, though `y` may be a number."""

    @staticmethod
    def forward(ctx, x, y):
        return x + y

    @staticmethod
    def backward(ctx, grad):
        return grad, grad


def test_a_gradient_for_an_argument_that_is_no_tensor():
    x = vs.ones(2, requires_grad=True)
    Add.apply(x, vs.ones(2)).sum().backward()
    with pytest.raises(RuntimeError, match="argument 1 of forward, which is no tensor"):
        Add.apply(x, 3.0).sum().backward()


def test_what_forward_changes_it_returns():
    class Lost(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x.add_(1))
            return x * 2

    with pytest.raises(RuntimeError, match="return every input"):
        Lost.apply(vs.ones(2, requires_grad=True) * 1)


@pytest.mark.parametrize("mark", ["mark_dirty", "mark_non_differentiable"])
def test_marks_are_for_tensors(mark):
    class Marks(Function):
        @staticmethod
        def forward(ctx, x):
            getattr(ctx, mark)(3)
            return x * 2

    with pytest.raises(TypeError, match="expected tensors, got int"):
        Marks.apply(vs.ones(2, requires_grad=True))


def test_a_backward_that_is_differentiable_once():
    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            assert not vs.is_grad_enabled()
            return 2 * x * grad

    x = vs.tensor([3.0], requires_grad=True)
    Square.apply(x).backward()
    assert x.grad.tolist() == [6.0]
    (slope,) = vs.autograd.grad((Square.apply(x) * x).sum(), x, create_graph=True)
    assert slope.tolist() == [27.0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.backward()
