"""MultiheadAttention: several attentions side by side, each over a part of the features."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any

import versant
from versant import ShapeError, Tensor, ops
from versant.nn import init
from versant.nn.checks import positive
from versant.nn.linear import Linear
from versant.nn.module import Module
from versant.nn.parameter import Parameter


class SDPBackend(Enum):
    """The names of ways to compute attention. Here they are one way, whose memory is linear in the length."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextmanager
def sdpa_kernel(backends: SDPBackend | Sequence[SDPBackend], set_priority: bool = False) -> Iterator[None]:
    """A region or function in which attention may be computed in these ways. All of them give the same bits,
    so it changes nothing but checks its argument."""
    given = [backends] if isinstance(backends, SDPBackend) else backends
    if not isinstance(given, (list, tuple)) or not all(isinstance(b, SDPBackend) for b in given):
        raise AssertionError(f"[sdpa_kernel] expected an SDPBackend or a list of them, got {backends!r}")
    if not given:
        raise RuntimeError("[sdpa_kernel] expected one SDPBackend or more, got none")
    yield


class NonDynamicallyQuantizableLinear(Linear):
    """Linear, under the name that PyTorch prints for the output projection of attention."""


class MultiheadAttention(Module):
    """softmax(q k^T / sqrt(E / num_heads)) v by heads, between projections (Vaswani et al. 2017).

    query: (L, N, E), key: (S, N, kdim), value: (S, N, vdim); with batch_first N stands first; for a single
    sequence it is absent. add_bias_kv: one more key and value, which are learnt; add_zero_attn: one more of
    zeros.
    """

    in_proj_weight: Parameter | None  # (3 * embed_dim, embed_dim), where kdim and vdim are embed_dim
    q_proj_weight: Parameter | None  # (embed_dim, embed_dim)
    k_proj_weight: Parameter | None  # (embed_dim, kdim)
    v_proj_weight: Parameter | None  # (embed_dim, vdim)
    in_proj_bias: Parameter | None  # (3 * embed_dim,)
    bias_k: Parameter | None  # (1, 1, embed_dim)
    bias_v: Parameter | None  # (1, 1, embed_dim)

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                "[MultiheadAttention] embed_dim and num_heads must be greater than 0, "
                f"got embed_dim={embed_dim} and num_heads={num_heads}"
            )
        self.embed_dim = positive("MultiheadAttention", "embed_dim", embed_dim)
        self.kdim = embed_dim if kdim is None else positive("MultiheadAttention", "kdim", kdim)
        self.vdim = embed_dim if vdim is None else positive("MultiheadAttention", "vdim", vdim)
        self.num_heads = positive("MultiheadAttention", "num_heads", num_heads)
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        if embed_dim % num_heads:
            raise AssertionError(
                "[MultiheadAttention] embed_dim must be divisible by num_heads, "
                f"got {embed_dim} and {num_heads}"
            )
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        joined = self._qkv_same_embed_dim
        shapes = {
            "q_proj_weight": None if joined else (embed_dim, embed_dim),
            "k_proj_weight": None if joined else (embed_dim, self.kdim),
            "v_proj_weight": None if joined else (embed_dim, self.vdim),
            "in_proj_weight": (3 * embed_dim, embed_dim) if joined else None,
            "in_proj_bias": (3 * embed_dim,) if bias else None,
            "bias_k": (1, 1, embed_dim) if add_bias_kv else None,
            "bias_v": (1, 1, embed_dim) if add_bias_kv else None,
        }
        options = {"device": device, "dtype": dtype}
        for name, shape in shapes.items():
            value = None if shape is None else Parameter(versant.empty(shape, **options))
            self.register_parameter(name, value)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias=bias, **options)
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        """Xavier for weights and the added key and value, zeros for biases."""
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            weight = getattr(self, name)
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None and self.out_proj.bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        for row in (self.bias_k, self.bias_v):
            if row is not None:
                init.xavier_normal_(row)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The attention's output, shaped as query, and with need_weights the weights: (N, L, S).

        attn_mask: (L, S) or (N * num_heads, L, S); key_padding_mask: (N, S), or (S,) for a single sequence; a
        bool True hides, numbers are added. average_attn_weights: False gives the weights of every head,
        (N, num_heads, L, S). is_causal: attn_mask is the causal mask, so it need not be read.
        Without need_weights memory is linear in L and S.
        """
        if (query.shape[-1], key.shape[-1], value.shape[-1]) != (self.embed_dim, self.kdim, self.vdim):
            raise ShapeError(
                f"[MultiheadAttention] expected query (..., {self.embed_dim}), key (..., {self.kdim}) and "
                f"value (..., {self.vdim}), "
                f"got {tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}"
            )
        separate = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        return ops.multihead.multi_head_attention(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout if self.training else 0.0,
            self.out_proj.weight,
            self.out_proj.bias,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            separate=None if self._qkv_same_embed_dim else separate,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
            batch_first=self.batch_first,
        )


__all__ = ["MultiheadAttention"]
