"""Traces and plans are verified after every pass while these tests run."""

from collections.abc import Iterator

import pytest

import versant as vs
from versant import _core


@pytest.fixture(autouse=True)
def verified() -> Iterator[None]:
    before = _core.verify_traces(True)
    yield
    _core.verify_traces(before)


@pytest.fixture(params=[1, 2, 4])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """How many threads work: the test runs once for each number."""
    before = vs.get_num_threads()
    vs.set_num_threads(request.param)
    yield request.param
    vs.set_num_threads(before)
