"""Models by the entry points of a folder's hubconf.py. Nothing is downloaded: folders and files are local."""

import builtins
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

__all__ = ["get_dir", "help", "list", "load", "load_state_dict_from_url", "set_dir"]

Folder = str | os.PathLike[str]
_kept: builtins.list[Folder] = []  # the folder that set_dir named


def _entries(who: str, folder: Folder, source: str) -> ModuleType:
    """The module hubconf.py of the folder, executed anew."""
    if source not in ("local", "github"):
        raise ValueError(f"[hub.{who}] expected source 'local', got {source!r}")
    if source == "github":
        raise RuntimeError(
            f"[hub.{who}] nothing is downloaded: copy {folder!s} and give its folder with source='local'"
        )
    path = Path(folder).expanduser()
    file = path / "hubconf.py"
    if not file.is_file():
        raise FileNotFoundError(f"[hub.{who}] there is no hubconf.py in {path}")
    spec: Any = importlib.util.spec_from_file_location("hubconf", file)
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path))
    needed = getattr(module, "dependencies", [])
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise RuntimeError(f"[hub.{who}] Missing dependencies: {', '.join(missing)}")
    return module


def _entry(who: str, module: ModuleType, name: str) -> Any:
    function = getattr(module, name, None)
    if not callable(function):
        raise RuntimeError(f"[hub.{who}] Cannot find callable {name} in hubconf")
    return function


def list(github: Folder, *, source: str = "local", **kwargs: Any) -> builtins.list[str]:
    """The names of a folder's entry points."""
    module = _entries("list", github, source)
    return [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]


def help(github: Folder, model: str, *, source: str = "local", **kwargs: Any) -> str | None:
    """The docstring of an entry point."""
    doc: str | None = _entry("help", _entries("help", github, source), model).__doc__
    return doc


def load(
    repo_or_dir: Folder,
    model: str,
    *args: Any,
    source: str = "github",
    trust_repo: Any = None,
    force_reload: bool = False,
    verbose: bool = True,
    skip_validation: bool = False,
    **kwargs: Any,
) -> Any:
    """What the entry point `model` of a folder's hubconf.py makes of args and kwargs.

    source: "local"; RuntimeError for "github", which would be a download.
    """
    return _entry("load", _entries("load", repo_or_dir, source), model)(*args, **kwargs)


def get_dir() -> str:
    """The folder where files of models are looked for."""
    if _kept:
        return os.fspath(_kept[-1])
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return str(Path(cache) / "versant" / "hub")


def set_dir(d: Folder) -> None:
    """Looks for files of models there."""
    _kept[:] = [Path(d).expanduser()]


def load_state_dict_from_url(
    url: str,
    model_dir: Folder | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = False,
) -> dict[str, Any]:
    """The state dict at a file:// address, or in the file of the address's name in model_dir.

    model_dir: get_dir()/checkpoints by default. Raises FileNotFoundError where neither is there.
    """
    from versant.io import load as load_file

    parts = urlparse(url)
    if parts.scheme == "file":
        path = Path(url2pathname(parts.path))
    else:
        folder = Path(get_dir()) / "checkpoints" if model_dir is None else Path(model_dir)
        path = folder / (file_name or Path(parts.path).name)
    if not path.is_file():
        raise FileNotFoundError(
            f"[hub.load_state_dict_from_url] nothing is downloaded: put the file of {url} at {path}"
        )
    state: dict[str, Any] = load_file(str(path), map_location=map_location)
    return state
