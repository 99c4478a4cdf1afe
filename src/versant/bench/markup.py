"""Pieces of a page: figures with their captions, tables. Texts are escaped here, unless a name says HTML."""

from collections.abc import Iterable, Sequence
from html import escape


def figure(title: str, about: str, drawing_html: str, below: Iterable[str] = ()) -> str:
    """A chart with its title above and remarks below."""
    lines = "".join(f"<p>{escape(line)}</p>\n" for line in below)
    small = f"<small>{escape(about)}</small>" if about else ""
    return (
        f"<figure><figcaption><b>{escape(title)}</b>{small}</figcaption>\n{drawing_html}\n{lines}</figure>\n"
    )


def charts(figures_html: Iterable[str]) -> str:
    """Figures side by side, as many as fit."""
    return f'<div class="charts">\n{"".join(figures_html)}</div>\n'


class Strong(str):
    """A text in bold."""


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, kind: str = "figures") -> str:
    """A table whose first column names the rows, of "figures" or of "words"."""
    top = "".join(f'<th scope="col">{escape(word)}</th>' for word in head)
    body = ""
    for first, *rest in rows:
        cells = "".join(
            f"<td><b>{escape(text)}</b></td>" if isinstance(text, Strong) else f"<td>{escape(text)}</td>"
            for text in rest
        )
        body += f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>\n'
    return (
        f'<div class="scroll"><table class="{kind}"><caption>{escape(caption)}</caption>\n'
        f"<thead><tr>{top}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n"
    )


def listed(lines: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>\n"


def shortened(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
