"""Every op gives the same bits in every run and on any number of threads, forward and backward.

The sample calls of the table are enlarged until they are worth several threads: all axes longer than one by
one factor, so that axes which must agree still do, or all axes of one size. Records whose numbers belong to
the sizes of their samples have larger calls here, or the reason why they need none.
"""

import numpy as np
import pytest

import versant as vs
from versant import testing
from versant.ops import table
from versant.ops.samples import array, booleans, call, fixed, probability

RECORDS = list(table.values())
ENOUGH = 70_000  # elements of the largest input
MOST = 300_000  # elements of a result, about
CASES = 3  # of one record

LARGE = {
    "zeros": call(300, 300),
    "ones": call(300, 300),
    "full": call((300, 300), 1.5),
    "arange": call(100_000),
    "arange.steps": call(0, 100_000, 1, vs.float32),
    "range": call(0.0, 100_000.0),
    "linspace": call(0, 1, 100_000),
    "linspace.steps": call(0, 1, 100_000, vs.float32),
    "logspace": call(0, 1, 100_000),
    "eye": call(300),
    "eye.matrix": call(300, 200, vs.float32),
    "bartlett_window": call(100_000),
    "blackman_window": call(100_000),
    "hamming_window": call(100_000),
    "hann_window": call(100_000),
    "kaiser_window": call(100_000),
    "tril_indices": call(300, 400),
    "triu_indices": call(300, 400),
    "cast": call(array(300, 300), vs.float64),
    "searchsorted.tensor": call(array(1), array(300, 300)),
    "reshape_as": call(array(300, 400), array(120_000)),
    "view_as": call(array(300, 400), array(120_000)),
    "masked_scatter": call(array(300, 400), booleans(300, 400), array(120_000)),
    "tensorsolve": call(array(4, 16, 64), array(4, 16)),
    "tensorinv": call(array(4, 16, 64), 2),
    "uniform_": call(fixed(300, 300), -1.0, 2.0),
    "normal_": call(fixed(300, 300), 1.0, 2.0),
    "random_int_": call(fixed(300, 300), 3, 90),
    "random_": call(fixed(300, 300), 3, 90),
    "bernoulli_": call(fixed(300, 300), 0.3),
    "bernoulli.draw": call(fixed(300, 300, domain=probability)),
    "bernoulli": call(fixed(300, 300, domain=probability)),
    "rand": call(300, 300),
    "randn": call(300, 300),
    "randint": call(2, 9, (300, 300)),
    "rand_like": call(fixed(300, 300)),
    "randn_like": call(fixed(300, 300)),
    "randint_like": call(fixed(300, 300), 2, 9),
    "normal": call(fixed(300, 300), 2.0),
    "randperm.draw": call(100_000),
    "randperm": call(100_000),
    "multinomial": call(fixed(300, 200, domain=probability), 20, True),
    "fft.fftfreq": call(100_000),
    "fft.rfftfreq": call(100_000),
    "affine_grid": call(array(4, 2, 3), (4, 3, 150, 160)),
    "fractional_max_pool2d": call(array(2, 8, 90, 80), 3, output_size=(30, 20)),
    "fractional_max_pool3d": call(array(2, 3, 30, 40, 30), 2, output_size=(10, 20, 10)),
}

WEIGHTS = (fixed(192, 64), fixed(192), None, None, False, 0.0, fixed(64, 64), fixed(64))
LARGE["multi_head_attention_forward"] = call(
    array(40, 30, 64), array(40, 30, 64), array(40, 30, 64), 64, 4, *WEIGHTS
)

UNTOUCHED = "memory that nothing is written to"
VIEW = "a view, which computes nothing"
EXEMPT = {
    "empty": UNTOUCHED,
    "empty_strided": UNTOUCHED,
    "empty_like": UNTOUCHED,
    "new_empty": UNTOUCHED,
    "new_empty_strided": UNTOUCHED,
    "view_as_real": VIEW,
    "imag": VIEW,
    "is_complex": "tells of a dtype",
    "is_conj": "tells of a flag",
    "is_neg": "tells of a flag",
    "scalar_tensor": "one element",
    "broadcast_shapes": "computes with shapes",
    "fourier.transform": "numpy's pocketfft, which runs on one thread; fft, ifft ... are tested",
    "lu_solve.of": "numpy's LAPACK; takes the pivots of lu_factor, which is tested",
    "lu_solve": "numpy's LAPACK; takes the pivots of lu_factor, which is tested",
    "lu_unpack": "takes the pivots of lu_factor, which is tested",
    "max_unpool1d.sizes": "max_unpool1d is tested",
    "max_unpool2d.sizes": "max_unpool2d is tested",
    "max_unpool3d.sizes": "max_unpool3d is tested",
}


def grown(call, size, factor):
    """The call with its axes of one size, or all longer than one (size None), made longer."""

    def grow(array):
        wanted = (n * factor if n > 1 and size in (None, n) else n for n in array.shape)
        return array._replace(shape=tuple(wanted))

    return testing.replace(tuple(call), grow)


def as_list(results):
    return list(results) if isinstance(results, (tuple, list)) else [results]


def elements(record, call, dtype):
    """How many elements the results of a call have; 0 where it fails."""
    try:
        (args, kwargs), _ = testing.differentiable_inputs(call, np.random.default_rng(1), dtype)
        return sum(r.numel() for r in as_list(record.call(*args, **kwargs)) if isinstance(r, vs.Tensor)) or 1
    except (ValueError, IndexError, TypeError, RuntimeError):
        return 0


def enlarged(record, call, size, dtype, rng):
    """The call with larger arrays; None where its numbers belong to the sizes of its arrays."""
    largest = max((array.shape for array in testing.arrays_of(call)), key=np.prod, default=())
    axes = sum(n > 1 and size in (None, n) for n in largest)
    if not axes or 0 in largest:
        return None
    small, double = (elements(record, grown(call, size, f), dtype) for f in (1, 2))
    if not (small and double):
        return None
    factor = (ENOUGH / np.prod(largest)) ** (1 / axes) * rng.uniform(0.8, 1.2)
    if double > small:
        factor = min(factor, (MOST / small) ** (1 / np.log2(double / small)))
    larger = grown(call, size, max(1, int(factor)))
    return larger if elements(record, larger, dtype) else None


def large_calls(record, dtype):
    """Up to three calls of random sizes."""
    if record.name in LARGE:
        return [LARGE[record.name]]
    rng = np.random.default_rng(testing.seed_of(record))
    found = []
    samples = testing.samples_of(record)
    for sample in [samples[i] for i in rng.permutation(len(samples))]:
        sizes = sorted({n for array in testing.arrays_of(sample) for n in array.shape if n > 1})
        for size in (None, *rng.permutation(sizes).tolist()):
            larger = enlarged(record, sample, size, dtype, rng)
            if larger is not None:
                found.append(larger)
                break
        if len(found) == CASES:
            break
    return found


def results_of(record, args, kwargs, leaves):
    """The results and the gradients of the leaves, as bytes."""
    vs.manual_seed(0)
    results = as_list(record.call(*args, **kwargs))
    recorded = [r for r in results if isinstance(r, vs.Tensor) and r.requires_grad]
    if recorded:
        weights = [vs.linspace(-1, 1, r.numel()).reshape(r.shape).to(r.dtype) for r in recorded]
        results += [
            g for g in vs.autograd.grad(recorded, leaves, weights, allow_unused=True) if g is not None
        ]
    return [r.detach()._to_bytes() if isinstance(r, vs.Tensor) else r for r in results]


@pytest.fixture
def threads():
    before = vs.get_num_threads()
    yield vs.set_num_threads
    vs.set_num_threads(before)


def dtype_for(record, dtype):
    """The dtype, or for records of integers alone int64; skips what the record does not take."""
    if record.kind == "elementwise" and dtype not in testing.dtypes_of(record):
        if dtype != "float32":
            pytest.skip(f"takes no {dtype}")
        return "int64"
    samples = testing.samples_of(record) or [LARGE[record.name]]
    takes = any(elements(record, sample, dtype) for sample in samples)
    if not takes and dtype != "float32":
        pytest.skip(f"takes no {dtype}")
    return dtype


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.name)
def test_threads_and_runs_give_the_same_bits(record, dtype, threads):
    if record.name in EXEMPT:
        pytest.skip(EXEMPT[record.name])
    if not testing.samples_of(record) and record.name not in LARGE:
        assert record.without, f"{record.name} has no samples and does not say why"
        pytest.skip(f"no samples: {next(iter(record.without.values()))}")
    dtype = dtype_for(record, dtype)
    calls = large_calls(record, dtype)
    assert calls, f"no sample of {record.name} can be enlarged: give it a call in LARGE"
    for larger in calls:
        (args, kwargs), leaves = testing.differentiable_inputs(larger, np.random.default_rng(1), dtype)
        threads(1)
        expected = results_of(record, args, kwargs, leaves)
        for count in (1, 2, 4):
            threads(count)
            assert results_of(record, args, kwargs, leaves) == expected, (record.name, larger, count)


def test_exemptions_are_needed():
    assert not [name for name in (*LARGE, *EXEMPT) if name not in table]
