"""What programs that define distributions of their own reach for."""

import versant
from versant import Tensor
from versant.distributions.distribution import broadcast_all, logits_of
from versant.distributions.distribution import lazy as lazy_property

__all__ = ["broadcast_all", "clamp_probs", "lazy_property", "logits_to_probs", "probs_to_logits"]


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities held away from 0 and 1 by the eps of their dtype."""
    eps = versant.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """softmax over the last axis; is_binary: sigmoid, of log odds"""
    result: Tensor = versant.sigmoid(logits) if is_binary else versant.softmax(logits, -1)
    return result


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """Logarithms of probabilities; is_binary: of their odds"""
    return logits_of(probs, is_binary)
