"""Module: registration, walking, state, conversion, hooks, copies, text."""

import copy
import pickle

import pytest

import versant as vs
from versant import nn


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(vs.ones(2))
        self.register_buffer("seen", vs.zeros(2))
        self.register_buffer("cache", vs.zeros(1), persistent=False)

    def forward(self, x):
        return x * self.scale


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 2)
        self.inner = Inner()
        self.factor = 2.0

    def forward(self, x, *, shift=0.0):
        return self.inner(self.first(x)) * self.factor + shift


def names(pairs) -> list[str]:
    return [name for name, _ in pairs]


def test_assigned_parameters_modules_and_buffers_are_registered_in_order() -> None:
    net = Net()
    assert names(net.named_parameters()) == ["first.weight", "first.bias", "inner.scale"]
    assert names(net.named_buffers()) == ["inner.seen", "inner.cache"]
    assert names(net.named_modules()) == ["", "first", "inner"]
    assert names(net.named_children()) == ["first", "inner"]
    assert list(net.children()) == [net.first, net.inner]
    assert names(net.named_parameters(recurse=False)) == []


def test_registered_values_are_ordinary_attributes_and_appear_in_dicts() -> None:
    inner = Inner()
    assert inner.__dict__["scale"] is inner.scale
    assert dict(inner._parameters) == {"scale": inner.scale}
    assert list(inner._buffers) == ["seen", "cache"]
    replacement = nn.Parameter(vs.zeros(2))
    inner._parameters["scale"] = replacement
    assert inner.scale is replacement
    del inner._parameters["scale"]
    assert not hasattr(inner, "scale")
    assert "scale" not in inner._parameters


def test_a_module_that_forgets_super_init_still_registers() -> None:
    class Forgetful(nn.Module):
        def __init__(self) -> None:
            self.weight = nn.Parameter(vs.ones(1))

    assert names(Forgetful().named_parameters()) == ["weight"]


def test_a_shared_parameter_counts_once() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    assert names(net.named_parameters()) == ["0.weight", "0.bias", "1.bias"]
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_reassigning_keeps_the_place_and_none_keeps_the_name() -> None:
    inner = Inner()
    inner.other = nn.Parameter(vs.zeros(1))
    inner.scale = nn.Parameter(vs.zeros(2))
    assert names(inner.named_parameters()) == ["scale", "other"]
    inner.scale = None
    assert inner.scale is None
    assert list(inner._parameters) == ["scale", "other"]
    assert names(inner.named_parameters()) == ["other"]


def test_wrong_values_for_registered_names_raise() -> None:
    net = Net()
    with pytest.raises(TypeError, match=r"\[Inner\] cannot assign a Tensor as parameter 'scale'"):
        net.inner.scale = vs.ones(2)
    with pytest.raises(TypeError, match="cannot assign a int as module 'first'"):
        net.first = 3
    with pytest.raises(TypeError, match="as buffer 'seen'"):
        net.inner.seen = [1.0]
    net.inner.seen = vs.ones(2)
    assert net.inner._buffers["seen"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("name", ["a.b", ""])
def test_names_with_dots_or_empty_raise(name: str) -> None:
    with pytest.raises(KeyError, match=r"no '\.'"):
        Net().register_parameter(name, nn.Parameter(vs.ones(1)))


def test_registering_over_an_attribute_raises() -> None:
    with pytest.raises(KeyError, match="'factor' already exists"):
        Net().register_buffer("factor", vs.ones(1))
    with pytest.raises(TypeError, match="must be a Parameter"):
        Net().register_parameter("extra", vs.ones(1))


def test_deleting_unregisters() -> None:
    net = Net()
    del net.inner
    assert names(net.named_modules()) == ["", "first"]
    with pytest.raises(AttributeError):
        _ = net.inner


def test_a_property_of_the_class_takes_assigned_parameters() -> None:
    class Tied(nn.Module):
        @property
        def weight(self):
            return self.inner

        @weight.setter
        def weight(self, value) -> None:
            self.inner = value

    tied = Tied()
    tied.weight = nn.Parameter(vs.ones(1))
    assert names(tied.named_parameters()) == ["inner"]


def test_call_passes_arguments_through() -> None:
    net = Net()
    x = vs.ones(1, 3)
    assert vs.equal(net(x, shift=1.0), net(x) + 1.0)

    class Nothing(nn.Module):
        def forward(self) -> int:
            return 7

    assert Nothing()() == 7


def test_forward_undefined_raises() -> None:
    with pytest.raises(NotImplementedError, match=r"\[Module\] forward is not defined"):
        nn.Module()(1)


def test_get_submodule_parameter_and_buffer() -> None:
    net = Net()
    assert net.get_submodule("") is net
    assert net.get_submodule("inner") is net.inner
    assert net.get_parameter("first.bias") is net.first.bias
    assert net.get_buffer("inner.cache") is net.inner.cache
    with pytest.raises(AttributeError, match="no submodule 'nothing'"):
        net.get_submodule("inner.nothing")
    with pytest.raises(AttributeError, match="no parameter 'seen'"):
        net.get_parameter("inner.seen")


def test_train_and_eval_reach_everything_below() -> None:
    net = Net()
    assert net.training
    assert not net.eval().inner.training
    assert net.train().inner.training
    with pytest.raises(ValueError, match="mode must be a bool"):
        net.train("yes")


def test_apply_visits_inner_modules_first() -> None:
    visited = []
    Net().apply(lambda module: visited.append(type(module).__name__))
    assert visited == ["Linear", "Inner", "Net"]


def test_zero_grad_and_requires_grad() -> None:
    net = Net()
    net(vs.ones(1, 3)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert net.first.bias.grad.tolist() == [0.0, 0.0]
    net.zero_grad()
    assert net.first.bias.grad is None
    net.requires_grad_(False)
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_conversion_keeps_parameter_objects_and_integer_buffers() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm2d(2))
    weight = net[0].weight
    net.double()
    assert net[0].weight is weight
    assert weight.dtype is vs.float64
    assert net[1].running_mean.dtype is vs.float64
    assert net[1].num_batches_tracked.dtype is vs.int64
    assert net.to(vs.bfloat16)[0].bias.dtype is vs.bfloat16
    assert net.to("cpu").float()[0].bias.dtype is vs.float32
    with pytest.raises(TypeError, match="floating-point"):
        net.to(vs.int32)


# State ------------------------------------------------------------------------------------------------------


def test_state_dict_holds_parameters_and_persistent_buffers() -> None:
    net = Net()
    state = net.state_dict()
    assert list(state) == ["first.weight", "first.bias", "inner.scale", "inner.seen"]
    assert not any(value.requires_grad for value in state.values())
    assert net.state_dict(keep_vars=True)["inner.scale"] is net.inner.scale


def test_load_state_dict_copies_values() -> None:
    source, target = Net(), Net()
    weight = target.first.weight
    assert target.load_state_dict(source.state_dict()) == ([], [])
    assert target.first.weight is weight
    assert vs.equal(weight, source.first.weight)
    with vs.no_grad():
        source.first.weight.zero_()
    assert not vs.equal(weight, source.first.weight)


def test_load_state_dict_lists_every_misfit_and_changes_nothing() -> None:
    net = Net()
    before = copy.deepcopy(net.state_dict())
    wrong = {"first.weight": vs.ones(2, 3), "first.bias": vs.ones(3), "inner.scale": 1.0, "more": vs.ones(1)}
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(wrong)
    for fault in (
        "[Net.load_state_dict] nothing was loaded",
        'Missing key(s) in state_dict: "inner.seen"',
        'Unexpected key(s) in state_dict: "more"',
        "size mismatch for first.bias: expected (2,), got (3,)",
        "not a tensor: inner.scale is a float",
    ):
        assert fault in str(caught.value)
    assert all(vs.equal(value, before[name]) for name, value in net.state_dict().items())


def test_load_state_dict_not_strict_returns_the_names() -> None:
    net = Net()
    result = net.load_state_dict({"inner.scale": vs.zeros(2), "more": vs.ones(1)}, strict=False)
    assert net.inner.scale.tolist() == [0.0, 0.0]
    assert result.missing_keys == ["first.weight", "first.bias", "inner.seen"]
    assert result.unexpected_keys == ["more"]
    with pytest.raises(RuntimeError, match=r"size mismatch for inner\.scale"):
        net.load_state_dict({"inner.scale": vs.zeros(5)}, strict=False)


def test_load_state_dict_assign_takes_the_tensors() -> None:
    net = Net()
    state = {name: value.double() for name, value in net.state_dict().items()}
    net.load_state_dict(state, assign=True)
    assert net.first.weight.dtype is vs.float64
    assert isinstance(net.first.weight, nn.Parameter)
    assert net.inner.seen is state["inner.seen"]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies_are_equal_and_apart(copied) -> None:
    net = Net()
    net.tied = net.first
    twin = copied(net)
    assert twin.tied is twin.first
    assert twin.first.weight is not net.first.weight
    assert isinstance(twin.first.weight, nn.Parameter)
    assert twin.first.weight.requires_grad
    x = vs.randn(4, 3)
    assert vs.equal(net(x), twin(x))
    assert list(twin.state_dict()) == list(net.state_dict())


# Hooks ------------------------------------------------------------------------------------------------------


def test_forward_hooks_see_and_replace() -> None:
    layer, calls = nn.Identity(), []

    def double(module, args):
        calls.append("before")
        return args[0] * 2

    def negate(module, args, result):
        calls.append("after")
        return -result

    before, after = layer.register_forward_pre_hook(double), layer.register_forward_hook(negate)
    assert layer(vs.ones(1)).tolist() == [-2.0]
    assert calls == ["before", "after"]
    before.remove()
    assert layer(vs.ones(1)).tolist() == [-1.0]
    with after:
        pass
    assert layer(vs.ones(1)).tolist() == [1.0]
    assert not layer._has_hooks


def test_hooks_run_in_order_and_prepend_goes_first() -> None:
    layer, calls = nn.Identity(), []
    layer.register_forward_hook(lambda *_: calls.append(1))
    layer.register_forward_hook(lambda *_: calls.append(2))
    layer.register_forward_hook(lambda *_: calls.append(0), prepend=True)
    layer(vs.ones(1))
    assert calls == [0, 1, 2]


def test_hooks_with_kwargs() -> None:
    net = Net()
    net.register_forward_pre_hook(lambda module, args, kwargs: (args, {"shift": 5.0}), with_kwargs=True)
    x = vs.ones(1, 3)
    assert vs.equal(net(x), net.forward(x, shift=5.0))
    net.register_forward_pre_hook(lambda module, args, kwargs: 3, with_kwargs=True)
    with pytest.raises(RuntimeError, match=r"must return None or \(args, kwargs\)"):
        net(x)


def test_always_called_hooks_run_when_forward_raises() -> None:
    layer, calls = nn.Linear(2, 2), []
    layer.register_forward_hook(lambda *_: calls.append("skipped"))
    layer.register_forward_hook(lambda *_: calls.append("called"), always_call=True)
    with pytest.raises(ValueError, match="expected last dimension 2"):
        layer(vs.ones(1, 3))
    assert calls == ["called"]


def test_backward_hooks_see_and_replace_gradients() -> None:
    layer, seen = nn.Linear(2, 3, bias=False), []

    def hook(module, grad_input, grad_output):
        seen.append((tuple(grad_input[0].shape), tuple(grad_output[0].shape)))
        return (grad_input[0] * 10,)

    handle = layer.register_full_backward_hook(hook)
    x = vs.ones(4, 2, requires_grad=True)
    layer(x).sum().backward()
    assert seen == [((4, 2), (4, 3))]
    assert vs.allclose(x.grad[0], 10 * layer.weight.sum(0))
    assert vs.allclose(layer.weight.grad, vs.full((3, 2), 4.0))
    handle.remove()
    layer(x).sum().backward()
    assert len(seen) == 1


def test_backward_pre_hook_changes_what_comes_in() -> None:
    layer = nn.Linear(2, 1, bias=False)
    layer.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] * 3,))
    x = vs.ones(1, 2, requires_grad=True)
    layer(x).sum().backward()
    assert vs.allclose(layer.weight.grad, vs.full((1, 2), 3.0))
    assert vs.allclose(x.grad, 3 * layer.weight)


def test_backward_hook_without_input_gradient() -> None:
    layer, seen = nn.Linear(2, 1), []
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: seen.append(grad_input))
    layer(vs.ones(1, 2)).sum().backward()
    assert seen == [(None,)]


# Text -------------------------------------------------------------------------------------------------------


def test_repr() -> None:
    assert repr(nn.ReLU()) == "ReLU()"
    assert repr(Net()) == (
        "Net(\n  (first): Linear(in_features=3, out_features=2, bias=True)\n  (inner): Inner()\n)"
    )
    assert repr(nn.Sequential(nn.Sequential(nn.Flatten()))) == (
        "Sequential(\n  (0): Sequential(\n    (0): Flatten(start_dim=1, end_dim=-1)\n  )\n)"
    )
    assert repr(nn.ModuleList([nn.Tanh(), nn.Tanh(), nn.ReLU()])) == (
        "ModuleList(\n  (0-1): 2 x Tanh()\n  (2): ReLU()\n)"
    )
    assert repr(nn.Parameter(vs.ones(1))).startswith("Parameter containing:\n")


def test_extra_repr_of_several_lines() -> None:
    class Wide(nn.Module):
        def extra_repr(self) -> str:
            return "a\nb"

    assert repr(nn.Sequential(Wide())) == "Sequential(\n  (0): Wide(\n    a\n    b\n  )\n)"


def test_a_name_is_of_one_kind() -> None:
    layer = nn.Linear(1, 1)
    with pytest.raises(KeyError, match="already exists"):
        layer.register_buffer("weight", vs.ones(1))
    layer.register_buffer("scale", vs.ones(1))
    layer.register_buffer("scale", vs.zeros(1), persistent=False)
    with pytest.raises(KeyError, match="already exists"):
        layer.register_parameter("scale", nn.Parameter(vs.ones(1)))


@pytest.mark.parametrize(
    "clear", [nn.Module.zero_grad, lambda m, **kw: vs.optim.SGD(m.parameters()).zero_grad(**kw)]
)
def test_gradients_are_cleared_in_place(clear) -> None:
    layer = nn.Linear(1, 1)
    layer(vs.ones(1)).backward(create_graph=True)
    plain = layer.bias.grad = vs.ones(1)
    clear(layer, set_to_none=False)
    assert layer.bias.grad is plain
    assert plain.tolist() == [0.0]
    assert layer.weight.grad.tolist() == [[0.0]]
    assert not layer.weight.grad.requires_grad


def test_what_load_state_dict_prints() -> None:
    layer = nn.Linear(1, 1)
    assert repr(layer.load_state_dict(layer.state_dict())) == "<All keys matched successfully>"
    answer = layer.load_state_dict({"bias": vs.ones(1)}, strict=False)
    assert repr(answer) == "IncompatibleKeys(missing_keys=['weight'], unexpected_keys=[])"


def test_repr_of_a_parameter_list() -> None:
    assert repr(nn.ParameterList([vs.ones(2, 3)])) == (
        "ParameterList(\n    (0): Parameter containing: [versant.float32 of size 2x3]\n)"
    )


def test_modules_become_complex():
    layer = nn.Linear(3, 2)
    real = layer.weight.detach().clone()
    assert layer.to(vs.complex64).weight.dtype is vs.complex64
    assert vs.equal(layer.weight.real, real)
    assert layer.double().weight.dtype is vs.complex64  # conversions between real dtypes leave it alone
    assert layer(vs.ones(1, 3, dtype=vs.complex64)).dtype is vs.complex64
    with pytest.raises(TypeError, match="floating-point or complex dtypes only"):
        layer.to(vs.int64)
