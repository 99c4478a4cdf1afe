"""Transformers: layers of attention and feed-forward networks, encoders and decoders of them (Vaswani et al.
2017)."""

import copy
import math
from collections.abc import Callable
from typing import Any

import versant
from versant import ShapeError, Tensor
from versant.nn import functional as F
from versant.nn import init
from versant.nn.attention import MultiheadAttention
from versant.nn.container import ModuleList
from versant.nn.dropout import Dropout
from versant.nn.linear import Linear
from versant.nn.module import Module
from versant.nn.normalization import LayerNorm

Activation = Callable[[Tensor], Tensor]


def _activation(layer: str, given: str | Activation) -> Activation:
    if not isinstance(given, str):
        return given
    if given not in ("relu", "gelu"):
        raise RuntimeError(f"[{layer}] activation should be relu/gelu, not {given}")
    named: Activation = getattr(F, given)
    return named


def _is_causal(mask: Tensor | None, told: bool | None, length: int) -> bool:
    """Whether the mask hides exactly what comes later, unless the caller told."""
    if told is not None or mask is None:
        return told is True
    if tuple(mask.shape) != (length, length):
        return False
    later = versant.ones(length, length, dtype=versant.bool).triu(1)
    if mask.dtype.is_floating_point:
        causal = versant.zeros(length, length, dtype=mask.dtype).masked_fill(later, -math.inf)
    else:
        causal = later
    return bool((mask == causal).all())


class _Layer(Module):
    """What both kinds of layers share: self-attention, a feed-forward network, a residual sum around each
    part."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        options = {"bias": bias, "device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, batch_first=batch_first, **options)
        if self.parts == 3:
            self.multihead_attn = MultiheadAttention(
                d_model, nhead, dropout, batch_first=batch_first, **options
            )
        self.linear1 = Linear(d_model, dim_feedforward, **options)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **options)
        self.norm_first = norm_first
        for i in range(self.parts):
            setattr(self, f"norm{i + 1}", LayerNorm(d_model, eps=layer_norm_eps, **options))
        for i in range(self.parts):
            setattr(self, f"dropout{i + 1}", Dropout(dropout))
        self.activation = _activation(type(self).__name__, activation)

    parts = 2  # attentions and the feed-forward network

    def _around(self, number: int, part: Activation, x: Tensor) -> Tensor:
        """A part with its dropout, the residual sum and the norm, before the part or after the sum."""
        norm, dropout = getattr(self, f"norm{number}"), getattr(self, f"dropout{number}")
        if self.norm_first:
            result: Tensor = x + dropout(part(norm(x)))
        else:
            result = norm(x + dropout(part(x)))
        return result

    def _feed_forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.linear2(self.dropout(self.activation(self.linear1(x))))
        return result


class TransformerEncoderLayer(_Layer):
    """Self-attention, then a feed-forward network, each in a residual sum with LayerNorm.

    src: (L, N, d_model), (N, L, d_model) if batch_first, or (L, d_model); the result has its shape.
    norm_first: each norm stands before its part (Xiong et al. 2020) and not after the sum. activation:
    "relu", "gelu" or a function.
    """

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """src_mask: (L, L) or (N * nhead, L, L); src_key_padding_mask: (N, L) or (L,), as
        MultiheadAttention."""

        def attend(x: Tensor) -> Tensor:
            result: Tensor = self.self_attn(
                x, x, x, src_key_padding_mask, need_weights=False, attn_mask=src_mask, is_causal=is_causal
            )[0]
            return result

        return self._around(2, self._feed_forward, self._around(1, attend, src))


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to the encoder's output, a feed-forward network, each in a residual sum.

    tgt: (L, N, d_model), (N, L, d_model) if batch_first, or (L, d_model); memory: the same with length S; the
    result has the shape of tgt.
    """

    parts = 3

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """tgt_mask: (L, L), memory_mask: (L, S), or each with N * nhead in front; the padding: (N, L), (N,
        S)."""

        def attend(x: Tensor) -> Tensor:
            result: Tensor = self.self_attn(
                x, x, x, tgt_key_padding_mask, need_weights=False, attn_mask=tgt_mask, is_causal=tgt_is_causal
            )[0]
            return result

        def attend_memory(x: Tensor) -> Tensor:
            result: Tensor = self.multihead_attn(
                x,
                memory,
                memory,
                memory_key_padding_mask,
                need_weights=False,
                attn_mask=memory_mask,
                is_causal=memory_is_causal,
            )[0]
            return result

        x = self._around(2, attend_memory, self._around(1, attend, tgt))
        return self._around(3, self._feed_forward, x)


class _Stack(Module):
    """Copies of one layer, and a norm at the end."""

    norm: Module | None

    def __init__(self, layer: Module, num_layers: int, norm: Module | None) -> None:
        super().__init__()
        self.layers = ModuleList(copy.deepcopy(layer) for _ in range(num_layers))
        self.num_layers = num_layers
        self.norm = norm

    def _length(self, x: Tensor) -> int:
        first: Any = self.layers[0]
        return x.shape[1 if x.ndim == 3 and first.self_attn.batch_first else 0]


class TransformerEncoder(_Stack):
    """num_layers copies of an encoder layer, and then `norm` if there is one.

    enable_nested_tensor, mask_check: taken for PyTorch's sake; results are the same either way.
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__(encoder_layer, num_layers, norm)
        self.enable_nested_tensor = enable_nested_tensor
        self.mask_check = mask_check

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """src and masks as in the layer. is_causal: whether `mask` is the causal mask; None looks."""
        causal = _is_causal(mask, is_causal, self._length(src))
        for layer in self.layers:
            src = layer(src, src_mask=mask, is_causal=causal, src_key_padding_mask=src_key_padding_mask)
        result: Tensor = src if self.norm is None else self.norm(src)
        return result


class TransformerDecoder(_Stack):
    """num_layers copies of a decoder layer, and then `norm` if there is one."""

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(decoder_layer, num_layers, norm)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """As in the layer. tgt_is_causal: whether tgt_mask is the causal mask; None looks."""
        causal = _is_causal(tgt_mask, tgt_is_causal, self._length(tgt))
        for layer in self.layers:
            tgt = layer(
                tgt,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=causal,
                memory_is_causal=memory_is_causal,
            )
        result: Tensor = tgt if self.norm is None else self.norm(tgt)
        return result


class Transformer(Module):
    """An encoder and a decoder (Vaswani et al. 2017). Weights of matrices start as Xavier's uniform.

    src: (S, N, d_model), tgt: (L, N, d_model), N first if batch_first or absent; the result is shaped as tgt.
    custom_encoder, custom_decoder: modules to take in the place of the built ones.
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Activation = F.relu,
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        options: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        layer = (
            d_model,
            nhead,
            dim_feedforward,
            dropout,
            activation,
            layer_norm_eps,
            batch_first,
            norm_first,
        )
        if custom_encoder is None:
            norm = LayerNorm(d_model, eps=layer_norm_eps, **options)
            custom_encoder = TransformerEncoder(
                TransformerEncoderLayer(*layer, **options), num_encoder_layers, norm
            )
        if custom_decoder is None:
            norm = LayerNorm(d_model, eps=layer_norm_eps, **options)
            custom_decoder = TransformerDecoder(
                TransformerDecoderLayer(*layer, **options), num_decoder_layers, norm
            )
        self.encoder = custom_encoder
        self.decoder = custom_decoder
        self._reset_parameters()
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def _reset_parameters(self) -> None:
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Masks as in the layers of encoder (src) and decoder (tgt, memory)."""
        shapes = f"got src {tuple(src.shape)} and tgt {tuple(tgt.shape)}"
        axis = 0 if self.batch_first else 1
        if src.ndim == 3 and (tgt.ndim != 3 or src.shape[axis] != tgt.shape[axis]):
            raise ShapeError(f"[Transformer] the batch number of src and tgt must be equal, {shapes}")
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise ShapeError(
                f"[Transformer] the feature number of src and tgt must be d_model = {self.d_model}, {shapes}"
            )
        memory = self.encoder(
            src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal
        )
        result: Tensor = self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )
        return result

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """(sz, sz): -inf where a position would see a later one, 0 elsewhere."""
        result: Tensor = versant.full((sz, sz), -math.inf, device=device, dtype=dtype).triu(1)
        return result


__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]
