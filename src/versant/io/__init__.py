"""Saving and loading tensors, and what holds them, in safetensors files. Nothing in a file is ever executed.

A dict of tensors is written as such, and any reader of the format can read it. Any other value (a checkpoint
of dicts, lists, numbers, strings and tensors) has its structure written as JSON in the metadata.
"""

import errno
import json
import mmap as _mmap
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from versant import Tensor
from versant.io import safetensors
from versant.io.safetensors import FileFormatError
from versant.io.structure import put_together, take_apart

__all__ = ["FileFormatError", "load", "save"]

Path = str | os.PathLike[str]

_STRUCTURE = "versant.structure"  # the key of the metadata


def save(obj: Any, f: Path | IO[bytes]) -> None:
    """Write a value: tensors, numbers, strings, bools and None, in dicts, lists and tuples.

    f: a path, or a file open for writing bytes. A file at the path stays whole until the new one is complete;
        a device or pipe is written to directly.
    Raises TypeError for a value of another type.

    >>> import versant as vs
    >>> from io import BytesIO
    >>> file = BytesIO()
    >>> vs.save({"weight": vs.ones(2), "epoch": 3}, file)
    >>> vs.load(BytesIO(file.getvalue()))
    {'weight': tensor([1., 1.]), 'epoch': 3}
    """
    plain = isinstance(obj, dict) and all(
        isinstance(name, str) and name != "__metadata__" and isinstance(value, Tensor)
        for name, value in obj.items()
    )
    tensors: dict[str, Tensor] = obj
    metadata = {}
    if not plain:
        try:
            structure, tensors = take_apart(obj)
        except RecursionError:
            raise ValueError("[save] the value is nested too deeply") from None
        metadata = {_STRUCTURE: json.dumps(structure, separators=(",", ":"), allow_nan=False)}
    if not isinstance(f, str | os.PathLike):
        safetensors.write(_file("save", f, "write"), tensors, metadata)
        return
    path = os.path.realpath(f)
    special = os.path.exists(path) and not os.path.isfile(path)
    with open(path, "wb") if special else replacing(path) as file:
        safetensors.write(file, tensors, metadata)


def load(
    f: Path | IO[bytes], map_location: Any = None, *, weights_only: bool = True, mmap: bool = False
) -> Any:
    """Read a value that `save`, or another writer of safetensors, has written.

    f: a path, or a file open for reading bytes.
    mmap: tensors from a path share the file's pages until they are written to, and the file itself is never
    changed. Nobody may shorten the file meanwhile: the system ends a process that reads pages which are gone.
    map_location: "cpu" or None. `weights_only` is taken and changes nothing.
    Raises FileFormatError for a file that is damaged or of another format.
    """
    if map_location is not None and str(map_location) != "cpu":
        raise ValueError(f"[load] map_location must be 'cpu' or None, got {map_location!r}")
    buffer: Any
    if not isinstance(f, str | os.PathLike):
        content = _file("load", f, "read").read()
        if isinstance(content, str):
            raise TypeError('[load] the file is open for text; open it with "rb"')
        name, buffer = str(getattr(f, "name", "file")), bytearray(content)
    else:
        name = os.fspath(f)
        with open(name, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if mmap and size:
                buffer = _mmap.mmap(file.fileno(), 0, access=_mmap.ACCESS_COPY)
            else:
                buffer = bytearray(size)
                del buffer[file.readinto(buffer) :]
                buffer += file.read()  # of a pipe, which has no size
    try:
        tensors, metadata = safetensors.read(buffer)
        if _STRUCTURE not in metadata:
            return tensors
        return put_together(safetensors.parse(metadata[_STRUCTURE].encode()), tensors)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        fault = str(error) if isinstance(error, FileFormatError) else f"damaged structure: {error!r}"
        raise FileFormatError(f"[load] {name}: {fault}") from None


def _file(op: str, f: Any, method: str) -> Any:
    if not hasattr(f, method):
        raise TypeError(f"[{op}] expected a path or a file with {method}(), got {type(f).__name__}")
    return f


@contextmanager
def replacing(path: str) -> Iterator[IO[bytes]]:
    """A new file that takes the place of `path` once it is complete and on disk; otherwise it is removed."""
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    folder, name = os.path.split(path)
    draft = os.path.join(folder, f".{name}.{secrets.token_hex(8)}")
    try:
        file = open(draft, "xb")  # noqa: SIM115
    except OSError as error:
        error.filename = path
        raise
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(path):
            os.chmod(draft, os.stat(path).st_mode)
        os.replace(draft, path)
    except BaseException:
        if os.path.exists(draft):
            os.unlink(draft)
        raise
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
