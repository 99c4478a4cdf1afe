"""The programs of tests/func/programs.py on PyTorch; run as a script, it writes what they give there."""

import sys
from pathlib import Path

import numpy as np
import pytest

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
else:
    pytest.importorskip("torch", reason="the oracle is PyTorch: pip install versant[oracle]")

from func import programs, programs_more

FILE = Path(programs.__file__).with_name("expected.npz")
NAMES = list(programs_more.PROGRAMS)


def on_torch(name: str) -> list[np.ndarray]:
    import torch

    return programs.flat(programs.PROGRAMS[name](torch, lambda f: f))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore")
def test_the_file_holds_what_torch_gives(name):
    with np.load(FILE) as held:
        expected = [held[key] for key in held.files if key.startswith(f"{name}/")]
    for ours, theirs in zip(expected, on_torch(name), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


if __name__ == "__main__":
    results = {f"{name}/{i}": y for name in NAMES for i, y in enumerate(on_torch(name))}
    np.savez_compressed(FILE, **results)
    print(f"{len(results)} results of {len(NAMES)} programs")
