"""SyncBatchNorm: the batch norm of one process, and its place in models."""

import pytest

import versant as vs
from versant import nn


def test_converted_models_compute_the_same() -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Sequential(nn.BatchNorm2d(3, affine=False))
    )
    x = vs.randn(4, 2, 5, 5)
    expected = model(x)
    keys, parameters = list(model.state_dict()), list(model.parameters())
    model[1].running_mean.zero_()
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert [type(m).__name__ for m in (converted[1], converted[2][0])] == ["SyncBatchNorm"] * 2
    assert list(converted.state_dict()) == keys
    assert all(a is b for a, b in zip(converted.parameters(), parameters, strict=True))
    assert vs.equal(converted(x), expected)


def test_one_layer_is_converted_too_and_keeps_its_mode() -> None:
    layer = nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm1d(3).eval())
    assert isinstance(layer, nn.SyncBatchNorm)
    assert not layer.training
    assert layer(vs.ones(2, 3, 4, 5, 6)).shape == (2, 3, 4, 5, 6)


def test_it_takes_two_axes_at_least() -> None:
    with pytest.raises(
        ValueError, match=r"\[SyncBatchNorm\] expected \(N, 3\) or \(N, 3, ...\), got input of shape"
    ):
        nn.SyncBatchNorm(3)(vs.ones(3))
