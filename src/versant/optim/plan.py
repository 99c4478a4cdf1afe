"""How an optimizer updates one group: the lists to hand to the machine, kept from step to step."""

from versant import Tensor, _core


class Batch:
    """Parameters that have come the same way so far: the machine updates them in one call.

    counters: the numbers that each of them keeps in its state, "step" before all; they are the same for all.
    buffers: under each name of state, one tensor for each parameter.
    fresh: whether nothing was remembered of these parameters before.
    """

    __slots__ = ("buffers", "counters", "fresh", "params")

    def __init__(self, fresh: bool, counters: dict[str, float], buffers: dict[str, list[Tensor]]) -> None:
        self.params: list[Tensor] = []
        self.fresh = fresh
        self.counters = counters
        self.buffers = buffers


class Plan:
    """The batches of a group; it holds while the parameters, and which have gradients, stay the same."""

    __slots__ = ("_busy", "_idle", "_params", "batches", "buffer_names")

    def __init__(
        self, params: list[Tensor], buffer_names: tuple[str, ...], batches: list[Batch], idle: list[Tensor]
    ) -> None:
        self.buffer_names = buffer_names
        self.batches = batches
        self._params = list(params)
        self._busy = [parameter for batch in batches for parameter in batch.params]
        self._idle = idle  # the parameters without gradient

    def holds(self, params: list[Tensor], buffer_names: tuple[str, ...]) -> bool:
        same: bool = _core.same_gradient_pattern(params, self._params, self._busy, self._idle)
        return same and buffer_names == self.buffer_names
