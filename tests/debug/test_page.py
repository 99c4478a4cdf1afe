"""The recorder's page in a real browser, and its server."""

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from debug import recordings

import versant as vs

in_a_browser = pytest.mark.skipif(not recordings.BROWSER, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    wide, narrow = folder / "float32.vsrec", folder / "bfloat16.vsrec"
    recordings.digits_run(wide, values=True)
    recordings.digits_run(narrow, vs.bfloat16, values=True)
    return wide, narrow


@in_a_browser
def test_the_page_names_the_first_tensor_that_differs(runs, tmp_path):
    with recordings.page_of(*runs) as address:
        page = recordings.browse(address, "--dump-dom", "--window-size=1500,1100")
        recordings.browse(address, f"--screenshot={tmp_path / 'page.png'}", "--window-size=1500,1100")
    assert 'data-ready="yes"' in page
    first = page.partition('id="firstdifference">')[2].partition("</div>")[0]
    assert "<b>convolution</b>" in first
    assert "<b>Sequential.0</b>" in first
    assert "step 0" in first
    assert "float32[32, 32, 8, 8] and bfloat16[32, 32, 8, 8]" in first
    assert (tmp_path / "page.png").stat().st_size > 20_000


@in_a_browser
def test_a_tensor_shows_its_line_and_its_history(runs):
    kind = next(k for k in vs.debug.Recording(runs[0]).kinds.values() if k.op == "convolution" and not k.back)
    with recordings.page_of(runs[0]) as address:
        page = recordings.browse(f"{address}#step=1&kind={kind.number}", "--dump-dom")
    detail = page.partition('id="detail"')[2].partition("<script>")[0]
    assert kind.line in detail
    assert '<span class="here">' in detail
    assert "loss = F.cross_entropy(model(x), y)" in detail
    assert detail.count("<polyline") == 3
    assert "Step 1" in page
    assert page.count("data-kind=") > 30


@in_a_browser
def test_the_graph_of_a_step_is_drawn(runs):
    with recordings.page_of(runs[0]) as address:
        page = recordings.browse(f"{address}#step=0&view=graph", "--dump-dom")
    graph = page.partition('id="tensors"')[2]
    assert graph.count('class="box') > 30
    assert "gradient of convolution" in graph
    assert graph.count("data-kind=") > 30


def test_the_server_answers_no_other_host(runs):
    with recordings.page_of(runs[0]) as address:
        request = urllib.request.Request(address + "api/summary", headers={"Host": "evil.example:80"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
    refused.value.close()
    assert refused.value.code == 403


@pytest.mark.parametrize(
    "query", ["api/step?step=99", "api/step", "api/history?kind=x", "api/source?kind=-1", "api/step?step=1e9"]
)
def test_the_server_refuses_what_makes_no_sense(runs, query):
    with recordings.page_of(runs[0]) as address, pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(address + query)
    assert refused.value.code == 400
    with refused.value as answer:
        assert "error" in json.loads(answer.read())


def test_code_is_shown_from_below_the_working_directory_alone(runs, monkeypatch, tmp_path):
    kind = next(iter(vs.debug.Recording(runs[0]).kinds))
    monkeypatch.chdir(tmp_path)
    with (
        recordings.page_of(runs[0]) as address,
        urllib.request.urlopen(f"{address}api/source?kind={kind}") as answer,
    ):
        assert json.loads(answer.read())["code"] == []


def test_the_command_serves_until_it_is_interrupted(runs):
    command = [sys.executable, "-m", "versant", "debug", *map(str, runs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        address = process.stdout.readline().split()[0]
        with urllib.request.urlopen(f"{address}api/summary") as answer:
            assert json.loads(answer.read())["other"] == str(runs[1])
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
