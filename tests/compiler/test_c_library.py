"""Saved programs run from C: libversant, its header and the example that reads and writes files."""

import shutil
import subprocess
from pathlib import Path

import pytest

import versant as vs
from versant import _core
from versant.cli.demo import HELD_OUT, network, read
from versant.datasets import digits

ROOT = Path(__file__).parents[2]
# Beside the extension module of a checkout, else where a wheel was built.
FOLDERS = [Path(_core.__file__).resolve().parent, ROOT / "build" / "core"]
FOLDER = next((folder for folder in FOLDERS if (folder / "libversant.so").exists()), None)
COMPILER = shutil.which("cc")
pytestmark = pytest.mark.skipif(
    FOLDER is None or COMPILER is None, reason="needs a C compiler and libversant: make test, or tools/dev"
)
FLAGS = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic"]


def compiled(source: Path, folder: Path) -> Path:
    program = folder / source.stem
    command = [COMPILER, *FLAGS, source, f"-I{ROOT / 'core' / 'c'}", f"-L{FOLDER}", "-lversant"]
    subprocess.run([*command, f"-Wl,-rpath,{FOLDER}", "-o", program], check=True)
    return program


def run(program: Path, *args: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([program, *map(str, args)], capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(ROOT / "examples" / "c" / "run_program.c", tmp_path_factory.mktemp("c"))


def test_the_digits_network_of_the_demo_gives_the_same_bits_from_c(example: Path, tmp_path: Path) -> None:
    vs.manual_seed(0)
    model = network()
    images, labels = digits()
    optimizer = vs.optim.AdamW(model.parameters(), lr=3e-3)
    for batch in range(10):
        x, y = images[batch * 64 : batch * 64 + 64], labels[batch * 64 : batch * 64 + 64]
        loss = vs.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    unseen = images[-HELD_OUT:].contiguous()
    expected = read(model, unseen)  # puts the model into evaluation
    with vs.no_grad():
        vs.compile(model).save(tmp_path / "digits.vsp", unseen)
    (tmp_path / "images.raw").write_bytes(unseen.numpy().tobytes())
    found = run(example, tmp_path / "digits.vsp", tmp_path / "images.raw", "-o", tmp_path / "scores.raw")
    assert found.returncode == 0, found.stderr
    assert "input 0 x: float32[450, 1, 8, 8], 115200 bytes" in found.stdout
    assert "output 0: float32[450, 10], 18000 bytes" in found.stdout
    assert (tmp_path / "scores.raw").read_bytes() == expected.numpy().tobytes()


def test_bad_files_are_refused_in_words(example: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.vsp"
    vs.compile(lambda x: x + 1).save(program, vs.ones(3))
    found = run(example, tmp_path / "none.vsp")
    assert found.returncode == 1
    assert "No such file" in found.stderr
    program.write_bytes(program.read_bytes()[:-1])
    found = run(example, program)
    assert found.returncode == 1
    assert "bytes and should have" in found.stderr


def test_only_the_names_of_the_header_are_seen() -> None:
    nm = shutil.which("nm")
    if not nm:
        pytest.skip("needs nm")
    assert FOLDER
    lines = subprocess.run(
        [nm, "-D", "--defined-only", FOLDER / "libversant.so"], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    header = (ROOT / "core" / "c" / "versant.h").read_text()
    names = {line.split()[-1] for line in lines}
    assert names == {name for name in names if f"{name}(" in header and name.startswith("vs_")}
    assert len(names) == header.count("VS_API ") - header.count("#define VS_API ")


def test_the_calls_of_the_header(tmp_path: Path) -> None:
    weight = vs.zeros(3)

    def step(x: vs.Tensor) -> vs.Tensor:
        weight.add_(x)
        return weight * 2 if x.sum() > 0 else (weight * 3).sum()

    f = vs.compile(step)
    f(vs.ones(3))
    f(-vs.ones(3))
    f.save(tmp_path / "step.vsp")
    found = run(
        compiled(Path(__file__).with_name("calls.c"), tmp_path), tmp_path / "step.vsp", tmp_path / "later.vsp"
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout == "ok\n"
    assert vs.load_program(tmp_path / "later.vsp").state()["weight"].tolist() == [1, 1, 1]
