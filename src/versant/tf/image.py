"""Those of tf.image that training programs use: flips, brightness and contrast, crops, resizing."""

from typing import Any

import versant
from versant.nn import functional as F
from versant.tf import dtypes, random
from versant.tf.calls import plainly, sizes_of
from versant.tf.dtypes import as_dtype
from versant.tf.tensors import brand

__all__ = [
    "adjust_brightness",
    "adjust_contrast",
    "central_crop",
    "convert_image_dtype",
    "crop_to_bounding_box",
    "flip_left_right",
    "flip_up_down",
    "pad_to_bounding_box",
    "per_image_standardization",
    "random_flip_left_right",
    "resize",
    "rgb_to_grayscale",
    "rot90",
    "total_variation",
]


def flip_left_right(image: Any) -> Any:
    """(..., H, W, C) mirrored."""
    return brand(versant.flip(plainly(image), [-2]))


def flip_up_down(image: Any) -> Any:
    """(..., H, W, C) upside down."""
    return brand(versant.flip(plainly(image), [-3]))


def random_flip_left_right(image: Any, seed: Any = None) -> Any:
    """Each image mirrored, or not, with equal chances."""
    x = plainly(image)
    shape = (x.size(0), 1, 1, 1) if x.dim() == 4 else ()
    turn = plainly(random.uniform(shape, seed=seed)) < 0.5
    return brand(versant.where(turn, versant.flip(x, [-2]), x))


def rot90(image: Any, k: int = 1, name: Any = None) -> Any:
    """(..., H, W, C) turned to the left k times."""
    return brand(versant.rot90(plainly(image), k, [-3, -2]))


def adjust_brightness(image: Any, delta: Any) -> Any:
    """image + delta."""
    return brand(plainly(image) + delta)


def adjust_contrast(images: Any, contrast_factor: Any) -> Any:
    """(x - mean of its channel) * contrast_factor + mean."""
    x = plainly(images)
    mean = x.mean((-3, -2), True)
    return brand((x - mean) * contrast_factor + mean)


def convert_image_dtype(image: Any, dtype: Any, saturate: bool = False, name: Any = None) -> Any:
    """Another dtype, scaled: integers up to their maximum, floats from 0 to 1."""
    x, kind = plainly(image), as_dtype(dtype)
    if x.dtype is kind:
        return brand(x.clone())
    if x.dtype in dtypes.INTEGERS and kind.is_floating_point:
        return brand(x.to(kind) * (1.0 / x.dtype.max))
    if x.dtype.is_floating_point and kind in dtypes.INTEGERS:
        top = kind.max
        scaled = x * (top + 0.5)
        return brand((scaled.clamp(kind.min, top) if saturate else scaled).to(kind))
    return brand(x.to(kind))


def central_crop(image: Any, central_fraction: float) -> Any:
    """The middle of an image: that share of its height and width."""
    x = plainly(image)
    h, w = tuple(x.shape)[-3:-1]
    top, left = int((h - h * central_fraction) / 2), int((w - w * central_fraction) / 2)
    return brand(x[..., top : h - top, left : w - left, :])


def crop_to_bounding_box(
    image: Any, offset_height: int, offset_width: int, target_height: int, target_width: int
) -> Any:
    """A part of an image."""
    x = plainly(image)
    return brand(
        x[..., offset_height : offset_height + target_height, offset_width : offset_width + target_width, :]
    )


def pad_to_bounding_box(
    image: Any, offset_height: int, offset_width: int, target_height: int, target_width: int
) -> Any:
    """An image inside a larger one of zeros."""
    x = plainly(image)
    h, w = tuple(x.shape)[-3:-1]
    around = [
        0,
        0,
        offset_width,
        target_width - offset_width - w,
        offset_height,
        target_height - offset_height - h,
    ]
    return brand(F.pad(x, around))


def per_image_standardization(image: Any) -> Any:
    """(x - mean) / deviation of each image, the deviation at least 1 / sqrt(number of elements)."""
    x = plainly(image).to(dtypes.float32)
    axes = (-3, -2, -1)
    n = float(versant.ones(tuple(x.shape)[-3:]).numel())
    deviation = versant.var(x, axes, unbiased=False, keepdim=True).sqrt().clamp(min=n**-0.5)
    return brand((x - x.mean(axes, True)) / deviation)


def rgb_to_grayscale(images: Any, name: Any = None) -> Any:
    """0.2989 R + 0.587 G + 0.114 B."""
    x = plainly(images)
    weights = versant.tensor([0.2989, 0.587, 0.114], dtype=x.dtype)
    return brand((x * weights).sum(-1, True))


def total_variation(images: Any, name: Any = None) -> Any:
    """The sum of the differences of neighbours, of each of (N, H, W, C) or of one image."""
    x = plainly(images)
    down, across = x.diff(dim=-3).abs(), x.diff(dim=-2).abs()
    return brand(down.sum((-3, -2, -1)) + across.sum((-3, -2, -1)))


def resize(
    images: Any,
    size: Any,
    method: str = "bilinear",
    preserve_aspect_ratio: bool = False,
    antialias: bool = False,
    name: Any = None,
) -> Any:
    """(N, H, W, C), or one image, in another size: "bilinear" or "nearest"."""
    if method not in ("bilinear", "nearest") or antialias or preserve_aspect_ratio:
        raise ValueError(
            "[resize] method is 'bilinear' or 'nearest'; antialias and aspect ratios are not supported"
        )
    x = plainly(images)
    single = x.dim() == 3
    x = x.unsqueeze(0) if single else x
    kept = x.dtype
    x = versant.movedim(x.to(dtypes.float32), -1, 1)
    if method == "bilinear":
        found = F.interpolate(x, sizes_of(size), mode="bilinear", align_corners=False)
    else:
        h, w = sizes_of(size)
        rows, columns = (
            ((2 * versant.arange(n) + 1) * size // (2 * n)).clamp(max=size - 1)
            for n, size in ((h, tuple(x.shape)[2]), (w, tuple(x.shape)[3]))
        )
        found = x.index_select(2, rows).index_select(3, columns)
    found = versant.movedim(found, 1, -1).contiguous()
    found = found.to(kept) if method == "nearest" else found
    return brand(found[0] if single else found)
