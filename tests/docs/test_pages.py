"""Every python block of README.md and docs/ runs and prints what the page says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import versant

ROOT = Path(__file__).parents[2]
PAGES = [
    page
    for page in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
    if "```python" in page.read_text(encoding="utf-8")
]
RUNNER = Path(__file__).with_name("page.py")


def run_page(page: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a page in `folder`, on the versant that this process runs on."""
    package = str(Path(versant.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": package}
    command = [sys.executable, str(RUNNER), str(page)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_runs(page: Path, tmp_path: Path) -> None:
    done = run_page(page, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("block", "complaint"),
    [("1 / 0\n", 'page.md", line 4'), (">>> 1 + 1\n3\n", "Expected")],
    ids=["an error", "another result"],
)
def test_wrong_page_fails(block: str, complaint: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# A page\n\n```python\n{block}```\n")
    done = run_page(page, tmp_path)
    assert done.returncode == 1
    assert complaint in done.stdout + done.stderr
