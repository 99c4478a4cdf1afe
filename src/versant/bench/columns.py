"""Which columns meet in a run: those asked for, as far as their frameworks are installed."""

import sys
from collections.abc import Mapping, Sequence

from .frameworks import CONTESTANTS, FRAMEWORKS, Column
from .processes import WorkerError
from .rounds import Rounds
from .workloads.workload import Workload

OURS = "versant"
STANDARD = {
    "versant": ["versant-compile"],
    "torch": ["torch", "torch-fused", "torch-compile", "torch-onestep"],
    "tf": ["tf", "tf-function", "tf-xla"],
    "jax": ["jax"],
}
"""The columns of each framework that a reader wants to see; our first one is always there."""


def against(names: Sequence[str]) -> list[Column]:
    """The columns behind names of peers, "torch", and of columns, "torch-fused:1"; ours stand first."""
    labels = [OURS, *STANDARD[OURS]]
    for name in names:
        labels += STANDARD.get(name, [name])
    try:
        return [Column.parse(label) for label in dict.fromkeys(labels)]
    except ValueError:
        peers = [name for name in FRAMEWORKS if not name.startswith(OURS)]
        unknown = next(name for name in names if name not in STANDARD and not known(name))
        raise ValueError(
            f"no peer {unknown!r}; there are {', '.join(peers)}, and the columns {', '.join(CONTESTANTS)}"
        ) from None


def known(label: str) -> bool:
    try:
        return Column.parse(label) is not None
    except ValueError:
        return False


def interpreter(column: Column, pythons: Mapping[str, str]) -> str:
    """The Python of a column, by its label or its framework; the one that runs this where none is named."""
    return pythons.get(column.label) or pythons.get(column.contestant.framework) or sys.executable


def start(
    rounds: Rounds, columns: Sequence[Column], *, pythons: Mapping[str, str], threads: int
) -> tuple[list[Column], dict[str, str]]:
    """Starts a worker for each column. Returns the columns that run, and why each of the others does not."""
    running, absent = [], {}
    missing: dict[tuple[str, str], str] = {}  # what is not there for one column is not there for the next
    for column in columns:
        python = interpreter(column, pythons)
        place = (column.contestant.framework, python)
        if place in missing:
            absent[column.label] = missing[place]
            continue
        try:
            rounds.start(column, python, column.threads or threads)
            running.append(column)
        except (WorkerError, OSError) as error:
            absent[column.label] = str(error).strip()
            if absent[column.label].endswith("is not installed"):
                missing[place] = absent[column.label]
    return running, absent


def takes_part(column: Column, workload: Workload) -> bool:
    """Whether the column's dialect has the workload, and the column is ours or no repetition in it."""
    contestant = column.contestant
    chosen = contestant.options.chosen()
    spoken = contestant.dialect in workload.programs
    own = column.label == OURS or contestant.compiles
    return spoken and (own or not chosen or bool(chosen & workload.reads))
