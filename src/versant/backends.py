"""What programs ask of and set in PyTorch's backends. Of these none is here; settings are kept, not used."""

from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from versant import _core

if TYPE_CHECKING:
    from collections.abc import Iterator


class Switch:
    """A setting that is read and set by functions, and kept."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self) -> Any:
        return self.value

    def set(self, enabled: Any) -> None:
        self.value = enabled


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
cudnn.is_acceptable = lambda tensor: False
_kinds = {name: Switch(True) for name in ("flash", "mem_efficient", "math", "cudnn")}
cuda = Backend(
    **{f"{name}_sdp_enabled": kind for name, kind in _kinds.items()},
    **{f"enable_{name}_sdp": kind.set for name, kind in _kinds.items()},
    is_flash_attention_available=lambda: False,
    sdp_kernel=lambda *args, **kwargs: nullcontext(),
    preferred_linalg_library=lambda backend=None: backend or "default",
    fp32_precision="none",
    matmul=SimpleNamespace(
        allow_tf32=False,
        fp32_precision="none",
        allow_fp16_reduced_precision_reduction=True,
        allow_bf16_reduced_precision_reduction=True,
    ),
)
mps = Backend()
mkl = Backend()
mkldnn = Backend(enabled=True)
openmp = Backend()
nnpack = Backend()
opt_einsum = Backend(enabled=False, strategy=None)
quantized = Backend(engine="none", supported_engines=["none"])
cpu = Backend(is_available=lambda: True, get_cpu_capability=lambda: _core.instruction_set())
fp32_precision = "none"

__all__ = [
    "Backend",
    "cpu",
    "cuda",
    "cudnn",
    "mkl",
    "mkldnn",
    "mps",
    "nnpack",
    "openmp",
    "opt_einsum",
    "quantized",
]
