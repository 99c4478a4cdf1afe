"""The build: the version that it was compiled with, and that one oneDNN and one OpenMP are in use."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import versant

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_machine_and_project_have_one_version() -> None:
    assert versant.__version__ == tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["version"]


@pytest.mark.parametrize("library", ["libdnnl", "libgomp"])
def test_one_library_of_a_kind_is_loaded(library: str) -> None:
    code = (
        "import versant as vs; vs.ones(256, 256) @ vs.ones(256, 256); print(open('/proc/self/maps').read())"
    )
    maps = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert len(set(re.findall(rf"/\S*{library}\S*", maps))) == 1
    assert not re.search(r"/lib(iomp5|omp|tbb)\.so", maps)
