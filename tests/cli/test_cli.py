"""The command: its exit codes, the demo and what it writes, with and without the extras."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import versant as vs
import versant.cli
from versant.cli import main
from versant.cli.demo import Demo, network
from versant.cli.progress import Progress
from versant.datasets import digits


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Results are the same on any number of threads; one is the fastest beside other busy processes."""
    before = vs.get_num_threads()
    vs.set_num_threads(1)
    yield
    vs.set_num_threads(before)


PNG = b"\x89PNG\r\n\x1a\n"


def test_digits() -> None:
    images, labels = digits()
    assert images.shape == (1797, 1, 8, 8)
    assert (images.min().item(), images.max().item()) == (0.0, 1.0)
    assert [(labels == digit).sum().item() for digit in range(10)] == [
        178, 182, 177, 183, 181, 182, 181, 179, 174, 180,
    ]  # fmt: skip
    assert images[0, 0, 0].tolist() == [0.0, 0.0, 0.3125, 0.8125, 0.5625, 0.0625, 0.0, 0.0]


def test_demo_learns_to_read_digits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The main job: accuracy, pictures, weights, and the line of each."""
    assert main(["demo", "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    accuracy = float(printed.split("held-out accuracy ")[1].split("%")[0])
    assert accuracy >= 98.0
    assert "epoch 20/20  loss 0." in printed
    for name in ("learning_curve.png", "misread_digits.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(PNG)
        assert f"{tmp_path / 'out' / name}\n" in printed
    weights = vs.load(tmp_path / "out" / "digits.safetensors")
    assert list(weights) == list(network().state_dict())
    assert "loaded back, they read a" in printed


def test_demo_repeats_itself(tmp_path: Path) -> None:
    first, second, other = (Demo(tmp_path, epochs=1, seed=seed).run() for seed in (1, 1, 2))
    assert first == second
    assert first != other


def test_demo_without_extras_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "rich",
        "rich.progress",
        "matplotlib",
        "matplotlib.figure",
        "matplotlib.backends.backend_agg",
    ):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "versant.cli.pictures", raising=False)
    monkeypatch.delattr(versant.cli, "pictures", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert main(["demo", "--output", str(tmp_path), "--epochs", "1"]) == 0
    printed = capsys.readouterr().out
    assert "no progress bar without rich: pip install 'versant[demo]'" in printed
    assert "no pictures without matplotlib" in printed
    assert "epoch 1/1  loss" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["digits.safetensors"]


def test_progress_on_a_terminal_is_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    with Progress(epochs=1, batches=1) as progress:
        progress.batch(0.5, 0.75)
        progress.epoch(0.8)
    assert "epoch 1/1  loss 0.5000  accuracy 75.00%  held out 80.00%" in capsys.readouterr().out


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, text in ((["--version"], f"versant {vs.__version__}\n"), (["--help"], "demo")):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
        assert text in capsys.readouterr().out
    assert main([]) == 0
    assert "train a network on handwritten digits" in capsys.readouterr().out


def test_info_names_the_build_and_its_parts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    printed = capsys.readouterr().out
    for part in (vs.__version__, "instruction set", "threads", "oneDNN", "numpy"):
        assert part in printed


@pytest.mark.parametrize(
    "arguments", [["nothing"], ["demo", "--epochs", "0"], ["demo", "--epochs", "many"], ["demo", "--fast"]]
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: versant" in capsys.readouterr().err


def test_failure_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("a file")
    assert main(["demo", "--output", str(tmp_path / "taken")]) == 1
    assert capsys.readouterr().err.startswith("versant demo: ")


def test_ctrl_c_exits_with_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stopped(self: Demo) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Demo, "run", stopped)
    assert main(["demo", "--output", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "versant: stopped\n"
