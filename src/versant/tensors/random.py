"""The default stream of random numbers: seeding it, saving and restoring its state."""

from versant._core import Generator, Tensor, default_generator


def manual_seed(seed: int) -> Generator:
    """Starts the default generator's stream of that seed."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seeds the default generator from the operating system; returns the seed."""
    import secrets

    value = secrets.randbits(64)
    default_generator.manual_seed(value)
    return value


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The default generator's state, a uint8 tensor."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Restores what get_rng_state() gave."""
    default_generator.set_state(new_state)
