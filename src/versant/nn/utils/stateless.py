"""torch.nn.utils.stateless: the function that `func` has now, under its first address."""

from versant.func import functional_call as functional_call

__all__ = ["functional_call"]
