"""Attention by tiles: masks, draws, memory, and where its bits come from."""

import numpy as np
import pytest

import versant as vs
from versant import autograd, memory
from versant.nn.functional import scaled_dot_product_attention as attention

BATCH, HEADS, LENGTH, WIDTH = 2, 3, 150, 24


def operands(*lead, length=LENGTH, keys=None, width=WIDTH, dtype=vs.float32):
    vs.manual_seed(3)
    shapes = [(*lead, n, width) for n in (length, keys or length, keys or length)]
    return [vs.randn(*shape, dtype=dtype).requires_grad_() for shape in shapes]


def results(q, k, v, **options):
    """The result and its gradients, as bytes."""
    y = attention(q, k, v, **options)
    weights = vs.linspace(-1, 1, y.numel()).reshape(y.shape).to(y.dtype)
    return [t.detach()._to_bytes() for t in (y, *autograd.grad(y, [q, k, v], weights))]


def test_a_causal_mask_is_the_lower_triangle():
    q, k, v = operands(BATCH, HEADS, keys=LENGTH + 31)
    mask = vs.ones(LENGTH, LENGTH + 31, dtype=vs.bool).tril()
    np.testing.assert_allclose(
        attention(q, k, v, is_causal=True).detach().numpy(),
        attention(q, k, v, attn_mask=mask).detach().numpy(),
        atol=1e-6,
    )


def test_keys_that_no_query_sees_have_no_influence():
    q, k, v = operands(BATCH, HEADS)
    mask = vs.rand(LENGTH, LENGTH) > 0.3
    mask[:, 100:] = False
    before = attention(q, k, v, attn_mask=mask)
    with vs.no_grad():
        k[..., 100:, :], v[..., 100:, :] = 1e6, 1e6
    after = attention(q, k, v, attn_mask=mask)
    assert vs.equal(before, after)
    grads = autograd.grad(after.sum(), [k, v])
    assert not any(g[..., 100:, :].count_nonzero() for g in grads)


def test_a_query_that_sees_nothing_gives_zeros_and_no_gradient():
    q, k, v = operands(BATCH, HEADS)
    mask = vs.ones(LENGTH, LENGTH, dtype=vs.bool)
    mask[70] = False
    y = attention(q, k, v, attn_mask=mask)
    assert not y[..., 70, :].count_nonzero()
    grads = autograd.grad(y.sum(), [q, k, v])
    assert not grads[0][..., 70, :].count_nonzero()
    assert all(g.isfinite().all() for g in grads)


@pytest.mark.parametrize("dtype", [vs.float32, vs.float64, vs.bfloat16])
@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"dropout_p": 0.3}], ids=str)
@pytest.mark.parametrize("lead", [(1, 1), (BATCH, HEADS)], ids=str)
def test_threads_do_not_reach_the_bits(dtype, options, lead):
    before = vs.get_num_threads()
    try:
        seen = []
        for threads in (1, 2, 4):
            vs.set_num_threads(threads)
            q, k, v = operands(*lead, length=300, dtype=dtype)
            seen.append(results(q, k, v, **options))
        assert seen[0] == seen[1] == seen[2]
    finally:
        vs.set_num_threads(before)


@pytest.mark.parametrize("causal", [False, True])
def test_a_sample_does_not_depend_on_its_batch(causal):
    q, k, v = operands(4, HEADS)
    whole = attention(q, k, v, is_causal=causal)
    alone = attention(q[2:3], k[2:3], v[2:3], is_causal=causal)
    assert vs.equal(whole[2:3], alone)


def test_views_of_one_projection_give_the_same_bits():
    packed = vs.randn(BATCH, LENGTH, 3, HEADS, WIDTH)
    views = packed.permute(2, 0, 3, 1, 4).unbind(0)
    copies = [x.contiguous().requires_grad_() for x in views]
    assert results(*[x.requires_grad_() for x in views]) == results(*copies)


def test_the_heads_of_the_result_join_without_a_copy():
    y = attention(*operands(BATCH, HEADS))
    assert y.transpose(1, 2).is_contiguous()


@pytest.mark.parametrize("causal", [False, True])
def test_gradients_by_tiles_and_by_recorded_ops_agree_under_dropout(causal):
    q, k, v = operands(BATCH, HEADS, keys=90, dtype=vs.float64)
    vs.manual_seed(5)
    y = attention(q, k, v, dropout_p=0.4, is_causal=causal)
    weights = vs.randn(*y.shape, dtype=vs.float64)
    by_tiles = autograd.grad(y, [q, k, v], weights, retain_graph=True)
    recorded = autograd.grad(y, [q, k, v], weights, create_graph=True)
    for a, b in zip(by_tiles, recorded, strict=True):
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), atol=1e-12)


def test_dropout_takes_its_share_and_scales_the_rest():
    keys = 256
    q, k = vs.randn(1, 4, 200, 8), vs.randn(1, 4, keys, 8)
    values = vs.eye(keys).expand(1, 4, keys, keys)
    plain, dropped = (attention(q, k, values, dropout_p=p).numpy() for p in (0.0, 0.25))
    gone = dropped == 0
    assert 0.24 < gone.mean() < 0.26
    np.testing.assert_allclose(dropped[~gone], plain[~gone] / 0.75, rtol=1e-5)


def test_memory_is_linear_in_the_length():
    length, width = 4096, 32
    q, k, v = (vs.randn(1, 1, length, width).requires_grad_() for _ in range(3))
    memory.reset_peak()
    before = memory.stats()["live_bytes"]
    attention(q, k, v).sum().backward()
    assert memory.stats()["peak_bytes"] - before < 40 * length * width * 4  # scores alone: 64 MB


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": (2, 3, 5, 9)}, "one width"),
        ({"value": (2, 3, 6, 8)}, "as many keys as values"),
        ({"query": (8,)}, "at least 2"),
        ({"attn_mask": (5, 4)}, "broadcasts to"),
        ({"attn_mask": (1, 2, 3, 4, 5)}, "broadcasts to"),
        ({"dropout_p": 1.5}, "between 0 and 1"),
        ({"attn_mask": (4, 5), "is_causal": True}, "is_causal"),
        ({"query": (2, 4, 4, 8), "enable_gqa": True}, "divide"),
        ({"query": (2, 4, 4, 8)}, "broadcast"),
    ],
    ids=str,
)
def test_bad_arguments_are_named(change, message):
    shapes = {"query": (2, 3, 4, 8), "key": (2, 3, 5, 8), "value": (2, 3, 5, 8)} | change
    arguments = {n: vs.zeros(*s) if isinstance(s, tuple) else s for n, s in shapes.items()}
    with pytest.raises((ValueError, RuntimeError), match=rf"\[scaled_dot_product_attention\].*{message}"):
        attention(**arguments)
