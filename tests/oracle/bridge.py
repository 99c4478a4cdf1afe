"""PyTorch's values as Versant's and back, and how far two results may lie apart."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

import versant as vs

DTYPES = {
    getattr(torch, name): getattr(vs, name)
    for name in (
        "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64",
        "complex64", "complex128",
    )
    if hasattr(vs, name)
}  # fmt: skip

# Relative and absolute: those of torch.testing.assert_close, in float64 those of its gradient checks.
TOLERANCES = {
    torch.float16: (1e-3, 1e-5),
    torch.bfloat16: (1.6e-2, 1e-5),
    torch.float32: (1.3e-6, 1e-5),
    torch.complex64: (1.3e-6, 1e-5),
    torch.float64: (1e-7, 1e-7),
    torch.complex128: (1e-7, 1e-7),
}


class Untranslatable(Exception):
    """A value of PyTorch that Versant has nothing for, such as a sparse tensor."""


class Bridge:
    """Translates one sample: a tensor that occurs twice is one tensor on the other side too."""

    def __init__(self) -> None:
        self.tensors: dict[int, tuple[torch.Tensor, vs.Tensor]] = {}

    def tensor(self, tensor: torch.Tensor) -> vs.Tensor:
        if id(tensor) not in self.tensors:
            self.tensors[id(tensor)] = (tensor, to_versant(tensor))
        return self.tensors[id(tensor)][1]

    def value(self, value: Any) -> Any:
        match value:
            case torch.Tensor():
                return self.tensor(value)
            case torch.dtype():
                if value not in DTYPES:
                    raise Untranslatable(str(value))
                return DTYPES[value]
            case torch.device():
                return str(value)
            case torch.Size():
                return tuple(value)
            case torch.memory_format() | torch.layout():
                name = str(value).removeprefix("torch.")
                if not hasattr(vs, name):
                    raise Untranslatable(name)
                return getattr(vs, name)
            case torch.Generator():
                return vs.Generator().manual_seed(value.initial_seed())
            case torch.nn.TransformerEncoderLayer():
                return encoder_layer(value)
            case _ if getattr(value, "__name__", "") and value is getattr(
                torch.nn.functional, value.__name__, 0
            ):
                return getattr(vs.nn.functional, value.__name__)
            case torch.nn.utils.rnn.PackedSequence():
                return vs.nn.utils.rnn.PackedSequence(*(self.value(item) for item in value))
            case tuple() if hasattr(value, "_fields"):
                return type(value)(*(self.value(item) for item in value))
            case list() | tuple():
                return type(value)(self.value(item) for item in value)
            case dict():
                return {key: self.value(item) for key, item in value.items()}
        return value


def encoder_layer(layer: torch.nn.TransformerEncoderLayer) -> vs.nn.Module:
    """A layer of the same sizes, settings and weights."""
    attention = layer.self_attn
    mine = vs.nn.TransformerEncoderLayer(
        attention.embed_dim,
        attention.num_heads,
        layer.linear1.out_features,
        attention.dropout,
        Bridge().value(layer.activation),
        batch_first=attention.batch_first,
        norm_first=layer.norm_first,
        bias=layer.linear1.bias is not None,
        dtype=DTYPES[layer.linear1.weight.dtype],
    )
    mine.load_state_dict({key: to_versant(value) for key, value in layer.state_dict().items()})
    return mine


def to_versant(tensor: torch.Tensor) -> vs.Tensor:
    """A tensor of the same values, dtype, strides and need of a gradient."""
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.dtype not in DTYPES:
        raise Untranslatable(f"{tensor.layout} {tensor.dtype}")
    plain = tensor.detach().resolve_conj().resolve_neg()
    # All of its memory, which as_strided may look at.
    extent = plain.untyped_storage().nbytes() // plain.itemsize
    memory = plain.as_strided((extent,), (1,), 0).clone()
    if plain.dtype is torch.bfloat16:
        flat = vs.from_numpy(memory.view(torch.int16).numpy()).view(vs.bfloat16)
    else:
        flat = vs.from_numpy(memory.numpy())
    result = (
        flat.as_strided(tuple(plain.shape), plain.stride(), plain.storage_offset())
        if plain.numel()
        else flat.new_empty(tuple(plain.shape))
    )
    return result.requires_grad_(tensor.requires_grad)


def to_torch(value: vs.Tensor) -> torch.Tensor:
    plain = value.detach()
    if plain.dtype is vs.bfloat16:
        return torch.from_numpy(plain.contiguous().view(vs.int16).numpy()).view(torch.bfloat16)
    return torch.from_numpy(plain.contiguous().numpy())


def difference(ours: Any, theirs: Any, where: str = "result", scale: float = 1.0) -> str | None:
    """In what the results differ, in words; None when they agree."""
    if isinstance(theirs, torch.Tensor):
        if not isinstance(ours, vs.Tensor):
            return f"{where} is {type(ours).__name__}, not a tensor"
        return tensor_difference(ours, theirs, where, scale)
    if isinstance(theirs, torch.dtype):
        return None if DTYPES.get(theirs) is ours else f"{where} is {ours}, not {theirs}"
    if isinstance(theirs, Mapping):
        if not isinstance(ours, Mapping) or list(ours) != list(theirs):
            return f"{where} has other keys"
        return first(difference(ours[k], theirs[k], f"{where}[{k!r}]", scale) for k in theirs)
    if isinstance(theirs, Sequence) and not isinstance(theirs, str):
        if not isinstance(ours, Sequence) or len(ours) != len(theirs):
            return f"{where} is {ours!r}, not {len(theirs)} values"
        pairs = enumerate(zip(ours, theirs, strict=True))
        return first(difference(a, b, f"{where}[{i}]", scale) for i, (a, b) in pairs)
    if isinstance(theirs, (float, complex)):
        return None if np.isclose(ours, theirs, equal_nan=True) else f"{where} is {ours}, not {theirs}"
    return None if ours == theirs else f"{where} is {ours!r}, not {theirs!r}"


def tensor_difference(ours: vs.Tensor, theirs: torch.Tensor, where: str, scale: float) -> str | None:
    if theirs.dtype not in DTYPES:
        raise Untranslatable(str(theirs.dtype))
    if ours.dtype is not DTYPES[theirs.dtype]:
        return f"{where} has dtype {ours.dtype}, not {theirs.dtype}"
    if tuple(ours.shape) != tuple(theirs.shape):
        return f"{where} has shape {tuple(ours.shape)}, not {tuple(theirs.shape)}"
    rtol, atol = TOLERANCES.get(theirs.dtype, (0.0, 0.0))
    try:
        torch.testing.assert_close(
            to_torch(ours),
            theirs.detach(),
            rtol=rtol * scale,
            atol=atol * scale,
            equal_nan=True,
            check_stride=False,
        )
    except AssertionError as error:
        text = [line for line in str(error).splitlines() if line.strip()]
        return f"{where}: " + "; ".join(text[1:4] or text)
    return None


def first(differences: Any) -> str | None:
    return next((text for text in differences if text), None)
