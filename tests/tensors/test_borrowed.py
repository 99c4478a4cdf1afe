"""Names of PyTorch's main namespace that stand for other functions; memory as an object; values for tests."""

import copy

import pytest

import versant as vs
from versant.testing import assert_close, make_tensor


def test_storages_are_those_of_whole_tensors() -> None:
    x = vs.arange(6.0).reshape(2, 3)
    view = x[1:]
    assert view.untyped_storage().data_ptr() == x.data_ptr()
    assert view.untyped_storage().nbytes() == 24
    assert view.storage().size() == len(view.storage()) == 6
    assert view.storage().tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert vs.is_storage(view.storage())
    assert not vs.is_storage(view)
    assert vs.ones(0).untyped_storage().nbytes() == 0


def test_products_with_random_vectors_find_matrices_of_low_rank() -> None:
    a = vs.randn(7, 3, dtype=vs.float64) @ vs.randn(3, 9, dtype=vs.float64)
    for x in (a, a.mT):
        u, s, v = vs.svd_lowrank(x, q=4)
        assert_close((u * s) @ v.mT, x, 1e-10)
        assert_close(s[:3], vs.linalg.svdvals(x)[:3], 1e-10)
    _, s, v = vs.pca_lowrank(a + 5)
    centred = (a - a.mean(0)) @ v
    assert_close((centred**2).sum(0).sqrt(), s, 1e-8)
    with pytest.raises(ValueError, match=r"\[svd_lowrank\] expected q of 0 to 7, got 8"):
        vs.svd_lowrank(a, q=8)


@pytest.mark.parametrize("name", ["bool", "uint8", "int32", "int64", "float32", "float64", "complex64"])
def test_made_tensors_lie_between_their_limits(name: str) -> None:
    x = make_tensor(200, 3, dtype=getattr(vs, name), device="cpu")
    real = vs.view_as_real(x) if x.is_complex() else x
    low, high = (0, 1) if name == "bool" else (0, 9) if name == "uint8" else (-9, 9)
    assert x.shape == (200, 3)
    assert x.dtype is getattr(vs, name)
    assert low <= float(real.float().min()) < float(real.float().max()) <= high
    assert bool((make_tensor((200,), dtype=x.dtype, exclude_zero=True) != 0).all())


def test_made_tensors_are_as_asked_for() -> None:
    x = make_tensor((2, 3), dtype=vs.float32, low=2, high=2.5, requires_grad=True, noncontiguous=True)
    assert not x.is_contiguous()
    assert x.is_leaf
    assert x.requires_grad
    assert 2 <= float(x.min()) <= float(x.max()) <= 2.5
    with pytest.raises(ValueError, match=r"\[make_tensor\] expected low below high, got low=1, high=1"):
        make_tensor(2, dtype=vs.float32, low=1, high=1)
    with pytest.raises(ValueError, match="expected a floating-point dtype for requires_grad"):
        make_tensor(2, dtype=vs.int32, requires_grad=True)


def test_tolerances_may_be_given_apart() -> None:
    assert_close(vs.ones(2), vs.ones(2) + 1e-3, rtol=1e-2, atol=0.0)
    with pytest.raises(AssertionError):
        assert_close(vs.ones(2), vs.ones(2) + 1e-3, rtol=1e-4, atol=1e-4)
    with pytest.raises(AssertionError):
        assert_close(vs.tensor(vs.nan), vs.tensor(vs.nan), equal_nan=False)
    with pytest.raises(AssertionError, match="dtype"):
        assert_close(vs.ones(2), vs.ones(2, dtype=vs.float64), check_dtype=True)
    with pytest.raises(ValueError, match="expected rtol and atol together"):
        assert_close(1.0, 1.0, rtol=1.0)


def test_a_module_compiles_in_place_and_its_copies_are_their_own() -> None:
    model = vs.nn.Linear(3, 2)
    x = vs.randn(4, 3)
    expected = model(x)
    model.compile()
    assert vs.equal(model(x), expected)
    assert vs.equal(model(x), expected)
    other = copy.deepcopy(model)
    with vs.no_grad():
        other.bias.add_(1.0)
    assert_close(other(x), expected + 1.0)
    assert vs.equal(model(x), expected)
    assert list(model.state_dict()) == ["weight", "bias"]


def test_questions_about_devices_have_an_answer() -> None:
    for room in (vs.cuda, vs.mps, vs.xpu, vs.accelerator):
        assert not room.is_available()
        assert room.device_count() == 0
    assert vs.accelerator.current_accelerator() is None
    assert vs.cpu.is_available()
    assert vs.get_device_module() is vs.cpu
    with vs.cuda.stream(None), vs.cpu.stream(None):
        pass
    with pytest.raises(RuntimeError, match=r"\[accelerator.synchronize\] there is no accelerator"):
        vs.accelerator.synchronize()
    vs.backends.cuda.enable_flash_sdp(False)
    assert not vs.backends.cuda.flash_sdp_enabled()
    vs.backends.cuda.enable_flash_sdp(True)


def test_scripts_are_what_they_were() -> None:
    model = vs.nn.Linear(2, 2)
    assert vs.jit.freeze(vs.jit.trace(model, vs.ones(1, 2))) is model
    with pytest.raises(NotImplementedError, match=r"\[jit.save\].*load_program"):
        vs.jit.save(model, "x.pt")


def test_hooks_are_shown_as_pytorchs_are() -> None:
    layer = vs.nn.Linear(2, 2)
    calls: list[str] = []
    layer.register_forward_hook(lambda *a: calls.append("after"))
    layer.register_forward_pre_hook(lambda *a: calls.append("before"))
    assert [len(h) for h in (layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks)] == [
        1,
        1,
        0,
    ]
    assert next(iter(layer._forward_hooks.values()))() is None
    layer._forward_hooks.clear()
    layer(vs.ones(1, 2))
    assert calls == ["after", "before"]


def test_names_of_recurrent_weights_find_the_biases() -> None:
    lstm = vs.nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2)
    assert lstm._all_weights[1] == [
        f"{name}_l0_reverse" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    ]
    for row, names in zip(lstm.all_weights, lstm._all_weights, strict=True):
        assert all(w is getattr(lstm, name) for w, name in zip(row, names, strict=True))


def test_groups_of_an_optimizer_stand_apart() -> None:
    groups = [{"params": [vs.nn.Parameter(vs.ones(1))], "lr": lr} for lr in (0.1, 0.2)]
    assert "\n\nParameter Group 1\n" in repr(vs.optim.SGD(groups))
