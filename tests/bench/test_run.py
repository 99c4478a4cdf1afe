"""Runs of real processes: what is kept of them, peers that die or hang, the ways in which a run ends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import versant
from versant.bench import output
from versant.bench.columns import against
from versant.bench.run import Effort, Run
from versant.bench.workloads import WORKLOADS
from versant.cli import main

STAND_IN = Path(__file__).parent / "stand_in"
SOURCES = Path(versant.__file__).parents[1]
TINY = Effort(rounds=2, seconds=0.001, patience=0, limit=5, starts=1)


@pytest.fixture(scope="module")
def record():
    """A run against a peer that dies in W1, works in W2, hangs in W3 and does not compile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(STAND_IN), str(SOURCES)]))
        workloads = [WORKLOADS[name] for name in ("W1", "W2", "W3")]
        columns = against(["torch", "versant-plain"])
        return Run(workloads, columns, TINY, threads=1, command="versant bench").measure()


def cell(record, workload, label):
    return record["workloads"][workload]["cells"][label]


def test_what_was_measured_is_kept(record):
    ours = cell(record, "W2", "versant")
    assert ours["microseconds"] > 0
    assert len(ours["slices"]) == TINY.rounds
    assert len(ours["values"]) == len(ours["first_seconds"]) == 6
    assert record["columns"]["torch"]["version"] == "0 <stand-in>"
    assert record["columns"]["versant"]["threads"] == record["threads"] == 1
    assert set(record["footprint"]) == {"versant", "torch"}
    assert record["footprint"]["versant"]["package_bytes"] > 100_000
    assert record["peaks"]["W1"]["versant"]["bytes"] > 10_000_000
    assert json.loads(json.dumps(record)) == record


def test_a_peer_that_dies_is_reported_and_measured_again(record):
    assert "SIGABRT" in cell(record, "W1", "torch")["error"]
    assert cell(record, "W2", "torch")["microseconds"] > 0
    assert "SIGABRT" in record["peaks"]["W1"]["torch"]["error"]
    assert record["workloads"]["W2"]["shares"].keys() == {"torch"}


def test_a_peer_that_hangs_is_given_up(record):
    assert cell(record, "W3", "torch")["error"] == "no answer within 5 seconds"
    assert cell(record, "W3", "versant")["microseconds"] > 0


def test_a_compiler_that_fails_is_reported(record):
    assert "RuntimeError: no compiler for <this> & that" in cell(record, "W2", "torch-compile")["error"]


def test_a_process_that_raises_tells_its_exception(record):
    assert record["peaks"]["W1"]["torch-compile"]["error"].endswith("no compiler for <this> & that")


def test_one_step_of_torch_is_a_column_of_the_record_and_the_page(record):
    about = record["columns"]["torch-onestep"]
    assert (about["framework"], about["peer"], about["compiles"]) == ("torch", "torch", True)
    assert f'<th scope="col">{about["title"]}</th>' in output.render(record)
    assert "torch-onestep" in record["workloads"]["W2"]["cells"]
    assert "torch-onestep" in record["peaks"]["W1"]


def test_columns_that_would_repeat_others_sit_out(record):
    assert {"versant-plain", "torch-fused"} <= set(record["columns"])
    assert "torch-fused" in record["workloads"]["W1"]["cells"]
    assert "torch-fused" not in record["workloads"]["W2"]["cells"]


def test_peers_that_are_not_installed_are_named():
    columns = against(["tf"])
    missing = Run([WORKLOADS["W2"]], columns, TINY, threads=1, command="", pythons={"tf": "/nowhere/python"})
    absent = missing.measure()["absent"]
    assert {"tf", "tf-function", "tf-xla"} <= set(absent)
    assert "/nowhere/python" in absent["tf"]


def test_where_time_is_short_workloads_are_left_out():
    hurried = Effort(rounds=1, seconds=0.001, patience=0, limit=5, starts=1, budget=0)
    record = Run([WORKLOADS["W2"]], against([]), hurried, threads=1, command="").measure()
    assert cell(record, "W2", "versant") == {"left_out": "left out, the time of --quick was used up"}
    assert "–" in output.render(record)


def test_a_short_run_compiles_slowly_what_it_names():
    effort = Effort(1, 0.001, 0, 5, 1, slowly_compiled={"torch-compile": (), "torch-onestep": ("W2",)})
    columns = against(["torch"])
    names = ("W1", "W2", "W3", "W4")
    left_out = Run([WORKLOADS[name] for name in names], columns, effort, threads=1, command="").left_out
    why = "left out by --quick"
    assert left_out(WORKLOADS["W2"], columns) == {"torch-compile": why}
    assert left_out(WORKLOADS["W1"], columns) == {
        "torch-compile": why,
        "torch-onestep": f"{why}, which lets it compile W2 alone",
    }
    few = Run([WORKLOADS["W1"]], columns, effort, threads=1, command="")
    assert few.left_out(WORKLOADS["W1"], columns) == {}


def test_a_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "page.html"
    output.replace(path, "first")
    with pytest.raises(UnicodeEncodeError):
        output.replace(path, "second \ud800")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def command(*words):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(STAND_IN), str(SOURCES)])}
    return subprocess.Popen(
        [sys.executable, "-m", "versant", "bench", "--threads", "1", *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_command_prints_a_table_and_writes_both_files(tmp_path):
    process = command("--quick", "--only", "W2", "--against", "torch", "--output", str(tmp_path / "out"))
    printed, complaints = process.communicate()
    assert (process.returncode, complaints) == (0, "")
    line = next(line for line in printed.splitlines() if line.startswith("W2 control flow"))
    assert float(line.split()[3]) > 0
    assert "torch-compile, W2: RuntimeError: no compiler for <this> & that" in printed
    assert {path.name for path in (tmp_path / "out").iterdir()} == {output.JSON, output.PAGE}
    record = json.loads((tmp_path / "out" / output.JSON).read_text())
    assert record["schema"] == 1
    assert record["command"] == "versant bench --quick --only W2 --against torch --threads 1"
    assert (tmp_path / "out" / output.PAGE).read_text() == output.render(record)


def descendants(parent):
    """The processes that a process has started, and those that these have started."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    found = {parent}
    while more := {child for child, its in parents.items() if its in found} - found:
        found |= more
    return found - {parent}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_a_stopped_run_leaves_nothing(tmp_path, number, code):
    process = command("--quick", "--only", "W2,W3", "--against", "torch", "--output", str(tmp_path))
    while not process.stdout.readline().startswith("W2"):  # then W3 begins, in which the peer hangs
        pass
    workers = descendants(process.pid)
    assert len(workers) >= 2
    process.send_signal(number)
    _, complaints = process.communicate()
    assert process.returncode == code
    assert "Traceback" not in complaints
    assert list(tmp_path.iterdir()) == []
    assert not [worker for worker in workers if Path(f"/proc/{worker}").exists()]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--only", "W2,W99"], "no workload 'W99'; there are W1, W2"),
        (["--only", ""], "no workload ''"),
        (
            ["--against", "torch,nobody"],
            "no peer 'nobody'; there are torch, tf, jax, and the columns versant",
        ),
        (["--python", "tf"], "must be NAME=PATH"),
        (["--python", "nobody=/usr/bin/python"], "no peer 'nobody'"),
        (["--threads", "0"], "must be a whole number of at least 1"),
    ],
)
def test_options_that_make_no_sense_exit_with_2(words, told, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["bench", *words])
    assert caught.value.code == 2
    assert told in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_found_before_measuring(tmp_path, capsys):
    (tmp_path / "taken").write_text("a file")
    assert main(["bench", "--output", str(tmp_path / "taken")]) == 1
    assert capsys.readouterr().err.startswith("versant bench: ")


def test_importing_versant_leaves_the_benchmark_alone():
    code = "import sys, versant; sys.exit(any(name.startswith('versant.bench') for name in sys.modules))"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": str(SOURCES)})
