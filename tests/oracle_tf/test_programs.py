"""The programs of tests/tf/programs.py beside TensorFlow; run as a script, it writes what they give there."""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
else:
    pytest.importorskip("tensorflow", reason="the oracle is TensorFlow: pip install versant[oracle-tf]")

from tf import programs

FILE = Path(programs.__file__).with_name("expected.npz")


def on_tensorflow(name: str) -> list[np.ndarray]:
    import tensorflow

    # Writing summaries takes TensorBoard, which TensorFlow does not bring along; numbers do not depend on it.
    for op in ("scalar", "histogram"):
        setattr(tensorflow.summary, op, lambda *args, **kwargs: True)
    with tempfile.TemporaryDirectory() as folder:
        return programs.flat(programs.PROGRAMS[name](tensorflow, Path(folder)))


@pytest.mark.parametrize("name", programs.PROGRAMS)
@pytest.mark.filterwarnings("ignore")
def test_the_file_holds_what_tensorflow_gives(name: str) -> None:
    with np.load(FILE) as held:
        expected = [held[key] for key in held.files if key.startswith(f"{name}/")]
    assert not programs.differences(on_tensorflow(name), expected)


if __name__ == "__main__":
    results = {f"{name}/{i}": y for name in programs.PROGRAMS for i, y in enumerate(on_tensorflow(name))}
    np.savez_compressed(FILE, **results)
    print(f"{len(results)} results of {len(programs.PROGRAMS)} programs")
