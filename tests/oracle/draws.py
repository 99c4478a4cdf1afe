"""The same random numbers on both sides: while `shared` lasts, draws of both libraries come from numpy."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

import versant as vs
from versant.ops import dropouts


class Draws:
    """A stream of random numbers for one library."""

    def __init__(self, library: Any) -> None:
        self.library = library
        self.seed()

    def seed(self) -> None:
        self.numbers = np.random.default_rng(0)

    def as_tensor(self, array: Any, dtype: Any) -> Any:
        return self.library.tensor(np.asarray(array).tolist()).reshape(np.shape(array)).to(dtype)

    def floats(self, dtype: Any) -> Any:
        return self.library.get_default_dtype() if dtype is None else dtype

    # The functions of the library, in numpy.

    def rand(self, *size: Any, dtype: Any = None, requires_grad: bool = False, **_: Any) -> Any:
        drawn = self.as_tensor(self.numbers.random(sizes(size)), self.floats(dtype))
        return drawn.requires_grad_(requires_grad)

    def randn(self, *size: Any, dtype: Any = None, requires_grad: bool = False, **_: Any) -> Any:
        drawn = self.as_tensor(self.numbers.standard_normal(sizes(size)), self.floats(dtype))
        return drawn.requires_grad_(requires_grad)

    def randint(self, *args: Any, dtype: Any = None, **_: Any) -> Any:
        low, high, size = args if len(args) == 3 else (0, *args)
        return self.as_tensor(self.numbers.integers(low, high, sizes((size,))), dtype or self.library.int64)

    def randperm(self, n: int, **_: Any) -> Any:
        return self.as_tensor(self.numbers.permutation(n), self.library.int64)

    def rand_like(self, x: Any, dtype: Any = None, **_: Any) -> Any:
        return self.as_tensor(self.numbers.random(tuple(x.shape)), dtype or x.dtype)

    def randn_like(self, x: Any, dtype: Any = None, **_: Any) -> Any:
        return self.as_tensor(self.numbers.standard_normal(tuple(x.shape)), dtype or x.dtype)

    def bernoulli(self, x: Any, p: Any = None, **_: Any) -> Any:
        odds = x.detach().double().numpy() if p is None else p
        return self.as_tensor(self.numbers.random(tuple(x.shape)) < odds, x.dtype)

    def multinomial(self, x: Any, num_samples: int, replacement: bool = False, **_: Any) -> Any:
        rows = x.detach().double().numpy().reshape(-1, x.shape[-1])
        rows = rows / rows.sum(-1, keepdims=True)
        drawn = [self.numbers.choice(len(row), num_samples, replacement, row) for row in rows]
        return self.as_tensor(np.reshape(drawn, (*x.shape[:-1], num_samples)), self.library.int64)

    def normal(self, mean: Any, std: Any, size: Any = None, **_: Any) -> Any:
        shape = sizes((size,)) if size is not None else tuple((mean + std).shape)
        return mean + std * self.as_tensor(self.numbers.standard_normal(shape), self.floats(None))

    def uniform_(self, x: Any, low: float = 0.0, high: float = 1.0, **_: Any) -> Any:
        return self.put(x, self.numbers.uniform(low, high, tuple(x.shape)))

    def normal_(self, x: Any, mean: float = 0.0, std: float = 1.0, **_: Any) -> Any:
        return self.put(x, self.numbers.normal(mean, std, tuple(x.shape)))

    def exponential_(self, x: Any, lambd: float = 1.0, **_: Any) -> Any:
        return self.put(x, self.numbers.exponential(1 / lambd, tuple(x.shape)))

    def bernoulli_(self, x: Any, p: Any = 0.5, **_: Any) -> Any:
        odds = p.double().numpy() if hasattr(p, "numpy") else p
        return self.put(x, self.numbers.random(tuple(x.shape)) < odds)

    def put(self, x: Any, array: Any) -> Any:
        with self.library.no_grad():
            return x.copy_(self.as_tensor(array, x.dtype))

    def dropout(self, x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
        if not training or p == 0:
            return x
        return x * self.as_tensor((self.numbers.random(tuple(x.shape)) >= p) / (1 - p), x.dtype)

    def dropout2d(self, x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
        return x * self.dropout(self.library.ones_like(x[..., :1, :1].detach()), p, training)


FUNCTIONS = ["rand", "randn", "randint", "randperm", "rand_like", "randn_like"]
FUNCTIONS += ["bernoulli", "multinomial", "normal"]
METHODS = ["uniform_", "normal_", "exponential_", "bernoulli_", "bernoulli", "multinomial"]


def sizes(given: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(given[0]) if len(given) == 1 and not isinstance(given[0], int) else given


@contextmanager
def shared() -> Iterator[dict[Any, Draws]]:
    """The stream of each library."""
    streams = {library: Draws(library) for library in (vs, torch)}
    with pytest.MonkeyPatch.context() as patch:
        for library, draws in streams.items():
            for name in FUNCTIONS:
                patch.setattr(library, name, getattr(draws, name))
            for name in METHODS:
                patch.setattr(library.Tensor, name, method(getattr(draws, name)))
            for name in ("dropout", "dropout2d"):
                patch.setattr(library.nn.functional, name, getattr(draws, name))
        ours = streams[vs]
        patch.setattr(dropouts, "exponential_", ours.exponential_)
        yield streams


def method(function: Any) -> Any:
    return lambda self, *args, **kwargs: function(self, *args, **kwargs)
