"""`ir()` and `plan()` of small functions are those of the files in golden/.

Where they changed on purpose, `pytest tests/compiler/test_golden.py --golden-update` writes them anew; the
difference belongs into the commit.
"""

import re
from pathlib import Path

import pytest
from compiler import small_functions

import versant as vs

GOLDEN = Path(__file__).with_name("golden")


@pytest.mark.parametrize("make", small_functions.ALL, ids=lambda make: make.__name__)
def test_text_is_the_golden_one(make, request):
    vs.manual_seed(0)
    compiled = make()
    # The folders in which the tests lie are not the same everywhere.
    text = re.sub(r"[^\s,]*/(?=\w+\.py:)", "", f"{compiled.ir()}\n{compiled.plan()}")
    file = GOLDEN / f"{make.__name__}.txt"
    if request.config.getoption("--golden-update"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_every_file_has_its_function():
    names = {make.__name__ for make in small_functions.ALL}
    assert {file.stem for file in GOLDEN.glob("*.txt")} == names
