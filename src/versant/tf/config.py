"""tf.config, and contexts that say where ops run. There is one device, the processor."""

from types import SimpleNamespace, TracebackType
from typing import Any, NamedTuple

import versant
from versant.tf.functions import functions_run_eagerly, run_functions_eagerly

__all__ = [
    "experimental",
    "functions_run_eagerly",
    "get_visible_devices",
    "list_logical_devices",
    "list_physical_devices",
    "run_functions_eagerly",
    "set_soft_device_placement",
    "set_visible_devices",
    "threading",
]


class PhysicalDevice(NamedTuple):
    """A device by name and kind."""

    name: str
    device_type: str


def list_physical_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """The devices of that kind: the processor is the only one."""
    return [PhysicalDevice("/physical_device:CPU:0", "CPU")] if device_type in (None, "CPU") else []


get_visible_devices = list_physical_devices
list_logical_devices = list_physical_devices


def set_visible_devices(devices: Any, device_type: str | None = None) -> None:
    """Accepted: there is one device."""


def set_soft_device_placement(enabled: bool) -> None:
    """Accepted: there is one device."""


def _set_threads(num_threads: int) -> None:
    """How many threads an op may use; 0 takes all processors."""
    if num_threads > 0:
        versant.set_num_threads(num_threads)


threading = SimpleNamespace(
    set_intra_op_parallelism_threads=_set_threads,
    get_intra_op_parallelism_threads=versant.get_num_threads,
    set_inter_op_parallelism_threads=lambda num_threads: None,
    get_inter_op_parallelism_threads=lambda: 1,
)
experimental = SimpleNamespace(
    set_memory_growth=lambda device, enable: None,
    enable_op_determinism=lambda: None,
    list_physical_devices=list_physical_devices,
)


class _Context:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.name = args[0] if args else None

    def __enter__(self) -> Any:
        return self.name

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass


class device(_Context):
    """A context that names a device.  Raises ValueError for one that is not there."""

    def __init__(self, device_name: Any) -> None:
        super().__init__(device_name)
        if device_name is not None and "CPU" not in str(device_name).upper():
            raise ValueError(f"[device] there is no device {device_name!r}; there is the CPU")


class name_scope(_Context):
    """A context that names ops; names have no effect here."""


class control_dependencies(_Context):
    """A context; ops have run when they return, so nothing has to be waited for."""


def executing_eagerly() -> bool:
    """Whether ops run at once: True outside of functions that are being traced."""
    from versant import _core

    return not _core.is_tracing()
