"""tf.data.Dataset: sequences of tensors, and sequences made of them."""

import itertools
import random as python_random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import versant
from versant import _core
from versant.tensors.nest import flatten, map_structure, pack_sequence_as
from versant.tf.functions import TensorSpec
from versant.tf.tensors import brand, convert

__all__ = ["AUTOTUNE", "INFINITE_CARDINALITY", "UNKNOWN_CARDINALITY", "Dataset"]

AUTOTUNE = -1
INFINITE_CARDINALITY = -1
UNKNOWN_CARDINALITY = -2


def _tensors(element: Any) -> Any:
    """The element, whose lists are values and not containers."""
    if isinstance(element, list):
        return convert(element)
    if isinstance(element, tuple):
        made = [_tensors(item) for item in element]
        return type(element)(*made) if hasattr(element, "_fields") else tuple(made)
    if isinstance(element, dict):
        return {key: _tensors(value) for key, value in element.items()}
    return element if isinstance(element, Dataset) else convert(element)


def _stacked(rows: list[Any]) -> Any:
    columns = zip(*(flatten(row) for row in rows), strict=True)
    made = []
    for column in columns:
        shapes = {tuple(x.shape) for x in column}
        if len(shapes) > 1:
            raise ValueError(f"[batch] elements have different shapes: {sorted(shapes)}; use padded_batch")
        made.append(brand(versant.stack([_core.plain(x) for x in column])))
    return pack_sequence_as(rows[0], made)


class Dataset:
    """Elements, one after the other: tensors, or tuples and dicts of them.

    Made by from_tensor_slices, from_tensors, from_generator, range or zip; each method gives another
    dataset. Iterating begins anew each time.
    """

    def __init__(self, begin: Callable[[], Iterator[Any]], size: int) -> None:
        self._begin = begin
        self._size = size

    def __iter__(self) -> Iterator[Any]:
        return self._begin()

    def __len__(self) -> int:
        if self._size == INFINITE_CARDINALITY:
            raise TypeError("[Dataset] the dataset has no end")
        if self._size == UNKNOWN_CARDINALITY:
            raise TypeError("[Dataset] the number of elements is not known")
        return self._size

    def cardinality(self) -> Any:
        """How many elements there are; -1 without end, -2 when it is not known."""
        return brand(versant.tensor(self._size))

    def _of(self, begin: Callable[[], Iterator[Any]], count: Callable[[int], int] | None = None) -> "Dataset":
        """A dataset made of this one; count gives its size from this one's."""
        if count is None or self._size == UNKNOWN_CARDINALITY:
            return Dataset(begin, UNKNOWN_CARDINALITY if count is None else self._size)
        return Dataset(begin, self._size if self._size == INFINITE_CARDINALITY else count(self._size))

    # Sources ------------------------------------------------------------------------------------------------

    @staticmethod
    def from_tensor_slices(tensors: Any, name: Any = None) -> "Dataset":
        """The slices along the first axis of a tensor, or of each tensor of a tuple or dict."""
        whole = _tensors(tensors)
        leaves = [_core.plain(x) for x in flatten(whole)]
        if any(x.dim() == 0 for x in leaves):
            raise ValueError("[from_tensor_slices] a tensor without axes has no slices")
        lengths = {x.size(0) for x in leaves}
        if len(lengths) != 1:
            raise ValueError(f"[from_tensor_slices] the first axes differ: {sorted(lengths)}")
        n = lengths.pop()

        def begin() -> Iterator[Any]:
            for i in range(n):
                yield pack_sequence_as(whole, [brand(x[i]) for x in leaves])

        return Dataset(begin, n)

    @staticmethod
    def from_tensors(tensors: Any, name: Any = None) -> "Dataset":
        """One element."""
        whole = _tensors(tensors)
        return Dataset(lambda: iter([whole]), 1)

    @staticmethod
    def from_generator(
        generator: Callable[..., Iterable[Any]],
        output_types: Any = None,
        output_shapes: Any = None,
        args: Any = None,
        output_signature: Any = None,
        name: Any = None,
    ) -> "Dataset":
        """What generator(*args) gives; each iteration calls it anew."""
        types = output_types
        if output_signature is not None:
            types = map_structure(lambda spec: spec.dtype, output_signature)

        def begin() -> Iterator[Any]:
            for element in generator(*(args or ())):
                if types is None:
                    yield _tensors(element)
                elif isinstance(types, tuple):
                    yield tuple(convert(x, kind) for x, kind in zip(element, types, strict=True))
                elif isinstance(types, dict):
                    yield {key: convert(element[key], kind) for key, kind in types.items()}
                else:
                    yield convert(element, types)

        return Dataset(begin, UNKNOWN_CARDINALITY)

    @staticmethod
    def range(*args: Any, output_type: Any = "int64", name: Any = None) -> "Dataset":
        """The numbers of range(*args)."""
        numbers = range(*(int(a) for a in args))
        return Dataset(lambda: (convert(i, output_type) for i in numbers), len(numbers))

    @staticmethod
    def zip(*datasets: Any, name: Any = None) -> "Dataset":
        """Tuples of one element of each; ends with the shortest."""
        parts = datasets[0] if len(datasets) == 1 and not isinstance(datasets[0], Dataset) else datasets
        leaves = flatten(parts)
        sizes = [d._size for d in leaves]
        finite = [n for n in sizes if n >= 0]
        size = UNKNOWN_CARDINALITY if UNKNOWN_CARDINALITY in sizes else min(finite) if finite else -1
        return Dataset(lambda: (pack_sequence_as(parts, row) for row in zip(*leaves, strict=False)), size)

    # One after the other ------------------------------------------------------------------------------------

    def map(
        self,
        map_func: Callable[..., Any],
        num_parallel_calls: Any = None,
        deterministic: Any = None,
        name: Any = None,
    ) -> "Dataset":
        """map_func of each element; of a tuple's parts as arguments."""

        def begin() -> Iterator[Any]:
            for element in self:
                yield _tensors(map_func(*element) if type(element) is tuple else map_func(element))

        return self._of(begin, lambda n: n)

    def filter(self, predicate: Callable[..., Any], name: Any = None) -> "Dataset":
        """The elements for which predicate holds."""

        def begin() -> Iterator[Any]:
            for element in self:
                if bool(predicate(*element) if type(element) is tuple else predicate(element)):
                    yield element

        return self._of(begin)

    def flat_map(self, map_func: Callable[..., Any], name: Any = None) -> "Dataset":
        """The elements of the datasets that map_func gives."""

        def begin() -> Iterator[Any]:
            for element in self:
                yield from map_func(*element) if type(element) is tuple else map_func(element)

        return self._of(begin)

    def interleave(
        self,
        map_func: Callable[..., Any],
        cycle_length: int = 1,
        block_length: int = 1,
        num_parallel_calls: Any = None,
        deterministic: Any = None,
        name: Any = None,
    ) -> "Dataset":
        """block_length elements in turn from each of cycle_length datasets that map_func gives."""

        def begin() -> Iterator[Any]:
            source = iter(self)
            open_ = [iter(map_func(e)) for e in itertools.islice(source, cycle_length)]
            while open_:
                for i in range(len(open_)):
                    for _ in range(block_length):
                        try:
                            yield next(open_[i])
                        except StopIteration:
                            open_[i] = iter(map_func(e)) if (e := next(source, None)) is not None else None
                            break
                open_ = [it for it in open_ if it is not None]

        return self._of(begin)

    def shuffle(
        self, buffer_size: Any, seed: Any = None, reshuffle_each_iteration: bool = True, name: Any = None
    ) -> "Dataset":
        """In an order drawn anew in each iteration; each next one is drawn from buffer_size elements."""
        if int(buffer_size) < 1:
            raise ValueError(f"[shuffle] buffer_size must be positive, got {int(buffer_size)}")
        rounds = itertools.count()
        first = int(seed) if seed is not None else int(versant.randint(0, 2**31, (1,)).item())

        def begin() -> Iterator[Any]:
            turn = next(rounds) if reshuffle_each_iteration else 0
            draw = python_random.Random(first * 1000003 + turn)
            buffer: list[Any] = []
            for element in self:
                buffer.append(element)
                if len(buffer) > int(buffer_size):
                    i = draw.randrange(len(buffer))
                    buffer[i], buffer[-1] = buffer[-1], buffer[i]
                    yield buffer.pop()
            draw.shuffle(buffer)
            yield from buffer

        return self._of(begin, lambda n: n)

    def batch(
        self,
        batch_size: Any,
        drop_remainder: bool = False,
        num_parallel_calls: Any = None,
        deterministic: Any = None,
        name: Any = None,
    ) -> "Dataset":
        """batch_size elements stacked; the last batch may be smaller."""
        size = int(batch_size)
        if size < 1:
            raise ValueError(f"[batch] batch_size must be positive, got {size}")

        def begin() -> Iterator[Any]:
            source = iter(self)
            while rows := list(itertools.islice(source, size)):
                if len(rows) == size or not drop_remainder:
                    yield _stacked(rows)

        return self._of(begin, lambda n: n // size if drop_remainder else -(-n // size))

    def padded_batch(
        self,
        batch_size: Any,
        padded_shapes: Any = None,
        padding_values: Any = None,
        drop_remainder: bool = False,
        name: Any = None,
    ) -> "Dataset":
        """batch_size elements stacked, each filled up to the largest sizes with padding_values (0)."""
        size = int(batch_size)

        def padded(column: tuple[Any, ...], value: Any) -> Any:
            largest = [max(sizes) for sizes in zip(*(tuple(x.shape) for x in column), strict=True)]
            rows = []
            for x in column:
                flat: list[int] = []
                for have, want in zip(reversed(tuple(x.shape)), reversed(largest), strict=True):
                    flat += [0, want - have]
                rows.append(versant.nn.functional.pad(_core.plain(x), flat, value=value))
            return brand(versant.stack(rows))

        def begin() -> Iterator[Any]:
            source = iter(self)
            while rows := list(itertools.islice(source, size)):
                if len(rows) < size and drop_remainder:
                    return
                columns = list(zip(*(flatten(row) for row in rows), strict=True))
                values = [0] * len(columns) if padding_values is None else flatten(padding_values)
                values = values * len(columns) if len(values) < len(columns) else values
                yield pack_sequence_as(rows[0], [padded(c, v) for c, v in zip(columns, values, strict=True)])

        return self._of(begin, lambda n: n // size if drop_remainder else -(-n // size))

    def unbatch(self, name: Any = None) -> "Dataset":
        """The slices of the elements along the first axis."""
        return self.flat_map(lambda *parts: Dataset.from_tensor_slices(parts if len(parts) > 1 else parts[0]))

    def repeat(self, count: Any = None, name: Any = None) -> "Dataset":
        """All elements, count times; without end when count is None or -1."""
        n = -1 if count is None else int(count)

        def begin() -> Iterator[Any]:
            for _ in itertools.count() if n < 0 else range(n):
                found = False
                for element in self:
                    found = True
                    yield element
                if not found:
                    return

        if n < 0:
            return Dataset(begin, INFINITE_CARDINALITY)
        return self._of(begin, lambda size: size * n)

    def take(self, count: Any, name: Any = None) -> "Dataset":
        """The first count elements; all when count is -1."""
        n = int(count)
        size = self._size if n < 0 else n if self._size == INFINITE_CARDINALITY else min(self._size, n)
        return Dataset(lambda: iter(self) if n < 0 else itertools.islice(self, n), size)

    def skip(self, count: Any, name: Any = None) -> "Dataset":
        """Without the first count elements."""
        n = int(count)
        return self._of(lambda: itertools.islice(self, n, None), lambda size: max(size - n, 0))

    def take_while(self, predicate: Callable[..., Any], name: Any = None) -> "Dataset":
        """The elements before the first one for which predicate does not hold."""
        return self._of(lambda: itertools.takewhile(lambda e: bool(predicate(e)), self))

    def enumerate(self, start: int = 0, name: Any = None) -> "Dataset":
        """(number, element)."""
        return self._of(lambda: ((convert(i, "int64"), e) for i, e in enumerate(self, start)), lambda n: n)

    def concatenate(self, dataset: "Dataset", name: Any = None) -> "Dataset":
        """The elements of both, one dataset after the other."""
        sizes = (self._size, dataset._size)
        size = min(sizes) if min(sizes) < 0 else sum(sizes)
        return Dataset(lambda: itertools.chain(self, dataset), size)

    def shard(self, num_shards: int, index: int, name: Any = None) -> "Dataset":
        """Every num_shards-th element, from number index on."""
        return self._of(
            lambda: itertools.islice(self, index, None, num_shards),
            lambda n: max(0, -(-(n - index) // num_shards)),
        )

    def window(
        self,
        size: int,
        shift: int | None = None,
        stride: int = 1,
        drop_remainder: bool = False,
        name: Any = None,
    ) -> "Dataset":
        """Datasets of size elements, each beginning shift elements after the one before."""
        step = size if shift is None else shift

        def begin() -> Iterator[Any]:
            elements = list(self)
            for first in range(0, len(elements), step):
                part = elements[first : first + size * stride : stride]
                if len(part) == size or not drop_remainder:
                    yield Dataset(lambda part=part: iter(part), len(part))  # type: ignore[misc]

        return self._of(begin)

    def cache(self, filename: str = "", name: Any = None) -> "Dataset":
        """The elements, kept in memory after the first full iteration."""
        if filename:
            raise ValueError("[cache] keeps elements in memory; filename is not supported")
        kept: list[Any] = []
        complete = [False]

        def begin() -> Iterator[Any]:
            if complete[0]:
                yield from kept
                return
            fresh: list[Any] = []
            for element in self:
                fresh.append(element)
                yield element
            kept[:], complete[0] = fresh, True

        return self._of(begin, lambda n: n)

    def prefetch(self, buffer_size: Any, name: Any = None) -> "Dataset":
        """The dataset: elements are made when they are asked for."""
        return self

    def with_options(self, options: Any, name: Any = None) -> "Dataset":
        """The dataset: options say how TensorFlow runs it."""
        return self

    def apply(self, transformation_func: Callable[["Dataset"], "Dataset"]) -> "Dataset":
        """transformation_func of the dataset."""
        return transformation_func(self)

    def reduce(self, initial_state: Any, reduce_func: Callable[..., Any], name: Any = None) -> Any:
        """state = reduce_func(state, element) for every element; the last state."""
        state = map_structure(convert, initial_state)
        for element in self:
            state = reduce_func(state, element)
        return state

    def as_numpy_iterator(self) -> Iterator[Any]:
        """The elements with numpy arrays in the place of tensors."""
        for element in self:
            yield map_structure(lambda x: x.numpy(), element)

    def get_single_element(self, name: Any = None) -> Any:
        """The only element.  Raises ValueError when there are others, or none."""
        found = list(itertools.islice(self, 2))
        if len(found) != 1:
            raise ValueError("[get_single_element] the dataset does not have exactly one element")
        return found[0]

    @property
    def element_spec(self) -> Any:
        """Shapes and dtypes of the first element."""
        return map_structure(TensorSpec.from_tensor, next(iter(self)))
