"""why() says why a gradient is missing or zero, and graph() draws the tape."""

import re
from xml.etree import ElementTree

import pytest
from debug.planted import marked_line

import versant as vs
from versant import nn
from versant.debug import graph, why


def line_in(text):
    return re.search(r"(\w+\.py:\d+)", text).group(1)


def detached(w):
    part = w * 2
    part = part.detach()  # planted
    return (part + 1).sum()


def without_gradients(w):
    with vs.no_grad():
        part = w * 2  # planted
    return (part + 1).sum()


def turned_into_integers(w):
    part = (w * 2).long()  # planted
    return part.float().sum()


def given_to_python(w):
    part = (w * 2).sum().item()  # planted
    return vs.ones(2, requires_grad=True).sum() * part


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (detached, "detached"),
        (without_gradients, "read without gradients (no_grad) by mul"),
        (turned_into_integers, "turned into int64[3]"),
        (given_to_python, "turned into a number"),
    ],
)
def test_the_line_that_cuts_the_way_is_named(loss, words):
    w = vs.ones(3, requires_grad=True)
    found = why(w, lambda: loss(w))
    assert found.kind == "none"
    assert words in found.verdict
    assert line_in(found.verdict) == marked_line(loss)


def test_other_reasons_for_none():
    w, other = vs.ones(3, requires_grad=True), vs.ones(3, requires_grad=True)
    assert "unused" in why(w, lambda: other.sum()).verdict
    assert "no way leads" in why(w, other.sum()).verdict
    assert "int64" in why(vs.ones(3, dtype=vs.int64), other.sum()).verdict
    assert "requires_grad=False" in why(vs.ones(3), lambda: other.sum()).verdict
    frozen = nn.Linear(2, 2).requires_grad_(False)
    assert "frozen" in str(why(frozen.weight, lambda: other.sum()))


def dead(w):
    x = w - 2
    x = x.relu()  # planted
    return x.sum()


def test_a_gradient_that_is_zero_names_the_op_that_made_it_so():
    w = vs.ones(3, requires_grad=True)
    found = why(w, lambda: dead(w))
    assert found.kind == "zero"
    assert "relu" in found.notes[0]
    assert line_in(found.notes[0]) == marked_line(dead)


def test_a_mask_that_hides_all_is_named():
    w = vs.ones(3, requires_grad=True)
    found = why(w, lambda: (w * vs.zeros(3)).sum())
    assert found.kind == "zero"
    assert found.notes[0].startswith("mul at")


def test_shares_of_the_ways():
    w = vs.ones(4, requires_grad=True)
    loss = (w * 3).sum() + w.sum()
    found = why(w, loss)
    assert [(path.op, path.share) for path in found.paths] == [("mul", 0.75), ("sum", 0.25)]
    assert w.grad is None
    loss.backward()
    assert w.grad.tolist() == [4.0] * 4


def test_a_parameter_deep_in_a_model():
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    found = why(net[0].weight, lambda: net(vs.randn(8, 4)).mean())
    assert found.kind == "there"
    assert [path.op for path in found.paths] == ["linear"]
    with pytest.raises(TypeError, match=r"\[why\] expected a tensor"):
        why(net, net(vs.ones(1, 4)).sum())


def test_the_tape_is_drawn(tmp_path):
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
    loss = net(vs.ones(2, 4)).square().mean()
    svg = graph(loss, path=tmp_path / "tape.svg", model=net)
    assert (tmp_path / "tape.svg").read_text() == svg
    texts = [
        "".join(node.itertext()) for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("text")
    ]
    for name in ("0.weight", "0.bias", "linear", "tanh", "square", "mean"):
        assert name in texts
    with pytest.raises(ValueError, match=r"\[graph\] none of the tensors"):
        graph(vs.ones(2))


def test_a_compiled_loss_is_followed_op_by_op():
    net, x = vs.nn.Linear(3, 3), vs.ones(2, 3)

    @vs.compile
    def loss():
        return net(x).tanh().sum()

    loss(), loss()
    found = vs.debug.why(net.weight, loss)
    assert [path.op for path in found.paths] == ["linear"]
    assert "test_why.py" in found.paths[0].line
    assert loss.stats()["replays"] == 1
