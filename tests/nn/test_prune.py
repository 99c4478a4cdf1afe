"""Pruning: which elements go, what modules hold meanwhile, ways after each other, what is refused."""

import copy

import pytest

import versant as vs
from versant import nn
from versant.nn.utils import prune


def layer() -> nn.Linear:
    made = nn.Linear(4, 3)
    made.weight.data = vs.tensor([[1.0, -2, 3, -4], [5, -6, 7, -8], [0.5, 0.25, -9, 10]])
    return made


def zeros(x) -> list:
    return (x == 0).nonzero().tolist()


def test_small_elements_go() -> None:
    pruned = prune.l1_unstructured(layer(), "weight", amount=3)
    assert zeros(pruned.weight) == [[0, 0], [2, 0], [2, 1]]
    assert [name for name, _ in pruned.named_parameters()] == ["bias", "weight_orig"]
    assert [name for name, _ in pruned.named_buffers()] == ["weight_mask"]
    assert sorted(pruned.state_dict()) == ["bias", "weight_mask", "weight_orig"]
    assert prune.is_pruned(nn.Sequential(pruned))
    assert not prune.is_pruned(layer())


def test_masks_hold_while_training() -> None:
    pruned = prune.l1_unstructured(layer(), "weight", amount=0.5)
    gone = zeros(pruned.weight)
    optimizer = vs.optim.SGD(pruned.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        pruned(vs.ones(2, 4)).square().mean().backward()
        assert zeros(pruned.weight_orig.grad) == gone
        optimizer.step()
    with vs.no_grad():
        pruned(vs.ones(2, 4))
    assert zeros(pruned.weight) == gone
    twin = copy.deepcopy(pruned)
    assert twin(vs.ones(1, 4)).tolist() == pruned(vs.ones(1, 4)).tolist()


def test_compiled_steps() -> None:
    pruned = prune.l1_unstructured(layer(), "weight", amount=0.5)
    compiled = vs.compile(lambda x: pruned(x))
    for _ in range(3):
        x = vs.randn(2, 4)
        assert compiled(x).tolist() == pruned(x).tolist()


def test_slices_go() -> None:
    assert zeros(prune.ln_structured(layer(), "weight", 1, n=1, dim=0).weight) == [[0, i] for i in range(4)]
    columns = prune.ln_structured(layer(), "weight", 0.5, n=2, dim=1).weight
    assert zeros(columns.sum(0)) == [[0], [1]]
    vs.manual_seed(0)
    rows = prune.random_structured(layer(), "weight", 2, dim=0).weight
    assert (rows == 0).all(1).sum().item() == 2
    assert (prune.random_unstructured(layer(), "weight", 5).weight == 0).sum().item() == 5


def test_ways_after_each_other_prune_what_is_left() -> None:
    pruned = prune.l1_unstructured(layer(), "weight", amount=3)
    prune.l1_unstructured(pruned, "weight", amount=2)
    assert zeros(pruned.weight) == [[0, 0], [0, 1], [0, 2], [2, 0], [2, 1]]
    prune.ln_structured(pruned, "weight", 1, n=2, dim=0)
    assert (pruned.weight == 0).all(1).tolist() == [True, False, False]
    hooks = [hook for hook, _ in pruned._own_hooks().before.values()]
    assert [type(way).__name__ for way in hooks[0]] == ["L1Unstructured", "L1Unstructured", "LnStructured"]


def test_several_parameters_as_one() -> None:
    net = nn.Sequential(layer(), nn.Linear(3, 2))
    net[1].weight.data.fill_(100)
    prune.global_unstructured([(net[0], "weight"), (net[1], "weight")], prune.L1Unstructured, amount=6)
    assert (net[0].weight == 0).sum().item() == 6
    assert (net[1].weight == 0).sum().item() == 0
    with pytest.raises(TypeError, match='Only "unstructured"'):
        prune.global_unstructured([(net[0], "weight")], prune.LnStructured, amount=1, n=2)


def test_scores_masks_and_the_end() -> None:
    scores = vs.arange(12.0).reshape(3, 4)
    pruned = prune.l1_unstructured(layer(), "weight", 2, importance_scores=scores)
    assert zeros(pruned.weight) == [[0, 0], [0, 1]]
    prune.custom_from_mask(pruned, "weight", (scores != 11).float())
    assert prune.remove(pruned, "weight") is pruned
    assert zeros(pruned.weight) == [[0, 0], [0, 1], [2, 3]]
    assert sorted(pruned.state_dict()) == ["bias", "weight"]
    assert isinstance(pruned.weight, nn.Parameter)
    assert zeros(prune.L1Unstructured(1).prune(vs.tensor([3.0, 1.0]))) == [[1]]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: prune.remove(layer(), "weight"), ValueError, "has to be pruned"),
        (lambda: prune.l1_unstructured(layer(), "kernel", 1), AttributeError, "no parameter 'kernel'"),
        (lambda: prune.l1_unstructured(layer(), "weight", 1.5), ValueError, "amount=1.5"),
        (lambda: prune.l1_unstructured(layer(), "weight", -1), ValueError, "amount=-1"),
        (lambda: prune.l1_unstructured(layer(), "weight", 100), ValueError, "should be smaller"),
        (lambda: prune.l1_unstructured(layer(), "weight", "all"), TypeError, "int or float"),
        (lambda: prune.ln_structured(layer(), "bias", 1, n=2, dim=0), ValueError, "multidimensional"),
        (lambda: prune.ln_structured(layer(), "weight", 1, n=2, dim=2), IndexError, "Invalid index 2"),
        (
            lambda: prune.l1_unstructured(layer(), "weight", 1, importance_scores=vs.ones(2)),
            ValueError,
            r"shape \(3, 4\), got \(2,\)",
        ),
    ],
)
def test_what_is_refused(call, error, text) -> None:
    with pytest.raises(error, match=text):
        call()
