"""Runs the python blocks of one Markdown page in order, in one namespace:  python page.py README.md

A block with prompts (>>>) is a doctest, any other block is executed. An uncaught error ends the process.
"""

import doctest
import re
import sys
from pathlib import Path

FENCE = re.compile(r"^(?P<indent> *)```python[^\n]*\n(?P<code>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[tuple[int, str]]:
    """(line number of the first line, code) of each python block."""
    found = []
    for match in FENCE.finditer(page):
        line = page.count("\n", 0, match.start("code")) + 1
        indent = match["indent"]
        found.append((line, "".join(part.removeprefix(indent) for part in match["code"].splitlines(True))))
    return found


def run(path: Path) -> int:
    """The number of doctest examples that failed."""
    names: dict[str, object] = {"__name__": "__main__"}
    parser = doctest.DocTestParser()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for line, code in blocks(path.read_text()):
        if ">>>" in code:
            test = parser.get_doctest(code, names, path.name, str(path), line - 1)
            runner.run(test, clear_globs=False)
            names.update(test.globs)
        else:
            exec(compile("\n" * (line - 1) + code, str(path), "exec"), names)
    return runner.summarize(verbose=False).failed


if __name__ == "__main__":
    sys.exit(1 if run(Path(sys.argv[1])) else 0)
