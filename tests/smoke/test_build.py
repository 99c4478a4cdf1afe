"""The build: the version that the machine was compiled with, and the one oneDNN that it runs on."""

import importlib.metadata
import re
import subprocess
import sys

import versant


def test_machine_and_package_have_one_version() -> None:
    assert versant.__version__ == importlib.metadata.version("versant")


def test_import_loads_one_onednn_and_one_openmp() -> None:
    code = "import versant; print(open('/proc/self/maps').read())"
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    maps = run.stdout
    for library in ("libdnnl", "libgomp"):
        assert len(set(re.findall(rf"/\S*{library}\S*", maps))) <= 1, library
    assert not re.search(r"/lib(iomp5|omp|tbb)\.so", maps)
