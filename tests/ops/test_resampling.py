"""interpolate, grid_sample, affine_grid, fold: against sampling by hand, one element at a time."""

import math

import pytest

import versant as vs
from versant.nn import functional as F


def pixel(image: vs.Tensor, y: int, x: int, padding: str, align: bool) -> float:
    """The element of a (H, W) image, with what lies outside."""

    def inside(i: int, n: int) -> int | None:
        if padding == "border":
            return min(max(i, 0), n - 1)
        return i if 0 <= i < n else None

    row, column = inside(y, image.shape[0]), inside(x, image.shape[1])
    return 0.0 if row is None or column is None else image[row, column].item()


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border"])
def test_grid_sample_by_hand(padding: str, align: bool) -> None:
    vs.manual_seed(0)
    image = vs.randn(4, 5).double()
    grid = vs.rand(1, 3, 3, 2).double() * 2.6 - 1.3
    result = F.grid_sample(image[None, None], grid, "bilinear", padding, align)[0, 0]
    for i in range(3):
        for j in range(3):
            gx, gy = grid[0, i, j].tolist()
            x = (gx + 1) / 2 * 4 if align else ((gx + 1) * 5 - 1) / 2
            y = (gy + 1) / 2 * 3 if align else ((gy + 1) * 4 - 1) / 2
            if padding == "border":
                x, y = min(max(x, 0), 4), min(max(y, 0), 3)
            left, top = math.floor(x), math.floor(y)
            value = sum(
                pixel(image, top + b, left + a, padding, align)
                * (x - left if a else 1 - x + left)
                * (y - top if b else 1 - y + top)
                for a in (0, 1)
                for b in (0, 1)
            )
            assert math.isclose(result[i, j].item(), value, abs_tol=1e-12)


def test_the_identity_map_samples_the_image_itself() -> None:
    image = vs.randn(2, 3, 4, 5)
    theta = vs.tensor([[1.0, 0, 0], [0, 1.0, 0]]).expand(2, 2, 3)
    for align in (False, True):
        grid = F.affine_grid(theta, image.shape, align)
        for mode in ("bilinear", "nearest", "bicubic"):
            same = F.grid_sample(image, grid, mode, "reflection", align)
            assert vs.allclose(same, image, atol=1e-5)


def test_reflection_mirrors_at_the_edges() -> None:
    image = vs.arange(4.0).view(1, 1, 1, 4)
    x = vs.tensor([-1.25, -0.75, 0.75, 1.25, 2.75])  # -1, 0, 3, 4, 7 in elements
    grid = vs.stack([x, vs.zeros(5)], -1).view(1, 1, 5, 2)
    assert F.grid_sample(image, grid, padding_mode="reflection")[0, 0, 0].tolist() == [0, 0, 3, 3, 0]


def test_interpolate_to_double_the_size() -> None:
    line = vs.tensor([[[0.0, 4.0, 8.0]]])
    assert F.interpolate(line, scale_factor=2).tolist() == [[[0, 0, 4, 4, 8, 8]]]
    assert F.interpolate(line, scale_factor=2, mode="linear").tolist() == [[[0, 1, 3, 5, 7, 8]]]
    assert F.interpolate(line, 5, mode="linear", align_corners=True).tolist() == [[[0, 2, 4, 6, 8]]]


def test_a_filter_against_aliasing_keeps_the_mean() -> None:
    image = vs.randn(1, 1, 16, 16).double()
    for mode in ("bilinear", "bicubic", "lanczos"):
        small = F.interpolate(image, (16, 16), mode=mode, antialias=True)
        assert vs.allclose(small, image, atol=1e-12)
        flat = F.interpolate(vs.ones(1, 1, 16, 16), (5, 7), mode=mode, antialias=True)
        assert vs.allclose(flat, vs.ones(1, 1, 5, 7), atol=1e-6)


def test_bytes_are_rounded_and_saturate() -> None:
    image = vs.tensor([[0, 0, 255, 255]], dtype=vs.uint8).view(1, 1, 1, 4)
    wide = F.interpolate(image, (1, 8), mode="bicubic")
    assert wide.dtype is vs.uint8
    assert wide.flatten().tolist()[0] == 0
    assert wide.flatten().tolist()[-1] == 255
    assert F.interpolate(image, (1, 2), mode="bilinear").flatten().tolist() == [0, 255]


def test_fold_is_the_adjoint_of_unfold() -> None:
    options = {"kernel_size": (3, 2), "dilation": (1, 2), "padding": (1, 0), "stride": (2, 1)}
    image = vs.randn(2, 3, 7, 6).double().requires_grad_()
    columns = F.unfold(image, **options)
    other = vs.randn(*columns.shape).double()
    (gradient,) = vs.autograd.grad(columns, image, other)
    assert vs.allclose(F.fold(other, (7, 6), **options), gradient)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: F.interpolate(x), ValueError, "either size or scale_factor"),
        (lambda x: F.interpolate(x, 3, 2), ValueError, "either size or scale_factor"),
        (lambda x: F.interpolate(x, (3, 3, 3)), ValueError, r"expected 2 sizes, got \(3, 3, 3\)"),
        (lambda x: F.interpolate(x, 0), ValueError, r"cannot resize \(1, 2, 4, 5\) to \(0, 0\)"),
        (lambda x: F.interpolate(x, 3, mode="linear"), NotImplementedError, "takes 3-D input"),
        (lambda x: F.interpolate(x, 3, mode="area", align_corners=True), ValueError, "no align_corners"),
        (lambda x: F.grid_sample(x, vs.zeros(2, 3, 3, 2)), ValueError, "1 images and 2 grids"),
        (lambda x: F.grid_sample(x, vs.zeros(1, 3, 3, 3)), ValueError, r"\[grid_sample\] expected \(N, C, H"),
        (lambda x: F.grid_sample(x, vs.zeros(1, 3, 3, 2), "cubic"), ValueError, "mode must be one of"),
        (lambda x: F.affine_grid(vs.zeros(1, 3, 3), (1, 1, 2, 2)), ValueError, r"\[affine_grid\] expected"),
        (lambda x: F.fold(vs.zeros(1, 8, 3), (4, 4), 2), ValueError, r"have 3 \* 3 patches"),
    ],
)  # fmt: skip
def test_wrong_arguments(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(vs.zeros(1, 2, 4, 5))
