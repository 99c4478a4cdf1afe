"""Names by which programs written for PyTorch reach what is here, and what they ask before they begin."""

from importlib import import_module

import numpy as np
import pytest

import versant as vs

ADDRESSES = [
    "amp.autocast_mode.autocast",
    "amp.grad_scaler.GradScaler",
    "autograd.grad_mode.no_grad",
    "autograd.profiler.record_function",
    "cuda.amp.common.amp_definitely_not_available",
    "cuda.amp.custom_fwd",
    "cuda.amp.grad_scaler.GradScaler",
    "distributed.all_reduce",
    "distributions.kl.kl_divergence",
    "distributions.multivariate_normal.MultivariateNormal",
    "distributions.normal.Normal",
    "distributions.studentT.StudentT",
    "distributions.utils.broadcast_all",
    "jit.script",
    "nn.DataParallel",
    "nn.modules.activation.MultiheadAttention",
    "nn.modules.rnn.LSTM",
    "nn.modules.sparse.Embedding",
    "nn.parallel.DistributedDataParallel",
    "nn.utils.clip_grad.clip_grad_norm_",
    "nn.utils.convert_parameters.parameters_to_vector",
    "profiler.profile",
    "signal.windows.hann",
    "utils.data._utils.collate.default_collate",
    "utils.data.distributed.DistributedSampler",
    "autograd.Variable",
    "cuda.amp.GradScaler",
    "cuda.amp.autocast",
    "nn.modules.BatchNorm2d",
    "nn.modules.batchnorm._BatchNorm",
    "nn.modules.conv._ConvNd",
    "nn.modules.instancenorm._InstanceNorm",
    "nn.modules.loss._Loss",
    "nn.modules.loss._WeightedLoss",
    "nn.modules.module.Module",
    "nn.modules.utils._pair",
    "nn.utils.stateless.functional_call",
    "optim.lr_scheduler._LRScheduler",
    "optim.optimizer.Optimizer",
    "random.fork_rng",
    "utils.data.dataloader.DataLoader",
    "utils.data.dataloader.default_collate",
    "utils.data.dataset.Dataset",
    "utils.data.dataset.random_split",
    "utils.data.sampler.SubsetRandomSampler",
    "vmap",
    "GradScaler",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_imports(address) -> None:
    module, _, name = f"versant.{address}".rpartition(".")
    assert callable(getattr(import_module(module), name))


def test_layers_know_the_bases_at_their_addresses() -> None:
    bases = import_module("versant.nn.modules")
    assert isinstance(vs.nn.BatchNorm2d(3), bases.batchnorm._BatchNorm)
    assert isinstance(vs.nn.Conv1d(3, 3, 1), bases.conv._ConvNd)
    assert isinstance(vs.nn.BCELoss(), bases.loss._Loss)
    assert vs.nn.utils.clip_grad_norm_ is not None
    assert vs.nn.modules.utils._pair(3) == (3, 3)
    assert bases.Linear is vs.nn.Linear
    assert bases.utils._triple((1, 2)) == (1, 2)
    assert bases.utils._reverse_repeat_tuple((1, 2), 2) == (2, 2, 1, 1)


def test_there_is_no_cuda() -> None:
    assert not vs.cuda.is_available()
    assert vs.cuda.device_count() == 0
    vs.cuda.manual_seed_all(0)
    vs.cuda.empty_cache()
    assert vs.cuda.max_memory_allocated() == 0
    vs.cuda.reset_peak_memory_stats()
    assert issubclass(vs.OutOfMemoryError, RuntimeError)
    with pytest.raises(RuntimeError, match=r"cuda\.Event"):
        vs.cuda.Event(enable_timing=True)
    with pytest.raises(RuntimeError, match="there is no CUDA device"):
        vs.cuda.synchronize()
    with pytest.warns(UserWarning, match="no device 'cuda'"), vs.cuda.amp.autocast():
        assert (vs.ones(2, 2) @ vs.ones(2, 2)).dtype is vs.float32
    with pytest.warns(UserWarning, match="no device 'cuda'"):
        assert vs.cuda.amp.GradScaler().scale(vs.ones(1)).item() == 1.0


def test_backends_keep_settings() -> None:
    cudnn = vs.backends.cudnn
    before = cudnn.benchmark
    with cudnn.flags(benchmark=True):
        assert cudnn.benchmark
    assert cudnn.benchmark is before
    assert not vs.backends.mps.is_available()
    assert cudnn.version() is None
    with pytest.raises(AttributeError, match="speed"), cudnn.flags(speed=1):
        pass


def test_kinds_of_tensors() -> None:
    assert tuple(vs.FloatTensor(2, 3).shape) == (2, 3)
    assert vs.LongTensor([2**40 + 1]).tolist() == [2**40 + 1]
    assert vs.DoubleTensor([0.1]).item() == 0.1
    assert vs.FloatTensor(np.ones(2)).dtype is vs.float32
    assert vs.ByteTensor().shape == (0,)
    assert isinstance(vs.ones(1), vs.FloatTensor)
    assert not isinstance(vs.ones(1), vs.LongTensor)
    assert vs.ones(1, dtype=vs.float64).new([1.5, 2]).tolist() == [1.5, 2.0]
    assert vs.ones(1).type("torch.LongTensor").dtype is vs.int64
    assert vs.ones(1).type(vs.DoubleTensor).type() == "versant.DoubleTensor"
    with pytest.raises(ValueError, match="invalid type 'FloatTensor'"):
        vs.ones(1).type("FloatTensor")
    with pytest.raises(TypeError, match="sizes or a sequence, got float"):
        vs.FloatTensor(1.5)


def test_variables_are_tensors() -> None:
    x = vs.ones(2)
    v = vs.autograd.Variable(x, requires_grad=True)
    assert isinstance(x, vs.autograd.Variable)
    assert v.requires_grad
    assert not x.requires_grad
    assert v.data_ptr() == x.data_ptr()


def test_a_forked_stream_leaves_the_default_one() -> None:
    vs.manual_seed(0)
    expected = vs.rand(2)
    vs.manual_seed(0)
    with vs.random.fork_rng():
        vs.rand(5)
    assert (vs.rand(2) == expected).all()


def test_switches() -> None:
    vs.use_deterministic_algorithms(True)
    assert vs.are_deterministic_algorithms_enabled()
    vs.use_deterministic_algorithms(False)
    vs.set_float32_matmul_precision("high")
    assert vs.get_float32_matmul_precision() == "high"
    vs.set_float32_matmul_precision("highest")
    with pytest.raises(ValueError, match="got 'low'"):
        vs.set_float32_matmul_precision("low")
    vs.set_default_device("cpu")
    with pytest.raises(RuntimeError, match="got 'cuda'"):
        vs.set_default_device("cuda")
    vs.set_default_tensor_type("torch.DoubleTensor")
    try:
        assert vs.ones(1).dtype is vs.float64
    finally:
        vs.set_default_tensor_type(vs.FloatTensor)
    with pytest.raises(TypeError, match="floating-point type"):
        vs.set_default_tensor_type(vs.LongTensor)
    assert vs.get_default_device() == vs.device("cpu")
    assert not vs.set_flush_denormal(True)


def test_tensors_say_where_they_are() -> None:
    x = vs.ones(2)
    assert (x.is_cpu, x.is_cuda, x.is_meta, x.get_device()) == (True, False, False, -1)
    assert x.layout is vs.strided
    assert not x.is_pinned()
    assert not x.is_shared()
    assert vs.is_signed(x)
    assert not vs.is_signed(x.byte())
    assert vs.is_nonzero(x[:1])
    assert vs.is_same_size(x, x + 1)


def test_functions_know_whether_they_are_compiled() -> None:
    function = vs.compile(lambda x: x + int(vs.compiler.is_compiling()))
    assert function(vs.ones(1)).item() == 2.0
    assert not vs.compiler.is_compiling()


@pytest.mark.parametrize("address", ["distributions.normal", "nn.modules.rnn", "utils.data.sampler"])
def test_an_address_has_no_names_that_are_not_here(address) -> None:
    module = import_module(f"versant.{address}")
    with pytest.raises(AttributeError, match=f"'versant.{address}' has no attribute 'Nowhere'"):
        module.Nowhere  # noqa: B018
    assert "Nowhere" not in dir(module)


def test_scalers_of_old_addresses_are_those_of_a_device() -> None:
    assert vs.amp.GradScaler is vs.GradScaler is import_module("versant.amp.grad_scaler").GradScaler
    old = vs.cuda.amp.GradScaler
    assert old is import_module("versant.cuda.amp.grad_scaler").GradScaler
    assert issubclass(old, vs.amp.GradScaler)
    with pytest.warns(UserWarning, match="no device 'cuda'"):
        assert not old(2.0**10).is_enabled()
    assert vs.cpu.amp.GradScaler(2.0**10).get_scale() == 2.0**10


def test_scripts_are_the_functions_themselves() -> None:
    jit = vs.jit

    @jit.script
    def double(x: vs.Tensor) -> vs.Tensor:
        return jit.annotate(vs.Tensor, x + x)

    @jit.ignore(drop=True)
    def other(x):
        return x

    assert double(vs.tensor(2.0)).item() == 4
    assert other(3) == 3
    assert not jit.is_scripting()


def test_names_of_classes() -> None:
    assert vs.typename(vs.ones(1)) == "versant.FloatTensor" == vs.ones(1).type()
    assert vs.typename(3) == "int"
    assert vs.typename(vs.nn.Linear(1, 1)) == "versant.nn.linear.Linear"
