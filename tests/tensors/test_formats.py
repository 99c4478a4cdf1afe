"""Layouts, devices and memory formats: what the keywords of creation and copies accept and do."""

import copy
import pickle

import pytest

import versant as vs

LAST = (60, 1, 15, 3)  # strides of a channels-last (2, 3, 4, 5)
MAKERS = [
    lambda **kw: vs.zeros(2, **kw), lambda **kw: vs.ones((2,), **kw), lambda **kw: vs.empty(2, **kw),
    lambda **kw: vs.full((2,), 1.5, **kw), lambda **kw: vs.zeros_like(vs.ones(2), **kw),
    lambda **kw: vs.ones(3).new_zeros(2, **kw), lambda **kw: vs.ones(3).new_full((2,), 1.0, **kw),
    lambda **kw: vs.arange(2, **kw), lambda **kw: vs.linspace(0, 1, 2, **kw), lambda **kw: vs.eye(1, 2, **kw),
    lambda **kw: vs.logspace(0, 1, 2, **kw), lambda **kw: vs.empty_strided((2,), (1,), **kw),
]  # fmt: skip


@pytest.mark.parametrize("make", MAKERS)
def test_creation_takes_pytorchs_keywords(make) -> None:
    result = make(dtype=vs.float64, layout=vs.strided, device="cpu", pin_memory=False, requires_grad=True)
    assert result.dtype is vs.float64
    assert result.requires_grad
    assert result.is_leaf
    for wrong in ({"device": "cuda"}, {"layout": "strided"}, {"pin_memory": True}):
        with pytest.raises(RuntimeError):
            make(**wrong)


def test_channels_last_lies_with_the_channels_of_a_pixel_together() -> None:
    x = vs.arange(120.0).reshape(2, 3, 4, 5)
    for y in (
        x.to(memory_format=vs.channels_last),
        x.contiguous(memory_format=vs.channels_last),
        x.clone(memory_format=vs.channels_last),
        vs.zeros_like(x, memory_format=vs.channels_last).copy_(x),
        vs.empty(2, 3, 4, 5, memory_format=vs.channels_last).copy_(x),
    ):
        assert y.stride() == LAST
        assert y.is_contiguous(memory_format=vs.channels_last)
        assert not y.is_contiguous()
        assert vs.equal(x, y)
        assert y.contiguous().is_contiguous()
        assert vs.ones_like(y).stride() == LAST
        assert vs.ones_like(y, memory_format=vs.contiguous_format).is_contiguous()
        assert y.clone(memory_format=vs.contiguous_format).is_contiguous()
        assert y.contiguous(memory_format=vs.channels_last) is y
        assert y.to(memory_format=vs.preserve_format) is y


def test_three_axes_of_positions() -> None:
    x = vs.randn(2, 3, 4, 5, 6).to(memory_format=vs.channels_last_3d)
    assert x.stride() == (360, 1, 90, 18, 3)
    assert x.is_contiguous(memory_format=vs.channels_last_3d)
    assert not x.is_contiguous(memory_format=vs.channels_last)


def test_gradients_flow_through_another_format() -> None:
    x = vs.randn(2, 3, 4, 5, requires_grad=True)
    weights = vs.randn(2, 3, 4, 5)
    (x.to(memory_format=vs.channels_last) * weights).sum().backward()
    assert vs.equal(x.grad, weights)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.contiguous(memory_format=vs.channels_last),
        lambda x: x.contiguous(memory_format=vs.preserve_format),
        lambda x: x.is_contiguous(memory_format=vs.preserve_format),
        lambda x: vs.empty(2, 3, memory_format=vs.channels_last),
    ],
)
def test_formats_that_do_not_fit(call) -> None:
    with pytest.raises(RuntimeError):
        call(vs.ones(2, 3))


@pytest.mark.parametrize("name", ["strided", "channels_last", "channels_last_3d", "contiguous_format"])
def test_constants_print_and_pickle_as_their_names(name) -> None:
    constant = getattr(vs, name)
    assert repr(constant) == f"versant.{name}"
    assert pickle.loads(pickle.dumps(constant)) is constant
    assert copy.deepcopy(constant) is constant
