"""The default stream of random numbers under PyTorch's name `random`, and `fork_rng`."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from versant._core import default_generator
from versant.tensors.random import get_rng_state, initial_seed, manual_seed, seed, set_rng_state


@contextmanager
def fork_rng(
    devices: Iterable[Any] | None = None, enabled: bool = True, device_type: str = "cpu"
) -> Iterator[None]:
    """A region whose draws do not move the default stream: behind it, that goes on from where it was."""
    state = get_rng_state()
    try:
        yield
    finally:
        if enabled:
            set_rng_state(state)


__all__ = [
    "default_generator",
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
]
