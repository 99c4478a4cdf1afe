"""All comparisons, what they are expected to differ in, and the table of `make coverage`."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from oracle import classes, functions
from oracle.functions import Comparison

HERE = Path(__file__).parent


@cache
def names() -> dict[str, dict[str, list[str]]]:
    """Names by section (functions, classes) and group, from coverage.toml."""
    return tomllib.loads((HERE / "coverage.toml").read_text(encoding="utf-8"))


@cache
def exceptions() -> dict[str, str]:
    """Reasons by "name / check / dtype": comparisons that differ from PyTorch on purpose."""
    return tomllib.loads((HERE / "exceptions.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Unit:
    """One comparison to run: of a function by the position of its entry, or of a class."""

    group: str
    name: str
    check: str
    dtype: str = ""
    entry: int = 0

    def run(self) -> Comparison:
        if self.group == "nn":
            return classes.modules(self.name, self.check)
        if self.group == "optim":
            return classes.optimizers(self.name)
        if self.group == "optim.lr_scheduler":
            return classes.schedulers(self.name)
        op = functions.variants(self.name)[self.entry]
        dtype = next(d for d in functions.dtypes(op, self.check) if str(d) == self.dtype)
        return functions.compare(op, self.check, dtype)

    def __str__(self) -> str:
        return f"{self.name}-{self.entry}-{self.check}-{self.dtype.removeprefix('torch.')}"


def units(group: str, name: str) -> Iterator[Unit]:
    if group == "nn":
        if classes.module_entries(name):
            yield from (Unit(group, name, check) for check in ("module", "module text"))
    elif group == "optim":
        yield Unit(group, name, "optimizer")
    elif group == "optim.lr_scheduler":
        yield Unit(group, name, "schedule")
    else:
        for i, op in enumerate(functions.variants(name)):
            for check in functions.CHECKS:
                yield from (Unit(group, name, check, str(d), i) for d in functions.dtypes(op, check))


def present(group: str, name: str) -> bool:
    if group in names()["functions"]:
        return functions.exists(name)
    try:
        return callable(classes.ours(f"{group}.{name}"))
    except AttributeError:
        return False


def everything() -> list[tuple[str, str]]:
    return [(group, name) for section in names().values() for group, list in section.items() for name in list]


def reason(comparison: Comparison) -> str | None:
    """Why the comparison may differ: the entry for its name, check and dtype, or a wider one."""
    key = [comparison.op, comparison.check, comparison.dtype]
    return next(
        (exceptions()[" / ".join(key[:n])] for n in (3, 2, 1) if " / ".join(key[:n]) in exceptions()), None
    )


def must_differ(comparison: Comparison) -> bool:
    """Whether an exception for this very name, check and dtype says that it differs on every processor."""
    told = exceptions().get(f"{comparison.op} / {comparison.check} / {comparison.dtype}")
    return told is not None and not told.startswith("depends on the processor")
