"""vs.func against torch.func on PyTorch's own samples; skipped where the extra `oracle` is not installed."""

import tomllib
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the oracle is PyTorch: pip install versant[oracle]")
pytest.importorskip(
    "expecttest", reason="PyTorch's databases of samples need it: pip install versant[oracle]"
)

from oracle import functions, report, transforms

REASONS = tomllib.loads((Path(__file__).parent / "transforms.toml").read_text(encoding="utf-8"))
UNITS = [
    (name, i, check)
    for group in report.names()["functions"].values()
    for name in group
    if functions.exists(name)
    for i, op in enumerate(functions.variants(name))
    for check in transforms.CHECKS
    if transforms.applies(op, check)
]


@pytest.mark.parametrize(("name", "entry", "check"), UNITS, ids=[f"{n}-{i}-{c}" for n, i, c in UNITS])
def test_agrees(name: str, entry: int, check: str) -> None:
    done = transforms.compare(functions.variants(name)[entry], check)
    if done.op in REASONS or f"{done.op} / {check}" in REASONS:
        return
    assert not done.failures, f"{len(done.failures)} of {done.compared} differ; {done.failures[0]}"
