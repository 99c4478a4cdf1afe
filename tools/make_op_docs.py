"""Writes docs/reference/ops.md, the page of all ops, from the op table.

usage: python tools/make_op_docs.py           rewrites it
       python tools/make_op_docs.py --check   fails when it is stale
"""

import inspect
import sys
from pathlib import Path
from typing import Any

from versant import ops
from versant.ops.install import NAMESPACES
from versant.ops.record import Record
from versant.ops.signature import show

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "ops.md"
INTRODUCTION = """# Ops

Every op, by family; made from the op table by `tools/make_op_docs.py`. `x.name_` is an in-place form. Every
function takes `out=`: a tensor, or a tuple of them where there are several results, that receives the result
in its own dtype and is returned.
"""


def main_name(record: Record) -> str:
    """The name that a reader looks for: `versant.add`, `nn.functional.relu`, `Tensor.view`."""
    found = [
        (NAMESPACES.index(place), place, name)
        for place, name, form in ops.names(record)
        if form is record.call
    ]
    if not found:
        return ""
    _, place, name = min(found)
    return f"{place}.{name}"


def signature(record: Record) -> str:
    if record.signature is not None:
        return show(record.signature)
    parameters = inspect.signature(record.call).parameters.values()
    return ", ".join(str(p.replace(annotation=inspect.Parameter.empty)) for p in parameters)


def entry(record: Record, name: str) -> str:
    lines = inspect.cleandoc(record.doc).splitlines()
    text = (
        f"**`{name}`**`({signature(record)})`  \n{' '.join(line.strip() for line in lines if line.strip())}"
    )
    others = sorted({f"{place}.{n}" for place, n, form in ops.names(record) if form is record.call} - {name})
    notes = []
    if others:
        notes.append("also " + ", ".join(f"`{other}`" for other in others))
    if record.in_place is not None:
        notes.append(f"`x.{name.rpartition('.')[2]}_`")
    if record.onnx and isinstance(record.onnx, str):
        notes.append(f"ONNX {record.onnx}")
    if not record.differentiable:
        notes.append("no gradient")
    return text + (f"  \n*{'; '.join(notes)}*" if notes else "") + "\n"


def family(module: Any) -> str:
    title, _, rest = inspect.cleandoc(module.__doc__).partition("\n")
    entries = {
        main_name(record): record
        for record in ops.table.values()
        if record.family == module.__name__ and main_name(record)
    }
    if not entries:  # records that others are built on
        return ""
    shown = [
        entry(record, name) for name, record in sorted(entries.items(), key=lambda e: e[0].split(".")[-1])
    ]
    return "\n".join([f"## {title.rstrip('.')}\n", *([rest.strip() + "\n"] if rest.strip() else []), *shown])


def page() -> str:
    return "\n".join([INTRODUCTION, *filter(None, map(family, ops.families()))])


def main() -> int:
    text = page()
    if "--check" in sys.argv:
        if not PAGE.exists() or PAGE.read_text() != text:
            print(f"{PAGE} is stale, run python tools/make_op_docs.py")
            return 1
        return 0
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
