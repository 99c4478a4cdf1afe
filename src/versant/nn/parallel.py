"""Models for several devices or processes, of which there is one: they call the model that they hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import versant
from versant.nn.module import Module

__all__ = ["DataParallel", "DistributedDataParallel", "data_parallel"]


class _Around(Module):
    """What both share: the model is `module`, and its parameters have names that begin with it."""

    module: Module

    def __init__(self, module: Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)


class DataParallel(_Around):
    """The model as it is where there are no devices to share batches among, as in PyTorch.

    device_ids: taken; without devices there are none.
    """

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__(module)
        self.device_ids: list[int] = []
        self.dim = dim


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Any = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: dict[str, Any] | None = None,
) -> Any:
    """The model's result for the inputs."""
    given = inputs if isinstance(inputs, tuple) else () if inputs is None else (inputs,)
    return module(*given, **(module_kwargs or {}))


class DistributedDataParallel(_Around):
    """The model of a process group of one, whose gradients are the means over all processes already.

    Raises ValueError before `distributed.init_process_group`, RuntimeError for a model without parameters
    that require gradients.
    """

    def __init__(
        self,
        module: Module,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool = True,
        process_group: Any = None,
        bucket_cap_mb: float | None = None,
        find_unused_parameters: bool = False,
        check_reduction: bool = False,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
        **options: Any,
    ) -> None:
        versant.distributed.get_world_size(process_group)
        if not any(p.requires_grad for p in module.parameters()):
            raise RuntimeError(
                "[DistributedDataParallel] is not needed when a module doesn't have any parameter that "
                "requires a gradient."
            )
        super().__init__(module)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """A region whose gradients are not shared between processes."""
        yield
