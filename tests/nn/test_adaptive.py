"""AdaptiveLogSoftmaxWithLoss: clusters, single samples, what is refused."""

import pytest

import versant as vs
from versant import nn


def layer(**options):
    vs.manual_seed(0)
    return nn.AdaptiveLogSoftmaxWithLoss(16, 30, [5, 12, 20], **options)


def test_targets_have_their_share_of_all_probabilities() -> None:
    softmax = layer(div_value=2.0, head_bias=True)
    x, target = vs.randn(60, 16), vs.arange(60) % 30
    every = softmax.log_prob(x)
    vs.testing.assert_close(every.exp().sum(1), vs.ones(60))
    output, loss = softmax(x, target)
    vs.testing.assert_close(output, every.gather(1, target.unsqueeze(1)).squeeze(1))
    vs.testing.assert_close(loss, -output.mean())
    assert softmax.predict(x).tolist() == every.argmax(1).tolist()


def test_clusters_have_fewer_dimensions() -> None:
    shapes = [tuple(p.shape) for p in layer().parameters()]
    assert shapes == [(8, 16), (4, 16), (7, 4), (1, 16), (8, 1), (0, 16), (10, 0)]


def test_one_sample() -> None:
    softmax = layer(div_value=2.0)
    x = vs.randn(16)
    output, loss = softmax(x, vs.tensor(13))
    batch, _ = softmax(x.unsqueeze(0), vs.tensor([13]))
    assert output.shape == ()
    assert output.item() == batch[0].item() == -loss.item()


def test_gradients_reach_all_weights() -> None:
    softmax = layer(div_value=2.0, head_bias=True)
    softmax(vs.randn(60, 16), vs.arange(60) % 30).loss.backward()
    assert all(bool((p.grad != 0).any()) for p in softmax.parameters())


def test_compiled() -> None:
    softmax = layer(div_value=2.0)
    compiled = vs.compile(lambda x, target: softmax(x, target).loss)
    for step in range(3):
        x, target = vs.randn(20, 16), (vs.arange(20) * (step + 1)) % 30
        assert compiled(x, target).item() == softmax(x, target).loss.item()


@pytest.mark.parametrize("cutoffs", [[], [0, 5], [5, 5], [7, 5], [5, 30], [2.5]])
def test_cutoffs_that_are_none(cutoffs) -> None:
    with pytest.raises(ValueError, match="cutoffs should be a sequence"):
        nn.AdaptiveLogSoftmaxWithLoss(16, 30, cutoffs)


@pytest.mark.parametrize(
    ("x", "target", "text"),
    [
        ((4, 16), [1, 2, 3], "same size in the batch dimension"),
        ((4, 16), [1, 2, 3, 30], r"should be in \[0, 29\]"),
        ((4, 16), [[1, 2, 3, 3]], "expected input"),
        ((16,), [3], "expected input"),
    ],
)
def test_inputs_that_do_not_fit(x, target, text) -> None:
    with pytest.raises(RuntimeError, match=text):
        layer()(vs.randn(*x), vs.tensor(target))
