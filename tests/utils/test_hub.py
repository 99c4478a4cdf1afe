"""Entry points and states of local folders; nothing is downloaded."""

import pytest

import versant as vs
from versant import hub, nn

HUBCONF = '''
import versant as torch
from parts import width

dependencies = ["versant"]

def net(scale=1, **kwargs):
    """A linear layer."""
    return torch.nn.Linear(width * scale, 2)

def _hidden():
    pass
'''


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "hubconf.py").write_text(HUBCONF)
    (tmp_path / "parts.py").write_text("width = 3\n")
    return tmp_path


def test_a_local_folder(folder) -> None:
    assert hub.list(folder) == ["net"]
    assert hub.help(folder, "net") == "A linear layer."
    assert hub.load(folder, "net", source="local", scale=2).in_features == 6
    with pytest.raises(RuntimeError, match="Cannot find callable other"):
        hub.load(folder, "other", source="local")


def test_dependencies_that_are_missing(folder) -> None:
    (folder / "hubconf.py").write_text('dependencies = ["no_such_package_here"]\n')
    with pytest.raises(RuntimeError, match="Missing dependencies: no_such_package_here"):
        hub.load(folder, "net", source="local")


def test_downloads_are_refused() -> None:
    with pytest.raises(RuntimeError, match="nothing is downloaded"):
        hub.load("pytorch/vision", "resnet18")
    with pytest.raises(ValueError, match="expected source 'local'"):
        hub.load("somewhere", "net", source="elsewhere")
    with pytest.raises(FileNotFoundError, match=r"no hubconf\.py"):
        hub.load("nowhere", "net", source="local")


def test_states_by_address(tmp_path) -> None:
    layer = nn.Linear(2, 2)
    (tmp_path / "checkpoints").mkdir()
    file = tmp_path / "checkpoints" / "layer.pt"
    vs.save(layer.state_dict(), file)
    before = hub.get_dir()
    hub.set_dir(tmp_path)
    try:
        for url in ("https://example.org/models/layer.pt", file.as_uri()):
            state = hub.load_state_dict_from_url(url)
            assert state["weight"].tolist() == layer.weight.tolist()
        with pytest.raises(FileNotFoundError, match="nothing is downloaded"):
            hub.load_state_dict_from_url("https://example.org/other.pt")
    finally:
        hub.set_dir(before)
