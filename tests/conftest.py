"""Settings of every test: hypothesis measures no time, for other processes share the machine.

A run draws the examples that every run draws; `pytest --hypothesis-profile=explore` draws others each time.
"""

import os

import pytest
from hypothesis import settings

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # SciPy takes tensors; read when it is imported
settings.register_profile("versant", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("versant")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden-update", action="store_true", help="write the golden files of tests/compiler anew"
    )
    parser.addoption(
        "--machine-code", choices=["off", "hot", "always"], help="which programs run as machine code"
    )


@pytest.fixture(autouse=True, scope="session")
def machine_code(request: pytest.FixtureRequest) -> None:
    """Runs all tests in the mode that was asked for."""
    mode = request.config.getoption("--machine-code")
    if mode:
        from versant import _core

        _core.use_machine_code(mode)
