"""What a framework costs before it does anything (W15): import time, first op, memory, size on disk.

    python bench/footprint.py
    python bench/footprint.py --python tf=../tf/bin/python

Times are those of a fresh process less those of a bare interpreter, medians of processes started in turn.
"""

import argparse
import sys

import results
from harness import footprint, processes


def main() -> None:
    purpose, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=purpose, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--python", metavar="NAME=PATH", action="append", default=[], help="a peer's interpreter"
    )
    parser.add_argument("--rounds", type=int, default=9, help="processes of each kind (default: %(default)s)")
    arguments = parser.parse_args()
    pythons = dict(pair.split("=", 1) for pair in arguments.python)

    record = results.begin() | {"footprint": {}}
    columns = ["import", "and first op", "peak resident", "package", "and required"]
    print("".ljust(12) + "".join(column.rjust(15) for column in columns))
    for name in footprint.IMPORTS:
        try:
            found = footprint.measure(pythons.get(name, sys.executable), name, arguments.rounds)
        except processes.WorkerError as error:
            sys.exit(f"[footprint] {name} failed:\n{error}")
        if found is None:
            print(f"{name.ljust(12)} not installed")
            continue
        record["footprint"][name] = found
        sizes = [found["peak_bytes"], found["package_bytes"], found["required_bytes"]]
        words = [f"{found['import_ms']:.1f} ms", f"{found['first_op_ms']:.1f} ms"]
        words += ["" if size is None else f"{size / 1e6:.1f} MB" for size in sizes]
        print(name.ljust(12) + "".join(word.rjust(15) for word in words), flush=True)
    print(f"figures in {results.save(record, 'footprint')}", file=sys.stderr)


if __name__ == "__main__":
    main()
