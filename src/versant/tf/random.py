"""tf.random: draws of numbers, from Versant's generator. Seeds repeat; the numbers are not TensorFlow's."""

from typing import Any

import versant
from versant.tf import dtypes
from versant.tf.calls import plainly, sizes_of
from versant.tf.dtypes import as_dtype
from versant.tf.errors import InvalidArgumentError
from versant.tf.tensors import brand, convert

__all__ = [
    "Generator",
    "categorical",
    "gamma",
    "normal",
    "poisson",
    "set_seed",
    "shuffle",
    "stateless_normal",
    "stateless_truncated_normal",
    "stateless_uniform",
    "truncated_normal",
    "uniform",
]

_own: dict[Any, versant.Generator] = {}  # of calls that name a seed, since the last set_seed
_seed = 0


def set_seed(seed: int) -> None:
    """Start all draws anew from this seed."""
    global _seed
    _seed = int(seed)
    _own.clear()
    versant.manual_seed(_seed)


def _generator(seed: Any) -> Any:
    """The generator of calls that name that seed: a sequence of its own."""
    if seed is None:
        return None
    if seed not in _own:
        _own[seed] = versant.Generator().manual_seed((_seed * 1000003 + int(seed)) % 2**63)
    return _own[seed]


def _stateless(seed: Any) -> versant.Generator:
    parts = [int(n) for n in plainly(seed).reshape(-1).tolist()]
    if len(parts) != 2:
        raise InvalidArgumentError(f"[stateless] seed must have shape (2,), got {len(parts)} numbers")
    return versant.Generator().manual_seed((parts[0] * 2**31 + parts[1]) % 2**63)


def _normal(shape: Any, mean: Any, stddev: Any, dtype: Any, generator: Any) -> Any:
    kind = as_dtype(dtype)
    if not kind.is_floating_point:
        raise InvalidArgumentError(f"[normal] dtype must be floating-point, got {kind.name}")
    drawn = versant.randn(sizes_of(shape), dtype=kind, generator=generator)
    if isinstance(mean, float | int) and mean == 0 and isinstance(stddev, float | int) and stddev == 1:
        return brand(drawn)
    return brand(drawn) * convert(stddev, kind) + convert(mean, kind)


def normal(
    shape: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = dtypes.float32,
    seed: Any = None,
    name: str | None = None,
) -> Any:
    """Normally distributed numbers."""
    return _normal(shape, mean, stddev, dtype, _generator(seed))


def _uniform(shape: Any, low: Any, high: Any, dtype: Any, generator: Any) -> Any:
    kind = as_dtype(dtype)
    if kind in dtypes.INTEGERS:
        if high is None:
            raise ValueError("[uniform] maxval must be given for integers")
        return brand(versant.randint(int(low), int(high), sizes_of(shape), dtype=kind, generator=generator))
    drawn = brand(versant.rand(sizes_of(shape), dtype=kind, generator=generator))
    if high is None:
        high = 1
    if isinstance(low, int | float) and isinstance(high, int | float):
        return drawn if (low, high) == (0, 1) else drawn * (high - low) + low
    low, high = convert(low, kind), convert(high, kind)
    return drawn * (high - low) + low


def uniform(
    shape: Any,
    minval: Any = 0,
    maxval: Any = None,
    dtype: Any = dtypes.float32,
    seed: Any = None,
    name: str | None = None,
) -> Any:
    """Uniformly distributed numbers from minval up to, but without, maxval (1 when None)."""
    return _uniform(shape, minval, maxval, dtype, _generator(seed))


def _truncated(shape: Any, mean: Any, stddev: Any, dtype: Any, generator: Any) -> Any:
    # The distribution function of a uniform number between those of -2 and 2.
    drawn = versant.rand(sizes_of(shape), dtype=as_dtype(dtype), generator=generator)
    bound = 0.9544997361036416  # P(|x| < 2)
    x = versant.erfinv((drawn * 2 - 1) * bound) * 2**0.5
    return brand(versant.clamp(x, -2, 2) * stddev + mean)


def truncated_normal(
    shape: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = dtypes.float32,
    seed: Any = None,
    name: str | None = None,
) -> Any:
    """Normally distributed numbers not further than two deviations from the mean."""
    return _truncated(shape, mean, stddev, dtype, _generator(seed))


def categorical(
    logits: Any, num_samples: Any, dtype: Any = None, seed: Any = None, name: str | None = None
) -> Any:
    """(N, num_samples) classes drawn with probabilities softmax(logits), (N, C)."""
    weights = versant.softmax(plainly(logits), -1)
    drawn = versant.multinomial(weights, int(num_samples), replacement=True, generator=_generator(seed))
    return brand(drawn.to(dtypes.int64 if dtype is None else as_dtype(dtype)))


def shuffle(value: Any, seed: Any = None, name: str | None = None) -> Any:
    """The slices of the first axis in another order."""
    x = plainly(value)
    return brand(x[versant.randperm(x.size(0), generator=_generator(seed))])


def poisson(
    shape: Any, lam: Any, dtype: Any = dtypes.float32, seed: Any = None, name: str | None = None
) -> Any:
    """Poisson distributed numbers of rate lam: shape + lam's shape."""
    kind = as_dtype(dtype)
    rate = plainly(convert(lam, kind))
    rates = rate.expand((*sizes_of(shape), *tuple(rate.shape))).contiguous()
    return brand(versant.poisson(rates, generator=_generator(seed)))


def gamma(
    shape: Any,
    alpha: Any,
    beta: Any = None,
    dtype: Any = dtypes.float32,
    seed: Any = None,
    name: str | None = None,
) -> Any:
    """Gamma distributed numbers of that shape parameter and rate: shape + the shape of alpha.

    Marsaglia and Tsang, "A simple method for generating gamma variables", 2000.
    """
    kind, generator = as_dtype(dtype), _generator(seed)
    a = plainly(convert(alpha, kind))
    a = a.expand((*sizes_of(shape), *tuple(a.shape))).contiguous()
    raised = versant.where(a < 1, a + 1, a)
    d = raised - 1 / 3
    c = 1 / versant.sqrt(9 * d)
    found, missing = versant.zeros_like(a), versant.ones_like(a, dtype=dtypes.bool)
    while bool(missing.any()):
        x = versant.randn(tuple(a.shape), dtype=kind, generator=generator)
        u = versant.rand(tuple(a.shape), dtype=kind, generator=generator)
        v = (1 + c * x) ** 3
        good = missing & (v > 0)
        good = good & (
            versant.log(u) < 0.5 * x * x + d - d * v + d * versant.log(versant.where(v > 0, v, 1 + 0 * v))
        )
        found = versant.where(good, d * v, found)
        missing = missing & ~good
    u = versant.rand(tuple(a.shape), dtype=kind, generator=generator)
    found = versant.where(a < 1, found * u ** (1 / a), found)
    return brand(found if beta is None else found / plainly(convert(beta, kind)))


def stateless_normal(
    shape: Any,
    seed: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = dtypes.float32,
    name: Any = None,
    alg: Any = "auto_select",
) -> Any:
    """normal, as a function of seed, (2,), alone."""
    return _normal(shape, mean, stddev, dtype, _stateless(seed))


def stateless_uniform(
    shape: Any,
    seed: Any,
    minval: Any = 0,
    maxval: Any = None,
    dtype: Any = dtypes.float32,
    name: Any = None,
    alg: Any = "auto_select",
) -> Any:
    """uniform, as a function of seed, (2,), alone."""
    return _uniform(shape, minval, maxval, dtype, _stateless(seed))


def stateless_truncated_normal(
    shape: Any,
    seed: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = dtypes.float32,
    name: Any = None,
    alg: Any = "auto_select",
) -> Any:
    """truncated_normal, as a function of seed, (2,), alone."""
    return _truncated(shape, mean, stddev, dtype, _stateless(seed))


class Generator:
    """A sequence of draws of its own.  Made by from_seed or from_non_deterministic_state."""

    def __init__(self, generator: versant.Generator) -> None:
        self._generator = generator

    @classmethod
    def from_seed(cls, seed: int, alg: Any = None) -> "Generator":
        """The sequence of that seed."""
        return cls(versant.Generator().manual_seed(int(seed)))

    @classmethod
    def from_non_deterministic_state(cls, alg: Any = None) -> "Generator":
        """A sequence that is another one each time."""
        import os

        return cls(versant.Generator().manual_seed(int.from_bytes(os.urandom(7), "little")))

    def reset_from_seed(self, seed: int) -> None:
        """Start anew from a seed."""
        self._generator.manual_seed(int(seed))

    def normal(
        self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = dtypes.float32, name: Any = None
    ) -> Any:
        """Normally distributed numbers."""
        return _normal(shape, mean, stddev, dtype, self._generator)

    def uniform(
        self, shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = dtypes.float32, name: Any = None
    ) -> Any:
        """Uniformly distributed numbers from minval up to, but without, maxval."""
        return _uniform(shape, minval, maxval, dtype, self._generator)

    def truncated_normal(
        self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = dtypes.float32, name: Any = None
    ) -> Any:
        """Normally distributed numbers not further than two deviations from the mean."""
        return _truncated(shape, mean, stddev, dtype, self._generator)
