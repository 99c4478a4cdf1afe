"""Trees of tuples, lists and dicts, under the names by which programs of PyTorch walk them."""

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["TreeSpec", "tree_all", "tree_any", "tree_flatten", "tree_leaves", "tree_map", "tree_map_only"]
__all__ += ["tree_unflatten"]

IsLeaf = Callable[[Any], bool] | None


class TreeSpec:
    """The form of a tree: the container and what its children are like; None for a leaf."""

    def __init__(self, make: Callable[[list[Any]], Any] | None, key: Any, children: list["TreeSpec"]) -> None:
        self._make = make
        self._key = key
        self.children_specs = children

    def is_leaf(self) -> bool:
        return self._make is None

    @property
    def num_leaves(self) -> int:
        return 1 if self.is_leaf() else sum(child.num_leaves for child in self.children_specs)

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, TreeSpec) and self._key == other._key
        return same and self.children_specs == other.children_specs  # type: ignore[attr-defined]

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        if self.is_leaf():
            return "*"
        return f"TreeSpec({self._key[0].__name__}, {self._key[1]}, {self.children_specs})"


def _children(tree: Any) -> tuple[Callable[[list[Any]], Any], Any, list[Any]] | None:
    """How a container is made of its children, what it is, and its children; None for a leaf."""
    kind = type(tree)
    if kind in (list, tuple):
        return kind, (kind, None), list(tree)
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return (lambda items: kind(*items)), (kind, None), list(tree)
    if kind is deque:
        return (lambda items: deque(items, tree.maxlen)), (kind, tree.maxlen), list(tree)
    if kind in (dict, OrderedDict):
        keys = list(tree)
        return (lambda items: kind(zip(keys, items, strict=True))), (kind, keys), list(tree.values())
    if kind is defaultdict:
        keys, default = list(tree), tree.default_factory
        make = lambda items: defaultdict(default, zip(keys, items, strict=True))  # noqa: E731
        return make, (kind, [default, keys]), list(tree.values())
    return None


def tree_flatten(tree: Any, is_leaf: IsLeaf = None) -> tuple[list[Any], TreeSpec]:
    """The leaves in order, and the form."""
    found = None if is_leaf is not None and is_leaf(tree) else _children(tree)
    if found is None:
        return [tree], TreeSpec(None, None, [])
    make, key, children = found
    parts = [tree_flatten(child, is_leaf) for child in children]
    return [leaf for leaves, _ in parts for leaf in leaves], TreeSpec(make, key, [spec for _, spec in parts])


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """The tree of a form with these leaves."""
    given = list(leaves)
    if len(given) != treespec.num_leaves:
        raise ValueError(f"[tree_unflatten] expected {treespec.num_leaves} leaves, got {len(given)}")
    return _built(iter(given), treespec)


def _built(leaves: Any, spec: TreeSpec) -> Any:
    if spec._make is None:
        return next(leaves)
    return spec._make([_built(leaves, child) for child in spec.children_specs])


def tree_leaves(tree: Any, is_leaf: IsLeaf = None) -> list[Any]:
    """The leaves in order."""
    return tree_flatten(tree, is_leaf)[0]


def tree_map(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: IsLeaf = None) -> Any:
    """The tree of func(leaf), or of func of the leaves at one place of several trees of one form."""
    leaves, spec = tree_flatten(tree, is_leaf)
    columns = [leaves]
    for rest in rests:
        others, form = tree_flatten(rest, is_leaf)
        if form != spec:
            raise ValueError(f"[tree_map] trees of different forms: {spec} and {form}")
        columns.append(others)
    return tree_unflatten([func(*items) for items in zip(*columns, strict=True)], spec)


def tree_map_only(kind: Any, func: Callable[[Any], Any], tree: Any, is_leaf: IsLeaf = None) -> Any:
    """tree_map over leaves of a class; others stay."""
    return tree_map(lambda leaf: func(leaf) if isinstance(leaf, kind) else leaf, tree, is_leaf=is_leaf)


def tree_all(pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Whether pred holds for all leaves."""
    return all(map(pred, tree_leaves(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Whether pred holds for a leaf."""
    return any(map(pred, tree_leaves(tree, is_leaf)))
