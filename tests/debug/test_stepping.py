"""Going through functions op by op, with values, by a callback and in pdb."""

import io
import pdb
import subprocess
import sys
from bdb import BdbQuit
from pathlib import Path

import pytest

import versant as vs
from versant import nn


def f(x, w):
    y = x @ w
    y = (y + 1).tanh()
    return y.sum()


ARGUMENTS = (vs.ones(2, 2), vs.ones(2, 2))


@pytest.mark.parametrize("compiled", [False, True])
def test_every_op_is_shown_with_its_values(compiled):
    seen = []
    run = vs.compile(f) if compiled else f
    for _ in range(3):
        run(*ARGUMENTS)
    with vs.debug.step(stop=lambda action: seen.append((action.op, action.outputs[0].tolist()))):
        result = run(*ARGUMENTS)
    assert [op for op, _ in seen] == ["matmul", "add", "tanh", "sum"]
    assert seen[1][1] == [[3.0, 3.0], [3.0, 3.0]]
    assert seen[3][1] == result.item() == f(*ARGUMENTS).item()


def test_the_steps_of_a_plan_are_shown():
    run = vs.compile(f)
    for _ in range(2):
        run(*ARGUMENTS)
    seen = []
    with vs.debug.step(plan=True, stop=seen.append):
        run(*ARGUMENTS)
    assert [action.op for action in seen] == ["matmul", "add+tanh", "sum"]
    assert all("test_stepping.py" in action.line for action in seen)


def test_filters_choose_ops_and_modules():
    net = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    seen = []
    with vs.debug.step(ops="t*", modules="*.1", stop=seen.append):
        net(vs.ones(1, 2)).tanh().sum().backward()
    assert [(action.op, action.back) for action in seen] == [("tanh", False), ("tanh", True)]


def debugged(monkeypatch, commands, run):
    """What pdb prints."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(commands) + "\n"))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(pdb.Pdb, "use_rawinput", 0, raising=False)
    try:
        with vs.debug.step():
            run()
    finally:
        monkeypatch.undo()
    return out.getvalue()


def test_pdb_goes_from_op_to_op(monkeypatch):
    run = vs.compile(f)
    run(*ARGUMENTS)
    shown = debugged(
        monkeypatch,
        ["p x.shape, op.op", "o", "p outs[0].tolist(), y.tolist()", "o sum", "v", "p op.number", "c"],
        lambda: run(*ARGUMENTS),
    )
    assert "2]), 'matmul')" in shown
    assert "([[3.0, 3.0], [3.0, 3.0]], [[2.0, 2.0], [2.0, 2.0]])" in shown
    assert "ins[0] = tensor(" in shown
    assert "op 4: sum at" in shown
    assert "y = x @ w" in shown


def test_a_name_that_no_op_has_is_told_of(monkeypatch):
    shown = debugged(monkeypatch, ["o soft*"], lambda: f(*ARGUMENTS))
    assert shown.endswith("[step] no op came that is called 'soft*'\n")
    assert "no op came" not in debugged(monkeypatch, ["o tanh", "o sum", "c"], lambda: f(*ARGUMENTS))


def test_pdb_gives_up(monkeypatch):
    with pytest.raises(BdbQuit):
        debugged(monkeypatch, ["q"], lambda: f(*ARGUMENTS))
    assert f(*ARGUMENTS).item() > 0


@pytest.mark.parametrize("compiled", [False, True])
def test_a_resnet50_stops_in_pdb_with_live_values(compiled):
    """In a process of its own: pytest has a set_trace of its own."""
    program = Path(__file__).with_name("resnet50.py")
    commands = "p tuple(x.shape)\np bool(x.isfinite().all())\nn\np x.shape[1]\nc\n"
    done = subprocess.run(
        [sys.executable, program, *["--compiled"] * compiled],
        input=commands, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "(1, 2048, 2, 2)" in done.stdout
    assert "(Pdb) True" in done.stdout
    assert "x = x.mean((2, 3))" in done.stdout
    assert "(Pdb) 2048" in done.stdout
    assert "scores (1, 1000)" in done.stdout
