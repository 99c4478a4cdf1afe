"""Hooks on tensors and on nodes of the tape."""

import gc
import traceback
import weakref

import pytest

import versant as vs


def leaf(values):
    return vs.tensor(values, dtype=vs.float64, requires_grad=True)


# --- tensor hooks -------------------------------------------------------------------------------------------


def test_a_hook_sees_the_gradient():
    x = leaf([1.0, 2.0])
    a = x * 3
    seen = []
    a.register_hook(lambda g: seen.append(g.tolist()))
    (a * a).sum().backward()
    assert seen == [[6, 12]]
    assert x.grad.tolist() == [18, 36]


def test_a_hook_sees_the_whole_gradient_once():
    x = leaf([1.0])
    a = x * 3
    seen = []
    a.register_hook(lambda g: seen.append(g.item()))
    (a * 2 + a * 5 + a.sin() * 0).sum().backward()
    assert seen == [7]


def test_a_hook_on_a_leaf_runs_before_accumulation():
    x = leaf([1.0])
    x.grad = vs.tensor([100.0], dtype=vs.float64)
    seen = []
    x.register_hook(lambda g: seen.append((g.item(), x.grad.item())))
    (x * 2).sum().backward()
    assert seen == [(2, 100)]
    assert x.grad.item() == 102


def test_hooks_run_in_order_and_each_may_replace_the_gradient():
    x = leaf([1.0])
    seen = []

    def first(g):
        seen.append(("first", g.item()))
        return g * 10

    def second(g):
        seen.append(("second", g.item()))

    def third(g):
        seen.append(("third", g.item()))
        return g + 1

    for hook in (first, second, third):
        x.register_hook(hook)
    (x * 2).sum().backward()
    assert seen == [("first", 2), ("second", 20), ("third", 20)]
    assert x.grad.item() == 21


def test_a_replaced_gradient_flows_on():
    x = leaf([1.0, 2.0])
    a = x * 3
    a.register_hook(lambda g: g * 0)
    b = a + x
    b.sum().backward()
    assert x.grad.tolist() == [1, 1]


def test_a_hook_that_returns_its_argument_changes_nothing():
    x = leaf([1.0, 2.0])
    a = x * 3
    a.register_hook(lambda g: g)
    x.register_hook(lambda g: g)
    a.sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_a_gradient_kept_by_a_hook_stays_as_it_was():
    x = leaf([1.0, 2.0])
    kept = []
    x.register_hook(kept.append)
    for _ in range(3):
        (x * 2).sum().backward()
    assert [g.tolist() for g in kept] == [[2, 2]] * 3
    assert x.grad.tolist() == [6, 6]


def test_removed_hooks_do_not_run():
    x = leaf([1.0])
    seen = []
    keep = x.register_hook(lambda g: seen.append("keep"))
    drop = x.register_hook(lambda g: seen.append("drop"))
    drop.remove()
    drop.remove()
    (x * 2).sum().backward()
    assert seen == ["keep"]
    with keep:
        pass
    (x * 2).sum().backward()
    assert seen == ["keep"]


def test_a_hook_may_remove_itself_and_add_others():
    x = leaf([1.0])
    seen = []

    def once(g):
        seen.append("once")
        handle.remove()
        x.register_hook(lambda g: seen.append("later"))

    handle = x.register_hook(once)
    for _ in range(2):
        (x * 2).sum().backward()
    assert seen == ["once", "later"]


def test_a_handle_outlives_its_tensor():
    handle = leaf([1.0]).register_hook(lambda g: None)
    gc.collect()
    handle.remove()


def test_hooks_need_a_gradient_and_a_callable():
    with pytest.raises(RuntimeError, match="doesn't require gradient"):
        vs.ones(2).register_hook(print)
    with pytest.raises(TypeError, match="expected a callable"):
        leaf([1.0]).register_hook(3)


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (lambda g: 3, TypeError, "must return a tensor or None, got int"),
        (lambda g: g.sum(), vs.ShapeError, r"shape \(\), expected \(2,\)"),
        (lambda g: g.float(), vs.DTypeError, "dtype float32, expected float64"),
    ],
)
def test_a_replacement_must_fit(answer, error, message):
    x = leaf([1.0, 2.0])
    a = x * 3
    a.register_hook(answer)
    with pytest.raises(error, match=message):
        a.sum().backward()
    assert x.grad is None


def test_hooks_run_for_grad_too():
    x = leaf([1.0])
    a = x * 3
    a.register_hook(lambda g: g * 2)
    x.register_hook(lambda g: g * 5)
    (g,) = vs.autograd.grad(a.sum(), x)
    assert g.item() == 30


def test_hooks_with_create_graph_are_differentiated():
    x = leaf([2.0])
    a = x * x
    a.register_hook(lambda g: g * x)
    (g,) = vs.autograd.grad(a.sum(), x, create_graph=True)
    (h,) = vs.autograd.grad(g.sum(), x)
    assert g.item() == 8
    assert h.item() == 8


class Boom(Exception):
    pass


def explode(g):
    raise Boom("in the hook")


@pytest.mark.parametrize("where", ["tensor", "leaf", "node", "prehook", "post accumulate"])
def test_an_exception_in_a_hook_comes_through(where):
    x, y = leaf([1.0]), leaf([1.0])
    a = x * y
    handle = {
        "tensor": lambda: a.register_hook(explode),
        "leaf": lambda: x.register_hook(explode),
        "node": lambda: a.grad_fn.register_hook(lambda gi, go: explode(gi)),
        "prehook": lambda: a.grad_fn.register_prehook(explode),
        "post accumulate": lambda: x.register_post_accumulate_grad_hook(explode),
    }[where]()
    loss = (a * 2).sum()
    with pytest.raises(Boom, match="in the hook") as caught:
        loss.backward(retain_graph=True)
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "explode"
    assert vs.is_grad_enabled()
    handle.remove()
    x.grad = y.grad = None
    loss.backward()
    assert x.grad.item() == 2
    assert y.grad.item() == 2


def test_an_exception_leaves_no_traces_in_the_mode():
    x = leaf([1.0])
    x.register_hook(explode)
    loss = (x * 2).sum()
    with vs.no_grad():
        with pytest.raises(Boom):
            loss.backward(create_graph=True)
        assert not vs.is_grad_enabled()
    assert vs.is_grad_enabled()


# --- node hooks ---------------------------------------------------------------------------------------------


def test_node_hooks_see_gradients_in_and_out():
    x, y = leaf([1.0, 2.0]), leaf([5.0])
    a = x * y
    seen = []
    a.grad_fn.register_hook(lambda gi, go: seen.append(([g.tolist() for g in gi], [g.tolist() for g in go])))
    (a * 2).sum().backward()
    assert seen == [([[10, 10], [6]], [[2, 2]])]


def test_node_hooks_see_none_where_no_gradient_goes():
    x = leaf([1.0, 2.0])
    a = x * 3
    seen = []
    a.grad_fn.register_hook(lambda gi, go: seen.append(gi))
    a.sum().backward()
    assert seen[0][0].tolist() == [3, 3]
    assert seen[0][1:] in ((), (None,))


def test_node_hooks_may_replace_gradients():
    x, y = leaf([1.0]), leaf([5.0])
    a = x * y
    a.grad_fn.register_hook(lambda gi, go: (gi[0] * 100, None))
    a.grad_fn.register_prehook(lambda go: (go[0] * 2,))
    a.sum().backward()
    assert x.grad.item() == 1000
    assert y.grad is None


def test_node_hooks_must_return_as_many_gradients():
    x, y = leaf([1.0]), leaf([5.0])
    a = x * y
    a.grad_fn.register_hook(lambda gi, go: (gi[0],))
    with pytest.raises(RuntimeError, match="returned 1 gradients, expected 2"):
        a.sum().backward()


def test_prehooks_run_before_and_hooks_after():
    x = leaf([1.0])
    a = x * 3
    order = []
    a.grad_fn.register_hook(lambda gi, go: order.append("after"))
    a.grad_fn.register_prehook(lambda go: order.append("before"))
    a.register_hook(lambda g: order.append("tensor"))
    x.register_hook(lambda g: order.append("leaf"))
    a.sum().backward()
    assert order == ["before", "tensor", "after", "leaf"]


def test_node_hooks_of_several_outputs():
    x = leaf([[1.0, 5.0], [7.0, 2.0]])
    values, _ = x.max(dim=1)
    seen = []
    values.grad_fn.register_prehook(lambda go: seen.append(go))
    values.sum().backward()
    assert seen[0][0].tolist() == [1, 1]
    assert all(g is None for g in seen[0][1:])


# --- post-accumulate hooks ----------------------------------------------------------------------------------


def test_post_accumulate_hooks_see_the_leaf_with_its_grad():
    x = leaf([1.0])
    seen = []
    handle = x.register_post_accumulate_grad_hook(lambda p: seen.append((p is x, p.grad.item())))
    (x * 2).sum().backward()
    (x * 3).sum().backward()
    handle.remove()
    (x * 4).sum().backward()
    assert seen == [(True, 2), (True, 5)]


def test_an_optimizer_in_a_post_accumulate_hook():
    x = leaf([1.0])

    def step(p):
        with vs.no_grad():
            p.sub_(p.grad, alpha=0.1)
        p.grad = None

    x.register_post_accumulate_grad_hook(step)
    for _ in range(3):
        (x * x).sum().backward()
    assert x.grad is None
    assert abs(x.item() - 0.8**3) < 1e-12


def test_post_accumulate_hooks_run_for_inputs_but_not_for_grad():
    x = leaf([1.0])
    seen = []
    x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.item()))
    vs.autograd.grad((x * 2).sum(), x)
    assert seen == []
    (x * 2).sum().backward(inputs=[x])
    assert seen == [2]


def test_post_accumulate_hooks_are_for_leaves():
    with pytest.raises(RuntimeError, match="non-leaf"):
        (leaf([1.0]) * 2).register_post_accumulate_grad_hook(print)
    with pytest.raises(RuntimeError, match="requires grad"):
        vs.ones(1).register_post_accumulate_grad_hook(print)


# --- retain_grad --------------------------------------------------------------------------------------------


def test_retain_grad():
    x = leaf([1.0, 2.0])
    a = x * 3
    assert not a.retains_grad
    a.retain_grad()
    a.retain_grad()
    assert a.retains_grad
    (a * a).sum().backward(retain_graph=True)
    assert a.grad.tolist() == [6, 12]
    (a * a).sum().backward()
    assert a.grad.tolist() == [12, 24]


def test_retained_gradients_are_those_after_the_hooks():
    x = leaf([1.0])
    a = x * 3
    a.retain_grad()
    a.register_hook(lambda g: g * 10)
    a.sum().backward()
    assert a.grad.item() == 10


def test_retain_grad_of_leaves_and_of_plain_tensors():
    x = leaf([1.0])
    x.retain_grad()
    assert not x.retains_grad
    with pytest.raises(RuntimeError, match="requires_grad=False"):
        vs.ones(1).retain_grad()


def test_retain_grad_does_not_keep_the_tensor_alive():
    x = leaf([1.0])
    a = x * 3
    a.retain_grad()
    b = (a * 2).sum()
    gone = weakref.ref(a)
    del a
    assert gone() is None
    b.backward()
    assert x.grad.item() == 6


# --- passes within passes -----------------------------------------------------------------------------------


def test_backward_inside_a_hook():
    x, y = leaf([3.0]), leaf([2.0])

    def nested(g):
        assert not vs.is_grad_enabled()
        with vs.enable_grad():
            (y * y).sum().backward()
        return g * y.grad

    a = x * 2
    a.register_hook(nested)
    a.sum().backward()
    assert x.grad.item() == 8
    assert y.grad.item() == 4


def test_backward_through_the_same_graph_inside_a_hook():
    x = leaf([3.0])
    shared = x * x
    seen = []

    def nested(g):
        (inner,) = vs.autograd.grad(shared, x, retain_graph=True)
        seen.append(inner.item())

    a = shared * 2
    a.register_hook(nested)
    (a + shared).sum().backward()
    assert seen == [6]
    assert x.grad.item() == 18


def test_accumulation_into_the_same_leaf_inside_a_hook():
    x = leaf([3.0])
    a = x * 2
    other = (x * 5).sum()
    a.register_hook(lambda g: other.backward())
    a.sum().backward()
    assert x.grad.item() == 7


def test_deeply_nested_passes():
    x = leaf([1.0])
    depth = 30

    @vs.enable_grad()
    def value(level):
        a = x * 1
        if level:
            a.register_hook(lambda g: value(level - 1).backward())
        return a.sum()

    value(depth).backward()
    assert x.grad.item() == depth + 1


# --- lifetime -----------------------------------------------------------------------------------------------


def test_hooks_die_with_their_graph():
    class Token:
        pass

    token = Token()
    gone = weakref.ref(token)
    x = leaf([1.0])
    a = x * 3
    a.register_hook(lambda g, token=token: None)
    b = a * 2
    del token, a
    assert gone() is not None
    del b
    assert gone() is None


@pytest.mark.parametrize("kind", ["result", "leaf", "post accumulate"])
def test_a_hook_that_refers_to_its_own_tensor_is_collected(kind):
    class Token:
        pass

    def make():
        token = Token()
        t = leaf([1.0]) * 2 if kind == "result" else leaf([1.0])
        register = t.register_post_accumulate_grad_hook if kind == "post accumulate" else t.register_hook
        register(lambda g: print(t, token) if g is None else None)
        (t * 1).sum().backward()
        return weakref.ref(token), weakref.ref(t)

    token, tensor = make()
    gc.collect()
    assert token() is None
    assert tensor() is None


def test_a_live_tensor_with_a_cyclic_hook_survives_collection():
    t = leaf([1.0]) * 2
    seen = []
    t.register_hook(lambda g: seen.append(t.item() * g.item()))
    gc.collect()
    gc.collect()
    (t * 4).sum().backward()
    assert seen == [8]


# --- when hooks of leaves run -------------------------------------------------------------------------------


def test_a_leafs_hooks_run_as_soon_as_its_gradient_is_whole():
    a, b, shared = leaf([1.0]), leaf([1.0]), leaf([1.0])
    seen = []
    c = a * shared
    d = c * b
    e = d * shared
    for name, tensor in {"a": a, "b": b, "c": c, "d": d}.items():
        tensor.register_hook(lambda g, name=name: seen.append(name))
    shared.register_post_accumulate_grad_hook(lambda p: seen.append(f"shared {p.grad.item()}"))
    e.sum().backward()
    assert seen == ["d", "b", "c", "a", "shared 2.0"]


def test_a_gradient_consumed_by_its_hook_makes_room_for_the_next():
    layers = [leaf([[1.0] * 64] * 64) for _ in range(4)]
    alive = []

    def consume(p):
        alive.append(sum(layer.grad is not None for layer in layers))
        p.grad = None

    h = vs.ones(1, 64, dtype=vs.float64)
    for layer in layers:
        layer.register_post_accumulate_grad_hook(consume)
        h = h @ layer
    h.sum().backward()
    assert alive == [1, 1, 1, 1]


def test_a_leaf_that_no_gradient_reaches_on_one_of_its_ways_still_runs_its_hooks():
    x, seen = leaf([1.0]), []
    x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.item()))
    values, _ = (x * 1).split([1, 0])
    dead = vs.where(vs.tensor([False]), x * 5, x * 2)
    (values + dead).sum().backward()
    assert seen == [3.0]
