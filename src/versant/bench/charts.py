"""Bar charts as inline SVG: horizontal bars from a zero line, their lengths in proportion to the figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, NAMES, FIGURES = 520, 138, 162  # of a chart, the names at its left, the figure behind the longest bar
ROW, BAR = 26, 16  # heights


@dataclass(frozen=True)
class Bar:
    """One line of a chart."""

    name: str
    value: float
    text: str
    """The figure in words, at the bar's end."""

    kind: str
    """The CSS classes that colour it: the framework, and "compiled"."""

    detail: str = ""
    """What a reader sees who points at the bar."""


def chart(
    name: str, title: str, bars: Sequence[Bar], *, longest: float | None = None, names: int = NAMES
) -> str:
    """An SVG element. `name` is unique in the page; a full bar is `longest`, or the largest value.

    `names` is the width of the column of names.
    """
    scale = (WIDTH - names - FIGURES) / (longest or max((bar.value for bar in bars), default=0.0) or 1.0)
    height = ROW * len(bars) + 6
    told = "; ".join(f"{bar.name}: {bar.text}" for bar in bars)
    lines = [
        f'<svg role="img" viewBox="0 0 {WIDTH} {height}" aria-labelledby="{name}-title {name}-desc">',
        f'<title id="{name}-title">{escape(title)}</title>',
        f'<desc id="{name}-desc">{escape(told)}</desc>',
    ]
    for place, bar in enumerate(bars):
        top = 3 + ROW * place
        middle, length = top + ROW / 2, bar.value * scale
        lines += [
            f"<g><title>{escape(bar.detail or f'{bar.name}: {bar.text}')}</title>",
            f'<text class="name" x="{names - 8}" y="{middle:g}">{escape(bar.name)}</text>',
            f'<rect class="bar {escape(bar.kind)}" x="{names}" y="{top + (ROW - BAR) / 2:g}" '
            f'width="{length:.3f}" height="{BAR}" data-value="{bar.value:.9g}"/>',
            f'<text class="figure" x="{names + length + 6:.2f}" y="{middle:g}">{escape(bar.text)}</text></g>',
        ]
    lines += [f'<line class="zero" x1="{names}" y1="0" x2="{names}" y2="{height}"/>', "</svg>"]
    return "\n".join(lines)


def seconds(value: float) -> str:
    """A time with three digits and a unit that suits it."""
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        if value * factor < 999.5:
            return f"{digits(value * factor)} {unit}"
    return f"{digits(value)} s"


def megabytes(size: float) -> str:
    return f"{digits(size / 1e6)} MB"


def times(ratio: float) -> str:
    """How many times another one's figure."""
    return f"{digits(ratio)}×"


def digits(value: float) -> str:
    """Three digits, more where the whole part has more."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
