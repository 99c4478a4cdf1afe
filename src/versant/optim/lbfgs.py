"""L-BFGS: quasi-Newton steps from the last few gradients, with a line search."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import versant
from versant import Tensor
from versant.optim.optimizer import Optimizer, Params, at_least_zero, closure_for


class LBFGS(Optimizer):
    """Limited-memory BFGS (Nocedal and Wright, Numerical Optimization, algorithms 7.4 and 7.5).

    One `step(closure)` takes up to max_iter iterations and max_eval evaluations of the closure (5/4 of
    max_iter by default), until a gradient is below tolerance_grad, or a step or the change of the loss below
    tolerance_change. history_size: how many gradients are remembered.
    line_search_fn: "strong_wolfe" or None for steps of length lr.
    All parameters are in one group.
    """

    _counters: Mapping[str, float] = {}
    _state_names: frozenset[str] | None = frozenset(
        [
            "func_evals",
            "n_iter",
            "d",
            "t",
            "old_dirs",
            "old_stps",
            "ro",
            "H_diag",
            "prev_flat_grad",
            "prev_loss",
            "al",
        ]
    )

    def __init__(
        self,
        params: Params,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if self.param_groups:
            raise ValueError("[LBFGS] takes one group of parameters")
        super().add_param_group(param_group)

    def _check_options(self, group: dict[str, Any]) -> None:
        at_least_zero("LBFGS", group, "lr")
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ValueError(
                f"[LBFGS] line_search_fn must be 'strong_wolfe' or None, got {group['line_search_fn']!r}"
            )

    def _expected_shape(self, name: str, parameter: Tensor) -> tuple[int, ...] | None:
        return (self._size(),) if name in ("d", "prev_flat_grad", "old_dirs", "old_stps") else None

    def _size(self) -> int:
        return sum(parts_of(parameter).numel() for parameter in self.param_groups[0]["params"])

    # The parameters as one vector ---------------------------------------------------------------------------

    def _gradient(self) -> Tensor:
        gradients = [
            versant.zeros_like(p) if p.grad is None else p.grad.detach()
            for p in self.param_groups[0]["params"]
        ]
        return versant.cat([parts_of(g).reshape(-1) for g in gradients])

    def _move(self, length: float, direction: Tensor) -> None:
        start = 0
        for p in self.param_groups[0]["params"]:
            parts = parts_of(p)
            parts.add_(direction[start : start + parts.numel()].view(parts.shape), alpha=length)
            start += parts.numel()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Several iterations; the closure computes loss and gradients anew. Returns the first loss."""
        if closure is None:
            raise TypeError("[LBFGS] step needs a closure that computes the loss and its gradients")
        closure = closure_for("LBFGS", closure)
        with versant.no_grad():
            return self._step(closure)

    def _step(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        lr, change = float(group["lr"]), group["tolerance_change"]
        state = self.state[group["params"][0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        def evaluate() -> Any:
            with versant.enable_grad():
                loss = closure()
            state["func_evals"] += 1
            return loss

        most = state["func_evals"] + group["max_eval"]
        first_loss = evaluate()
        loss, gradient = float(first_loss), self._gradient()
        if largest(gradient) <= group["tolerance_grad"]:
            return first_loss
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = self._direction(state, gradient, group["history_size"])
            state["prev_flat_grad"], state["prev_loss"] = gradient, loss
            length = lr
            if state["n_iter"] == 1:
                length *= min(1.0, 1.0 / float(gradient.abs().sum()))
            slope = float(gradient.dot(direction))
            state["d"], state["t"] = direction, length
            if slope > -change:
                break
            if group["line_search_fn"] is not None:
                here = [p.clone() for p in group["params"]]

                def at(t: float, direction: Tensor = direction, here: list[Tensor] = here) -> Trial:
                    self._move(t, direction)
                    loss = float(evaluate())
                    gradient = self._gradient()
                    for p, value in zip(group["params"], here, strict=True):
                        p.copy_(value)
                    return Trial(t, loss, gradient, float(gradient.dot(direction)))

                start = Trial(0.0, loss, gradient, slope)
                found = strong_wolfe(at, start, length, largest(direction), most - state["func_evals"])
                length, loss, gradient = found.t, found.loss, found.gradient
                state["t"] = length
                self._move(length, direction)
            else:
                self._move(length, direction)
                if iteration < group["max_iter"]:  # the last point is evaluated by the next step
                    loss, gradient = float(evaluate()), self._gradient()
            if (
                iteration == group["max_iter"]
                or state["func_evals"] >= most
                or largest(gradient) <= group["tolerance_grad"]
                or largest(direction) * abs(length) <= change
                or abs(loss - state["prev_loss"]) < change
            ):
                break
        return first_loss

    @staticmethod
    def _direction(state: dict[str, Any], gradient: Tensor, history: int) -> Tensor:
        """-H @ gradient, H being the estimate of the inverse Hessian that the remembered steps make."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -gradient
        changes, steps, inverses = state["old_dirs"], state["old_stps"], state["ro"]
        y, s = gradient - state["prev_flat_grad"], state["d"] * float(state["t"])
        curvature = float(y.dot(s))
        if curvature > 1e-10:
            if len(changes) == history:
                for remembered in (changes, steps, inverses):
                    remembered.pop(0)
            changes.append(y)
            steps.append(s)
            inverses.append(1.0 / curvature)
            state["H_diag"] = curvature / float(y.dot(y))
        q = -gradient
        shares = []
        for y, s, inverse in zip(reversed(changes), reversed(steps), reversed(inverses), strict=True):
            shares.append(float(s.dot(q)) * float(inverse))
            q.add_(y, alpha=-shares[-1])
        q = q * float(state["H_diag"])
        for y, s, inverse, share in zip(changes, steps, inverses, reversed(shares), strict=True):
            q.add_(s, alpha=share - float(y.dot(q)) * float(inverse))
        return q


def parts_of(x: Tensor) -> Tensor:
    """Complex numbers as pairs of real ones; a real tensor itself."""
    return versant.view_as_real(x) if x.is_complex() else x


def largest(x: Tensor) -> float:
    """The largest absolute value."""
    return float(x.abs().max()) if x.numel() else 0.0


class Trial(NamedTuple):
    """A point on the line: how far along, the loss there, its gradient, and its slope along the line."""

    t: float
    loss: float
    gradient: Tensor
    slope: float


def strong_wolfe(
    at: Callable[[float], Trial],
    start: Trial,
    t: float,
    reach: float,
    most: int,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance: float = 1e-9,
) -> Trial:
    """A point that meets the strong Wolfe conditions, or the best one found (algorithms 3.5 and 3.6).

    at: evaluates the loss at a length; t: the first length to try; reach: the largest component of the
    direction; most: how many lengths may be tried beside the first.
    """

    def too_high(trial: Trial) -> bool:
        return trial.loss > start.loss + c1 * trial.t * start.slope

    # Go on until a minimum lies between two points.
    previous, current = start, at(t)
    tried = 0
    ends = [start, current]
    while tried < most:
        if too_high(current) or (tried > 1 and current.loss >= previous.loss):
            ends = [previous, current]
            break
        if abs(current.slope) <= -c2 * start.slope:
            return current
        if current.slope >= 0:
            ends = [previous, current]
            break
        t = current.t
        bounds = (t + 0.01 * (t - previous.t), t * 10)
        previous, current = current, at(minimum_of_cubic(previous, current, bounds))
        tried += 1
        ends = [start, current]

    # Narrow the interval; ends[low] is the better end.
    low = 0 if ends[0].loss <= ends[1].loss else 1
    stuck = False
    while tried < most:
        left, right = sorted(end.t for end in ends)
        if (right - left) * reach < tolerance:
            break
        t = minimum_of_cubic(ends[0], ends[1], (left, right))
        margin = 0.1 * (right - left)
        near = min(right - t, t - left) < margin
        if near and (stuck or t >= right or t <= left):
            t = right - margin if abs(t - right) < abs(t - left) else left + margin
            stuck = False
        else:
            stuck = near
        trial = at(t)
        tried += 1
        if too_high(trial) or trial.loss >= ends[low].loss:
            ends[1 - low] = trial
            low = 0 if ends[0].loss <= ends[1].loss else 1
            continue
        if abs(trial.slope) <= -c2 * start.slope:
            return trial
        if trial.slope * (ends[1 - low].t - ends[low].t) >= 0:
            ends[1 - low] = ends[low]
        ends[low] = trial
    return ends[low]


def minimum_of_cubic(a: Trial, b: Trial, bounds: tuple[float, float]) -> float:
    """Where the cubic through two points with their slopes is least, inside the bounds (equation 3.59)."""
    if a.t > b.t:
        a, b = b, a
    least, most = bounds
    if a.t == b.t:
        return (least + most) / 2
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return (least + most) / 2
    d2 = math.sqrt(square)
    bottom = b.slope - a.slope + 2 * d2
    if bottom == 0:
        return (least + most) / 2
    return min(max(b.t - (b.t - a.t) * ((b.slope + d2 - d1) / bottom), least), most)
