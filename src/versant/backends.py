"""What programs ask of and set in PyTorch's backends. Of these none is here; settings are kept, not used."""

from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Backend(SimpleNamespace):
    """Settings of a library or device that is not here: attributes that programs may set and read."""

    def is_available(self) -> bool:
        """False."""
        return False

    def is_built(self) -> bool:
        """False."""
        return False

    def version(self) -> None:
        """None."""

    @contextmanager
    def flags(self, **settings: Any) -> "Iterator[None]":
        """A region in which the settings have these values."""
        before = {name: getattr(self, name) for name in settings}
        self.__dict__.update(settings)
        try:
            yield
        finally:
            self.__dict__.update(before)


cudnn = Backend(enabled=True, benchmark=False, benchmark_limit=10, deterministic=False, allow_tf32=True)
cuda = Backend(
    matmul=SimpleNamespace(
        allow_tf32=False,
        allow_fp16_reduced_precision_reduction=True,
        allow_bf16_reduced_precision_reduction=True,
    )
)
mps = Backend()
mkl = Backend()
mkldnn = Backend(enabled=True)
openmp = Backend()

__all__ = ["Backend", "cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]
