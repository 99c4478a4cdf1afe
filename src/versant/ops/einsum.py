"""Einstein summation: operands are contracted pair by pair, each pair as one batched matrix product."""

import string
from collections.abc import Sequence
from typing import Any

from versant._core import ShapeError, Tensor, promote_types
from versant.ops.linear import matmul
from versant.ops.reductions import sum


def contract(equation: str, operands: Sequence[Tensor]) -> Tensor:
    """Evaluates einsum(equation, *operands), from left to right."""
    terms, output = parse(equation, operands)
    labelled = [diagonals(tensor, term, equation) for tensor, term in zip(operands, terms, strict=True)]
    check_sizes(equation, labelled)
    left, labels = labelled[0]
    for i, (right, right_labels) in enumerate(labelled[1:], 1):
        later = set(output).union(*(term for _, term in labelled[i + 1 :]))
        left, labels = multiply(left, labels, right, right_labels, later)
    summed = [d for d, label in enumerate(labels) if label not in output]
    if summed:
        left = sum(left, summed)
        labels = [label for label in labels if label in output]
    return left.permute([labels.index(label) for label in output])


def lettered(arguments: tuple[Any, ...]) -> tuple[str, tuple[Tensor, ...]]:
    """The equation and the operands of einsum(a, [0, 1], b, [1, ...], [0, ...])."""
    pairs = len(arguments) // 2 * 2
    texts = [
        "".join("..." if n is ... else string.ascii_letters[n] for n in labels)
        for labels in (*arguments[1:pairs:2], *arguments[pairs:])
    ]
    equation = ",".join(texts[: pairs // 2])
    return "->".join([equation, *texts[pairs // 2 :]]), arguments[:pairs:2]


def parse(equation: str, operands: Sequence[Tensor]) -> tuple[list[list[str]], list[str]]:
    """The labels of each operand's axes and of the output's.

    Axes under "..." are labelled by their place from the end: "0", "1" ...
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    texts = left.split(",")
    if len(texts) != len(operands):
        raise ValueError(f"[einsum] {equation!r} has {len(texts)} operands, got {len(operands)}")
    terms = []
    hidden = 0
    for text, tensor in zip(texts, operands, strict=True):
        before, dots, after = text.partition("...")
        if not (before + after).isalpha() and before + after:
            raise ValueError(f"[einsum] {text!r} in {equation!r} is not made of letters and one '...'")
        n = tensor.ndim - len(before) - len(after)
        if n < 0 or (n > 0 and not dots):
            raise ShapeError(f"[einsum] {text!r} in {equation!r} does not fit shape {tuple(tensor.shape)}")
        hidden = max(hidden, n)
        terms.append([*before, *(str(i) for i in reversed(range(n))), *after])
    dots_labels = [str(i) for i in reversed(range(hidden))]
    if arrow:
        before, dots, after = right.partition("...")
        output = [*before, *(dots_labels if dots else []), *after]
    else:
        letters = [label for term in terms for label in term if label.isalpha()]
        output = dots_labels + sorted(label for label in letters if letters.count(label) == 1)
    known = {label for term in terms for label in term}
    if len(set(output)) != len(output) or not known.issuperset(output):
        raise ValueError(f"[einsum] the output of {equation!r} must name letters of the operands, each once")
    return terms, output


def diagonals(tensor: Tensor, labels: list[str], equation: str) -> tuple[Tensor, list[str]]:
    """A letter that occurs twice in one operand means the diagonal."""
    labels = list(labels)
    for label in sorted(set(labels)):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            if tensor.shape[first] != tensor.shape[second]:
                raise ShapeError(f"[einsum] {label!r} in {equation!r} has two sizes in {tuple(tensor.shape)}")
            tensor = tensor.diagonal(0, first, second)
            del labels[second], labels[first]
            labels.append(label)
    return tensor, labels


def check_sizes(equation: str, labelled: Sequence[tuple[Tensor, list[str]]]) -> None:
    sizes: dict[str, int] = {}
    for tensor, labels in labelled:
        for label, size in zip(labels, tensor.shape, strict=True):
            if 1 not in (size, sizes.get(label, 1)) and sizes[label] != size:
                raise ShapeError(f"[einsum] {label!r} in {equation!r} has sizes {sizes[label]} and {size}")
            sizes[label] = max(size, sizes.get(label, 1)) if size else 0


def multiply(
    a: Tensor, of_a: list[str], b: Tensor, of_b: list[str], later: set[str]
) -> tuple[Tensor, list[str]]:
    """The product of two operands, summed over the labels that are not needed later."""
    # What only one of them has and nobody needs is summed at once.
    for only, other in ((of_a, of_b), (of_b, of_a)):
        lonely = [d for d, label in enumerate(only) if label not in other and label not in later]
        if lonely and only is of_a:
            a, of_a = (
                sum(a, lonely),
                [label for d, label in enumerate(only) if d not in lonely],
            )
        elif lonely:
            b, of_b = (
                sum(b, lonely),
                [label for d, label in enumerate(only) if d not in lonely],
            )
    if a.dtype is not b.dtype:  # sums of integers are int64
        dtype = promote_types(a.dtype, b.dtype)
        a, b = a.to(dtype), b.to(dtype)
    shared = [label for label in of_a if label in of_b]
    inner = [
        label
        for label in shared
        if label not in later and a.shape[of_a.index(label)] == b.shape[of_b.index(label)]
    ]
    batch = [label for label in shared if label not in inner]
    rows = [label for label in of_a if label not in shared]
    columns = [label for label in of_b if label not in shared]
    left = a.permute([of_a.index(x) for x in batch + rows + inner])
    right = b.permute([of_b.index(x) for x in batch + inner + columns])
    n = len(batch)
    row_sizes, column_sizes = left.shape[n : n + len(rows)], right.shape[n + len(inner) :]
    product = matmul(
        left.reshape(*left.shape[:n], size(row_sizes), size(left.shape[n + len(rows) :])),
        right.reshape(*right.shape[:n], size(right.shape[n : n + len(inner)]), size(column_sizes)),
    )
    product = product.reshape(*product.shape[:n], *row_sizes, *column_sizes)
    return product, batch + rows + columns


def size(sizes: Sequence[int]) -> int:
    product = 1
    for n in sizes:
        product *= n
    return product
