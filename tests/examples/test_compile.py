"""The compiled training scripts print what they print without torch.compile, digit for digit."""

import runpy
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "compile"
TEXT = "The quick brown fox jumps over the lazy dog. " * 20

TINY = {
    "gpt": ["TEXT", "--steps", "6", "--length", "16", "--width", "16"],
    "resnet": ["--epochs", "1", "--images", "150", "--width", "4"],
    "lstm": ["TEXT", "--steps", "6", "--batch", "4", "--length", "8", "--width", "12"],
    "pinn": ["--steps", "6", "--points", "20", "--width", "8"],
    "gan": ["--steps", "6", "--batch", "16", "--width", "8"],
    "accumulation": ["--steps", "6", "--width", "16"],
    "averages": ["--steps", "10", "--width", "16"],
    "equilibrium": ["--steps", "6", "--width", "8"],
    "balance": ["--trials", "6", "--width", "8"],
}


def test_every_script_is_tried():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(TINY)


@pytest.mark.parametrize("name", TINY)
def test_losses_are_those_of_eager_mode(name, tmp_path, capsys):
    text = tmp_path / "text"
    text.write_text(TEXT)
    arguments = [str(text) if argument == "TEXT" else argument for argument in TINY[name]]
    program = runpy.run_path(str(FOLDER / f"{name}.py"))
    losses, printed = [], []
    for mode in ([], ["--eager"]):
        losses.append(program["main"]([*arguments, *mode]))
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] != ""
    assert losses[0] == losses[1]
    assert all(loss == loss for loss in losses[0])
