"""The benchmark's own reasoning: which columns compete, what a share is, when values count as equal."""

import pytest

from versant.bench import table
from versant.bench.columns import against, takes_part
from versant.bench.frameworks import CONTESTANTS, FRAMEWORKS, Column
from versant.bench.rounds import disagreement
from versant.bench.workloads import WORKLOADS

column = Column.parse


def test_a_columns_name_carries_threads_and_label():
    plain, threaded, other_build = column("torch-fused"), column("torch-fused:1"), column("versant@before")
    assert (plain.threads, plain.peer, plain.contestant.options.optimizer) == (None, "torch", {"fused": True})
    assert (threaded.threads, threaded.peer) == (1, "torch")
    assert (other_build.peer, other_build.contestant.framework) == ("versant@before", "versant")


@pytest.mark.parametrize("label", ["", "torhc", "torch:0", "torch:", "torch@", "torch fused"])
def test_an_unknown_column_is_named_in_the_error(label):
    with pytest.raises(ValueError, match="there are versant, versant-compile, versant-plain, torch"):
        column(label)


def test_one_step_of_torch_has_programs_of_its_own_and_competes_as_torch():
    whole = column("torch-onestep")
    assert (whole.peer, whole.contestant.dialect, whole.contestant.compiles) == (
        "torch",
        "torch-onestep",
        True,
    )
    assert [c.label for c in against(["torch"])][-1] == "torch-onestep"
    assert takes_part(whole, WORKLOADS["W1"])
    assert not takes_part(whole, WORKLOADS["W12f32"])


def test_the_share_is_of_fastest_columns_on_both_sides():
    labels = ("versant", "versant-plain", "torch", "torch-fused", "tf", "versant@before")
    columns = [column(label) for label in labels]
    cells = {
        "versant": {"microseconds": 12.0},
        "versant-plain": {"microseconds": 10.0},
        "torch": {"microseconds": 100.0},
        "torch-fused": {"microseconds": 80.0},
        "tf": {"error": "raised"},
        "versant@before": {"microseconds": 20.0},
    }
    assert table.shares(cells, columns) == {"torch": 10 / 80, "versant@before": 10 / 20}
    assert table.shares(cells | {"versant-plain": {}}, columns) == {
        "torch": 12 / 80,
        "versant@before": 12 / 20,
    }
    failed = {"versant": {"error": "raised"}, "versant-plain": {}}
    assert table.shares(cells | failed, columns) == {}
    assert table.peers(columns) == ["torch", "tf", "versant@before"]


@pytest.mark.parametrize(
    ("share", "text"), [(1 / 8, "1/8"), (1 / 12.5, "1/12.5"), (0.75, "0.75"), (2, "2.00")]
)
def test_small_shares_are_written_as_fractions(share, text):
    assert table.as_share(share) == text


def test_values_agree_within_the_tolerance_alone():
    near = {"a": {"values": [1.0, -2.0]}, "b": {"values": [1.0, -2.00001]}, "c": {"error": "raised"}}
    assert disagreement(near, 1e-5) is None
    assert disagreement(near, 1e-6) == "in step 2 a computes -2.0, b -2.00001"
    assert disagreement({"a": {"values": [1.0]}, "b": {"values": [float("nan")]}}, 1e-5) is not None


def test_every_workload_has_our_program_and_goals_for_known_peers():
    for workload in WORKLOADS.values():
        assert {"torch"} <= set(workload.programs) <= {c.dialect for c in CONTESTANTS.values()}
        assert set(workload.targets) <= set(FRAMEWORKS)
