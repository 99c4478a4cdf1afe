"""ctc_loss against the sum over all paths, and its gradient."""

import itertools

import numpy as np
import pytest

import versant as vs
from versant.nn import functional as F


def loss_over_all_paths(log_probs, labels, blank):
    """log_probs (T, C): the negative log of the summed likelihood of all paths that spell the labels."""
    times, classes = log_probs.shape
    total = -np.inf
    for path in itertools.product(range(classes), repeat=times):
        spelled = [c for c, _ in itertools.groupby(path) if c != blank]
        if spelled == list(labels):
            total = np.logaddexp(total, sum(log_probs[t, c] for t, c in enumerate(path)))
    return -total


def log_softmax(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


TARGETS = [[1, 2], [2, 2], [1], []]
TIMES = [4, 4, 3, 2]


def batch(seed=0):
    return log_softmax(np.random.default_rng(seed).standard_normal((4, len(TARGETS), 3)))


def rows(targets, fill=0):
    width = max(map(len, targets))
    return vs.tensor([[*t, *[fill] * (width - len(t))] for t in targets])


@pytest.mark.parametrize("form", ["rows", "rows with anything behind", "one after the other"])
@pytest.mark.parametrize("lengths", ["list", "tensor", "int32"])
def test_equals_the_sum_over_all_paths(form, lengths):
    log_probs = batch()
    targets = {
        "rows": rows(TARGETS),
        "rows with anything behind": rows(TARGETS, -1),
        "one after the other": vs.tensor([c for t in TARGETS for c in t]),
    }[form]
    make = {"list": list, "tensor": vs.tensor, "int32": lambda v: vs.tensor(v, dtype=vs.int32)}[lengths]
    losses = F.ctc_loss(
        vs.tensor(log_probs), targets, make(TIMES), make(list(map(len, TARGETS))), reduction="none"
    )
    expected = [loss_over_all_paths(log_probs[:t, n], TARGETS[n], blank=0) for n, t in enumerate(TIMES)]
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-12)


def test_blank_is_any_class():
    log_probs = batch()
    targets = [[0, 1], [1, 1], [0], []]
    losses = F.ctc_loss(vs.tensor(log_probs), rows(targets), TIMES, [2, 2, 1, 0], blank=2, reduction="none")
    expected = [loss_over_all_paths(log_probs[:t, n], targets[n], blank=2) for n, t in enumerate(TIMES)]
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-12)


def test_one_sequence_without_batch():
    log_probs = batch()[:, 0]
    loss = F.ctc_loss(vs.tensor(log_probs), vs.tensor([1, 2]), vs.tensor(4), vs.tensor(2), reduction="sum")
    assert loss.shape == ()
    np.testing.assert_allclose(loss.item(), loss_over_all_paths(log_probs, [1, 2], 0), rtol=1e-12)


def test_mean_divides_by_labels_first():
    log_probs = vs.tensor(batch())
    lengths = list(map(len, TARGETS))
    losses = F.ctc_loss(log_probs, rows(TARGETS), TIMES, lengths, reduction="none").numpy()
    mean = F.ctc_loss(log_probs, rows(TARGETS), TIMES, lengths).item()
    np.testing.assert_allclose(mean, np.mean(losses / np.maximum(lengths, 1)), rtol=1e-12)


def test_gradient_by_logits():
    logits = np.random.default_rng(1).standard_normal((4, len(TARGETS), 3))
    weights = np.array([1.0, -2.0, 0.5, 3.0])

    def total(x):
        log_probs = log_softmax(x)
        losses = [loss_over_all_paths(log_probs[:t, n], TARGETS[n], 0) for n, t in enumerate(TIMES)]
        return float(np.dot(losses, weights))

    x = vs.tensor(logits, requires_grad=True)
    losses = F.ctc_loss(x.log_softmax(2), rows(TARGETS), TIMES, [2, 2, 1, 0], reduction="none")
    (gradient,) = vs.autograd.grad(losses, x, vs.tensor(weights))
    for index in np.ndindex(logits.shape):
        step = np.zeros_like(logits)
        step[index] = 1e-6
        expected = (total(logits + step) - total(logits - step)) / 2e-6
        np.testing.assert_allclose(gradient.numpy()[index], expected, atol=1e-8)


@pytest.mark.parametrize("zero_infinity", [False, True])
def test_a_sequence_that_cannot_be_aligned(zero_infinity):
    x = vs.tensor(batch(), requires_grad=True)  # 2, 2 needs a blank between: three steps
    losses = F.ctc_loss(
        x.log_softmax(2), rows(TARGETS), [4, 2, 3, 2], [2, 2, 1, 0],
        reduction="none", zero_infinity=zero_infinity,
    )  # fmt: skip
    assert losses[1].item() == (0.0 if zero_infinity else np.inf)
    (gradient,) = vs.autograd.grad(losses.sum(), x)
    assert gradient[:, 0].isfinite().all()
    if zero_infinity:
        assert gradient.isfinite().all()
        assert not gradient[:, 1].any()


def test_no_time_at_all():
    x = vs.tensor(batch())
    losses = F.ctc_loss(x, rows(TARGETS), [0, 4, 3, 0], [2, 2, 1, 0], reduction="none")
    assert losses[0].item() == np.inf
    assert losses[3].item() == 0.0


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_sequence_does_not_depend_on_its_batch_or_threads(threads):
    rng = np.random.default_rng(0)
    x = log_softmax(rng.standard_normal((40, 12, 9))).astype("float32")
    targets = rng.integers(1, 9, (12, 15))
    lengths = rng.integers(1, 15, 12)
    before = vs.get_num_threads()
    vs.set_num_threads(threads)
    try:
        whole, gradient = of(x, targets, lengths)
        for n in range(12):
            alone, own = of(x[:, n : n + 1], targets[n : n + 1], lengths[n : n + 1])
            assert whole[n] == alone[0]
            np.testing.assert_array_equal(gradient[:, n], own[:, 0])
    finally:
        vs.set_num_threads(before)


def of(x, targets, lengths):
    leaf = vs.tensor(x, requires_grad=True)
    times = [x.shape[0]] * x.shape[1]
    losses = F.ctc_loss(leaf, vs.tensor(targets), times, vs.tensor(lengths), reduction="none")
    (gradient,) = vs.autograd.grad(losses.sum(), leaf)
    return losses.detach().numpy(), gradient.numpy()


def test_second_derivatives_are_refused():
    x = vs.tensor(batch(), requires_grad=True)
    loss = F.ctc_loss(x.log_softmax(2), rows(TARGETS), TIMES, [2, 2, 1, 0])
    (gradient,) = vs.autograd.grad(loss, x, create_graph=True)
    with pytest.raises(NotImplementedError, match="ctc_loss"):
        vs.autograd.grad(gradient.sum(), x)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"log_probs": vs.zeros(4)}, ValueError),
        ({"log_probs": vs.zeros(4, 4, 3, dtype=vs.int64)}, (ValueError, TypeError)),
        ({"targets": vs.zeros(4, 2)}, TypeError),
        ({"targets": vs.full((4, 2), 3)}, IndexError),
        ({"targets": vs.full((4, 2), -1)}, IndexError),
        ({"targets": vs.tensor([1, 2, 1])}, ValueError),
        ({"input_lengths": [5, 4, 4, 4]}, RuntimeError),
        ({"input_lengths": [-1, 4, 4, 4]}, RuntimeError),
        ({"input_lengths": [4, 4]}, ValueError),
        ({"input_lengths": vs.tensor([4.0] * 4)}, TypeError),
        ({"target_lengths": [3, 2, 2, 2]}, RuntimeError),
        ({"target_lengths": [2, 2]}, ValueError),
        ({"blank": 3}, RuntimeError),
        ({"blank": -1}, RuntimeError),
        ({"reduction": "median"}, ValueError),
    ],
)
def test_bad_arguments(change, error):
    arguments = {
        "log_probs": vs.tensor(batch()),
        "targets": vs.ones(4, 2, dtype=vs.int64),
        "input_lengths": [4] * 4,
        "target_lengths": [2] * 4,
    }
    with pytest.raises(error, match=r"\[ctc_loss\]"):
        F.ctc_loss(**arguments | change)
