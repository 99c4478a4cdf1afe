"""Attention: how much of each value every query takes.

Defined here over ordinary ops; the machine has a form that never holds the matrix of scores.
"""

from __future__ import annotations

import math

from versant._core import DTypeError, ShapeError, Tensor
from versant.ops.dropouts import dropout
from versant.ops.lazy import np
from versant.ops.record import composite, primitive
from versant.ops.samples import array, booleans, call, fixed
from versant.ops.values import has_derivative

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def attention_reference(
    q: Any,
    k: Any,
    v: Any,
    mask: Any = None,
    p: float = 0.0,
    is_causal: bool = False,
    scale: Any = None,
    enable_gqa: bool = False,
) -> Any:
    if enable_gqa:
        k, v = (np.repeat(x, q.shape[-3] // x.shape[-3], -3) for x in (k, v))
    scores = q @ np.swapaxes(k, -1, -2) * (1 / np.sqrt(q.shape[-1]) if scale is None else scale)
    if is_causal:
        scores = np.where(np.tril(np.ones(scores.shape[-2:], bool)), scores, -math.inf)
    if mask is not None:
        scores = np.where(mask, scores, -math.inf) if mask.dtype.kind == "b" else scores + mask
    e = np.exp(scores - np.max(scores, -1, keepdims=True, initial=-1e30))
    return e / np.maximum(np.sum(e, -1, keepdims=True), 1e-300) @ v


def attention_composite(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    name = "[scaled_dot_product_attention]"
    for label, x in (("query", query), ("key", key), ("value", value)):
        if x.ndim < 2:
            raise ShapeError(f"{name} expected {label} of at least 2 axes, got {tuple(x.shape)}")
        if x.dtype is not query.dtype:
            raise DTypeError(f"{name} query is {query.dtype}, {label} is {x.dtype}")
    if enable_gqa and query.ndim > 2 and key.ndim > 2 and value.ndim > 2:
        for label, x in (("key", key), ("value", value)):
            if x.shape[-3] == 0 or query.shape[-3] % x.shape[-3]:
                raise ShapeError(f"{name} {query.shape[-3]} heads of query, {x.shape[-3]} of {label}")
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise ShapeError(
            f"{name} expected (..., L, E), (..., S, E) and (..., S, V), "
            f"got {tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}"
        )
    if scale is None:
        scale = 1.0 / math.sqrt(query.shape[-1]) if query.shape[-1] else 1.0
    # Half of the scale on each side, so that 16-bit products do not overflow.
    root = math.sqrt(scale) if scale >= 0.0 else None
    scores = (
        query @ key.transpose(-2, -1) * scale
        if root is None
        else (query * root) @ (key * root).transpose(-2, -1)
    )
    blind = None
    if is_causal:
        if attn_mask is not None:
            raise RuntimeError(f"{name} give attn_mask or is_causal, not both")
        unseen = query.new_ones(scores.shape[-2:], dtype=bool).tril().logical_not()
        scores = scores.masked_fill(unseen, -math.inf)
    elif attn_mask is not None:
        fits = attn_mask.ndim <= scores.ndim and all(
            m in (1, s) for m, s in zip(attn_mask.shape[::-1], scores.shape[::-1], strict=False)
        )
        if not fits:
            raise ShapeError(
                f"{name} attn_mask has shape {tuple(attn_mask.shape)}, expected one that broadcasts to "
                f"{tuple(scores.shape)}"
            )
        if not attn_mask.dtype.is_floating_point:
            if attn_mask.dtype.itemsize != 1 or attn_mask.dtype.is_signed:
                raise DTypeError(f"{name} attn_mask must be bool or {query.dtype}, got {attn_mask.dtype}")
            scores = scores.masked_fill(attn_mask.logical_not(), -math.inf)
        else:
            if attn_mask.dtype is not query.dtype:
                raise DTypeError(f"{name} attn_mask must be bool or {query.dtype}, got {attn_mask.dtype}")
            scores = scores + attn_mask
        blind = (scores.detach() == -math.inf).all(-1, keepdim=True)
        scores = scores.masked_fill(blind, 0.0)
    weights = scores.softmax(-1)
    if blind is not None:
        weights = weights.masked_fill(blind, 0.0)
    if dropout_p > 0.0:
        weights = dropout(weights, dropout_p)
    return weights @ value


attention_by_tiles = primitive(
    "scaled_dot_product_attention.by_tiles",
    "query, key, value, attn_mask: tensor? = None, dropout_p: number = 0.0, is_causal: bool = False, "
    "scale: number? = None, enable_gqa: bool = False, generator: generator? = None",
    "scaled_dot_product_attention, with memory linear in the number of queries and keys.",
    target="scaled_dot_product_attention",
    definition=attention_composite,
    ref=attention_reference,
    samples=[
        call(array(2, 3, 4), array(2, 5, 4), array(2, 5, 6)),
        call(array(3, 4), array(3, 4), array(3, 2), is_causal=True),
        call(array(2, 2, 70, 3), array(2, 1, 67, 3), array(67, 5), is_causal=True, scale=0.7),
        call(array(2, 5, 4), array(2, 3, 4), array(2, 3, 4), booleans(2, 5, 3)),
        call(array(1, 4, 9, 4), array(1, 2, 70, 4), array(1, 2, 70, 4), enable_gqa=True),
        call(array(2, 2, 3, 4), array(2, 2, 5, 4), array(2, 2, 5, 4), fixed(3, 5)),
    ],
    onnx="Attention",
)


@composite(
    autocast="lower",
    ref=attention_reference,
    samples=[
        call(array(2, 3, 4), array(2, 5, 4), array(2, 5, 6)),
        call(array(3, 4), array(3, 4), array(3, 2), is_causal=True),
        call(array(2, 2, 3, 4), array(2, 2, 5, 4), array(2, 2, 5, 4), array(3, 5)),
    ],
    places="nn.functional",
)
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query @ key^T * scale + mask) @ value (Vaswani et al. 2017).

    query: (..., L, E); key: (..., S, E); value: (..., S, V); the result: (..., L, V).
    attn_mask: bool, where True takes part, or numbers to add; its shape broadcasts to (..., L, S).
    is_causal: position i sees the positions up to i. scale: by default 1 / sqrt(E).
    enable_gqa: the heads (axis -3) of key and value may be fewer, each serving as many heads of query.
    A query that sees nothing gives zeros. Dropout applies whenever dropout_p is above 0.

    Memory is linear in L and S, unless attn_mask itself requires a gradient.
    """
    of_mask = attn_mask is not None and has_derivative(attn_mask)
    form = attention_composite if of_mask else attention_by_tiles
    return form(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
