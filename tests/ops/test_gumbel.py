"""Categories drawn softly: gumbel_softmax, and the exponential draws behind it."""

import numpy as np

import versant as vs
import versant.nn.functional as F


def noise(shape):
    """What gumbel_softmax draws next."""
    return -vs.empty(shape).exponential_().log()


def test_soft_draws_are_softmax_of_noisy_logits() -> None:
    logits = vs.randn(3, 4).requires_grad_()
    vs.manual_seed(3)
    noisy = (logits.detach() + noise((3, 4))).numpy() / 0.5
    vs.manual_seed(3)
    drawn = F.gumbel_softmax(logits, tau=0.5, dim=0)
    e = np.exp(noisy - noisy.max(0))
    np.testing.assert_allclose(drawn.detach().numpy(), e / e.sum(0), rtol=1e-5)


def test_hard_draws_are_one_hot_with_the_gradient_of_soft_ones() -> None:
    logits, weights = vs.randn(3, 4).requires_grad_(), vs.randn(3, 4)
    grads = []
    for hard in (False, True):
        vs.manual_seed(3)
        drawn = F.gumbel_softmax(logits, hard=hard)
        grads.append(vs.autograd.grad((drawn * weights).sum(), logits)[0])
    assert (drawn.round() == drawn.detach()).sum() >= 8  # 1 - soft + soft may miss 1 by a rounding
    assert (drawn.detach().sum(-1) - 1).abs().max() < 1e-6
    assert (grads[0] == grads[1]).all()


def test_categories_come_with_their_probabilities() -> None:
    vs.manual_seed(0)
    odds = vs.tensor([0.1, 0.2, 0.7])
    drawn = F.gumbel_softmax(odds.log().expand(20000, 3), hard=True).mean(0)
    np.testing.assert_allclose(drawn.numpy(), odds.numpy(), atol=0.015)


def test_exponential_draws_have_finite_logarithms(monkeypatch) -> None:
    from versant.ops import random

    monkeypatch.setattr(random, "uniform_", lambda room, generator: room.zero_())
    for dtype in (vs.float32, vs.float64, vs.float16):
        assert vs.empty(2, dtype=dtype).exponential_().log().isfinite().all()
