"""The examples for scikit-learn and SciPy run as programs and print what they find."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import versant as vs

EXAMPLES = Path(__file__).parents[2] / "examples"


def printed(name: str, package: str) -> str:
    """What the program prints, on the versant that this process runs on."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install versant[array-api]")
    environment = os.environ | {"PYTHONPATH": str(Path(vs.__file__).parents[1])}
    environment.pop("SCIPY_ARRAY_API", None)  # the program sets it itself
    command = [sys.executable, str(EXAMPLES / f"{name}.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def number(text: str, before: str) -> float:
    found = re.search(rf"(-?[\d.]+(?:e[-+]\d+)?){re.escape(before)}", text)
    assert found, text
    return float(found[1])


def test_scikit_learn_reads_digits() -> None:
    text = printed("scikit_learn", "sklearn")
    assert number(text, "% of the digits held out") > 93
    assert number(text, "% of the variance") > 40
    assert number(text, "% of the digits are the commonest") > 70
    row, column = re.search(r"row (\d), column (\d)", text).groups()
    assert int(row) < 8
    assert int(column) <= 3  # an eight is a three that is closed on the left


def test_scipy_describes_digits() -> None:
    text = printed("scipy_functions", "scipy")
    assert "t = -0.84, p = 0.399" in text
    assert number(text, "% of the digits are the commonest") > 75
    assert number(text, " strokes of a zero") == pytest.approx(2, abs=0.05)
    assert number(text, " of a one") == pytest.approx(1, abs=0.2)
    assert float(text.partition("is softmax, to ")[2].split()[0]) < 1e-15
    assert float(text.partition("exp(-x²/2) is ")[2].split()[0]) == pytest.approx(
        (2 * vs.pi) ** 0.5, abs=1e-5
    )
