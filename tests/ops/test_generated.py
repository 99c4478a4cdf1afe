"""What is generated from the op table and kept in the repository is not stale."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("tool", ["make_stubs.py", "make_op_docs.py"])
def test_generated_files_are_up_to_date(tool):
    script = ROOT / "tools" / tool
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
