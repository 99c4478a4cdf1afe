"""A table of every module of nn: how to make it, and inputs to call it with."""

from collections.abc import Callable
from typing import Any

import versant as vs
from versant import nn
from versant.nn.utils import parametrizations
from versant.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

Make = Callable[[], nn.Module]
Draw = Callable[[], tuple[Any, ...]]


def normal(*shape: int) -> Draw:
    return lambda: (vs.randn(*shape),)


def pair(*shape: int) -> Draw:
    return lambda: (vs.randn(*shape), vs.randn(*shape))


def chances(*shape: int) -> Draw:
    return lambda: (vs.rand(*shape), vs.rand(*shape))


def classes(rows: int, count: int) -> Draw:
    return lambda: (vs.randn(rows, count), vs.randint(0, count, (rows,)))


def signs(*shape: int) -> Draw:
    return lambda: (vs.randn(*shape), vs.randint(0, 2, shape) * 2.0 - 1)


class Unpooled(nn.Module):
    """Pools and puts back."""

    def __init__(self, pool: nn.Module, unpool: nn.Module) -> None:
        super().__init__()
        self.pool, self.unpool = pool, unpool

    def forward(self, x: vs.Tensor) -> vs.Tensor:
        return self.unpool(*self.pool(x))


class Packed(nn.Module):
    """A recurrent layer over sequences of several lengths."""

    def __init__(self, layer: nn.Module, ordered: bool) -> None:
        super().__init__()
        self.layer, self.ordered = layer, ordered

    def forward(self, x: vs.Tensor) -> Any:
        lengths = [5, 3, 2] if self.ordered else [2, 5, 3]
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=self.ordered)
        out, state = self.layer(packed)
        return pad_packed_sequence(out, batch_first=True), state


class Holding(nn.Module):
    """Parameters in lists and dicts of modules."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = nn.ParameterList([nn.Parameter(vs.randn(3)) for _ in range(2)])
        self.layers = nn.ModuleList([nn.Linear(3, 3), nn.Tanh()])
        self.named = nn.ModuleDict({"last": nn.Linear(3, 2)})

    def forward(self, x: vs.Tensor) -> vs.Tensor:
        for number, layer in zip(self.numbers, self.layers, strict=True):
            x = layer(x * number)
        return self.named["last"](x)


def shaped(name: str, **options: Any) -> Any:
    """The module of 1, 2 and 3 dimensions with the same options."""
    return {
        f"{name}{d}d": (lambda d=d: getattr(nn, f"{name}{d}d")(**options), normal(2, 3, *(6, 7, 8)[:d]))
        for d in (1, 2, 3)
        if hasattr(nn, f"{name}{d}d")
    }


def padded(name: str, *value: float) -> Any:
    return {
        f"{name}{d}d": (lambda d=d: getattr(nn, f"{name}{d}d")(2, *value), normal(2, 3, *(4, 5, 3)[:d]))
        for d in (1, 2, 3)
    }


ACTIVATIONS = [
    nn.CELU,
    nn.ELU,
    nn.GELU,
    nn.Hardshrink,
    nn.Hardsigmoid,
    nn.Hardswish,
    nn.Hardtanh,
    nn.Identity,
    nn.LeakyReLU,
    nn.LogSigmoid,
    nn.Mish,
    nn.PReLU,
    nn.RReLU,
    nn.ReLU,
    nn.ReLU6,
    nn.SELU,
    nn.SiLU,
    nn.Sigmoid,
    nn.Softplus,
    nn.Softshrink,
    nn.Softsign,
    nn.Tanh,
    nn.Tanhshrink,
    nn.GLU,
]
RECURRENT = ("RNN", "LSTM", "GRU")
FORMS: dict[str, dict[str, Any]] = {
    "": {},
    "batch_first": {"batch_first": True},
    "two layers, both ways": {"num_layers": 2, "bidirectional": True, "dropout": 0.3},
    "no bias": {"bias": False},
}

MODULES: dict[str, tuple[Make, Draw]] = {
    **{kind.__name__: (kind, normal(4, 6)) for kind in ACTIVATIONS},
    "Threshold": (lambda: nn.Threshold(0.1, 2.0), normal(4, 6)),
    "ReLU in place": (lambda: nn.Sequential(nn.Linear(6, 6), nn.ReLU(inplace=True)), normal(4, 6)),
    "Softmax": (lambda: nn.Softmax(1), normal(4, 6)),
    "LogSoftmax": (lambda: nn.LogSoftmax(1), normal(4, 6)),
    "Softmin": (lambda: nn.Softmin(1), normal(4, 6)),
    "Softmax2d": (nn.Softmax2d, normal(2, 3, 4, 4)),
    "Linear": (lambda: nn.Linear(6, 5), normal(4, 6)),
    "Bilinear": (lambda: nn.Bilinear(3, 4, 5), lambda: (vs.randn(6, 3), vs.randn(6, 4))),
    "Embedding": (lambda: nn.Embedding(9, 4, padding_idx=1), lambda: (vs.randint(0, 9, (3, 5)),)),
    "Embedding max_norm": (
        lambda: nn.Embedding(9, 4, max_norm=1.0, scale_grad_by_freq=True),
        lambda: (vs.randint(0, 9, (3, 5)),),
    ),
    **{
        f"EmbeddingBag {mode}": (
            lambda mode=mode: nn.EmbeddingBag(9, 4, mode=mode),
            lambda: (vs.randint(0, 9, (3, 5)),),
        )
        for mode in ("sum", "mean", "max")
    },
    "EmbeddingBag": (
        lambda: nn.EmbeddingBag(9, 4, mode="sum", include_last_offset=True),
        lambda: (vs.randint(0, 9, (8,)), vs.tensor([0, 3, 3, 8]), vs.rand(8)),
    ),
    **shaped("BatchNorm", num_features=3),
    "BatchNorm momentum": (lambda: nn.BatchNorm2d(3, momentum=None), normal(4, 3, 2, 2)),
    "BatchNorm plain": (
        lambda: nn.BatchNorm1d(3, affine=False, track_running_stats=False),
        normal(4, 3),
    ),
    "SyncBatchNorm": (lambda: nn.SyncBatchNorm(3), normal(4, 3, 2, 2)),
    **shaped("InstanceNorm", num_features=3, affine=True, track_running_stats=True),
    "LayerNorm": (lambda: nn.LayerNorm(6), normal(4, 6)),
    "RMSNorm": (lambda: nn.RMSNorm(6), normal(4, 6)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 6), normal(4, 6, 3)),
    "LocalResponseNorm": (lambda: nn.LocalResponseNorm(3), normal(2, 6, 4)),
    **shaped("Conv", in_channels=3, out_channels=4, kernel_size=3, padding=1),
    "Conv groups": (lambda: nn.Conv2d(4, 8, 3, 2, dilation=2, groups=4), normal(2, 4, 9, 9)),
    "Conv circular": (lambda: nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), normal(2, 3, 6, 6)),
    **shaped("ConvTranspose", in_channels=3, out_channels=4, kernel_size=3, stride=2, output_padding=1),
    **shaped("MaxPool", kernel_size=2),
    **shaped("AvgPool", kernel_size=2),
    **shaped("LPPool", norm_type=2, kernel_size=2),
    **shaped("AdaptiveAvgPool", output_size=3),
    **shaped("AdaptiveMaxPool", output_size=3),
    **{
        f"MaxUnpool{d}d": (
            lambda d=d: Unpooled(
                getattr(nn, f"MaxPool{d}d")(2, return_indices=True), getattr(nn, f"MaxUnpool{d}d")(2)
            ),
            normal(2, 3, *(6, 4, 4)[:d]),
        )
        for d in (1, 2, 3)
    },
    "FractionalMaxPool2d": (lambda: nn.FractionalMaxPool2d(2, output_size=3), normal(2, 3, 7, 7)),
    "FractionalMaxPool3d": (lambda: nn.FractionalMaxPool3d(2, output_size=2), normal(2, 3, 5, 5, 5)),
    **padded("ConstantPad", 0.5),
    **padded("ZeroPad"),
    **padded("ReflectionPad"),
    **padded("ReplicationPad"),
    **padded("CircularPad"),
    **shaped("Dropout", p=0.4),
    "Dropout": (lambda: nn.Dropout(0.4), normal(4, 6)),
    "AlphaDropout": (lambda: nn.AlphaDropout(0.4), normal(4, 6)),
    "FeatureAlphaDropout": (lambda: nn.FeatureAlphaDropout(0.4), normal(4, 6, 2)),
    "Flatten": (nn.Flatten, normal(2, 3, 4)),
    "Unflatten": (lambda: nn.Unflatten(1, (2, 3)), normal(4, 6)),
    "Fold": (lambda: nn.Fold(4, 2), normal(2, 12, 9)),
    "Unfold": (lambda: nn.Unfold(2), normal(2, 3, 4, 4)),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), normal(2, 8, 3, 3)),
    "PixelUnshuffle": (lambda: nn.PixelUnshuffle(2), normal(2, 2, 4, 4)),
    "ChannelShuffle": (lambda: nn.ChannelShuffle(2), normal(2, 4, 3, 3)),
    **{
        f"Upsample {mode}": (
            lambda mode=mode: nn.Upsample(scale_factor=1.5, mode=mode),
            normal(2, 2, *(4, 5, 3)[:d]),
        )
        for mode, d in {"nearest": 2, "linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}.items()
    },
    "UpsamplingNearest2d": (lambda: nn.UpsamplingNearest2d(scale_factor=2), normal(1, 2, 3, 3)),
    "UpsamplingBilinear2d": (lambda: nn.UpsamplingBilinear2d(scale_factor=2), normal(1, 2, 3, 3)),
    "CosineSimilarity": (nn.CosineSimilarity, pair(4, 6)),
    "PairwiseDistance": (nn.PairwiseDistance, pair(4, 6)),
    "Holding": (Holding, normal(4, 3)),
    # Recurrent layers ---------------------------------------------------------------------------------------
    "RNNCell": (lambda: nn.RNNCell(4, 3), normal(5, 4)),
    "LSTMCell": (lambda: nn.LSTMCell(4, 3), normal(5, 4)),
    "GRUCell": (lambda: nn.GRUCell(4, 3), normal(5, 4)),
    **{
        f"{kind} {form}".strip(): (
            lambda kind=kind, options=options: getattr(nn, kind)(4, 3, **options),
            normal(3, 5, 4),
        )
        for kind in RECURRENT
        for form, options in FORMS.items()
    },
    "RNN relu": (lambda: nn.RNN(4, 3, nonlinearity="relu"), normal(5, 2, 4)),
    "LSTM projected": (lambda: nn.LSTM(4, 5, proj_size=2), normal(5, 2, 4)),
    "LSTM wide": (lambda: nn.LSTM(40, 70), normal(3, 33, 40)),
    "LSTM without a batch": (lambda: nn.LSTM(4, 5), normal(5, 4)),
    "LSTM given a state": (
        lambda: nn.LSTM(4, 3),
        lambda: (vs.randn(5, 2, 4), (vs.randn(1, 2, 3), vs.randn(1, 2, 3))),
    ),
    **{
        f"{kind} packed, {'in order' if ordered else 'not in order'}": (
            lambda kind=kind, ordered=ordered: Packed(
                getattr(nn, kind)(4, 3, batch_first=True, bidirectional=True), ordered
            ),
            normal(3, 5, 4),
        )
        for kind in RECURRENT
        for ordered in (True, False)
    },
    # Attention ----------------------------------------------------------------------------------------------
    "MultiheadAttention": (
        lambda: nn.MultiheadAttention(8, 2, dropout=0.2),
        lambda: (vs.randn(5, 2, 8), vs.randn(4, 2, 8), vs.randn(4, 2, 8)),
    ),
    "TransformerEncoderLayer": (lambda: nn.TransformerEncoderLayer(8, 2, 16), normal(5, 2, 8)),
    "TransformerDecoderLayer": (
        lambda: nn.TransformerDecoderLayer(8, 2, 16, norm_first=True),
        lambda: (vs.randn(5, 2, 8), vs.randn(4, 2, 8)),
    ),
    "TransformerEncoder": (
        lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu"), 2, nn.LayerNorm(8)
        ),
        normal(2, 5, 8),
    ),
    "TransformerDecoder": (
        lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), 2),
        lambda: (vs.randn(5, 2, 8), vs.randn(4, 2, 8)),
    ),
    "Transformer": (
        lambda: nn.Transformer(8, 2, 1, 1, 16),
        lambda: (vs.randn(5, 2, 8), vs.randn(4, 2, 8)),
    ),
    # Parametrizations ---------------------------------------------------------------------------------------
    "weight_norm": (lambda: parametrizations.weight_norm(nn.Linear(6, 4)), normal(3, 6)),
    "spectral_norm": (lambda: parametrizations.spectral_norm(nn.Linear(6, 4)), normal(3, 6)),
    "orthogonal": (lambda: parametrizations.orthogonal(nn.Linear(4, 4)), normal(3, 4)),
    # Losses -------------------------------------------------------------------------------------------------
    **{name: (lambda name=name: getattr(nn, name)(), pair(4, 6)) for name in ("L1Loss", "MSELoss")},
    "SmoothL1Loss": (nn.SmoothL1Loss, pair(4, 6)),
    "HuberLoss": (lambda: nn.HuberLoss(delta=0.5), pair(4, 6)),
    "BCELoss": (nn.BCELoss, chances(4, 6)),
    "BCEWithLogitsLoss": (lambda: nn.BCEWithLogitsLoss(pos_weight=vs.rand(6)), chances(4, 6)),
    "KLDivLoss": (lambda: nn.KLDivLoss(reduction="batchmean"), chances(4, 6)),
    "PoissonNLLLoss": (nn.PoissonNLLLoss, chances(4, 6)),
    "GaussianNLLLoss": (nn.GaussianNLLLoss, lambda: (vs.randn(4), vs.randn(4), vs.rand(4) + 0.1)),
    "CrossEntropyLoss": (lambda: nn.CrossEntropyLoss(label_smoothing=0.1), classes(5, 6)),
    "CrossEntropyLoss weighted": (lambda: nn.CrossEntropyLoss(vs.rand(6), ignore_index=2), classes(5, 6)),
    "NLLLoss": (nn.NLLLoss, classes(5, 6)),
    "NLLLoss2d": (nn.NLLLoss2d, lambda: (vs.randn(2, 3, 4, 4), vs.randint(0, 3, (2, 4, 4)))),
    "AdaptiveLogSoftmaxWithLoss": (
        lambda: nn.AdaptiveLogSoftmaxWithLoss(6, 9, [3, 5], div_value=2.0),
        lambda: (vs.randn(5, 6), vs.tensor([0, 4, 8, 2, 6])),
    ),
    "LinearCrossEntropyLoss": (lambda: nn.LinearCrossEntropyLoss(6, 9), lambda: classes(5, 6)()),
    "MultiMarginLoss": (nn.MultiMarginLoss, classes(5, 6)),
    "MultiLabelMarginLoss": (
        nn.MultiLabelMarginLoss,
        lambda: (vs.randn(2, 4), vs.tensor([[3, 0, -1, 1], [1, -1, 0, 0]])),
    ),
    "MultiLabelSoftMarginLoss": (nn.MultiLabelSoftMarginLoss, chances(4, 6)),
    "SoftMarginLoss": (nn.SoftMarginLoss, signs(4, 6)),
    "HingeEmbeddingLoss": (nn.HingeEmbeddingLoss, signs(4, 6)),
    "MarginRankingLoss": (
        lambda: nn.MarginRankingLoss(0.1),
        lambda: (vs.randn(4), vs.randn(4), vs.tensor([1.0, -1.0, 1.0, -1.0])),
    ),
    "CosineEmbeddingLoss": (
        nn.CosineEmbeddingLoss,
        lambda: (vs.randn(4, 3), vs.randn(4, 3), vs.tensor([1, -1, 1, -1])),
    ),
    "TripletMarginLoss": (nn.TripletMarginLoss, lambda: tuple(vs.randn(4, 3) for _ in range(3))),
    "TripletMarginWithDistanceLoss": (
        nn.TripletMarginWithDistanceLoss,
        lambda: tuple(vs.randn(4, 3) for _ in range(3)),
    ),
    "CTCLoss": (
        nn.CTCLoss,
        lambda: (
            vs.randn(8, 3, 5).log_softmax(2),
            vs.randint(1, 5, (3, 4)),
            vs.tensor([8, 7, 8]),
            vs.tensor([4, 3, 2]),
        ),
    ),
}
