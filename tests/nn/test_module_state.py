"""Buffers by assignment, dicts of parameters, hooks around state dicts, modules exchanged by name."""

from collections import OrderedDict

import pytest

import versant as vs
from versant import nn


class Counted(nn.Module):
    def __init__(self):
        super().__init__()
        self.seen = nn.Buffer(vs.zeros(2))
        self.scratch = nn.Buffer(vs.ones(1), persistent=False)
        self.inner = nn.Linear(2, 2)

    def forward(self, x):
        self.seen += x.detach().sum(0)
        return self.inner(x)


def test_assigned_buffers_are_registered() -> None:
    module = Counted()
    assert [name for name, _ in module.named_buffers()] == ["seen", "scratch"]
    assert list(module.state_dict()) == ["seen", "inner.weight", "inner.bias"]
    module(vs.ones(3, 2))
    assert module.seen.tolist() == [3.0, 3.0]
    assert module.double().seen.dtype is vs.float64
    assert not isinstance(module.seen, nn.Parameter)


def test_a_dict_of_parameters() -> None:
    params = nn.ParameterDict({"b": vs.zeros(2), "a": nn.Parameter(vs.ones(1))})
    assert list(params) == ["a", "b"]
    assert list(nn.ParameterDict(OrderedDict(b=vs.zeros(2), a=vs.ones(1)))) == ["b", "a"]
    assert isinstance(params["b"], nn.Parameter)
    assert [name for name, _ in params.named_parameters()] == ["a", "b"]
    params["c"] = vs.zeros(3)
    params.update([("d", vs.zeros(4))])
    assert "c" in params
    assert len(params | {"e": vs.zeros(1)}) == 5
    assert params.popitem()[0] == "d"
    assert params.pop("c").shape == (3,)
    assert params.get("x") is None
    assert params.setdefault("a") is params["a"]
    assert list(reversed(params)) == ["b", "a"]
    assert list(params.copy().keys()) == ["a", "b"]
    assert "(a): Parameter containing" in repr(params)
    with pytest.raises(TypeError, match="Parameter or Tensor for 'x', got int"):
        params["x"] = 1
    params.clear()
    assert len(params) == 0


def test_hooks_rename_what_is_loaded() -> None:
    module = nn.Sequential(Counted())
    old = {name.replace("seen", "count"): value for name, value in module.state_dict().items()}
    kept = dict(old)

    def rename(state_dict, prefix, metadata, strict, missing, unexpected, errors):
        state_dict[prefix + "seen"] = state_dict.pop(prefix + "count")

    handle = module[0]._register_load_state_dict_pre_hook(rename)
    module.load_state_dict(old)
    assert list(old) == list(kept)
    handle.remove()
    with pytest.raises(RuntimeError, match=r'Missing .*"0\.seen"'):
        module.load_state_dict(old)


def test_hooks_report_and_are_told() -> None:
    module, told = Counted(), []
    module.register_load_state_dict_pre_hook(lambda m, s, p, md, strict, missing, u, e: e.append("too old"))
    with pytest.raises(RuntimeError, match="too old"):
        module.load_state_dict(module.state_dict())
    other = Counted()
    other.register_load_state_dict_post_hook(lambda m, keys: told.append((m, keys.missing_keys)))
    other.load_state_dict({}, strict=False)
    assert told == [(other, ["seen", "inner.weight", "inner.bias"])]


def test_hooks_around_state_dicts() -> None:
    module = nn.Sequential(Counted())
    module[0].register_state_dict_pre_hook(lambda m, prefix, keep_vars: m.seen.fill_(7))
    module[0].register_state_dict_post_hook(lambda m, s, prefix, metadata: s.pop(prefix + "inner.bias"))
    state = module.state_dict()
    assert list(state) == ["0.seen", "0.inner.weight"]
    assert state["0.seen"].tolist() == [7.0, 7.0]


def test_hooks_of_states_leave_calls_alone() -> None:
    module = nn.Linear(2, 2)
    module.register_state_dict_pre_hook(print)
    assert not module._has_hooks


def test_modules_are_exchanged_by_name() -> None:
    module = nn.Sequential(nn.Sequential(nn.Linear(2, 2)))
    module.set_submodule("0.0", nn.Identity())
    assert isinstance(module[0][0], nn.Identity)
    module.set_submodule("0.new", nn.ReLU())
    assert isinstance(module[0].new, nn.ReLU)
    with pytest.raises(AttributeError, match="has no submodule 'other'"):
        module.set_submodule("0.other", nn.ReLU(), strict=True)
    with pytest.raises(ValueError, match="expected a name"):
        module.set_submodule("", nn.ReLU())
    with pytest.raises(ValueError, match="expected a Module, got int"):
        module.set_submodule("0", 1)


def test_whole_modules_change_memory_and_type() -> None:
    module = Counted()
    assert module.type("torch.DoubleTensor").inner.weight.dtype is vs.float64
    weight = module.inner.weight
    assert module.to_empty(device="cpu").inner.weight is weight
    kept = module.inner.weight.tolist()
    assert module.to_empty(device="cpu", recurse=False).inner.weight.tolist() == kept
    assert module.share_memory() is module
    with pytest.raises(RuntimeError, match="got 'cuda'"):
        module.cuda()


def test_states_beside_tensors() -> None:
    class Scaled(nn.Linear):
        factor = 1.0

        def get_extra_state(self):
            return {"factor": self.factor}

        def set_extra_state(self, state):
            self.factor = state["factor"]

    module, other = nn.Sequential(Scaled(2, 2)), nn.Sequential(Scaled(2, 2))
    module[0].factor = 3.0
    state = module.state_dict()
    assert list(state) == ["0.weight", "0.bias", "0._extra_state"]
    other.load_state_dict(state)
    assert other[0].factor == 3.0
    with pytest.raises(RuntimeError, match=r'Missing .*"0\._extra_state"'):
        other.load_state_dict({name: state[name] for name in ("0.weight", "0.bias")})
    with pytest.raises(RuntimeError, match=r'Unexpected .*"0\._extra_state"'):
        nn.Sequential(nn.Linear(2, 2)).load_state_dict(state)
