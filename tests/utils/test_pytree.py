"""Trees of containers: leaves, forms, maps."""

from collections import OrderedDict, defaultdict, deque, namedtuple

import pytest

import versant as vs
from versant.utils._pytree import (
    tree_all,
    tree_any,
    tree_flatten,
    tree_leaves,
    tree_map,
    tree_map_only,
    tree_unflatten,
)

Point = namedtuple("Point", "x y")
TREES = [
    3,
    [1, (2, None)],
    {"b": 1, "a": [2, 3]},
    OrderedDict(b=1, a=2),
    defaultdict(list, b=1),
    deque([1, 2], maxlen=4),
    Point(1, [2]),
    [],
]


@pytest.mark.parametrize("tree", TREES)
def test_a_tree_from_its_leaves_and_form(tree) -> None:
    leaves, form = tree_flatten(tree)
    again = tree_unflatten(leaves, form)
    assert again == tree
    assert type(again) is type(tree)
    assert form.num_leaves == len(leaves)


def test_leaves_come_in_the_order_of_insertion() -> None:
    assert tree_leaves({"b": 1, "a": [2, (3, None)]}) == [1, 2, 3, None]
    assert tree_leaves([(1, 2), 3], is_leaf=lambda x: isinstance(x, tuple)) == [(1, 2), 3]


def test_maps() -> None:
    doubled = tree_map(lambda x: x * 2, {"a": [vs.ones(2)], "b": 3})
    assert doubled["a"][0].tolist() == [2, 2]
    assert doubled["b"] == 6
    assert tree_map(lambda a, b: a + b, (1, [2]), (10, [20])) == (11, [22])
    assert tree_map_only(int, str, [1, 2.0]) == ["1", 2.0]
    assert tree_all(bool, [1, (2,)])
    assert tree_any(bool, [0, (2,)])
    with pytest.raises(ValueError, match="different forms"):
        tree_map(lambda a, b: a, (1, 2), [1, 2])
    with pytest.raises(ValueError, match="expected 1 leaves, got 2"):
        tree_unflatten([1, 2], tree_flatten(0)[1])
