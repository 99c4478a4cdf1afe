"""The safetensors file format: https://huggingface.co/docs/safetensors

A file is a little-endian u64 with the length of the header, the header in JSON, and the bytes of the tensors.
The header maps each name to {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, and optionally
"__metadata__" to a dict of strings. The offsets count from the end of the header; the tensors fill the data
without holes or overlaps.
"""

import json
import math
import struct
from typing import IO, Any

import versant
from versant import Tensor

MAX_HEADER = 100_000_000  # bytes, the limit of the format's first implementation
ALIGNMENT = 64  # where the data starts in files that we write
DTYPES = {
    "BOOL": versant.bool,
    "U8": versant.uint8,
    "I8": versant.int8,
    "I16": versant.int16,
    "I32": versant.int32,
    "I64": versant.int64,
    "F16": versant.float16,
    "BF16": versant.bfloat16,
    "F32": versant.float32,
    "F64": versant.float64,
    "C64": versant.complex64,
}
CODES = {dtype: code for code, dtype in DTYPES.items()}


class FileFormatError(ValueError):
    """A file that is not what it should be; the message names the file and the fault."""


def write(file: IO[bytes], tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write named tensors and strings to a file that is open for writing bytes."""
    for name, tensor in tensors.items():
        if tensor.dtype not in CODES:
            raise TypeError(f"[save] the format has no {tensor.dtype} ({name!r})")
    # The header keeps the order of the dict. In the data, wider elements come first, so that each tensor
    # stands at a multiple of its element size.
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    header.update(
        (name, {"dtype": CODES[tensor.dtype], "shape": list(tensor.shape)})
        for name, tensor in tensors.items()
    )
    ordered = sorted(tensors.items(), key=lambda item: -item[1].element_size())
    end = 0
    for name, tensor in ordered:
        begin, end = end, end + tensor.numel() * tensor.element_size()
        header[name]["data_offsets"] = [begin, end]
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    if len(text) > MAX_HEADER:
        raise ValueError(f"[save] the header takes {len(text)} bytes, more than {MAX_HEADER}")
    file.write(struct.pack("<Q", len(text)) + text)
    for _, tensor in ordered:
        if tensor.numel():
            file.write(_bytes(tensor))


def _bytes(tensor: Tensor) -> memoryview:
    return memoryview(tensor.detach().contiguous().reshape(-1).view(versant.uint8))


def read(buffer: Any) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The named tensors and strings in the bytes of a file; the tensors share memory with `buffer`.

    Raises FileFormatError, before any tensor is made, for a header that does not describe the data exactly.
    """
    if len(buffer) < 8:
        raise FileFormatError(f"expected 8 bytes of header length, the whole file has {len(buffer)}")
    if bytes(buffer[:4]) == b"PK\x03\x04":
        raise FileFormatError("this is a zip archive, such as torch.save() writes; expected safetensors")
    (length,) = struct.unpack_from("<Q", buffer, 0)
    data = 8 + length
    if length > min(MAX_HEADER, len(buffer) - 8):
        raise FileFormatError(
            f"the header claims {length} bytes, after its length the file has {len(buffer) - 8}"
        )
    header = parse(bytes(memoryview(buffer)[8:data]))
    if not isinstance(header, dict):
        raise FileFormatError("the header is not a JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise FileFormatError("__metadata__ does not map strings to strings")
    entries = {name: _entry(name, value) for name, value in header.items()}
    _check_coverage(entries, len(buffer) - data)
    tensors = {}
    for name, (dtype, shape, begin, _) in entries.items():
        try:
            if count := math.prod(shape):
                flat = versant.frombuffer(buffer, dtype=dtype, count=count, offset=data + begin)
                tensors[name] = flat.reshape(shape)
            else:
                tensors[name] = versant.empty(shape, dtype=dtype)
        except (ValueError, OverflowError, RuntimeError) as error:
            raise FileFormatError(f"tensor {name!r} of shape {shape}: {error}") from error
    return tensors, metadata


def parse(text: bytes) -> Any:
    """JSON without repeated keys and without NaN or Infinity."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        if len(set(keys)) < len(keys):
            raise ValueError(f"the key {max(keys, key=keys.count)!r} stands twice")
        return dict(pairs)

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    try:
        return json.loads(text.decode(), object_pairs_hook=unique, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"the header is not valid JSON: {error}") from None


def _entry(name: str, value: Any) -> tuple[Any, tuple[int, ...], int, int]:
    """The dtype, shape, begin and end of one tensor, each checked by itself."""
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise FileFormatError(f"tensor {name!r} must have dtype, shape and data_offsets")
    code, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(code, str) or code not in DTYPES:
        raise FileFormatError(f"tensor {name!r} has the unknown dtype {code!r}")
    if not isinstance(shape, list) or not all(map(_natural, shape)):
        raise FileFormatError(f"tensor {name!r} has the shape {shape!r}")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_natural, offsets)):
        raise FileFormatError(f"tensor {name!r} has the data_offsets {offsets!r}")
    dtype, (begin, end) = DTYPES[code], offsets
    wanted = math.prod(shape) * dtype.itemsize
    if end - begin != wanted:
        raise FileFormatError(f"tensor {name!r} ({code} {shape}) takes {wanted} bytes, got {end - begin}")
    return dtype, tuple(shape), begin, end


def _natural(number: Any) -> bool:
    return type(number) is int and 0 <= number < 2**63


def _check_coverage(entries: dict[str, Any], size: int) -> None:
    """The tensors must lie side by side and fill the data exactly."""
    reached = 0
    for name, (_, _, begin, end) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if begin != reached:
            raise FileFormatError(f"tensor {name!r} starts at byte {begin} of the data, expected {reached}")
        reached = end
    if reached != size:
        raise FileFormatError(f"the tensors take {reached} bytes of data, the file has {size}")
