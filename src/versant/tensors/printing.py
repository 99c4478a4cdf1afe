"""How tensors print: aligned columns, summarised beyond 1000 elements, as PyTorch prints them."""

import math
from dataclasses import dataclass
from typing import Any

from versant import _core
from versant._core import Tensor


@dataclass
class PrintOptions:
    """precision: digits after the point; threshold: elements above which a tensor is summarised; edgeitems:
    how many are shown at each end of an axis then; linewidth: characters of a line; sci_mode: force (or
    forbid) exponents."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


options = PrintOptions()

_profiles = {
    "default": PrintOptions(),
    "short": PrintOptions(precision=2, edgeitems=2),
    "full": PrintOptions(threshold=math.inf),
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Changes how tensors print; what is None stays.  profile: "default", "short" or "full"."""
    if profile is not None:
        if profile not in _profiles:
            raise ValueError(f"[set_printoptions] unknown profile {profile!r}; known: {sorted(_profiles)}")
        options.__dict__.update(_profiles[profile].__dict__)
    changes = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    options.__dict__.update({name: value for name, value in changes.items() if value is not None})
    options.sci_mode = sci_mode


class _Formatter:
    """One format for all shown numbers of a tensor, so that columns align."""

    def __init__(self, values: list[Any], floating: bool) -> None:
        self.floating = floating
        self.integral = True  # no value has a fraction
        self.scientific: bool | None = False
        self.width = 1
        if not floating:
            self.width = max((len(str(v)) for v in values), default=1)
            return
        # Zeros, infinities and NaNs have no say, not even in the width.
        telling = [v for v in values if v != 0 and math.isfinite(v)]
        if not telling:
            return
        largest, smallest = max(map(abs, telling)), min(map(abs, telling))
        self.integral = all(v == math.ceil(v) for v in telling)
        self.scientific = options.sci_mode
        if self.scientific is None:
            self.scientific = largest / smallest > 1000.0 or largest > 1.0e8 or smallest < 1.0e-4
        self.width = max(len(self._number(v)) for v in telling)

    def _number(self, value: Any) -> str:
        if not self.floating:
            return str(value)
        if not math.isfinite(value):
            return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
        if self.scientific:
            return f"{value:.{options.precision}e}"
        if self.integral:
            return f"{value:.0f}."
        return f"{value:.{options.precision}f}"

    def __call__(self, value: Any) -> str:
        return self._number(value).rjust(self.width)


class _ComplexFormatter:
    """One format for all real parts, another for all imaginary parts."""

    def __init__(self, values: list[complex]) -> None:
        self.real = _Formatter([v.real for v in values], True)
        self.imag = _Formatter([v.imag for v in values], True)
        self.width = self.real.width + self.imag.width + 1

    def __call__(self, value: complex) -> str:
        imag = f"{self.imag(value.imag)}j".lstrip()
        return self.real(value.real) + ("" if imag[0] == "-" else "+") + imag


def _shown(tensor: Tensor, summarise: bool) -> list[Any]:
    """The numbers that will be printed."""
    if tensor.numel() == 0:
        return []
    if not summarise:
        values: list[Any] = tensor.reshape(-1).tolist()
        return values
    corner = tensor
    for axis in range(tensor.dim()):
        edge = options.edgeitems
        if corner.shape[axis] > 2 * edge:
            picks = [*range(edge), *range(corner.shape[axis] - edge, corner.shape[axis])]
            corner = corner.index_select(axis, _core.tensor(picks, _core.int64))
    corners: list[Any] = corner.reshape(-1).tolist()
    return corners


def _vector(tensor: Tensor, indent: int, summarise: bool, formatter: Any) -> str:
    per_line = max(1, (options.linewidth - indent) // (formatter.width + 2))
    edge = options.edgeitems
    if summarise and not edge:
        words = ["..."]
    elif summarise and tensor.shape[0] > 2 * edge:
        words = [formatter(v) for v in tensor[:edge].tolist()] + [" ..."]
        words += [formatter(v) for v in tensor[-edge:].tolist()]
    else:
        words = [formatter(v) for v in tensor.tolist()]
    lines = [", ".join(words[i : i + per_line]) for i in range(0, len(words), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _block(tensor: Tensor, indent: int, summarise: bool, formatter: Any) -> str:
    if tensor.dim() == 0:
        return str(formatter(tensor.item()))
    if tensor.dim() == 1:
        return _vector(tensor, indent, summarise, formatter)
    edge = options.edgeitems
    size = tensor.shape[0]
    if summarise and not edge:
        rows = ["..."]
    elif summarise and size > 2 * edge:
        rows = [_block(tensor[i], indent + 1, summarise, formatter) for i in range(edge)]
        rows.append("...")
        rows += [_block(tensor[i], indent + 1, summarise, formatter) for i in range(size - edge, size)]
    else:
        rows = [_block(tensor[i], indent + 1, summarise, formatter) for i in range(size)]
    gap = "," + "\n" * (tensor.dim() - 1) + " " * (indent + 1)
    return "[" + gap.join(rows) + "]"


def represent(tensor: Tensor, kind: str | None = None) -> str:
    """The text of repr(tensor).  kind: the word before the parenthesis, by default the class of tensor."""
    if not _core.is_tracing():
        return _represent(tensor, kind)
    _core.trace_pause(True)  # to look is not to read: what is printed leads nowhere
    try:
        return _represent(tensor, kind)
    finally:
        _core.trace_pause(False)


def _represent(tensor: Tensor, kind: str | None) -> str:
    from versant.autograd.modes import no_grad

    held = _core.wrapped(tensor)
    if held is not None:
        return _wrapped(*held)
    prefix = (kind or ("tensor" if type(tensor) is Tensor else type(tensor).__name__)) + "("
    plain = tensor.detach()
    with no_grad():
        summarise = plain.numel() > options.threshold
        if plain.numel() == 0 and plain.dim() != 1:
            body = "[]"
        else:
            shown = _shown(plain, summarise)
            formatter: Any = (
                _ComplexFormatter(shown)
                if plain.is_complex()
                else _Formatter(shown, plain.is_floating_point())
            )
            body = _block(plain, len(prefix), summarise, formatter)
    suffixes = []
    if (plain.numel() == 0 and plain.dim() != 1) or (summarise and not options.edgeitems):
        suffixes.append(f"size={tuple(plain.shape)}")
    default = _core.get_default_dtype()
    usual = (default, default.to_complex(), _core.int64, _core.bool)
    if plain.dtype not in usual or (plain.numel() == 0 and plain.dtype is not _core.get_default_dtype()):
        suffixes.append(f"dtype={plain.dtype!r}")
    if tensor.grad_fn is not None:
        suffixes.append(f"grad_fn=<{tensor.grad_fn.name()}>")
    elif tensor.requires_grad:
        suffixes.append("requires_grad=True")
    return _with_suffixes(prefix + body, suffixes, len(prefix))


def _wrapped(batch: bool, level: int, value: Tensor, tangent: Tensor | None) -> str:
    """A tensor inside of vmap or jvp, with all that it stands for."""
    inner = represent(value).replace("\n", "\n    ")
    if batch:
        return f"Batch(level={level}, samples=\n    {inner}\n)"
    assert tangent is not None
    slope = represent(tangent).replace("\n", "\n    ")
    return f"Dual(level={level}, value=\n    {inner},\n  tangent=\n    {slope}\n)"


def _with_suffixes(text: str, suffixes: list[str], indent: int) -> str:
    """What follows the numbers, on lines of its own where the last one is full."""
    last = len(text) - text.rfind("\n") + 1
    parts = [text]
    for suffix in suffixes:
        if last + len(suffix) + 2 > options.linewidth:
            parts.append(",\n" + " " * indent + suffix)
            last = indent + len(suffix)
        else:
            parts.append(", " + suffix)
            last += len(suffix) + 2
    return "".join(parts) + ")"
