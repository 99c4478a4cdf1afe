"""How an optimizer updates one group: the lists to hand to the machine, kept from step to step."""

from versant import Tensor


class Batch:
    """Parameters that have taken the same number of steps: the machine updates them in one call.

    buffers: under each name of state, one tensor for each parameter.
    """

    __slots__ = ("buffers", "params", "step")

    def __init__(self, step: int, buffers: dict[str, list[Tensor]]) -> None:
        self.params: list[Tensor] = []
        self.buffers = buffers
        self.step = step


class Plan:
    """The batches of a group; it holds while the parameters, and which have gradients, stay the same."""

    __slots__ = ("batches", "buffer_names", "idle", "parameter_ids")

    def __init__(
        self,
        parameter_ids: list[int],
        buffer_names: tuple[str, ...],
        batches: list[Batch],
        idle: list[Tensor],
    ) -> None:
        self.parameter_ids = parameter_ids
        self.buffer_names = buffer_names
        self.batches = batches
        self.idle = idle  # the parameters without gradient

    def gradients(self, params: list[Tensor], buffer_names: tuple[str, ...]) -> list[list[Tensor]] | None:
        """The gradients of each batch; None when the plan no longer holds."""
        if list(map(id, params)) != self.parameter_ids or buffer_names != self.buffer_names:
            return None
        for parameter in self.idle:
            if parameter.grad is not None:
                return None
        collected = []
        for batch in self.batches:
            grads = [grad for parameter in batch.params if (grad := parameter.grad) is not None]
            if len(grads) != len(batch.params):
                return None
            collected.append(grads)
        return collected
