"""Attention of several heads, with the projections around it (Vaswani et al. 2017)."""

from __future__ import annotations

import math

from versant import _core
from versant._core import DTypeError, ShapeError, Tensor
from versant.ops.attention import attention_reference, scaled_dot_product_attention
from versant.ops.dropouts import dropout
from versant.ops.joining import cat
from versant.ops.lazy import np
from versant.ops.linear import linear
from versant.ops.record import composite
from versant.ops.samples import array, booleans, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME = "[multi_head_attention_forward]"


def expect_shape(label: str, tensor: Tensor, *shapes: tuple[int, ...]) -> None:
    """ShapeError unless the tensor has one of the shapes."""
    if tuple(tensor.shape) not in shapes:
        wanted = " or ".join(map(str, shapes))
        raise ShapeError(f"{NAME} expected {label} of shape {wanted}, got {tuple(tensor.shape)}")


def expect_mask(label: str, mask: Tensor) -> None:
    if not mask.dtype.is_floating_point and mask.dtype is not _core.bool:
        raise DTypeError(f"{NAME} {label} must be bool or floating-point, got {mask.dtype}")


def added(mask: Tensor, dtype: Any) -> Tensor:
    """A mask as numbers to add: a bool True hides, so it becomes -inf."""
    if mask.dtype.is_floating_point:
        return mask.to(dtype)
    return mask.new_zeros(mask.shape, dtype=dtype).masked_fill(mask, -math.inf)


def merged(a: Tensor | None, b: Tensor | None, dtype: Any) -> Tensor | None:
    """What hides the keys that either mask hides: bool where both are, otherwise numbers to add."""
    if a is None or b is None:
        one = b if a is None else a
        return one if one is None or not one.dtype.is_floating_point else one.to(dtype)
    if not (a.dtype.is_floating_point or b.dtype.is_floating_point):
        return a.logical_or(b)
    return added(a, dtype) + added(b, dtype)


def wider(mask: Tensor | None) -> Tensor | None:
    """A mask for one key more, which is seen by all."""
    if mask is None:
        return None
    return cat([mask, mask.new_zeros((*mask.shape[:-1], 1))], -1)


def projections(
    query: Tensor, key: Tensor, value: Tensor, weight: Tensor | None, weights: Any, bias: Tensor | None
) -> tuple[Tensor, ...]:
    """The projected query, key and value, by one product where they are the same tensor."""
    if weight is not None:
        if query is key and key is value:
            return linear(query, weight, bias).chunk(3, -1)
        weights = weight.chunk(3)
    if any(w is None for w in weights):
        raise ValueError(f"{NAME} expected in_proj_weight, or q_proj_weight, k_proj_weight and v_proj_weight")
    biases = (None, None, None) if bias is None else bias.chunk(3)
    return tuple(linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True))


def check_inputs(query: Tensor, key: Tensor, value: Tensor, embed_dim: int, heads: int, apart: bool) -> None:
    if query.ndim not in (2, 3):
        raise ShapeError(f"{NAME} expected query of 2 or 3 axes, got {tuple(query.shape)}")
    for label, x in (("key", key), ("value", value)):
        if x.ndim != query.ndim:
            raise ShapeError(f"{NAME} query has shape {tuple(query.shape)}, {label} {tuple(x.shape)}")
    if query.shape[-1] != embed_dim:
        raise ShapeError(
            f"{NAME} expected query of embedding dimension {embed_dim}, got {tuple(query.shape)}"
        )
    if embed_dim % heads:
        raise ShapeError(f"{NAME} embed_dim {embed_dim} is not divisible by num_heads {heads}")
    if (key.shape[:-1] != value.shape[:-1]) if apart else (key.shape != value.shape):
        raise ShapeError(f"{NAME} key has shape {tuple(key.shape)}, value {tuple(value.shape)}")


def multi_head_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim: int,
    heads: int,
    in_weight: Tensor | None,
    in_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_weight: Tensor,
    out_bias: Tensor | None,
    *,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    separate: tuple[Tensor | None, Tensor | None, Tensor | None] | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
    batch_first: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """multi_head_attention_forward; batch_first: query, key and value are (N, L, E) and (N, S, E)."""
    check_inputs(query, key, value, embed_dim, heads, separate is not None)
    batched = query.ndim == 3
    if not batched:
        same = query is key and key is value
        query = query.unsqueeze(0)
        key, value = (query, query) if same else (key.unsqueeze(0), value.unsqueeze(0))
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        batch_first = True
    batch_axis = 0 if batch_first else 1
    batch, queries, keys = query.shape[batch_axis], query.shape[1 - batch_axis], key.shape[1 - batch_axis]
    if key.shape[batch_axis] != batch:
        raise ShapeError(f"{NAME} query has shape {tuple(query.shape)}, key {tuple(key.shape)}")
    if static_k is not None and static_k.ndim == 3:
        keys = static_k.shape[1]
    if is_causal and attn_mask is None:
        raise RuntimeError(
            f"{NAME} is_causal needs attn_mask too; Transformer.generate_square_subsequent_mask makes one"
        )
    if attn_mask is not None:
        expect_mask("attn_mask", attn_mask)
        expect_shape("attn_mask", attn_mask, (queries, keys), (batch * heads, queries, keys))
        if attn_mask.ndim == 3:
            attn_mask = attn_mask.view(batch, heads, queries, keys)
    if key_padding_mask is not None:
        expect_mask("key_padding_mask", key_padding_mask)
        expect_shape("key_padding_mask", key_padding_mask, (batch, keys))
    if is_causal and key_padding_mask is None and not need_weights:
        attn_mask = None
    else:
        is_causal = False
    if (bias_k is None) != (bias_v is None):
        raise ValueError(f"{NAME} expected both bias_k and bias_v, or none")

    q, k, v = projections(
        query, key, value, in_weight if separate is None else None, separate or (None,) * 3, in_bias
    )
    if bias_k is not None and bias_v is not None:
        if static_k is not None or static_v is not None:
            raise ValueError(f"{NAME} bias_k and bias_v cannot be added to static_k and static_v")
        row = (batch, 1, -1) if batch_first else (1, batch, -1)
        k, v = (cat([x, b.expand(row)], 1 - batch_axis) for x, b in ((k, bias_k), (v, bias_v)))
        attn_mask, key_padding_mask = wider(attn_mask), wider(key_padding_mask)

    size = embed_dim // heads

    def by_head(x: Tensor) -> Tensor:
        """(N, heads, length, size)"""
        x = x.view(*x.shape[:2], heads, size)
        return x.transpose(1, 2) if batch_first else x.permute(1, 2, 0, 3)

    def given(label: str, x: Tensor) -> Tensor:
        if x.ndim != 3 or x.shape[0] != batch * heads or x.shape[2] != size:
            raise ShapeError(
                f"{NAME} expected {label} of shape ({batch * heads}, S, {size}), got {tuple(x.shape)}"
            )
        return x.view(batch, heads, -1, size)

    q = by_head(q)
    k = by_head(k) if static_k is None else given("static_k", static_k)
    v = by_head(v) if static_v is None else given("static_v", static_v)
    if add_zero_attn:
        k, v = (cat([x, x.new_zeros((batch, heads, 1, size))], 2) for x in (k, v))
        attn_mask, key_padding_mask = wider(attn_mask), wider(key_padding_mask)
    if key_padding_mask is not None:
        key_padding_mask = key_padding_mask.view(batch, 1, 1, -1)
    mask = merged(attn_mask, key_padding_mask, query.dtype)

    weights = None
    if need_weights:
        scores = (q * math.sqrt(1.0 / size)) @ k.transpose(-2, -1)
        if mask is not None:
            scores = scores + mask if mask.dtype.is_floating_point else scores.masked_fill(mask, -math.inf)
        weights = scores.softmax(-1)
        if dropout_p > 0.0:
            weights = dropout(weights, dropout_p)
        result = weights @ v
        if average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            weights = weights.squeeze(0)
    else:
        if mask is not None and not mask.dtype.is_floating_point:
            mask = mask.logical_not()
        result = scaled_dot_product_attention(q, k, v, mask, dropout_p, is_causal)
    result = result.transpose(1, 2) if batch_first else result.permute(2, 0, 1, 3)
    result = linear(result.flatten(-2), out_weight, out_bias)
    return result if batched else result.squeeze(0), weights


def multi_head_reference(
    q: Any, k: Any, v: Any, dims: int, heads: int, w: Any, b: Any, bias_k: Any, bias_v: Any, zero: bool,
    p: float, out_w: Any, out_b: Any, attn_mask: Any = None, need_weights: bool = True,
) -> Any:  # fmt: skip
    """On (L, N, E), without the extras."""
    rows = [x @ m.T + c for x, m, c in zip((q, k, v), np.split(w, 3), np.split(b, 3), strict=True)]
    q, k, v = (np.moveaxis(x.reshape(*x.shape[:2], heads, dims // heads), 0, 2) for x in rows)
    see = None if attn_mask is None else ~attn_mask
    result = np.moveaxis(attention_reference(q, k, v, see), 2, 0)
    result = result.reshape(*result.shape[:2], dims) @ out_w.T + out_b
    ones = np.broadcast_to(np.eye(k.shape[2]), (*k.shape[:3], k.shape[2]))
    return (result, attention_reference(q, k, ones, see).mean(1)) if need_weights else (result,)


@composite(
    ref=multi_head_reference,
    samples=[
        call(
            array(3, 2, 4), array(5, 2, 4), array(5, 2, 4), 4, 2, array(12, 4), array(12), None, None, False,
            0.0, array(4, 4), array(4),
        ),
        call(
            array(3, 2, 4), array(3, 2, 4), array(3, 2, 4), 4, 2, array(12, 4), array(12), None, None, False,
            0.0, array(4, 4), array(4), attn_mask=booleans(3, 3),
        ),
    ],
    places="nn.functional",
)  # fmt: skip
def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention of several heads and the projections before and after it, as nn.MultiheadAttention computes
    it.

    query: (L, N, E); key, value: (S, N, E), all without N for a single sequence; in_proj_weight: (3 * E, E),
    or with use_separate_proj_weight q_proj_weight (E, E), k_proj_weight (E, kdim), v_proj_weight (E, vdim).
    attn_mask: (L, S) or (N * num_heads, L, S); key_padding_mask: (N, S); a bool True hides, numbers are
    added. bias_k, bias_v: (1, 1, E), one more key and value; add_zero_attn: one more of zeros.
    static_k, static_v: (N * num_heads, S, E / num_heads), in the place of the projected key and value.
    is_causal: attn_mask is the causal mask, so it need not be read.
    Returns (L, N, E) and, with need_weights, the weights: (N, L, S), or (N, num_heads, L, S) if not averaged.
    """
    apart = (q_proj_weight, k_proj_weight, v_proj_weight)
    return multi_head_attention(
        query,
        key,
        value,
        embed_dim_to_check,
        num_heads,
        in_proj_weight,
        in_proj_bias,
        bias_k,
        bias_v,
        add_zero_attn,
        dropout_p if training else 0.0,
        out_proj_weight,
        out_proj_bias,
        key_padding_mask=key_padding_mask,
        need_weights=need_weights,
        attn_mask=attn_mask,
        separate=apart if use_separate_proj_weight else None,
        static_k=static_k,
        static_v=static_v,
        average_attn_weights=average_attn_weights,
        is_causal=is_causal,
    )
