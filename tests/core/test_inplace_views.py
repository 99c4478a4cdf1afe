"""Changes in place and views: the gradients are those of the program written without them."""

import re

import numpy as np
import pytest

import versant as vs


def leaf(values):
    return vs.tensor(values, dtype=vs.float64, requires_grad=True)


def same(tensor, expected, tolerance=1e-12):
    np.testing.assert_allclose(tensor.detach().numpy(), expected, rtol=tolerance, atol=tolerance)


def gradients(program, *points):
    """The value and the gradients of sum(weights * program(*leaves)), with fixed random weights."""
    leaves = [leaf(p) for p in points]
    out = program(*leaves)
    weights = np.random.default_rng(7).normal(size=tuple(out.shape))
    (out * vs.tensor(weights, dtype=vs.float64)).sum().backward()
    return [out.detach().numpy().copy()] + [None if x.grad is None else x.grad.numpy().copy() for x in leaves]


def check_same(program, reference, *points):
    """Both programs give the same value and gradients; `reference` works without changes in place."""
    for got, expected in zip(gradients(program, *points), gradients(reference, *points), strict=True):
        assert (got is None) == (expected is None)
        if got is not None:
            np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


X = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
Y = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -3.0]])
R = np.array([2.0, -1.0, 0.5])


# --- in place on whole tensors ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["sin", "exp", "tanh", "sigmoid", "square", "reciprocal", "neg", "relu", "log", "sqrt"]
)
def test_unary_ops_in_place(name):
    def program(x):
        a = x * 1
        getattr(a, name + "_")()
        return a

    check_same(program, lambda x: getattr(x, name)(), X)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
def test_binary_ops_in_place(name):
    def program(x, y):
        a = x * 1
        getattr(a, name + "_")(y)
        return a

    check_same(program, lambda x, y: getattr(x, name)(y), X, Y)
    check_same(program, lambda x, y: getattr(x, name)(y), X, R)


def test_operators_in_place():
    def program(x, y):
        a = x * 1
        a += y
        a *= 3
        a -= y * y
        a /= 2 + y * y
        a **= 2
        return a

    check_same(program, lambda x, y: (((x + y) * 3 - y * y) / (2 + y * y)) ** 2, X, Y)


def test_a_tensor_times_itself_in_place():
    def program(x):
        a = x + 1
        a.mul_(a)
        a.mul_(a)
        return a

    check_same(program, lambda x: (x + 1) ** 4, X)


def test_an_in_place_op_reads_a_view_of_what_it_writes():
    def program(x):
        a = x * 1
        a.add_(a[:, :1])
        a.mul_(a.flip(1)[:, 1:2])
        return a

    def reference(x):
        a = x + x[:, :1]
        return a * a[:, 1:2]

    check_same(program, reference, X)


def test_the_result_replaces_the_history_of_a_plain_tensor():
    w = leaf([1.0, 2.0])
    buffer = vs.zeros(2, dtype=vs.float64)
    assert buffer.is_leaf
    buffer.add_(w * 3)
    assert buffer.requires_grad
    assert not buffer.is_leaf
    (buffer * buffer).sum().backward()
    same(w.grad, [18, 36])


def test_zero_and_fill_cut_the_gradient():
    x = leaf([1.0, 2.0])
    a = x * 2
    a.zero_()
    assert a.requires_grad
    (a + x).sum().backward()
    same(x.grad, [1, 1])
    b = x * 2
    b.fill_(7)
    b.sum().backward()
    same(x.grad, [1, 1])


def test_copy_into_sends_the_gradient_to_the_source():
    x, y = leaf([1.0, 2.0]), vs.tensor([3.0], requires_grad=True)
    a = x * 2
    a.copy_(y)
    assert a.dtype is vs.float64
    a.sum().backward()
    assert y.grad.dtype is vs.float32
    assert y.grad.tolist() == [2]
    assert x.grad is None or not x.grad.numpy().any()


def test_double_backward_through_ops_in_place():
    x = leaf([0.5, 1.5])
    a = x * 1
    a.sin_()
    a.mul_(x)
    (g,) = vs.autograd.grad(a.sum(), x, create_graph=True)
    (h,) = vs.autograd.grad(g.sum(), x)
    p = np.array([0.5, 1.5])
    same(g, np.sin(p) + p * np.cos(p))
    same(h, 2 * np.cos(p) - p * np.sin(p))


# --- versions -----------------------------------------------------------------------------------------------


def line_of(text):
    with open(__file__) as source:
        return next(i for i, line in enumerate(source, 1) if line.rstrip().endswith("# " + text))


def test_a_changed_saved_value_is_found_and_the_line_that_saved_it_named():
    x = leaf([1.0, 2.0])
    a = x * 1
    b = a.sin()  # the op that saved
    a.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation") as caught:
        b.sum().backward()
    message = str(caught.value)
    assert f"sin at {__file__}:{line_of('the op that saved')} " in message
    assert "float64[2]" in message
    assert "version 1; expected version 0" in message


def test_a_changed_saved_result_is_found():
    x = leaf([1.0, 2.0])
    b = x.exp()
    b.mul_(2)
    with pytest.raises(RuntimeError, match=r"exp at .*modified by an inplace operation"):
        b.sum().backward()


def test_a_change_through_a_view_is_found():
    x = leaf([1.0, 2.0])
    a = x * 1
    b = a.sin()
    a[0] = 5.0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        b.sum().backward()


def test_a_change_through_detach_and_no_grad_is_found():
    for change in (lambda a: a.detach().add_(1), lambda a: a.data.numpy().fill(1) or a.detach().mul_(1)):
        x = leaf([1.0, 2.0])
        a = x * 1
        b = a.sin()
        change(a)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            b.sum().backward()
    w = leaf([1.0, 2.0])
    b = w.sin()
    with vs.no_grad():
        w.sub_(0.1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        b.sum().backward()


def test_a_change_of_what_no_gradient_reads_is_harmless():
    x = leaf([1.0, 2.0])
    a = x * 1
    b = a + 1
    a.mul_(3)
    (a + b).sum().backward()
    same(x.grad, [4, 4])


def test_a_change_in_a_matrix_product_is_found_and_named():
    w, x = leaf(X), leaf(R)
    h = x * 1
    y = w @ h  # the product
    h.zero_()
    with pytest.raises(RuntimeError) as caught:
        y.sum().backward()
    assert f"{__file__}:{line_of('the product')}" in str(caught.value)
    assert re.search(r"matmul|mv", str(caught.value))


def test_versions_count_writes():
    a = vs.zeros(3)
    assert a._version == 0
    a.add_(1)
    a[0] = 2
    a.view(3, 1).zero_()
    assert a._version == 3
    assert a.detach()._version == 3


# --- what may not be changed --------------------------------------------------------------------------------


def test_leaves_that_require_grad_may_not_be_changed():
    x = leaf(X)
    for change in (
        lambda: x.add_(1),
        lambda: x.zero_(),
        lambda: x.copy_(vs.zeros(2, 3)),
        lambda: x.__setitem__(0, 1.0),
    ):
        with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
            change()
    for change in (lambda: x[0].add_(1), lambda: x.t().zero_(), lambda: x.view(6)[2:].mul_(2)):
        with pytest.raises(RuntimeError, match="view of a leaf Variable that requires grad"):
            change()
    same(x, X)
    assert x._version == 0
    with vs.no_grad():
        x.add_(1)
        x[0].zero_()
    assert x.is_leaf
    assert x.requires_grad
    assert x._version == 2


def test_expanded_tensors_may_not_be_changed():
    a = vs.ones(1, 3).expand(2, 3)
    for change in (
        lambda: a.add_(1),
        lambda: a.zero_(),
        lambda: a[:, 1].mul_(2),
        lambda: a.copy_(vs.zeros(2, 3)),
    ):
        with pytest.raises(RuntimeError, match="share one memory location"):
            change()
    assert a.tolist() == [[1, 1, 1], [1, 1, 1]]
    assert a._version == 0
    a[0].add_(1)
    assert a.tolist() == [[2, 2, 2], [2, 2, 2]]


def test_a_result_must_fit_the_tensor():
    a = vs.ones(3)
    with pytest.raises(vs.ShapeError, match="cannot hold"):
        a.add_(vs.ones(2, 3))
    n = vs.ones(3, dtype=vs.int64)
    with pytest.raises(vs.DTypeError, match="can't be cast"):
        n.add_(0.5)
    assert a.tolist() == [1, 1, 1]
    assert n.tolist() == [1, 1, 1]
    assert a._version == n._version == 0


# --- views --------------------------------------------------------------------------------------------------


def test_views_share_memory_and_know_their_base():
    a = vs.zeros(2, 3)
    v = a[1]
    assert v._base is a
    assert v[1:]._base is a
    assert a.t().view(3, 2)._base is a
    assert a._base is None
    assert a.detach()._base is None
    assert a[vs.tensor([0])]._base is None
    v[2] = 5
    assert a.tolist() == [[0, 0, 0], [0, 0, 5]]


WINDOWS = {
    "row": (lambda a: a[1], (1,)),
    "column": (lambda a: a[:, 1], (slice(None), 1)),
    "stepped": (lambda a: a[:, ::2], (slice(None), slice(None, None, 2))),
    "element": (lambda a: a[1, 2], (1, 2)),
    "all": (lambda a: a[:], (slice(None),)),
    "empty": (lambda a: a[2:], (slice(2, None),)),
    "view of view": (lambda a: a[:, 1:][1], (1, slice(1, None))),
    "through transpose": (lambda a: a.t()[1:].t(), (slice(None), slice(1, None))),
    "through reshape": (lambda a: a.view(6)[3:].view(3), (1,)),
    "unsqueezed": (lambda a: a.unsqueeze(0)[0, 1], (1,)),
    "narrow": (lambda a: a.narrow(1, 1, 2), (slice(None), slice(1, 3))),
    "chunk": (lambda a: a.chunk(2, 0)[1][0], (1,)),
    "unbind": (lambda a: a.unbind(0)[1], (1,)),
}


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("op", ["scale", "scale by leaf", "add leaf", "assign", "sin", "square"])
def test_changes_through_views(window, op):
    take, index = WINDOWS[window]
    mask = np.zeros(X.shape)
    mask[index] = 1

    def program(x, s):
        a = x * 1
        v = take(a)
        if op == "scale":
            v.mul_(3)
        elif op == "scale by leaf":
            v.mul_(s)
        elif op == "add leaf":
            v.add_(s)
        elif op == "assign":
            v.copy_(s)
        elif op == "sin":
            v.sin_()
        else:
            v.pow_(2)
        return a * a

    def reference(x, s):
        change = {
            "scale": lambda: x * 3 + s * 0,
            "scale by leaf": lambda: x * s,
            "add leaf": lambda: x + s,
            "assign": lambda: s + x * 0,
            "sin": lambda: x.sin(),
            "square": lambda: x**2,
        }[op]()
        keep = vs.tensor(mask, dtype=vs.float64)
        a = change * keep + x * (1 - keep)
        return a * a

    got, expected = gradients(program, X, 0.7), gradients(reference, X, 0.7)
    for g, e in zip(got, expected, strict=True):
        if g is None or e is None:
            assert g is None or not g.any()
            assert e is None or not e.any()
        else:
            np.testing.assert_allclose(g, e, rtol=1e-12, atol=1e-12)


def test_the_view_sees_the_history_of_its_base():
    def program(x, y):
        a = x * 1
        v = a[0]
        a.mul_(y)
        return v * v

    check_same(program, lambda x, y: (x * y)[0] ** 2, X, Y)


def test_the_base_and_other_views_see_a_change_through_a_view():
    def program(x, y):
        a = x * 1
        row, column = a[0], a[:, 1]
        row.mul_(y[0])
        column.add_(row[2])
        return a.sum() + row.sum() * 2 + (column * column).sum()

    def reference(x, y):
        row = x[0] * y[0]
        column = vs.stack([row[1] + row[2], x[1, 1] + row[2]])
        top = vs.stack([row[0], column[0], row[2]])
        bottom = vs.stack([x[1, 0], column[1], x[1, 2]])
        return top.sum() + bottom.sum() + top.sum() * 2 + (column * column).sum()

    check_same(program, reference, X, Y)


def test_a_chain_of_assignments():
    def program(x, y):
        a = vs.zeros(2, 3, dtype=vs.float64)
        a[0] = x[1]
        a[1] = a[0].clone() * y[0]
        a[:, 1] = a[:, 2] + 1
        a[0, 0] = y[1, 1]
        a[..., 2:] = 4.0
        return a * a

    def reference(x, y):
        row = x[1] * y[0]
        four = vs.full((), 4.0, dtype=vs.float64)
        return vs.stack([y[1, 1], x[1, 2] + 1, four, row[0], row[2] + 1, four]).view(2, 3) ** 2

    check_same(program, reference, X, Y)


def test_assignment_through_index_tensors():
    def program(x, y):
        a = x * 1
        a[vs.tensor([1, 0]), vs.tensor([2, 0])] = y[0, :2]
        a[a > 4] = y[1, 0]
        return a * a

    def reference(x, y):
        first = vs.stack([y[0, 1], x[0, 1], x[0, 2]])
        return vs.stack([first[0], first[1], first[2], x[1, 0], y[1, 0], y[0, 0]]).view(2, 3) ** 2

    check_same(program, reference, np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), Y)


def test_a_loop_that_fills_rows():
    def program(x, y):
        rows = vs.empty(5, 3, dtype=vs.float64)
        state = x[0]
        for t in range(5):
            state = (state * y[0] + x[1]).tanh()
            rows[t] = state
        return rows

    def reference(x, y):
        state, rows = x[0], []
        for _ in range(5):
            state = (state * y[0] + x[1]).tanh()
            rows.append(state)
        return vs.stack(rows)

    check_same(program, reference, X, Y)


def test_double_backward_through_a_change_of_a_view():
    def value(x):
        a = x * 1
        a[0].sin_()
        a[:, 1].mul_(x[:, 0])
        return (a * a).sum()

    def reference(x):
        top = x[0].sin()
        a = vs.stack([top[0], top[1] * x[0, 0], top[2], x[1, 0], x[1, 1] * x[1, 0], x[1, 2]])
        return (a * a).sum()

    for f in (value, reference):
        x = leaf(X / 4)
        (g,) = vs.autograd.grad(f(x), x, create_graph=True)
        (h,) = vs.autograd.grad((g * g).sum(), x)
        if f is value:
            first, second = g.detach().numpy().copy(), h.numpy().copy()
    same(g, first)
    same(h, second)


def test_a_view_of_an_untracked_tensor_gives_it_history():
    w = leaf([1.0, 2.0])
    buffer = vs.zeros(2, 2, dtype=vs.float64)
    early = buffer[0]
    buffer[1] = w
    assert buffer.requires_grad
    assert early.requires_grad
    (buffer * buffer).sum().backward()
    same(w.grad, [2, 4])


def test_an_overlapping_view_of_a_value():
    def program(x):
        a = x * 1
        windows = a.view(6).unfold(0, 3, 1)
        a.mul_(2)
        return windows * windows

    def reference(x):
        b = (x * 2).view(6)
        windows = vs.stack([b[i : i + 3] for i in range(4)])
        return windows * windows

    check_same(program, reference, X)


def test_retained_and_hooked_gradients_around_a_change():
    x = leaf([1.0, 2.0])
    a = x * 1
    a.retain_grad()
    early = []
    a.register_hook(lambda g: early.append(g.tolist()))
    a.mul_(3)
    late = []
    a.register_hook(lambda g: late.append(g.tolist()))
    (a * 5).sum().backward()
    same(a.grad, [5, 5])
    assert early == [[15, 15]]
    assert late == [[5, 5]]
    same(x.grad, [15, 15])


def test_retained_gradient_of_a_base_changed_through_a_view():
    x = leaf([1.0, 2.0])
    a = x * 1
    v = a[:1]
    a.retain_grad()
    v.retain_grad()
    v.mul_(3)
    (a * 5).sum().backward(retain_graph=True)
    same(a.grad, [5, 5])
    assert v.grad is None
    (v * 2).sum().backward()
    same(v.grad, [2])
    same(x.grad, [21, 5])


# --- no_grad and views --------------------------------------------------------------------------------------


def test_views_made_without_recording_may_not_be_changed_with_recording():
    x = leaf([1.0, 2.0])
    a = x * 1
    with vs.no_grad():
        v = a[:1]
        v.mul_(1)
    assert not v.requires_grad
    with pytest.raises(RuntimeError, match="a view made in no_grad"):
        v.mul_(2)
    with pytest.raises(RuntimeError, match="a view made in no_grad"):
        v[0].mul_(2)
    plain = vs.zeros(2, dtype=vs.float64)
    with vs.no_grad():
        v = plain[:1]
    v.add_(1)
    with pytest.raises(RuntimeError, match="a view made in no_grad"):
        v.mul_(x[:1])
    with vs.no_grad():
        v.mul_(x[:1])
    assert plain.tolist() == [1, 0]
    assert not plain.requires_grad


def test_a_view_made_without_recording_is_refused_after_its_base_got_history():
    w = leaf([1.0, 2.0])
    a = vs.ones(2, dtype=vs.float64)
    with vs.no_grad():
        v = a[:1]
    a.mul_(w)
    with pytest.raises(RuntimeError, match="a view made in no_grad"):
        v * 2
    same(a, [1, 2])


def test_changes_in_no_grad_are_not_recorded():
    x = leaf([1.0, 2.0])
    a = x * 2
    with vs.no_grad():
        a.mul_(10)
        a[0] = 0
    same(a, [0, 40])
    a.sum().backward()
    same(x.grad, [2, 2])


def test_a_view_may_become_a_leaf_of_its_own():
    a = vs.ones(2, 2, dtype=vs.float64)
    v = a[0].requires_grad_()
    assert v.is_leaf
    assert v.requires_grad
    assert not a.requires_grad
    w = leaf([[2.0, 2.0], [2.0, 2.0]])
    out = v * 3
    a.mul_(w)
    assert v.is_leaf
    out.sum().backward()
    same(v.grad, [3, 3])
    del v, out
    a.sum().backward()
    same(w.grad, np.ones((2, 2)))


def test_data_of_a_view_makes_it_a_tensor_of_its_own():
    x = leaf([1.0, 2.0])
    a = x * 1
    v = a.detach()[0:1]
    v.data = vs.tensor([9.0], dtype=vs.float64)
    assert v._base is None
    v.add_(1)
    same(a, [1, 2])
    same(v, [10])


def test_resize_keeps_elements_and_memory_where_it_can() -> None:
    x = vs.arange(6.0)
    address = x.data_ptr()
    assert x.resize_(2, 2) is x
    assert x.tolist() == [[0, 1], [2, 3]]
    assert x.resize_((3, 2)).tolist() == [[0, 1], [2, 3], [4, 5]]  # the memory kept the rest
    assert x.data_ptr() == address
    assert x.resize_(4, 3)[:2].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert x.resize_as_(vs.zeros(1, 2)).tolist() == [[0, 1]]
    wide = vs.empty(0).resize_(1, 2, 3, 4, memory_format=vs.channels_last)
    assert wide.stride() == (24, 1, 8, 2)


def test_resize_refuses_tensors_with_gradients_and_sizes_that_are_none() -> None:
    with pytest.raises(RuntimeError, match="cannot resize variables that require grad"):
        leaf([1.0]).resize_(2)
    with pytest.raises(RuntimeError, match="sizes of at least 0"):
        vs.ones(2).resize_(-1)


def test_functions_of_elements() -> None:
    x = vs.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert x.apply_(lambda v: v + 1).tolist() == [[2, 3], [4, 5]]
    assert x.t().map_(vs.tensor([1.0, 10.0]), lambda a, b: a * b).tolist() == [[2, 40], [3, 50]]
    assert x.tolist() == [[2, 3], [40, 50]]
    for call in (lambda t: t.apply_(abs), lambda t: x.map_(t, max)):
        with pytest.raises(RuntimeError, match="require grad"):
            call(leaf([[1.0, 1.0]]))
