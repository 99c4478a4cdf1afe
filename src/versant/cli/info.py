"""versant info: what this installation is made of."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import versant
from versant import _core

_EXTRAS = ("numpy", "rich", "matplotlib", "safetensors")


def info() -> str:
    """A few lines of text: build, instruction set, threads, libraries."""
    facts = {
        "versant": versant.__version__,
        "python": f"{sys.version.split()[0]} on {platform.platform()}",
        "instruction set": _core.instruction_set(),
        "threads": versant.get_num_threads(),
        "compiler": _core.compiler,
        "oneDNN": _core.onednn_version,
    }
    facts |= {name: _installed(name) for name in _EXTRAS}
    width = max(map(len, facts))
    return "\n".join(f"{name:{width}}  {value}" for name, value in facts.items())


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
