"""Prints the table of TensorFlow's names that versant.tf has: how many are compared, how many agree.

python tools/coverage_tf.py [--only conv] [--names]
"""

import argparse
import collections
import os
import sys
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from oracle_tf import report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="names that contain this")
    parser.add_argument("--names", action="store_true", help="every name, with what came of it")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    cases = {name: own for name, own in report.by_name().items() if arguments.only in name}
    failures = {name: [text for text in map(report.outcome, own) if text] for name, own in cases.items()}
    rows: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for space, name in report.covered():
        path = f"{space}.{name}" if space else name
        if arguments.only not in path:
            continue
        row = rows[space or "tf"]
        row["names"] += 1
        compared = path in cases
        row["compared"] += compared
        row["agree"] += compared and not failures[path]
        if arguments.names:
            told = "not compared" if not compared else (failures[path] or ["agrees"])[0]
            print(f"tf.{path}: {told}")
    for name, texts in failures.items():
        for text in texts:
            print(f"{name} differs: {report.exceptions().get(name, text)}")
    print(f"\n{'':28}{'names':>8}{'compared':>10}{'agree':>8}")
    total: collections.Counter[str] = collections.Counter()
    for space, row in rows.items():
        total += row
        print(f"{space:28}{row['names']:8}{row['compared']:10}{row['agree']:8}")
    print(f"{'all':28}{total['names']:8}{total['compared']:10}{total['agree']:8}")
    agree = sum(not texts for texts in failures.values())
    print(f"\n{agree} of {len(cases)} compared names agree: {100 * agree / max(len(cases), 1):.1f} %")
    return int(any(texts and name not in report.exceptions() for name, texts in failures.items()))


if __name__ == "__main__":
    raise SystemExit(main())
