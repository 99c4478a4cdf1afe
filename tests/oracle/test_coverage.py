"""Versant against PyTorch, name by name; skipped where the extra `oracle` is not installed."""

import pytest

pytest.importorskip("torch", reason="the oracle is PyTorch: pip install versant[oracle]")
pytest.importorskip(
    "expecttest", reason="PyTorch's databases of samples need it: pip install versant[oracle]"
)

from oracle import report

NAMES = report.everything()
PRESENT = [(group, name) for group, name in NAMES if report.present(group, name)]


@pytest.mark.parametrize(("group", "name"), NAMES, ids=[f"{g}-{n}" for g, n in NAMES])
def test_name_exists(group: str, name: str) -> None:
    assert report.present(group, name)


@pytest.mark.parametrize(("group", "name"), PRESENT, ids=[f"{g}-{n}" for g, n in PRESENT])
def test_agrees(group: str, name: str) -> None:
    done = [unit.run() for unit in report.units(group, name)]
    differing = [c for c in done if c.failures and not report.reason(c)]
    assert not differing, "\n".join(
        f"{c.op}, {c.check}, {c.dtype}: {len(c.failures)} of {c.compared} differ; {c.failures[0]}"
        for c in differing
    )
    known = [c for c in done if not c.failures and report.must_differ(c)]
    assert not known, f"agree now, take them out of exceptions.toml: {known}"
