"""Random numbers: Philox, the draws made of it, generators, dropout."""

import math

import numpy as np
import pytest

import versant as vs

N = 200_000


def philox(counter, key):
    """Philox 4x32 with 10 rounds (Salmon et al. 2011). counter: 4 arrays of words, key: 2 words."""
    low = np.uint64(0xFFFFFFFF)
    c = [np.asarray(word, np.uint64) for word in counter]
    k = [np.uint64(word) for word in key]
    for _ in range(10):
        p, q = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [q >> np.uint64(32) ^ c[1] ^ k[0], q & low, p >> np.uint64(32) ^ c[3] ^ k[1], p & low]
        k = [(k[0] + np.uint64(0x9E3779B9)) & low, (k[1] + np.uint64(0xBB67AE85)) & low]
    return c


def test_known_answers_of_philox():
    """The vectors of the Random123 distribution."""
    ones, pi = 0xFFFFFFFF, [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]
    answers = {
        ((0, 0, 0, 0), (0, 0)): [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8],
        ((ones,) * 4, (ones,) * 2): [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD],
        (tuple(pi), (0xA4093822, 0x299F31D0)): [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    }
    for (counter, key), words in answers.items():
        assert [int(word) for word in philox(counter, key)] == words


def words_of(seed, first_block, groups):
    """As draws take them: word w of 16 blocks side by side, then the next word."""
    blocks = np.uint64(first_block) + np.arange(16 * groups, dtype=np.uint64)
    zero = np.zeros_like(blocks)
    words = philox(
        [blocks & np.uint64(0xFFFFFFFF), blocks >> np.uint64(32), zero, zero], [seed & 0xFFFFFFFF, seed >> 32]
    )
    return np.stack(words).reshape(4, groups, 16).transpose(1, 0, 2).reshape(-1)


@pytest.mark.parametrize("seed", [0, 7, 2**63 + 12345])
def test_a_uniform_draw_is_made_of_philox_words(seed):
    generator = vs.Generator().manual_seed(seed)
    n = 5000
    first = vs.zeros(n).uniform_(generator=generator)
    second = vs.zeros(10).uniform_(generator=generator)
    groups = -(-n // 64)
    words = words_of(seed, 0, groups + 1)
    fractions = (words >> np.uint64(8)).astype(np.float32) * np.float32(2**-24)
    np.testing.assert_array_equal(first.numpy(), fractions[:n])
    np.testing.assert_array_equal(second.numpy(), fractions[64 * groups :][:10])


def test_draws_do_not_depend_on_threads_or_layout():
    before = vs.get_num_threads()
    draws = []
    for threads in (1, 2, 3):
        vs.set_num_threads(threads)
        vs.manual_seed(5)
        columns = vs.zeros(300, 700).t()
        doubles = vs.zeros(700, 300, dtype=vs.float64)
        mask = vs.nn.functional.dropout(vs.ones(100_000), 0.3)
        draws.append((vs.zeros(700, 300).normal_(), doubles.normal_(), vs.randint(9, (70_000,)), mask))
        vs.manual_seed(5)
        vs.nn.functional.dropout(vs.ones(100_000), 0.3)
        assert vs.equal(columns.normal_(), draws[-1][0])
    vs.set_num_threads(before)
    for other in draws[1:]:
        assert all(vs.equal(a, b) for a, b in zip(draws[0], other, strict=True))


def test_the_state_can_be_saved_and_restored():
    generator = vs.Generator().manual_seed(3)
    vs.randn(100, generator=generator)
    state = generator.get_state()
    first = vs.randn(100, generator=generator)
    generator.set_state(state)
    assert vs.equal(vs.randn(100, generator=generator), first)
    assert not vs.equal(vs.randn(100, generator=generator), first)


@pytest.mark.parametrize("dtype", [vs.float16, vs.bfloat16, vs.float32, vs.float64])
def test_uniform_stays_below_the_upper_end_and_is_even(dtype):
    vs.manual_seed(0)
    for low, high in ((0.0, 1.0), (-3.0, 5.0), (1.0, 1.01)):
        x = vs.empty(N, dtype=dtype).uniform_(low, high)
        exact = x.to(vs.float64).numpy()
        assert exact.min() >= low
        assert exact.max() < high
        if high - low >= 1:
            fractions = (exact - low) / (high - low)
            step = 2**-8 if dtype == vs.bfloat16 else 2**-11
            counts = np.histogram(fractions, 16, (0, 1))[0]
            assert abs(fractions.mean() + step / 2 - 0.5) < 4 / math.sqrt(12 * N) + step
            assert counts.min() > N / 16 * 0.95 - N * step
            assert counts.max() < N / 16 * 1.05 + N * step


@pytest.mark.parametrize("dtype", [vs.float16, vs.bfloat16, vs.float32, vs.float64])
def test_normal_has_the_right_moments_and_tails(dtype):
    vs.manual_seed(1)
    x = vs.empty(N, dtype=dtype).normal_(0.0, 2.0).to(vs.float64).numpy() / 2
    error = 1 / math.sqrt(N)
    assert abs(x.mean()) < 4 * error
    assert abs(x.var() - 1) < 4 * math.sqrt(2) * error + 1e-3
    assert abs((x**3).mean()) < 4 * math.sqrt(15) * error
    assert abs((x**4).mean() - 3) < 4 * math.sqrt(96) * error + 5e-3
    for at in (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0):
        expected = 0.5 * math.erfc(-at / math.sqrt(2))
        assert abs((x < at).mean() - expected) < 5 * error + (0.01 if dtype == vs.bfloat16 else 1e-3)
    # elements that share a block, a radius or a lane are not correlated
    for lag in (1, 15, 16, 17, 32, 48, 64):
        for f in (np.asarray, np.abs, np.square):
            assert abs(np.corrcoef(f(x[:-lag]), f(x[lag:]))[0, 1]) < 5 * error


def test_integers_cover_their_range_evenly():
    vs.manual_seed(2)
    values, counts = np.unique(vs.randint(-3, 4, (N,)).numpy(), return_counts=True)
    assert values.tolist() == list(range(-3, 4))
    assert abs(counts - N / 7).max() < 5 * math.sqrt(N / 7)
    everything = vs.empty(N, dtype=vs.uint8).random_(0, 256).numpy()
    assert len(np.unique(everything)) == 256
    wide = vs.randint(-(2**63), 2**63 - 1, (1000,)).numpy()
    assert wide.min() < -(2**61)
    assert wide.max() > 2**61


def test_ranges_that_make_no_sense():
    with pytest.raises(ValueError, match=r"^\[randint\] expected low < high"):
        vs.randint(5, 5, (3,))
    with pytest.raises(ValueError, match="does not fit uint8"):
        vs.empty(3, dtype=vs.uint8).random_(0, 257)
    with pytest.raises(ValueError, match=r"^\[uniform_\] expected finite low <= high"):
        vs.empty(3).uniform_(2.0, 1.0)
    with pytest.raises(ValueError, match=r"^\[normal_\] expected std >= 0"):
        vs.empty(3).normal_(0.0, -1.0)
    with pytest.raises(vs.DTypeError, match=r"^\[normal_\] expected a floating-point tensor, got int64"):
        vs.empty(3, dtype=vs.int64).normal_()


# --- in place -----------------------------------------------------------------------------------------------


def test_a_leaf_that_wants_a_gradient_is_not_filled():
    x = vs.zeros(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        x.uniform_()
    with vs.no_grad():
        x.uniform_()
    assert x.requires_grad
    assert x.is_leaf


def test_a_fill_cuts_the_gradient_of_what_it_overwrites():
    x = vs.ones(4, requires_grad=True)
    y = x * 3
    y[:2].normal_()
    y.sum().backward()
    assert x.grad.tolist() == [0, 0, 3, 3]


def test_backward_notices_a_fill_of_a_saved_value():
    x = vs.ones(4, requires_grad=True)
    factor = vs.ones(4)
    y = (x * factor).sum()
    factor.uniform_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


# --- choices ------------------------------------------------------------------------------------------------


def test_bernoulli():
    vs.manual_seed(3)
    x = vs.bernoulli(vs.tensor([0.0, 0.3, 1.0]).expand(N, 3))
    assert x.dtype == vs.float32
    assert set(x.unique().tolist()) == {0, 1}
    zero, some, one = x.mean(0).tolist()
    assert zero == 0
    assert one == 1
    assert abs(some - 0.3) < 5 * math.sqrt(0.21 / N)
    for wrong in (-0.1, 1.1, math.nan):
        with pytest.raises(RuntimeError, match=r"^\[bernoulli\] expected probabilities from 0 to 1"):
            vs.bernoulli(vs.tensor([0.5, wrong]))


def test_randperm():
    vs.manual_seed(4)
    assert sorted(vs.randperm(1000).tolist()) == list(range(1000))
    assert vs.randperm(0).tolist() == []
    assert vs.randperm(1).tolist() == [0]
    counts = np.zeros((3, 3))
    for _ in range(3000):
        counts[vs.randperm(3).tolist(), range(3)] += 1
    assert abs(counts - 1000).max() < 5 * math.sqrt(3000 * 2 / 9)
    with pytest.raises(RuntimeError, match=r"^\[randperm\] n must be non-negative"):
        vs.randperm(-1)


def test_multinomial_with_replacement():
    vs.manual_seed(5)
    draws = vs.multinomial(vs.tensor([0.0, 1.0, 3.0, 0.0]), N, replacement=True).numpy()
    counts = np.bincount(draws, minlength=4)
    assert counts[0] == counts[3] == 0
    assert abs(counts[1] - N / 4) < 5 * math.sqrt(N * 3 / 16)


def test_multinomial_without_replacement():
    vs.manual_seed(6)
    draws = vs.multinomial(vs.tensor([[0.0, 1.0, 3.0]]).expand(N, 3), 2).numpy()
    assert (np.sort(draws, 1) == [1, 2]).all()
    assert abs((draws[:, 0] == 1).mean() - 0.25) < 5 * math.sqrt(3 / 16 / N)


@pytest.mark.parametrize(
    ("weights", "samples", "message"),
    [
        ([1.0, -1.0], 1, "either inf, nan or element < 0"),
        ([1.0, math.nan], 1, "either inf, nan or element < 0"),
        ([math.inf, 1.0], 1, "either inf, nan or element < 0"),
        ([0.0, 0.0], 1, "the weights sum to 0"),
        ([1.0, 1.0], 3, "cannot draw 3 samples from 2"),
        ([1.0, 0.0], 2, "2 samples without replacement from 1"),
        ([1.0, 1.0], 0, "cannot sample 0"),
    ],
)
def test_weights_that_cannot_be_drawn_from(weights, samples, message):
    with pytest.raises(RuntimeError, match=rf"^\[multinomial\] .*{message}"):
        vs.multinomial(vs.tensor(weights), samples)


# --- dropout ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [vs.bfloat16, vs.float32, vs.float64])
def test_dropout_keeps_and_scales(dtype):
    vs.manual_seed(7)
    x = vs.ones(N, dtype=dtype)
    y = vs.nn.functional.dropout(x, 0.25)
    kept = y != 0
    assert abs(kept.to(vs.float32).mean().item() - 0.75) < 5 * math.sqrt(0.1875 / N)
    assert set(y[kept].tolist()) == {vs.tensor(1 / 0.75, dtype=dtype).item()}


def test_the_gradient_of_dropout_is_the_same_dropout():
    vs.manual_seed(8)
    x = vs.randn(1000, requires_grad=True)
    y = vs.nn.functional.dropout(x, 0.5)
    (g,) = vs.autograd.grad((y**3).sum(), x, create_graph=True)
    kept = y.detach() != 0
    np.testing.assert_allclose(g.detach().numpy(), (3 * y**2 * 2 * kept).detach().numpy(), rtol=1e-6)
    (second,) = vs.autograd.grad(g.sum(), x)
    np.testing.assert_allclose(second.numpy(), (6 * y * 4 * kept).detach().numpy(), rtol=1e-6)


def test_the_ends_of_dropout():
    x = vs.randn(100)
    assert vs.nn.functional.dropout(x, 1.0).tolist() == [0] * 100
    assert vs.equal(vs.nn.functional.dropout(x, 0.0), x)
    assert vs.equal(vs.nn.functional.dropout(x, 0.5, training=False), x)
    for p in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"^\[dropout\]"):
            vs.nn.functional.dropout(x, p)
