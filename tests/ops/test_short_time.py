"""stft against transforms of each window by itself; istft takes back what stft did."""

import pytest

import versant as vs


def hann(n: int) -> vs.Tensor:
    return 0.5 - 0.5 * vs.cos(2 * vs.pi * vs.arange(n) / n).double()


def test_each_window_by_itself() -> None:
    vs.manual_seed(0)
    x, window = vs.randn(2, 50).double(), hann(6)
    spectra = vs.stft(x, 8, 3, 6, window, center=False, normalized=True, return_complex=True)
    assert spectra.shape == (2, 5, 15)
    whole = vs.cat([vs.zeros(1), window, vs.zeros(1)])
    for t in range(15):
        expected = vs.fft.rfft(x[:, 3 * t : 3 * t + 8] * whole, norm="ortho")
        assert vs.allclose(spectra[:, :, t], expected)
    pairs = vs.stft(x, 8, 3, 6, window, center=False, normalized=True, return_complex=False)
    assert vs.equal(vs.view_as_complex(pairs), spectra)


def test_centred_windows_see_a_mirrored_signal() -> None:
    x = vs.randn(20).double()
    padded = vs.cat([x[1:5].flip(0), x, x[15:19].flip(0)])
    assert vs.equal(
        vs.stft(x, 8, 2, return_complex=True), vs.stft(padded, 8, 2, center=False, return_complex=True)
    )


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("onesided", [True, False])
def test_the_inverse(center: bool, onesided: bool) -> None:
    x = vs.randn(3, 64).double()
    options = {"n_fft": 16, "hop_length": 4, "window": hann(16) + 0.1, "center": center, "onesided": onesided}
    spectra = vs.stft(x, **options, return_complex=True)
    assert vs.allclose(vs.istft(spectra, **options, length=64), x)


def test_a_complex_signal_and_back() -> None:
    x = vs.randn(2, 40).double() + 1j * vs.randn(2, 40).double()
    spectra = vs.stft(x, 8)
    assert spectra.shape[1] == 8
    assert vs.allclose(vs.istft(spectra, 8, return_complex=True), x)


def test_gradient() -> None:
    vs.manual_seed(1)
    x = vs.randn(1, 24).double().requires_grad_()

    def energy(x: vs.Tensor) -> vs.Tensor:
        spectra = vs.stft(x, 8, window=hann(8), return_complex=True)
        return (spectra.abs() ** 2).sum() + vs.istft(spectra * spectra, 8, window=hann(8) + 0.2).sum()

    (gradient,) = vs.autograd.grad(energy(x), x)
    direction = vs.randn(1, 24).double()
    with vs.no_grad():
        slope = (energy(x + 1e-6 * direction) - energy(x - 1e-6 * direction)) / 2e-6
    assert vs.allclose((gradient * direction).sum(), slope, rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: vs.stft(x, 8), RuntimeError, "needs return_complex"),
        (lambda x: vs.stft(x, 64, center=False, return_complex=True), ValueError, "does not fit into 20"),
        (lambda x: vs.stft(x, 8, win_length=9, return_complex=True), ValueError, "0 < win_length <= n_fft"),
        (lambda x: vs.stft(x, 8, window=vs.ones(5), return_complex=True), ValueError, r"shape \(8,\), got"),
        (lambda x: vs.stft(x.long(), 8, return_complex=True), TypeError, "floating-point or complex input"),
        (lambda x: vs.istft(x, 8), TypeError, "expected complex input"),
        (lambda x: vs.istft(vs.ones(4, 2) + 0j, 8), ValueError, "expected 5 frequencies of n_fft 8, got 4"),
        (
            lambda x: vs.istft(vs.ones(5, 3) + 0j, 8, hop_length=8, win_length=4, center=False),
            RuntimeError,
            "leave samples uncovered",
        ),
    ],
)
def test_wrong_arguments(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(vs.zeros(20))


def test_frequencies() -> None:
    assert vs.fft.fftfreq(4, 0.5).tolist() == [0.0, 0.5, -1.0, -0.5]
    assert vs.fft.rfftfreq(5).tolist() == vs.tensor([0.0, 0.2, 0.4]).tolist()
