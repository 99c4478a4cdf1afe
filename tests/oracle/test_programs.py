"""The programs of tests/compiler/programs on PyTorch: the same numbers, in float64, from shared draws."""

import random
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the oracle is PyTorch: pip install versant[oracle]")

import torch
from oracle.bridge import to_torch
from oracle.draws import shared

import versant as vs
from tests.compiler.test_programs import PROGRAMS

FOLDER = Path(__file__).parents[1] / "compiler" / "programs"
THEIRS = "torch_programs"

# Programs that ask for float32 or bfloat16 by name, and how far they may be apart.
NARROW = {"rotary_complex": 1e-4, "vq_vae": 1e-4, "amp_bf16_model": 2e-2}


def their_programs() -> dict[str, Any]:
    """The table of programs with PyTorch in Versant's place."""
    names = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
    for name in sorted(names, key=lambda name: (name != "table", name != "turns")):
        module = ModuleType(f"{THEIRS}.{name}")
        sys.modules[module.__name__] = module
        text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
        text = text.replace("tests.compiler.programs", THEIRS).replace(
            "import versant as torch", "import torch"
        )
        exec(compile(text.replace("versant", "torch"), f"{THEIRS}/{name}.py", "exec"), module.__dict__)
    return sys.modules[f"{THEIRS}.table"].PROGRAMS  # type: ignore[no-any-return]


THEIR_PROGRAMS = their_programs()


def plain(value: Any) -> Any:
    """A value with tensors as arrays, modules and optimizers as what they keep."""
    if isinstance(value, vs.Tensor):
        return plain(to_torch(value))
    if isinstance(value, torch.Tensor):
        return value.detach().to(torch.float64 if value.is_floating_point() else value.dtype).numpy()
    if isinstance(value, (vs.nn.Module, torch.nn.Module)):
        return [plain(dict(value.state_dict())), [plain(p.grad) for p in value.parameters()]]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return None if hasattr(value, "state_dict") else value


def start_alike(mine: list[Any], theirs: list[Any]) -> None:
    """Gives PyTorch's modules and tensors the values of ours."""
    for ours, other in zip(mine, theirs, strict=True):
        if isinstance(ours, vs.nn.Module):
            for module in (*ours.modules(), *other.modules()):
                if isinstance(getattr(module, "dropout", None), float):
                    module.dropout = 0.0  # what attention and recurrent layers draw inside is not shared
            other.load_state_dict({name: to_torch(value) for name, value in ours.state_dict().items()})
        elif isinstance(ours, vs.Tensor):
            with torch.no_grad():
                other.copy_(to_torch(ours))


def compare(mine: Any, theirs: Any, tolerance: float, where: str = "results") -> None:
    if isinstance(theirs, np.ndarray):
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance / 20, err_msg=where)
    elif isinstance(theirs, dict):
        assert list(mine) == list(theirs), where
        for key in theirs:
            compare(mine[key], theirs[key], tolerance, f"{where}[{key!r}]")
    elif isinstance(theirs, list):
        assert len(mine) == len(theirs), where
        for i, (a, b) in enumerate(zip(mine, theirs, strict=True)):
            compare(a, b, tolerance, f"{where}[{i}]")
    elif isinstance(theirs, float):
        assert mine == pytest.approx(theirs, rel=tolerance), where
    elif isinstance(theirs, (int, bool, str, type(None))):
        assert mine == theirs, where


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True:UserWarning")
@pytest.mark.parametrize("name", PROGRAMS)
def test_numbers_are_torchs(name: str) -> None:
    width, tolerance = ("float32", NARROW[name]) if name in NARROW else ("float64", 1e-6)
    steps = {}
    with shared() as streams:
        for library, programs in ((vs, PROGRAMS), (torch, THEIR_PROGRAMS)):
            library.set_default_dtype(getattr(library, width))
            try:
                steps[library] = programs[name].make()
            finally:
                library.set_default_dtype(library.float32)
        start_alike(steps[vs][2], steps[torch][2])
        results = {}
        for library, (step, arguments, kept) in steps.items():
            streams[library].seed()
            random.seed(0)
            np.random.seed(0)
            library.set_default_dtype(getattr(library, width))
            try:
                found = [plain(step(*arguments(i))) for i in range(PROGRAMS[name].calls)]
            finally:
                library.set_default_dtype(library.float32)
            results[library] = [found, [plain(value) for value in kept]]
    compare(results[vs], results[torch], tolerance)
