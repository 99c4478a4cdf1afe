"""Muon: momentum whose matrices are made orthogonal."""

import math
from collections.abc import Mapping

import versant
from versant import Tensor
from versant.optim.optimizer import Group, Optimizer, Params, at_least_zero


class Muon(Optimizer):
    """p -= lr' * orthogonal(m), m a running mean of the gradient (Jordan et al. 2024), for matrices only.

    nesterov: goes along the mean of g and m; ns_coefficients, ns_steps, eps: of the Newton-Schulz iteration
    (`orthogonal`); weight_decay: p *= 1 - lr * weight_decay. adjust_lr_fn: how lr' follows the shape (A, B):
    "original" lr * sqrt(max(1, A / B)), "match_rms_adamw" 0.2 * lr * sqrt(max(A, B)).
    Biases, gains and embeddings belong to another optimizer.
    """

    _counters: Mapping[str, float] = {}
    _state_names: frozenset[str] | None = frozenset({"momentum_buffer"})

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Group) -> None:
        at_least_zero("Muon", group, "lr", "weight_decay", "momentum")
        if group["adjust_lr_fn"] not in (None, "original", "match_rms_adamw"):
            raise ValueError(
                f"[Muon] adjust_lr_fn must be 'original' or 'match_rms_adamw', got {group['adjust_lr_fn']!r}"
            )
        if len(group["ns_coefficients"]) != 3:
            raise ValueError(f"[Muon] ns_coefficients must be three numbers, got {group['ns_coefficients']}")
        if not 0 <= group["ns_steps"] < 100:
            raise ValueError(f"[Muon] ns_steps must be from 0 to 99, got {group['ns_steps']}")

    def _check_parameter(self, where: str, parameter: Tensor) -> None:
        if parameter.dtype.is_complex:
            raise RuntimeError(f"{where} is complex, which Muon does not support")
        if parameter.ndim != 2:
            raise ValueError(f"{where} must be a matrix, got shape {tuple(parameter.shape)}")

    def _step_group(self, group: Group) -> None:
        lr, momentum = float(group["lr"]), group["momentum"]
        with versant.no_grad():
            for parameter in group["params"]:
                g = parameter.grad
                if g is None:
                    continue
                state = self.state[parameter]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = versant.zeros_like(g)
                mean = state["momentum_buffer"].lerp_(g, 1 - momentum)
                direction = g.lerp(mean, momentum) if group["nesterov"] else mean
                update = orthogonal(direction, group["ns_coefficients"], group["ns_steps"], group["eps"])
                parameter.mul_(1 - lr * group["weight_decay"])
                parameter.add_(update, alpha=-adjusted(lr, group["adjust_lr_fn"], parameter))


def adjusted(lr: float, way: str | None, parameter: Tensor) -> float:
    """The learning rate for a matrix of this shape."""
    rows, columns = parameter.shape
    if way == "match_rms_adamw":
        return 0.2 * lr * math.sqrt(max(rows, columns))
    return lr * math.sqrt(max(1, rows / columns))


def orthogonal(matrix: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """Nearly U @ V.T of the matrix's decomposition U @ S @ V.T, in bfloat16, by a Newton-Schulz iteration.

    Each step maps every singular value s to a * s + b * s**3 + c * s**5, which drives it to about 1. Sums and
    products are float32 and rounded once.
    """
    a, b, c = coefficients
    x = matrix.to(versant.bfloat16)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = (x @ x.T).float()
        polynomial = (b * gram + c * (gram @ gram)).to(versant.bfloat16)
        x = (a * x.float() + polynomial.float() @ x.float()).to(versant.bfloat16)
    return x.T if tall else x
