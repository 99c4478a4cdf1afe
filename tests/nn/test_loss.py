"""Losses as modules: their functions, the older arguments, their text, bad arguments."""

import pytest

import versant as vs
from versant import nn
from versant.nn import functional as F

x, y, z = (vs.randn(4, 3, generator=vs.Generator().manual_seed(i)) for i in range(3))
classes = vs.tensor([0, 2, 1, 1])
signs = vs.tensor([1.0, -1.0, 1.0, -1.0])
labels = vs.tensor([[0, 2, -1], [1, -1, 0], [-1, 0, 1], [2, 1, 0]])
shares = y.softmax(1)

# A module, its function with the same arguments, inputs.
SAME = {
    "L1": (nn.L1Loss(), F.l1_loss, (x, y)),
    "MSE": (nn.MSELoss(), F.mse_loss, (x, y)),
    "Huber": (nn.HuberLoss(delta=0.5), lambda a, b: F.huber_loss(a, b, delta=0.5), (x, y)),
    "SmoothL1": (nn.SmoothL1Loss(beta=0.5), lambda a, b: F.smooth_l1_loss(a, b, beta=0.5), (x, y)),
    "KLDiv": (
        nn.KLDivLoss(reduction="batchmean"),
        lambda a, b: F.kl_div(a, b, reduction="batchmean"),
        (x, shares),
    ),
    "PoissonNLL": (
        nn.PoissonNLLLoss(full=True),
        lambda a, b: F.poisson_nll_loss(a, b, full=True),
        (x, shares),
    ),
    "GaussianNLL": (
        nn.GaussianNLLLoss(full=True),
        lambda *a: F.gaussian_nll_loss(*a, full=True),
        (x, y, shares),
    ),
    "CrossEntropy": (nn.CrossEntropyLoss(), F.cross_entropy, (x, classes)),
    "NLL": (nn.NLLLoss(), F.nll_loss, (x, classes)),
    "NLL2d": (nn.NLLLoss2d(), F.nll_loss, (x, classes)),
    "MultiMargin": (nn.MultiMarginLoss(2, 0.5), lambda a, b: F.multi_margin_loss(a, b, 2, 0.5), (x, classes)),
    "MultiLabelMargin": (nn.MultiLabelMarginLoss(), F.multilabel_margin_loss, (x, labels)),
    "MultiLabelSoftMargin": (nn.MultiLabelSoftMarginLoss(), F.multilabel_soft_margin_loss, (x, shares)),
    "HingeEmbedding": (
        nn.HingeEmbeddingLoss(2.0),
        lambda a, b: F.hinge_embedding_loss(a, b, 2.0),
        (x[:, 0], signs),
    ),
    "SoftMargin": (nn.SoftMarginLoss(), F.soft_margin_loss, (x[:, 0], signs)),
    "CosineEmbedding": (
        nn.CosineEmbeddingLoss(0.1),
        lambda *a: F.cosine_embedding_loss(*a, 0.1),
        (x, y, signs),
    ),
    "MarginRanking": (
        nn.MarginRankingLoss(0.1),
        lambda *a: F.margin_ranking_loss(*a, 0.1),
        (x[:, 0], y[:, 0], signs),
    ),
    "TripletMargin": (
        nn.TripletMarginLoss(0.5, p=1.0, swap=True),
        lambda *a: F.triplet_margin_loss(*a, 0.5, 1.0, swap=True),
        (x, y, z),
    ),
    "TripletMarginWithDistance": (
        nn.TripletMarginWithDistanceLoss(distance_function=lambda a, b: (a - b).abs().amax(-1)),
        lambda *a: F.triplet_margin_with_distance_loss(
            *a, distance_function=lambda a, b: (a - b).abs().amax(-1)
        ),
        (x, y, z),
    ),
    "CTC": (
        nn.CTCLoss(2),
        lambda *a: F.ctc_loss(*a, blank=2),
        (x.unsqueeze(1).log_softmax(2), vs.tensor([[0, 1]]), [4], [2]),
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_module_is_its_function(name):
    module, function, inputs = SAME[name]
    result = module(*inputs)
    assert result.shape == ()
    assert result.item() == function(*inputs).item()


@pytest.mark.parametrize("name", SAME)
def test_text(name):
    module = SAME[name][0]
    assert repr(module) == f"{type(module).__name__}()"


def test_older_arguments():
    losses = F.mse_loss(x, y, reduction="none")
    assert F.mse_loss(x, y, None, False).shape == losses.shape
    assert F.mse_loss(x, y, False).item() == losses.sum().item()
    assert nn.MSELoss(size_average=False).reduction == "sum"
    assert nn.MSELoss(reduce=False).reduction == "none"
    assert nn.NLLLoss(None, None, 2, False).reduction == "none"
    assert nn.CrossEntropyLoss(None, False, 1).ignore_index == 1


def test_linear_cross_entropy_holds_a_linear_layer():
    loss = nn.LinearCrossEntropyLoss(3, 5, bias=True)
    assert {name: tuple(p.shape) for name, p in loss.state_dict().items()} == {
        "linear.weight": (5, 3),
        "linear.bias": (5,),
    }
    expected = F.cross_entropy(F.linear(x, loss.linear.weight, loss.linear.bias), classes)
    assert loss(x, classes).item() == expected.item()


def test_linear_cross_entropy_of_several_outputs_per_class():
    loss = nn.LinearCrossEntropyLoss(3, 5, out_features=(2,))
    target = vs.tensor([[0, 1], [2, 3], [4, 4], [1, 0]])
    logits = F.linear(x, loss.linear.weight).reshape(4, 5, 2)
    assert loss(x, target).item() == F.cross_entropy(logits, target).item()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: nn.MSELoss(reduction="median"), ValueError),
        (lambda: nn.MSELoss("sum"), TypeError),
        (lambda: F.mse_loss(x, y, "sum"), TypeError),
        (lambda: nn.MultiMarginLoss(p=3), ValueError),
        (lambda: nn.MultiMarginLoss(weight=vs.ones(2, 2)), ValueError),
        (lambda: nn.TripletMarginLoss(margin=0.0), ValueError),
        (lambda: nn.TripletMarginWithDistanceLoss(margin=-1.0), ValueError),
        (lambda: nn.LinearCrossEntropyLoss(3, 5, weight=vs.ones(4)), ValueError),
        (lambda: nn.LinearCrossEntropyLoss(3, 5, label_smoothing=2.0), RuntimeError),
        (lambda: F.linear_cross_entropy(x, vs.ones(5, 4), classes), ValueError),
        (lambda: F.linear_cross_entropy(x, vs.ones(5, 3), classes, linear_bias=vs.ones(4)), ValueError),
        (lambda: F.linear_cross_entropy(x, vs.ones(3, 3), shares, ignore_index=1), RuntimeError),
        (lambda: F.multi_margin_loss(x, vs.tensor([0, 1, 2, 3])), IndexError),
        (lambda: F.multi_margin_loss(x, vs.tensor([0, 1, 2, -1])), IndexError),
        (lambda: F.multi_margin_loss(x, vs.tensor([0, 1, 2])), ValueError),
        (lambda: F.multi_margin_loss(x, signs), TypeError),
        (lambda: F.multi_margin_loss(x, classes, weight=vs.ones(4)), ValueError),
        (lambda: F.multilabel_margin_loss(x, classes), ValueError),
        (lambda: F.multilabel_margin_loss(x, labels + 1), IndexError),
        (lambda: F.triplet_margin_loss(x, y, z[0]), ValueError),
        (lambda: F.gaussian_nll_loss(x, y, vs.ones(3)), ValueError),
        (lambda: F.gaussian_nll_loss(x, y, -shares), ValueError),
        (lambda: F.binary_cross_entropy(shares + 1, shares), RuntimeError),
        (lambda: F.binary_cross_entropy(shares, shares - 1), RuntimeError),
    ],
)
def test_bad_arguments(call, error):
    with pytest.raises(error, match=r"^\[\w+\] "):
        call()
