"""Checks that code of a higher instruction set stands only in its namespace, which start-up guards.

usage: python tools/check_isa.py _core.so     (with its symbols; needs objdump)
"""

import re
import subprocess
import sys

FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")
# Registers that appeared with a set, and the namespaces that may use them.
RULES = [
    (re.compile(r"%ymm"), re.compile(r"\bisa::v[34]::")),
    (re.compile(r"%zmm|%k[0-7]\b|%[xy]mm(1[6-9]|2\d|3[01])"), re.compile(r"\bisa::v4::")),
]


def strays(library: str) -> tuple[set[str], int]:
    """The functions that use registers they may not, and how many functions use wide registers at all."""
    command = ["objdump", "--disassemble", "--demangle", "--no-show-raw-insn", library]
    found, wide, name = set(), set(), ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if match := FUNCTION.match(line):
                name = match[1]
            elif "%" in line:
                for registers, home in RULES:
                    if registers.search(line):
                        wide.add(name)
                        if not home.search(name):
                            found.add(name)
    if process.returncode != 0:
        raise SystemExit(f"[check_isa] objdump failed on {library}")
    return found, len(wide)


def main() -> int:
    found, wide = strays(sys.argv[1])
    print(
        "FAILED" if found else "ok    ",
        f"{wide} functions use wide registers, {len(found)} of them outside isa::",
    )
    for name in sorted(found):
        print("      ", name)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
