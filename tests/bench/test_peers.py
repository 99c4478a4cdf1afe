"""Every program that one kind of peer alone runs: its first six values are ours, where the peer is installed.

Those that call `torch.compile` run as they are written, with the compiler off, for compiling all of them
takes minutes; a few are compiled. A peer that is not installed is skipped: pip install versant[peers].
"""

import shutil
import sys

import pytest

from versant.bench.columns import takes_part
from versant.bench.frameworks import Column
from versant.bench.processes import WorkerError
from versant.bench.rounds import Rounds, disagreement
from versant.bench.workloads import WORKLOADS

LIMIT = 300.0  # seconds that a program gets for its first steps
OURS = Column.parse("versant")
PEERS = [Column.parse(label) for label in ("torch-onestep", "tf", "jax")]
PROGRAMS = [(column, name) for column in PEERS for name in WORKLOADS if takes_part(column, WORKLOADS[name])]
COMPILED = [("torch-onestep", name) for name in ("W1", "W3", "W7")] + [("torch-compile", "W7")]


class Peers:
    """A process for each column that is asked, on two threads as in `bench/run.py`; our values are kept."""

    def __init__(self, rounds):
        self.rounds, self.ours = rounds, {}

    def values(self, column, name):
        if column.label not in self.rounds.workers:
            try:
                self.rounds.start(column, sys.executable, 2)
            except WorkerError as error:
                if str(error).endswith("is not installed"):
                    pytest.skip(str(error))
                raise
        return self.rounds.workers[column.label].ask(LIMIT, build=name)["values"]

    def check(self, column, name):
        theirs = self.values(column, name)
        if name not in self.ours:
            self.ours[name] = self.values(OURS, name)
        cells = {OURS.label: {"values": self.ours[name]}, column.label: {"values": theirs}}
        assert len(theirs) == 6
        assert disagreement(cells, WORKLOADS[name].rtol) is None


@pytest.fixture(scope="module")
def written():
    with pytest.MonkeyPatch.context() as patch, Rounds(1, 0.001, 0) as rounds:
        patch.setenv("TORCHDYNAMO_DISABLE", "1")
        yield Peers(rounds)


@pytest.fixture(scope="module")
def compiled():
    if not any(map(shutil.which, ("g++", "clang++", "c++"))):
        pytest.skip("torch.compile needs a C++ compiler")
    with Rounds(1, 0.001, 0) as rounds:
        yield Peers(rounds)


@pytest.mark.parametrize(("column", "name"), PROGRAMS, ids=[f"{c.label}-{name}" for c, name in PROGRAMS])
def test_programs_compute_our_values(written, column, name):
    written.check(column, name)


@pytest.mark.parametrize(("label", "name"), COMPILED)
def test_compiled_steps_compute_our_values(compiled, label, name):
    compiled.check(Column.parse(label), name)


def test_jax_and_one_step_have_the_workloads_of_torch():
    without = {"W4a", "W12f32", "W12bf16"}  # no gradient: torch.compile of the whole step is one step already
    for name, workload in WORKLOADS.items():
        assert "jax" in workload.programs
        assert ("torch-onestep" in workload.programs) == (name not in without)
