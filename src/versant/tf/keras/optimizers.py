"""Optimizers with Keras's formulas. Each is a rule that the machine runs over all variables in one pass."""

from collections.abc import Callable
from typing import Any

import versant
from versant import _core
from versant.optim.optimizer import Group
from versant.optim.optimizer import Optimizer as Base
from versant.optim.plan import Batch
from versant.optim.rule import Terms, m, rule
from versant.optim.steps import adam_step, sgd_step
from versant.tf.elementwise import clip_by_value
from versant.tf.keras import schedules
from versant.tf.products import clip_by_global_norm, clip_by_norm
from versant.tf.tensors import brand
from versant.tf.variables import creates

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "get",
    "schedules",
]


class Rate(float):
    """A learning rate that can be read as a number and assigned."""

    _set: Callable[[float], None]

    def assign(self, value: Any) -> None:
        """Set the optimizer's learning rate."""
        self._set(float(value))

    def numpy(self) -> float:
        """The number."""
        return float(self)

    value = numpy


class _Steps(Base):
    """The part of an optimizer that knows its variables: made at the first step."""

    def __init__(self, variables: list[Any], outer: "Optimizer") -> None:
        self._outer = outer
        super().__init__(variables, dict(outer._options))

    def _buffer_names(self, group: Group) -> tuple[str, ...]:
        return self._outer._buffers(group)

    def _new_buffer(self, name: str, parameter: Any, group: Group) -> Any:
        return versant.full_like(_core.plain(parameter), self._outer._first_value(name, group))

    def _update(self, group: Group, batch: Batch, step: int) -> None:
        rate = group["learning_rate"]
        if callable(rate):
            rate = float(rate(step - 1))
        self._outer._update(group, batch, rate, step)


class Optimizer:
    """What all optimizers share.

    learning_rate: a number, or a schedule: a function of the number of steps made.
    weight_decay: variables shrink by learning_rate * weight_decay before each step.
    clipnorm, clipvalue, global_clipnorm: gradients are cut to that norm each, value, or norm together.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
        use_ema: bool = False,
        loss_scale_factor: Any = None,
        gradient_accumulation_steps: Any = None,
        jit_compile: Any = None,
        **options: Any,
    ) -> None:
        if use_ema or gradient_accumulation_steps or loss_scale_factor:
            raise ValueError(
                f"[{type(self).__name__}] use_ema, loss_scale_factor and gradient_accumulation_steps are not "
                "supported"
            )
        if sum(limit is not None for limit in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise ValueError(f"[{type(self).__name__}] give one of clipnorm, clipvalue and global_clipnorm")
        if not callable(learning_rate) and float(learning_rate) < 0:
            raise ValueError(
                f"[{type(self).__name__}] learning_rate must not be negative, got {learning_rate}"
            )
        rate = learning_rate if callable(learning_rate) else float(learning_rate)
        self._options = {"learning_rate": rate, "weight_decay": weight_decay, **options}
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.name = name or type(self).__name__
        self._steps: _Steps | None = None

    # What each gives ----------------------------------------------------------------------------------------

    def _buffers(self, group: Group) -> tuple[str, ...]:
        return ()

    def _first_value(self, name: str, group: Group) -> float:
        return 0.0

    def _step(self, group: Group, rate: float, step: int) -> Any:
        """The rule of a step, its numbers, its flags but the first (do variables shrink)."""
        raise NotImplementedError

    def _update(self, group: Group, batch: Batch, rate: float, step: int) -> None:
        decay = group["weight_decay"] or 0.0
        program, numbers, *flags = self._step(group, rate, step)
        if decay:
            numbers["decay"] = rate * decay
        program(batch, numbers, bool(decay), *flags)

    # Steps --------------------------------------------------------------------------------------------------

    def build(self, var_list: Any) -> None:
        """Make the state for these variables."""
        if self._steps is not None:
            return
        if _core.is_tracing():
            creates(
                f"[{self.name}] a compiled function makes the optimizer's state, which a replay would not do "
                "again: call build(variables) before, or use tf.function"
            )
        self._steps = _Steps(list(var_list), self)

    def _prepared(self, variables: list[Any]) -> _Steps:
        if self._steps is None:
            self.build(variables)
        assert self._steps is not None
        known = {id(v) for group in self._steps.param_groups for v in group["params"]}
        unknown = [v for v in variables if id(v) not in known]
        if unknown:
            raise ValueError(
                f"[{self.name}] unknown variable {getattr(unknown[0], 'name', unknown[0])!r}: an optimizer "
                "works on the variables of its first step; call build() with all of them, or make another one"
            )
        return self._steps

    def apply_gradients(self, grads_and_vars: Any, name: Any = None, **kwargs: Any) -> None:
        """One step: for each (gradient, variable), where the gradient is not None."""
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """One step along the gradients of these variables, or of those that build() was given."""
        grads = list(grads)
        if trainable_variables is None:
            if self._steps is None:
                raise ValueError(f"[{self.name}] apply() without variables needs build() before")
            variables = list(self._steps.param_groups[0]["params"])
        else:
            variables = list(trainable_variables)
        if len(grads) != len(variables):
            raise ValueError(f"[{self.name}] {len(grads)} gradients for {len(variables)} variables")
        steps = self._prepared(variables)
        if all(g is None for g in grads):
            raise ValueError(f"[{self.name}] no gradients provided for any variable")
        grads = self._clipped(grads)
        for g, v in zip(grads, variables, strict=True):
            if g is None:
                continue
            if tuple(g.shape) != tuple(v.shape):
                raise ValueError(
                    f"[{self.name}] the gradient has shape {tuple(g.shape)}, "
                    f"the variable {v.name!r} {tuple(v.shape)}"
                )
            v.grad = _core.plain(g)
        steps.step()
        for v in variables:
            v.grad = None
            if v.constraint is not None:
                v.assign(v.constraint(v))

    def _clipped(self, grads: list[Any]) -> list[Any]:
        if self.clipnorm is not None:
            return [g if g is None else clip_by_norm(g, self.clipnorm) for g in grads]
        if self.clipvalue is not None:
            return [g if g is None else clip_by_value(g, -self.clipvalue, self.clipvalue) for g in grads]
        if self.global_clipnorm is not None:
            clipped: list[Any] = clip_by_global_norm(grads, self.global_clipnorm)[0]
            return clipped
        return grads

    def minimize(self, loss: Any, var_list: Any, tape: Any = None) -> None:
        """One step along the gradient of loss: a function, or a tensor that the tape recorded."""
        from versant.autograd.tape import GradientTape

        if callable(loss):
            with GradientTape() as tape:
                value = loss()
        elif tape is None:
            raise ValueError(f"[{self.name}] minimize() of a tensor needs the tape that recorded it")
        else:
            value = loss
        variables = list(var_list() if callable(var_list) else var_list)
        self.apply_gradients(zip(tape.gradient(value, variables), variables, strict=True))

    # State --------------------------------------------------------------------------------------------------

    @property
    def iterations(self) -> Any:
        """How many steps were made."""
        count = 0
        if self._steps is not None:
            for group in self._steps.param_groups:
                plan = self._steps._plans.get(id(group))
                for batch in plan.batches if plan else []:
                    count = max(count, int(batch.counters.get("step", 0)))
                for state in () if plan else self._steps._state.values():
                    count = max(count, int(state.get("step", 0)))
        return brand(versant.tensor(count))

    @property
    def learning_rate(self) -> Any:
        """The rate of the next step."""
        options = self._options if self._steps is None else self._steps.param_groups[0]
        value = options["learning_rate"]
        made = Rate(float(value(int(self.iterations))) if callable(value) else value)
        made._set = self._set_rate
        return made

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self._set_rate(value)

    lr = learning_rate

    def _set_rate(self, value: Any) -> None:
        value = value if callable(value) else float(value)
        self._options["learning_rate"] = value
        for group in [] if self._steps is None else self._steps.param_groups:
            group["learning_rate"] = value

    @property
    def variables(self) -> list[Any]:
        """The tensors that are remembered, as tensors."""
        if self._steps is None:
            return [self.iterations]
        found = [self.iterations]
        for state in self._steps.state.values():
            found += [brand(value) for name, value in state.items() if name != "step"]
        return found

    def get_config(self) -> dict[str, Any]:
        """The options."""
        return {"name": self.name, **self._options}


def _shrunk(t: Terms, decays: bool) -> Any:
    return t.param - t.param * t.decay if decays else t.param


@rule
def sgd(t: Terms, decays: bool, momentum: bool, nesterov: bool) -> Any:
    p, g = _shrunk(t, decays), t.grad
    if not momentum:
        return {"param": p - t.rate * g}
    velocity = t.momentum * t.velocity - t.rate * g
    change = t.momentum * velocity - t.rate * g if nesterov else velocity
    return {"velocity": velocity, "param": p + change}


class SGD(Optimizer):
    """v = momentum * v - learning_rate * g; w += v."""

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: Any = None,
        **kwargs: Any,
    ) -> None:
        if not 0 <= momentum <= 1:
            raise ValueError(f"[SGD] momentum must be in [0, 1], got {momentum}")
        super().__init__(learning_rate, weight_decay, momentum=momentum, nesterov=nesterov, **kwargs)

    def _buffers(self, group: Group) -> tuple[str, ...]:
        return ("velocity",) if group["momentum"] else ()

    def _update(self, group: Group, batch: Batch, rate: float, step: int) -> None:
        if group["momentum"] or group["weight_decay"]:
            super()._update(group, batch, rate, step)
        else:
            sgd_step(batch.params, None, None, rate, 0.0, 0.0, 0.0, False, False, False)

    def _step(self, group: Group, rate: float, step: int) -> Any:
        numbers = {"rate": rate} | ({"momentum": group["momentum"]} if group["momentum"] else {})
        return sgd, numbers, bool(group["momentum"]), bool(group["nesterov"])


class Adam(Optimizer):
    """w -= a * m / (sqrt(v) + epsilon), a = learning_rate * sqrt(1 - beta_2^t) / (1 - beta_1^t).

    Kingma and Ba, 2015, in the form of its section 2; amsgrad: Reddi et al., 2018.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        weight_decay: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate,
            weight_decay,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            **kwargs,
        )

    def _buffers(self, group: Group) -> tuple[str, ...]:
        return ("m", "v", "vhat") if group["amsgrad"] else ("m", "v")

    def _update(self, group: Group, batch: Batch, rate: float, step: int) -> None:
        own = batch.buffers
        adam_step(
            batch.params,
            None,
            own["m"],
            own["v"],
            own.get("vhat"),
            step,
            rate,
            group["beta_1"],
            group["beta_2"],
            # The machine adds eps behind the bias correction of v.
            group["epsilon"] / (1 - group["beta_2"] ** step) ** 0.5,
            group["weight_decay"] or 0.0,
            True,
            False,
        )


class AdamW(Adam):
    """Adam whose variables shrink before each step. (Loshchilov and Hutter, 2019)"""

    def __init__(self, learning_rate: Any = 0.001, weight_decay: Any = 0.004, **kwargs: Any) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **kwargs)


class _WithMoments(Optimizer):
    """What Nadam and Adamax share with Adam: its arguments."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, **kwargs)


@rule
def nadam(t: Terms, decays: bool) -> Any:
    p, g = _shrunk(t, decays), t.grad
    mean = t.m + (g - t.m) * t.share1
    square = t.v + (g * g - t.v) * t.share2
    ahead = mean * t.of_mean + g * t.of_grad
    return {"m": mean, "v": square, "param": p - ahead * t.rate / (m.sqrt(square * t.unbias) + t.eps)}


class Nadam(_WithMoments):
    """Adam with Nesterov's momentum. (Dozat, 2016)"""

    def __init__(self, learning_rate: Any = 0.001, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        self._products = [1.0]

    def _buffers(self, group: Group) -> tuple[str, ...]:
        return ("m", "v")

    def _step(self, group: Group, rate: float, step: int) -> Any:
        b1, b2 = group["beta_1"], group["beta_2"]
        while len(self._products) <= step + 1:
            t = len(self._products)
            self._products.append(self._products[-1] * b1 * (1 - 0.5 * 0.96**t))
        now, after = b1 * (1 - 0.5 * 0.96**step), b1 * (1 - 0.5 * 0.96 ** (step + 1))
        numbers = {
            "rate": rate,
            "share1": 1 - b1,
            "share2": 1 - b2,
            "eps": group["epsilon"],
            "of_mean": after / (1 - self._products[step + 1]),
            "of_grad": (1 - now) / (1 - self._products[step]),
            "unbias": 1 / (1 - b2**step),
        }
        return nadam, numbers


@rule
def adamax(t: Terms, decays: bool) -> Any:
    p, g = _shrunk(t, decays), t.grad
    mean = t.m + (g - t.m) * t.share1
    largest = m.max(t.beta2 * t.u, m.abs(g))
    return {"m": mean, "u": largest, "param": p - t.rate * mean / (largest + t.eps)}


class Adamax(_WithMoments):
    """Adam with the largest gradient so far in the place of their mean square. (Kingma and Ba, 2015)"""

    def _buffers(self, group: Group) -> tuple[str, ...]:
        return ("m", "u")

    def _step(self, group: Group, rate: float, step: int) -> Any:
        b1 = group["beta_1"]
        numbers = {
            "rate": rate / (1 - b1**step),
            "share1": 1 - b1,
            "beta2": group["beta_2"],
            "eps": group["epsilon"],
        }
        return adamax, numbers


@rule
def rmsprop(t: Terms, decays: bool, centered: bool, momentum: bool) -> Any:
    p, g = _shrunk(t, decays), t.grad
    square = t.rho * t.velocity + t.share * g * g
    new = {"velocity": square}
    spread = square + t.eps
    if centered:
        mean = new["average_gradient"] = t.rho * t.average_gradient + t.share * g
        spread = spread - mean * mean
    change = t.rate * g / m.sqrt(spread)
    if momentum:
        change = new["momentums"] = t.momentum * t.momentums + change
    return new | {"param": p - change}


class RMSprop(Optimizer):
    """w -= learning_rate * g / sqrt(v + epsilon), v the running mean of g^2. (Hinton, 2012)"""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        weight_decay: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate,
            weight_decay,
            rho=rho,
            momentum=momentum,
            epsilon=epsilon,
            centered=centered,
            **kwargs,
        )

    def _buffers(self, group: Group) -> tuple[str, ...]:
        momentum = ("momentums",) if group["momentum"] else ()
        return ("velocity", *momentum, *(("average_gradient",) if group["centered"] else ()))

    def _step(self, group: Group, rate: float, step: int) -> Any:
        rho = group["rho"]
        numbers = {"rate": rate, "rho": rho, "share": 1 - rho, "eps": group["epsilon"]}
        numbers |= {"momentum": group["momentum"]} if group["momentum"] else {}
        return rmsprop, numbers, bool(group["centered"]), bool(group["momentum"])


@rule
def adagrad(t: Terms, decays: bool) -> Any:
    total = t.accumulator + t.grad * t.grad
    return {"accumulator": total, "param": _shrunk(t, decays) - t.rate * t.grad / m.sqrt(total + t.eps)}


class Adagrad(Optimizer):
    """w -= learning_rate * g / sqrt(sum of all g^2 + epsilon). (Duchi et al., 2011)"""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        weight_decay: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate, weight_decay, initial=initial_accumulator_value, epsilon=epsilon, **kwargs
        )

    def _buffers(self, group: Group) -> tuple[str, ...]:
        return ("accumulator",)

    def _first_value(self, name: str, group: Group) -> float:
        return float(group["initial"])

    def _step(self, group: Group, rate: float, step: int) -> Any:
        return adagrad, {"rate": rate, "eps": group["epsilon"]}


@rule
def adadelta(t: Terms, decays: bool) -> Any:
    g = t.grad
    square = t.rho * t.accumulated_grad + t.share * g * g
    change = m.sqrt(t.accumulated_delta + t.eps) * g / m.sqrt(square + t.eps)
    moved = t.rho * t.accumulated_delta + t.share * change * change
    return {
        "accumulated_grad": square,
        "accumulated_delta": moved,
        "param": _shrunk(t, decays) - t.rate * change,
    }


class Adadelta(Optimizer):
    """w -= learning_rate * g * sqrt(d + epsilon) / sqrt(v + epsilon), d and v means of steps^2 and g^2.

    Zeiler, 2012.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        weight_decay: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay, rho=rho, epsilon=epsilon, **kwargs)

    def _buffers(self, group: Group) -> tuple[str, ...]:
        return ("accumulated_grad", "accumulated_delta")

    def _step(self, group: Group, rate: float, step: int) -> Any:
        rho = group["rho"]
        return adadelta, {"rate": rate, "rho": rho, "share": 1 - rho, "eps": group["epsilon"]}


@rule
def lion(t: Terms, decays: bool) -> Any:
    direction = m.sign(t.m * t.beta1 + t.grad * t.share1)
    return {"m": t.m * t.beta2 + t.grad * t.share2, "param": _shrunk(t, decays) - t.rate * direction}


class Lion(Optimizer):
    """w -= learning_rate * sign(blend of momentum and gradient). (Chen et al., 2023)"""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        weight_decay: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay, beta_1=beta_1, beta_2=beta_2, **kwargs)

    def _buffers(self, group: Group) -> tuple[str, ...]:
        return ("m",)

    def _step(self, group: Group, rate: float, step: int) -> Any:
        b1, b2 = group["beta_1"], group["beta_2"]
        return lion, {"rate": rate, "beta1": b1, "share1": 1 - b1, "beta2": b2, "share2": 1 - b2}


def get(identifier: Any) -> Optimizer:
    """The optimizer of that name, or the one given."""
    if isinstance(identifier, Optimizer):
        return identifier
    for name in __all__:
        if name.lower() == str(identifier).lower():
            made: Optimizer = globals()[name]()
            return made
    raise ValueError(f"[optimizers] there is no optimizer {identifier!r}")
