"""Names that PyTorch's databases of samples lack, against PyTorch; skipped without the extra `oracle`."""

import pytest

pytest.importorskip("torch", reason="the oracle is PyTorch: pip install versant[oracle]")

import torch
from oracle.bridge import difference, to_torch, to_versant

import versant as vs

WINDOWS = ["hann_window", "hamming_window", "blackman_window", "bartlett_window", "kaiser_window"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("name", WINDOWS)
def test_windows(name, periodic, dtype) -> None:
    for length in (0, 1, 2, 7, 400):
        mine = getattr(vs, name)(length, periodic, dtype=getattr(vs, dtype))
        text = difference(mine, getattr(torch, name)(length, periodic, dtype=getattr(torch, dtype)))
        assert not text, f"{length}: {text}"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", WINDOWS)
def test_short_windows_are_rounded_once(name, dtype) -> None:
    mine = getattr(vs, name)(99, dtype=getattr(vs, dtype))
    wide = getattr(torch, name)(99, dtype=torch.float64)
    assert (to_torch(mine) == wide.to(getattr(torch, dtype))).double().mean() > 0.98  # halves between two


@pytest.mark.parametrize(
    "call",
    [
        lambda lib, x: lib.vander(x[0]),
        lambda lib, x: lib.vander(x[0], 2, increasing=True),
        lambda lib, x: lib.chain_matmul(x, x.T, x),
        lambda lib, x: x.clone().fill_diagonal_(2.0),
        lambda lib, x: x.T.repeat(2, 1).fill_diagonal_(2.0, wrap=True),
        lambda lib, x: x.new([[1, 2]]),
        lambda lib, x: lib.LongTensor([1, 2]),
        lambda lib, x: lib.nn.modules.utils._pair(3),
        lambda lib, x: lib.nn.utils.weight_norm(lib.nn.Conv1d(2, 3, 4), dim=None).weight_g.shape.numel(),
        lambda lib, x: list(lib.nn.utils.weight_norm(lib.nn.LSTMCell(2, 3), "weight_hh").state_dict()),
        lambda lib, x: list(lib.nn.utils.spectral_norm(lib.nn.Conv2d(2, 3, 4)).state_dict()),
        lambda lib, x: list(lib.nn.ParameterDict({"b": x, "a": x}).state_dict()),
        lambda lib, x: [len(b) for b in lib.utils.data.DataLoader(range(5), 2, drop_last=True)],
        lambda lib, x: lib.utils.data.ConcatDataset([[1, 2], [3]]).cumulative_sizes,
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_values(call) -> None:
    x = torch.linspace(-1, 1, 12).reshape(3, 4)
    text = difference(call(vs, to_versant(x)), call(torch, x))
    assert not text, text


@pytest.mark.parametrize("name", [name for name in dir(vs.nn) if name.startswith("Lazy")])
@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")
def test_lazy_layers(name) -> None:
    args = (6,) if name == "LazyLinear" else (6, 2) if "Conv" in name else (1e-3, 0.2, True, True)
    x = torch.randn(3, 4, *[3] * (int(name[-2]) if name[-1] == "d" else 0))
    mine, theirs = getattr(vs.nn, name)(*args), getattr(torch.nn, name)(*args)
    theirs(x)
    mine(to_versant(x))
    mine.load_state_dict({key: to_versant(value) for key, value in theirs.state_dict().items()})
    assert list(mine.state_dict()) == list(theirs.state_dict())
    assert repr(mine) == repr(theirs)
    text = difference(mine(to_versant(x)), theirs(x))
    assert not text, text
