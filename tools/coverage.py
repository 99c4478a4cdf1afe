"""Prints the table of covered names: how many exist, how many comparisons with PyTorch agree, which differ.

Nearer are results outside of the tolerance that are at least as near as PyTorch's to its result in double
precision: they agree, but are not equal.

python tools/coverage.py [--group shape] [--only conv] [--processes 2] [--verbose]
"""

import argparse
import collections
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from oracle import report
from oracle.functions import Comparison


def compare(unit: report.Unit) -> Comparison:
    return unit.run()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="names that contain this")
    parser.add_argument("--group", default="", help="groups that contain this")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--verbose", action="store_true", help="every failure, not the first of each comparison"
    )
    arguments = parser.parse_args()
    names = [
        (group, name)
        for group, name in report.everything()
        if arguments.only in name and arguments.group in group
    ]
    present = [(group, name) for group, name in names if report.present(group, name)]
    units = [unit for group, name in present for unit in report.units(group, name)]
    with ProcessPoolExecutor(arguments.processes, mp_context=get_context("spawn")) as pool:
        done = list(pool.map(compare, units, chunksize=8))

    rows = collections.defaultdict(collections.Counter)
    for group, name in names:
        rows[group]["names"] += 1
        rows[group]["present"] += (group, name) in present
    for unit, comparison in zip(units, done, strict=True):
        rows[unit.group]["compared"] += comparison.compared
        rows[unit.group]["nearer"] += comparison.nearer
        rows[unit.group]["differ"] += len(comparison.failures)
        rows[unit.group]["explained"] += len(comparison.failures) if report.reason(comparison) else 0
        for failure in comparison.failures if arguments.verbose else comparison.failures[:1]:
            told = report.reason(comparison) or failure
            count = f"{len(comparison.failures)}/{comparison.compared}"
            print(f"{comparison.op}, {comparison.check}, {comparison.dtype}: {count} differ: {told}")
    missing = [name for name in names if name not in present]
    print("\nmissing:", ", ".join(f"{group}.{name}" for group, name in missing) or "none")

    columns = ("names", "present", "compared", "nearer", "differ", "explained")
    rows["all"] = sum((collections.Counter(row) for row in list(rows.values())), collections.Counter())
    print("\n" + f"{'':22}" + "".join(f"{c:>12}" for c in columns) + f"{'equal':>12}{'agree':>12}")
    for group, row in rows.items():
        unequal = (row["differ"] + row["nearer"], row["differ"])
        shares = [f"{1 - n / row['compared']:.2%}" if row["compared"] else "" for n in unequal]
        print(
            f"{group:22}" + "".join(f"{row[c]:>12,}" for c in columns) + "".join(f"{s:>12}" for s in shares)
        )
    return 1 if missing or rows["all"]["differ"] > rows["all"]["explained"] else 0


if __name__ == "__main__":
    sys.exit(main())
