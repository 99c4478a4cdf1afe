"""Signatures of ops, as text in the op table:

    input, dim: ints? = None, keepdim: bool = False, *, dtype: dtype? = None

    input, k: int -> values, indices

An argument without kind is a tensor. Kinds: tensor, tensors, int, ints, *ints (also as several arguments),
*ints_or_dtype, float, number, bool, dtype, text, generator; with "?" None is allowed too. What follows * is
passed by keyword.
"""

from __future__ import annotations

from versant import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple
else:
    from versant.ops.tuples import NamedTuple

REQUIRED: Any = _core.REQUIRED

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
    for part in split(text):
        if part == "*":
            keyword_only = True
            continue
        head, _, default = part.partition(" = ")
        name, _, kind = head.partition(": ")
        if not name.isidentifier():
            raise ValueError(f"[signature] cannot read {part!r} in {text!r}")
        arguments.append(
            Argument(name, kind or "tensor", literal(default) if default else REQUIRED, keyword_only)
        )
    return arguments


def split(text: str) -> list[str]:
    """The arguments of a signature, which commas divide; those in a tuple do not."""
    parts: list[str] = []
    for part in text.split(", ") if text else []:
        if parts and parts[-1].count("(") > parts[-1].count(")"):
            parts[-1] += f", {part}"
        else:
            parts.append(part)
    return parts


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
