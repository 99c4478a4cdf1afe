"""nan_guard(pdb=True) stops in the debugger with live values: in a terminal, from a pipe, without input."""

import os
import pty
import subprocess
import sys

import pytest

PROGRAM = """
import sys
import versant as vs
from versant import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.scale = nn.Parameter(vs.ones(()))

    def forward(self, x, factor):
        hidden = self.linear(x).sigmoid()
        shifted = hidden * self.scale
        return shifted.log() * factor

vs.manual_seed(0)
net = Net()
optimizer = vs.optim.SGD(net.parameters(), lr=0.1)

def step(x, factor):
    optimizer.zero_grad()
    loss = net(x, factor).square().mean()
    loss.backward()
    optimizer.step()
    return loss

run = vs.compile(step) if sys.argv[1] == "compiled" else step
for _ in range(3):
    run(vs.ones(2, 3), 2.0)
with vs.no_grad():
    net.scale.fill_(-1.0)
try:
    with vs.debug.nan_guard(pdb=True):
        run(vs.ones(2, 3), 2.0)
except vs.debug.NonFiniteError as error:
    print("raised", error.op, error.module)
with vs.no_grad():
    net.scale.fill_(1.0)
print("goes on", run(vs.ones(2, 3), 2.0).isfinite().item())
"""
COMMANDS = [
    "p 'factor is', factor, 'shape is', tuple(shifted.shape)",
    "p 'all below', bool((shifted < 0).all()), 'own sum', (hidden * 0 + 2).sum().item()",
    "p 'root is', shifted.sqrt().isnan().all().item()",
    "w",
    "up",
    "p 'in step', sorted(k for k in locals() if k != 'loss')",
    "c",
]


def held(shown):
    """What was shown holds the answers."""
    assert "[nan_guard] log gave NaN" in shown
    assert "return shifted.log() * factor" in shown
    assert "('factor is', 2.0, 'shape is', (2, 3))" in shown
    assert "('all below', True, 'own sum', 12.0)" in shown
    assert "('root is', True)" in shown
    assert "raised log Net" in shown
    assert "goes on True" in shown


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "train.py"
    path.write_text(PROGRAM)
    return path


@pytest.mark.parametrize("how", ["eager", "compiled"])
def test_a_terminal_shows_live_values(program, how):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(program), how], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    commands = iter(COMMANDS)
    with os.fdopen(ours, "rb+", buffering=0) as terminal:
        while True:
            try:
                part = terminal.read(4096)
            except OSError:  # the other side has ended
                break
            if not part:
                break
            shown += part
            if shown.endswith(b"(Pdb) "):
                terminal.write(next(commands).encode() + b"\n")
    assert process.wait() == 0
    text = shown.decode().replace("\r\n", "\n")
    held(text)
    assert "('in step', ['factor', 'x'])" in text
    assert next(commands, None) is None


@pytest.mark.parametrize("how", ["eager", "compiled"])
def test_commands_come_from_a_pipe(program, how):
    done = subprocess.run(
        [sys.executable, str(program), how],
        input="\n".join(COMMANDS),
        capture_output=True,
        text=True,
        check=True,
    )
    held(done.stdout)


@pytest.mark.parametrize("how", ["eager", "compiled"])
def test_without_input_the_error_is_raised(program, how):
    done = subprocess.run(
        [sys.executable, str(program), how],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "raised log Net" in done.stdout
    assert "goes on True" in done.stdout
