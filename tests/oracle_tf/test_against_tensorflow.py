"""The dialect against TensorFlow, name by name; skipped where the extra `oracle-tf` is not installed."""

import pytest

pytest.importorskip("tensorflow", reason="the oracle is TensorFlow: pip install versant[oracle-tf]")

from oracle_tf import report

NAMES = report.by_name()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore")
def test_agrees(name: str) -> None:
    differing = [text for text in map(report.outcome, NAMES[name]) if text]
    if name in report.exceptions():
        assert differing, "agrees now: take it out of exceptions.toml"
    else:
        assert not differing, "\n".join(differing)


@pytest.mark.filterwarnings("ignore")
def test_most_names_are_covered() -> None:
    assert len(report.covered()) >= 400
