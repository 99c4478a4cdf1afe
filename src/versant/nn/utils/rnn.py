"""Sequences of different lengths in one tensor: padded to the longest, or packed without gaps.

Packed data holds, step by step, the rows of all sequences that reach that step. The sequences are sorted by
falling length, so that the rows of one step are the first rows of the step before.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple, Self

import versant
from versant import ShapeError, Tensor
from versant.nn import functional as F


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Packed):
    """Sequences packed step by step.

    data: (total, *), the rows of step 0, then those of step 1 ...; batch_sizes: (longest,), int64, the rows
    of each step; sorted_indices: where each packed sequence stood before sorting; unsorted_indices: the way
    back. Make one by pack_padded_sequence or pack_sequence.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> Self:
        if batch_sizes is None:  # the old form: a pair
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """The same with data converted: to(dtype), to(device), to(tensor)."""
        data = self.data.to(*args, **kwargs)
        return self if data is self.data else self._with(data)

    def _with(self, data: Tensor) -> Self:
        return type(self)(data, *self[1:])

    def double(self) -> Self:
        return self.to(versant.float64)

    def float(self) -> Self:
        return self.to(versant.float32)

    def half(self) -> Self:
        return self.to(versant.float16)

    def long(self) -> Self:
        return self.to(versant.int64)

    def int(self) -> Self:
        return self.to(versant.int32)

    def short(self) -> Self:
        return self.to(versant.int16)

    def char(self) -> Self:
        return self.to(versant.int8)

    def byte(self) -> Self:
        return self.to(versant.uint8)

    def cpu(self) -> Self:
        return self

    def pin_memory(self) -> Self:
        return self

    @property
    def is_cuda(self) -> bool:
        return False

    def is_pinned(self) -> bool:
        return False


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes another; None for None."""
    return None if permutation is None else permutation.argsort()


def _lengths(who: str, lengths: Any) -> list[int]:
    return [int(n) for n in (lengths.tolist() if isinstance(lengths, Tensor) else lengths)]


def _batch_sizes(lengths: Sequence[int]) -> list[int]:
    """How many of the sequences, sorted by falling length, reach each step."""
    sizes: list[int] = []
    for count in range(len(lengths), 0, -1):
        sizes += [count] * (lengths[count - 1] - len(sizes))
    return sizes


def _steps(batch_sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of steps with equally many rows: (steps, rows)."""
    return [(len(list(run)), rows) for rows, run in groupby(batch_sizes)]


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack a padded batch.

    input: (T, N, *), or (N, T, *) if batch_first; lengths: N numbers from 1 to T, falling if enforce_sorted.
    """
    sizes = _lengths("pack_padded_sequence", lengths)
    if input.ndim < 2:
        raise ShapeError(f"[pack_padded_sequence] expected input of (T, N, *), got {tuple(input.shape)}")
    steps_first = input.transpose(0, 1) if batch_first else input
    longest, batch = steps_first.shape[:2]
    if len(sizes) != batch:
        raise ShapeError(
            f"[pack_padded_sequence] expected {batch} lengths for input of shape {tuple(input.shape)}, "
            f"got {len(sizes)}"
        )
    if batch == 0:
        raise RuntimeError("[pack_padded_sequence] cannot pack an empty batch")
    order = None
    if not enforce_sorted:
        ranks = sorted(range(batch), key=lambda i: -sizes[i])
        order = versant.tensor(ranks)
        sizes = [sizes[i] for i in ranks]
        steps_first = steps_first.index_select(1, order)
    elif any(a < b for a, b in pairwise(sizes)):
        raise RuntimeError(
            f"[pack_padded_sequence] lengths must fall, got {sizes}; sort the batch, "
            "or pass enforce_sorted=False"
        )
    if sizes[-1] < 1 or sizes[0] > longest:
        raise RuntimeError(f"[pack_padded_sequence] lengths must be from 1 to {longest}, got {sizes}")
    batch_sizes = _batch_sizes(sizes)
    parts, at = [], 0
    for steps, rows in _steps(batch_sizes):
        parts.append(steps_first[at : at + steps, :rows].flatten(0, 1))
        at += steps
    data = parts[0] if len(parts) == 1 else versant.cat(parts)
    return PackedSequence(data, versant.tensor(batch_sizes), order, None)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The padded batch of a packed one, and its lengths: (T, N, *), or (N, T, *) if batch_first, and (N,).

    total_length: T, by default the longest length.
    """
    batch_sizes = sequence.batch_sizes.tolist()
    batch, longest = batch_sizes[0], len(batch_sizes)
    if total_length is not None and total_length < longest:
        raise ValueError(
            f"[pad_packed_sequence] expected total_length to be at least {longest}, the longest sequence, "
            f"got {total_length}"
        )
    data, width, parts, at = sequence.data, sequence.data.shape[1:], [], 0
    for steps, rows in _steps(batch_sizes):
        part = data[at : at + steps * rows].reshape(steps, rows, *width)
        at += steps * rows
        if rows < batch:
            part = versant.cat([part, data.new_full((steps, batch - rows, *width), padding_value)], 1)
        parts.append(part)
    if total_length is not None and total_length > longest:
        parts.append(data.new_full((total_length - longest, batch, *width), padding_value))
    padded = parts[0] if len(parts) == 1 else versant.cat(parts)
    lengths = versant.tensor([sum(rows > i for rows in batch_sizes) for i in range(batch)])
    if sequence.unsorted_indices is not None:
        padded = padded.index_select(1, sequence.unsorted_indices)
        lengths = lengths[sequence.unsorted_indices]
    return padded.transpose(0, 1) if batch_first else padded, lengths


def pad_sequence(
    sequences: Tensor | Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences of (length, *), padded to the longest and stacked: (T, N, *), or (N, T, *) if batch_first."""
    if isinstance(sequences, Tensor):
        sequences = sequences.unbind(0)
    elif not isinstance(sequences, Iterable):
        raise RuntimeError(f"[pad_sequence] expected tensors, got {type(sequences).__name__}")
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"[pad_sequence] padding_side must be 'left' or 'right', got {padding_side!r}")
    given = list(sequences)
    if not given:
        raise RuntimeError("[pad_sequence] received an empty list of sequences")
    width = tuple(given[0].shape[1:])
    for sequence in given:
        if sequence.ndim == 0 or tuple(sequence.shape[1:]) != width:
            raise ShapeError(
                f"[pad_sequence] expected sequences of shape (length, {', '.join(map(str, width))}), "
                f"got {tuple(sequence.shape)}"
            )
    longest = max(sequence.shape[0] for sequence in given)
    rows = []
    for sequence in given:
        short = longest - sequence.shape[0]
        ends = (0, short) if padding_side == "right" else (short, 0)
        rows.append(F.pad(sequence, (0, 0) * len(width) + ends, value=padding_value) if short else sequence)
    result: Tensor = versant.stack(rows, 0 if batch_first else 1)
    return result


def unpad_sequence(padded_sequences: Tensor, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The sequences of a padded batch, each of (length, *)."""
    padded = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    sizes = _lengths("unpad_sequence", lengths)
    return [sequence[:size] for sequence, size in zip(padded, sizes, strict=False)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences of (length, *); their lengths must fall if enforce_sorted."""
    lengths = [sequence.shape[0] for sequence in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences that were packed, in their first order."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences))


__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]
