"""Traces and plans are verified after every pass while these tests run."""

from collections.abc import Iterator

import pytest

from versant import _core


@pytest.fixture(autouse=True)
def verified() -> Iterator[None]:
    before = _core.verify_traces(True)
    yield
    _core.verify_traces(before)
