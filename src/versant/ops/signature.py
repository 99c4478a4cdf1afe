"""Signatures of ops, as text in the op table:

    input, dim: ints? = None, keepdim: bool = False, *, dtype: dtype? = None

    input, k: int -> values, indices

An argument without kind is a tensor. Kinds: tensor, tensors, int, ints, *ints (also as several arguments),
*ints_or_dtype, float, number, bool, dtype, text, generator; with "?" None is allowed too. What follows * is
passed by keyword.
"""

import re
from typing import Any, NamedTuple

from versant import _core

REQUIRED: Any = _core.REQUIRED

_ARGUMENT = re.compile(
    r"(?P<star>\*)(?:, |$)"
    r"|(?P<name>\w+)(?:: (?P<kind>\*?\w+\??))?(?: = (?P<default>\([^)]*\)|[^,]+))?(?:, |$)"
)
_LITERALS = {"None": None, "True": True, "False": False, "()": ()}


class Argument(NamedTuple):
    name: str
    kind: str
    default: Any  # REQUIRED when there is none
    keyword_only: bool


def results_of(text: str) -> list[str]:
    """The names of the results, of ops that have several."""
    _, arrow, results = text.partition(" -> ")
    return results.split(", ") if arrow else []


def parse(text: str) -> list[Argument]:
    text = text.partition(" -> ")[0]
    arguments = []
    keyword_only = False
    position = 0
    while position < len(text):
        match = _ARGUMENT.match(text, position)
        if match is None:
            raise ValueError(f"[signature] cannot read {text[position:]!r} in {text!r}")
        position = match.end()
        if match["star"]:
            keyword_only = True
            continue
        default = REQUIRED if match["default"] is None else literal(match["default"])
        arguments.append(Argument(match["name"], match["kind"] or "tensor", default, keyword_only))
    return arguments


def literal(text: str) -> Any:
    if text in _LITERALS:
        return _LITERALS[text]
    if text.startswith("("):
        return tuple(literal(part.strip()) for part in text[1:-1].split(",") if part.strip())
    if text[0] in "\"'":
        return text[1:-1]
    return float(text) if any(c in text for c in ".en") else int(text)


def show(arguments: list[Argument]) -> str:
    """The signature as people read it."""
    parts: list[str] = []
    for argument in arguments:
        if argument.keyword_only and "*" not in parts:
            parts.append("*")
        name = f"*{argument.name}" if argument.kind.startswith("*") else argument.name
        parts.append(name if argument.default is REQUIRED else f"{name}={argument.default!r}")
    return ", ".join(parts)
