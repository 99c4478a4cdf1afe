"""Names that PyTorch's databases of samples lack, against PyTorch; skipped without the extra `oracle`."""

import pytest

pytest.importorskip("torch", reason="the oracle is PyTorch: pip install versant[oracle]")

import torch
import torch.nn.utils.prune
from oracle.bridge import difference, to_torch, to_versant

import versant as vs


def step(plan, i) -> str:
    """What a schedule does in a step."""
    return str(plan(i).name)


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
        lambda lib, x: list(lib.utils.data.DistributedSampler(range(7), 3, 2, shuffle=False)),
        lambda lib, x: len(lib.utils.data.DistributedSampler(range(7), 3, 2, drop_last=True)),
        lambda lib, x: list(lib.nn.DataParallel(lib.nn.Linear(2, 2)).state_dict()),
        lambda lib, x: lib._foreach_addcdiv([x, x + 1], [x, x], [x + 2, x + 3], value=0.5)[1],
        lambda lib, x: lib._foreach_norm([x, x + 1], 1)[1],
        lambda lib, x: lib.autograd.functional.jacobian(lambda a, b: (a * b, a.sum()), (x[0], x[1]))[0][1],
        lambda lib, x: lib.autograd.functional.hessian(lambda a, b: (a * b**2).sum(), (x[0], x[1]))[1][0],
        lambda lib, x: lib.autograd.functional.hvp(lambda a: (a**3).sum(), x[0], x[1])[1],
        lambda lib, x: x.clone().resize_(2, 3),
        lambda lib, x: lib.gradient(x),
        lambda lib, x: lib.gradient(x, spacing=[2.0, 0.5], edge_order=2),
        lambda lib, x: lib.gradient(x, spacing=(x[:, 0] ** 3,), dim=0),
        lambda lib, x: lib.gradient(lib.arange(5), edge_order=2)[0],
        lambda lib, x: list(lib.histogram(x, 4)),
        lambda lib, x: list(lib.histogram(x, 3, range=(-0.5, 0.5), weight=x, density=True)),
        lambda lib, x: x.histogram(lib.tensor([-1.0, 0.0, 0.5, 1.0])).hist,
        lambda lib, x: lib.histogram(lib.ones(3), 2).bin_edges,
        lambda lib, x: lib.group_norm(x, 2, x[0], x[1]),
        lambda lib, x: lib.constant_pad_nd(x, (1, 2), 3.0),
        lambda lib, x: lib.bilinear(x, x, x.reshape(1, 3, 4).repeat(2, 2, 1)[:, :4], None),
        lambda lib, x: lib.fill(x, 2.5),
        lambda lib, x: lib.zero_(lib.fill_(x.clone(), 2.0)),
        lambda lib, x: lib.nn.SyncBatchNorm.convert_sync_batchnorm(lib.nn.BatchNorm1d(4))(x),
        lambda lib, x: x.clone().apply_(lambda v: v * 2),
        lambda lib, x: [
            step(lib.profiler.schedule(wait=1, warmup=2, active=2, repeat=2), i) for i in range(12)
        ],
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


SIGNAL = [name for name in vs.signal.windows.__all__ if name != "general_cosine"]
OPTIONS = {
    "exponential": [{"tau": 2.5}, {"center": 1.0, "sym": False}],
    "gaussian": [{"std": 2.0}],
    "general_hamming": [{"alpha": 0.7}],
    "kaiser": [{"beta": 3.0}],
}


@pytest.mark.parametrize("name", SIGNAL)
def test_windows_of_signals(name) -> None:
    for length in (0, 1, 2, 3, 8):
        for options in ({}, {"sym": False}, *OPTIONS.get(name, [])):
            mine = getattr(vs.signal.windows, name)(length, dtype=vs.float64, **options)
            other = getattr(torch.signal.windows, name)(length, dtype=torch.float64, **options)
            text = difference(mine, other)
            assert not text, f"{length}, {options}: {text}"


@pytest.mark.parametrize("head_bias", [False, True])
def test_softmax_in_clusters(head_bias) -> None:
    arguments = (16, 30, [5, 12, 20])
    other = torch.nn.AdaptiveLogSoftmaxWithLoss(*arguments, div_value=2.0, head_bias=head_bias)
    mine = vs.nn.AdaptiveLogSoftmaxWithLoss(*arguments, div_value=2.0, head_bias=head_bias)
    mine.load_state_dict({name: to_versant(value) for name, value in other.state_dict().items()})
    x, target = torch.randn(40, 16), torch.arange(40) % 30
    results, expected = mine(to_versant(x), to_versant(target)), other(x, target)
    expected.loss.backward()
    results.loss.backward()
    pairs = [
        (results.output, expected.output),
        (results.loss, expected.loss),
        (mine.log_prob(to_versant(x)), other.log_prob(x)),
        (mine.predict(to_versant(x)), other.predict(x)),
        *((a.grad, b.grad) for a, b in zip(mine.parameters(), other.parameters(), strict=True)),
    ]
    for a, b in pairs:
        text = difference(a, b)
        assert not text, text


PRUNINGS = {
    "smallest": lambda p, m: p.l1_unstructured(m, "weight", 0.3),
    "slices of what is left": lambda p, m: p.ln_structured(
        p.l1_unstructured(m, "weight", 0.3), "weight", 0.4, 2, 1
    ),
    "elements of slices that are left": lambda p, m: p.l1_unstructured(
        p.ln_structured(m, "weight", 2, 1, 0), "weight", 0.5
    ),
    "all": lambda p, m: p.global_unstructured([(m, "weight"), (m, "bias")], p.L1Unstructured, amount=9),
}


@pytest.mark.parametrize("name", PRUNINGS)
def test_pruning(name) -> None:
    states = []
    weight, bias = torch.randn(6, 5), torch.randn(6)
    for lib, convert in ((vs, to_versant), (torch, lambda t: t)):
        layer = lib.nn.Linear(5, 6)
        layer.load_state_dict({"weight": convert(weight), "bias": convert(bias)})
        PRUNINGS[name](lib.nn.utils.prune, layer)
        states.append(layer.state_dict())
    assert list(states[0]) == list(states[1])
    for key, value in states[1].items():
        text = difference(states[0][key], value)
        assert not text, f"{key}: {text}"


def test_slopes_of_draws() -> None:
    """torch's are approximations: the moved draws of tests/ops/test_random.py show that ours are exact."""
    a = torch.linspace(0.05, 30.0, 40, dtype=torch.float64)
    x = torch.linspace(0.3, 1.8, 40, dtype=torch.float64) * a
    u = torch.linspace(0.02, 0.98, 40, dtype=torch.float64)
    for name, arguments in (("_standard_gamma_grad", (a, x)), ("_dirichlet_grad", (u, a, a + a.flip(0)))):
        mine = to_torch(getattr(vs, name)(*map(to_versant, arguments)))
        torch.testing.assert_close(mine, getattr(torch, name)(*arguments), rtol=5e-3, atol=1e-8)


BESSEL = """bessel_j0 bessel_j1 bessel_y0 bessel_y1 modified_bessel_i0 modified_bessel_i1 modified_bessel_k0
modified_bessel_k1 scaled_modified_bessel_k0 scaled_modified_bessel_k1 airy_ai spherical_bessel_j0"""


@pytest.mark.parametrize("name", BESSEL.split())
def test_bessel_functions(name) -> None:
    x = torch.linspace(-7, 50, 400, dtype=torch.float64)  # Airy's of PyTorch's is good to 1e-5 further below
    x[0] = 0
    text = difference(getattr(vs.special, name)(to_versant(x)), getattr(torch.special, name)(x), scale=50)
    assert not text, text


POLYNOMIALS = [name for name in dir(torch.special) if "_polynomial_" in name]


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_polynomials(name) -> None:
    x, n = torch.linspace(-1.2, 1.2, 25, dtype=torch.float64), torch.arange(-2, 23)
    mine, theirs = getattr(vs.special, name), getattr(torch.special, name)
    for args in ((x, n), (x, 4), (x.float(), 5), (torch.tensor([1, 2]), 3), (x, torch.tensor(7.0))):
        translated = [to_versant(a) if isinstance(a, torch.Tensor) else a for a in args]
        text = difference(mine(*translated), theirs(*args))
        assert not text, f"{args}: {text}"


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("n", [4, 5, 12, 28])
def test_gradients_of_places_at_the_identity(n, align_corners) -> None:
    """There every place is the middle of an element, where the derivative jumps: roundings decide."""
    torch.manual_seed(0)
    theta, image = torch.eye(2, 3).repeat(2, 1, 1), torch.randn(2, 3, n, n)
    gradients = []
    for lib, move, x in ((vs, to_versant(theta), to_versant(image)), (torch, theta.clone(), image)):
        move.requires_grad_()
        grid = lib.nn.functional.affine_grid(move, x.shape, align_corners=align_corners)
        lib.nn.functional.grid_sample(x, grid, align_corners=align_corners).square().sum().backward()
        gradients.append(move.grad)
    largest = gradients[1].abs().max().item()  # terms of that size cancel in the others
    text = difference(*(gradient / largest for gradient in gradients))
    assert not text, text


SETTINGS = {
    "Conv2d": [
        ((3, 4, 3), {"stride": 0}),
        ((3, 4, 3), {"dilation": 0}),
        ((3, 4, 3), {"padding": -1}),
        ((3, 4, (3, 3, 3)), {}),
        ((3, 4, 0), {}),
    ],
    "MaxPool2d": [((3,), {"padding": 2}), ((0,), {}), ((2,), {"stride": 0})],
    "CrossEntropyLoss": [((), {"label_smoothing": 2.0})],
    "SmoothL1Loss": [((), {"beta": -1.0})],
    "HuberLoss": [((), {"delta": 0.0})],
    "GELU": [(("foo",), {})],
    "ConstantPad2d": [(((1, 2, 3), 0), {})],
}


@pytest.mark.filterwarnings("ignore:Initializing zero-element:UserWarning")
@pytest.mark.parametrize("name", SETTINGS)
def test_settings_out_of_range_raise_what_pytorch_raises(name) -> None:
    inputs = {"CrossEntropyLoss": ("randn(2, 3)", "zeros(2, dtype=long)")}.get(
        name, ("randn(2, 3)", "randn(2, 3)") if name.endswith("Loss") else ("randn(1, 3, 8, 8)",)
    )
    for args, kwargs in SETTINGS[name]:
        for lib in (torch, vs):
            given = [eval(f"lib.{text.replace('dtype=', 'dtype=lib.')}", {"lib": lib}) for text in inputs]
            with pytest.raises(RuntimeError) as error:
                getattr(lib.nn, name)(*args, **kwargs)(*given)
        assert str(error.value).startswith(f"[{name}] ")
        assert isinstance(error.value, ValueError)
