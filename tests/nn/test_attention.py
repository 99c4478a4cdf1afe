"""MultiheadAttention against its formula, and masks: their forms, their shapes, what they hide."""

import math

import pytest

import versant as vs
from versant import nn
from versant.nn import functional as F


def attention(dims=8, heads=2, **options):
    vs.manual_seed(0)
    return nn.MultiheadAttention(dims, heads, dtype=vs.float64, **options)


def drawn(*shape):
    return vs.randn(*shape, dtype=vs.float64)


def formula(layer, q, k, v):
    """(L, E) of a single sequence, head by head."""
    w, b = layer.in_proj_weight.chunk(3), layer.in_proj_bias.chunk(3)
    q, k, v = (F.linear(x, *of) for x, of in zip((q, k, v), zip(w, b, strict=True), strict=True))
    size, parts = layer.head_dim, []
    for i in range(layer.num_heads):
        columns = slice(i * size, (i + 1) * size)
        scores = q[:, columns] @ k[:, columns].T / math.sqrt(size)
        parts.append(scores.softmax(-1) @ v[:, columns])
    return layer.out_proj(vs.cat(parts, 1))


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
def test_every_sequence_follows_the_formula(need_weights, batch_first) -> None:
    layer = attention(batch_first=batch_first)
    q, k, v = drawn(3, 5, 8), drawn(3, 7, 8), drawn(3, 7, 8)
    order = (q, k, v) if batch_first else (x.transpose(0, 1) for x in (q, k, v))
    result, weights = layer(*order, need_weights=need_weights)
    result = result if batch_first else result.transpose(0, 1)
    for i in range(3):
        vs.testing.assert_close(result[i], formula(layer, q[i], k[i], v[i]))
        vs.testing.assert_close(layer(q[i], k[i], v[i])[0], result[i])
    if need_weights:
        assert weights.shape == (3, 5, 7)
        vs.testing.assert_close(weights.sum(-1), vs.ones(3, 5, dtype=vs.float64))
    else:
        assert weights is None


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("of_numbers", [True, False])
def test_what_a_mask_hides_has_no_influence(need_weights, of_numbers) -> None:
    layer = attention(batch_first=True)
    q, k = drawn(2, 4, 8), drawn(2, 6, 8)
    late, padding = vs.ones(4, 6, dtype=vs.bool).triu(1), vs.tensor([[False] * 4 + [True] * 2] * 2)
    if of_numbers:
        late, padding = (
            vs.zeros(m.shape, dtype=vs.float64).masked_fill(m, -math.inf) for m in (late, padding)
        )
    masks = {"attn_mask": late, "key_padding_mask": padding, "need_weights": need_weights}
    result = layer(q, k, k, **masks)[0]
    changed = k.clone()
    changed[:, 1:] = 7.0
    vs.testing.assert_close(layer(q, changed, changed, **masks)[0][:, 0], result[:, 0])
    changed = k.clone()
    changed[:, 4:] = 7.0
    vs.testing.assert_close(layer(q, changed, changed, **masks)[0], result)


def test_causal_hint_equals_the_mask() -> None:
    layer, x = attention(), drawn(5, 2, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(5, dtype=vs.float64)
    hinted = layer(x, x, x, attn_mask=mask, is_causal=True, need_weights=False)[0]
    vs.testing.assert_close(hinted, layer(x, x, x, attn_mask=mask)[0])


def test_weights_with_and_without_average() -> None:
    layer, x = attention(), drawn(5, 2, 8)
    each, mean = (layer(x, x, x, average_attn_weights=a)[1] for a in (False, True))
    assert each.shape == (2, 2, 5, 5)
    vs.testing.assert_close(each.mean(1), mean)


def test_names_of_parameters() -> None:
    assert list(attention(add_bias_kv=True).state_dict()) == [
        "in_proj_weight", "in_proj_bias", "bias_k", "bias_v", "out_proj.weight", "out_proj.bias",
    ]  # fmt: skip
    apart = attention(kdim=3, vdim=5)
    assert [tuple(p.shape) for p in apart.parameters()][:3] == [(8, 8), (8, 3), (8, 5)]
    assert apart(drawn(2, 8), drawn(4, 3), drawn(4, 5))[0].shape == (2, 8)


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"attn_mask": (4, 5)}, r"expected attn_mask of shape \(4, 6\) or \(4, 4, 6\), got \(4, 5\)"),
        ({"attn_mask": (1, 6)}, r"got \(1, 6\)"),
        ({"attn_mask": (2, 4, 6)}, r"got \(2, 4, 6\)"),
        ({"key_padding_mask": (6,)}, r"expected key_padding_mask of shape \(2, 6\), got \(6,\)"),
        ({"key_padding_mask": (1, 6)}, r"got \(1, 6\)"),
    ],
)
def test_masks_of_other_shapes_raise(masks, message, need_weights) -> None:
    masks = {key: vs.zeros(*shape, dtype=vs.bool) for key, shape in masks.items()}
    with pytest.raises(vs.ShapeError, match=message):
        attention(batch_first=True)(
            drawn(2, 4, 8), drawn(2, 6, 8), drawn(2, 6, 8), need_weights=need_weights, **masks
        )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.MultiheadAttention(8, 3), AssertionError, "embed_dim must be divisible by num_heads"),
        (lambda: nn.MultiheadAttention(0, 1), ValueError, "greater than 0"),
        (lambda: attention()(drawn(4, 7), drawn(4, 8), drawn(4, 8)), vs.ShapeError, r"got \(4, 7\)"),
        (lambda: attention()(drawn(4, 2, 8), drawn(4, 3, 8), drawn(4, 3, 8)), vs.ShapeError, r"\(4, 3, 8\)"),
        (
            lambda: attention()(*(drawn(4, 8),) * 3, attn_mask=vs.zeros(4, 4, dtype=vs.int64)),
            TypeError,
            "attn_mask must be bool or floating-point, got versant.int64",
        ),
        (lambda: attention()(*(drawn(4, 8),) * 3, is_causal=True), RuntimeError, "is_causal needs attn_mask"),
    ],
)
def test_wrong_arguments_raise(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("norm_first", [True, False])
def test_an_encoder_layer_is_its_parts(norm_first) -> None:
    vs.manual_seed(1)
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, norm_first=norm_first, dtype=vs.float64)
    x = drawn(5, 3, 8)

    def attend(x):
        return layer.self_attn(x, x, x)[0]

    def feed(x):
        return layer.linear2(layer.linear1(x).relu())

    if norm_first:
        y = x + attend(layer.norm1(x))
        expected = y + feed(layer.norm2(y))
    else:
        y = layer.norm1(x + attend(x))
        expected = layer.norm2(y + feed(y))
    vs.testing.assert_close(layer(x), expected)


def test_transformer_sees_only_the_past_of_its_target() -> None:
    vs.manual_seed(2)
    model = nn.Transformer(8, 2, 2, 2, 16, 0.0, batch_first=True, dtype=vs.float64)
    src, tgt = drawn(3, 6, 8), drawn(3, 5, 8)
    mask = model.generate_square_subsequent_mask(5, dtype=vs.float64)
    result = model(src, tgt, tgt_mask=mask)
    later = tgt.clone()
    later[:, 3:] = 7.0
    vs.testing.assert_close(model(src, later, tgt_mask=mask)[:, :3], result[:, :3])
    vs.testing.assert_close(model(src[1], tgt[1], tgt_mask=mask), result[1])
    assert [name for name, _ in model.decoder.layers[0].named_children()] == [
        "self_attn", "multihead_attn", "linear1", "dropout", "linear2", "norm1", "norm2", "norm3",
        "dropout1", "dropout2", "dropout3",
    ]  # fmt: skip
    with pytest.raises(vs.ShapeError, match="batch number"):
        model(src[:2], tgt)
    with pytest.raises(vs.ShapeError, match="d_model = 8"):
        model(src[..., :4], tgt)


def test_sdpa_kernel_takes_backends_and_changes_no_bit() -> None:
    from versant.nn.attention import SDPBackend, sdpa_kernel

    x = vs.randn(2, 9, 4)
    free = nn.functional.scaled_dot_product_attention(x, x, x)
    for given in (SDPBackend.MATH, [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]):
        with sdpa_kernel(given):
            assert vs.equal(nn.functional.scaled_dot_product_attention(x, x, x), free)
    with pytest.raises(AssertionError, match="expected an SDPBackend"), sdpa_kernel("math"):
        pass
