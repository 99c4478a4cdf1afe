"""GradScaler: losses scaled up, so that small gradients of float16 do not vanish."""

from __future__ import annotations

import warnings
from enum import Enum
from typing import Any
from weakref import WeakKeyDictionary

from versant import _core
from versant._core import Tensor
from versant.amp.regions import check_device
from versant.autograd.repeated import call_again, repeated

_KINDS = {"gradients": "tensors", "factor": "float"}
_ARGUMENTS = [(name, kind, _core.REQUIRED, False) for name, kind in _KINDS.items()]
_unscale = _core.define_function("unscale_", "amp_unscale_", _ARGUMENTS, "see core/machine/unscale.cc")


class Stage(Enum):
    """What has been done for an optimizer since the last update()."""

    READY = 0
    UNSCALED = 1
    STEPPED = 2


class _State:
    """One optimizer between two calls of update()."""

    def __init__(self) -> None:
        self.stage = Stage.READY
        self.found_inf: bool | None = None


class GradScaler:
    """Scales losses up before backward, gradients down before the step, and skips steps with infinities.

    The factor grows by `growth_factor` after `growth_interval` steps without infinities and NaNs among the
    gradients, and shrinks by `backoff_factor` after one with.

    device: "cpu".  init_scale: the factor at first.  enabled: False makes all methods pass through.

    >>> import versant as vs
    >>> w = vs.tensor([1.0], requires_grad=True)
    >>> optimizer = vs.optim.SGD([w], lr=0.5)
    >>> scaler = vs.amp.GradScaler("cpu")
    >>> scaler.scale((w * w).sum()).backward()
    >>> scaler.step(optimizer)
    >>> scaler.update()
    >>> w
    tensor([0.], requires_grad=True)

    Micikevicius et al. 2018, Mixed Precision Training, https://arxiv.org/abs/1710.03740
    """

    def __init__(
        self,
        device: str = "cpu",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        check_device(device, "GradScaler")
        self._device = device
        self._enabled = bool(enabled) and device == "cpu"
        if enabled and not self._enabled:
            warnings.warn(f"[GradScaler] there is no device {device!r} here: it does not scale", stacklevel=2)
        if not self._enabled:
            return
        self._init_scale = float(init_scale)
        self._scale: float | None = None  # None until something was scaled
        self._growth_tracker = 0
        self.set_growth_factor(growth_factor)
        self.set_backoff_factor(backoff_factor)
        self.set_growth_interval(growth_interval)
        self._states: WeakKeyDictionary[Any, _State] = WeakKeyDictionary()

    def scale(self, outputs: Any) -> Any:
        """The tensor times the factor, or all tensors of an iterable; lists stay lists, tuples tuples."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            if self._scale is None:
                self._scale = self._init_scale
            _core.watch_scaled(True)
            if _core.is_tracing():  # replays multiply by the factor of then
                return outputs * call_again(self._present, "GradScaler.scale", pure=True)
            return outputs * self._scale
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(map(self.scale, outputs))
        if hasattr(outputs, "__iter__"):
            return map(self.scale, outputs)
        raise ValueError(
            f"[GradScaler] outputs must be a Tensor or an iterable of Tensors, got {type(outputs).__name__}"
        )

    @repeated
    def unscale_(self, optimizer: Any) -> None:
        """Divides the gradients of the optimizer's parameters by the factor, and looks for infinities.

        Once between two calls of update(); `step` does it where it was not called. Useful before gradients
        are clipped. float16 gradients raise ValueError: the parameters should be float32.
        """
        if not self._enabled:
            return
        scale, state = self._factor("unscale_"), self._state(optimizer)
        if state.stage is Stage.UNSCALED:
            raise RuntimeError("[GradScaler] unscale_() was called on this optimizer since the last update()")
        if state.stage is Stage.STEPPED:
            raise RuntimeError("[GradScaler] unscale_() is called after step()")
        params = [p for group in optimizer.param_groups for p in group["params"]]
        gradients = [p.grad for p in params if p.grad is not None]
        if any(g.dtype == _core.float16 for g in gradients):
            raise ValueError("[GradScaler] expected float32 gradients, got float16: keep float32 parameters")
        state.found_inf = bool(_unscale(gradients, 1.0 / scale))
        state.stage = Stage.UNSCALED

    @repeated
    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """optimizer.step(*args, **kwargs), unless a gradient is infinite or NaN; unscales if needed."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("[GradScaler] closures are not supported where scaling is enabled")
        self._factor("step")
        state = self._state(optimizer)
        if state.stage is Stage.STEPPED:
            raise RuntimeError("[GradScaler] step() was called since the last update()")
        if state.stage is Stage.READY:
            self.unscale_(optimizer)
        result = None if state.found_inf else optimizer.step(*args, **kwargs)
        state.stage = Stage.STEPPED
        return result

    @repeated
    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Adapts the factor to what steps found since the last call, or sets it to `new_scale`."""
        if not self._enabled:
            return
        _core.watch_scaled(False)
        scale = self._factor("update")
        if new_scale is not None:
            self._scale = float(new_scale)
        else:
            found = [state.found_inf for state in self._states.values() if state.found_inf is not None]
            if not found:
                raise AssertionError("[GradScaler] no step() or unscale_() was recorded before update()")
            self._adapt(scale, any(found))
        self._states = WeakKeyDictionary()

    def _adapt(self, scale: float, found_inf: bool) -> None:
        if found_inf:
            self._scale, self._growth_tracker = scale * self._backoff_factor, 0
        elif self._growth_tracker + 1 == self._growth_interval:
            grown = scale * self._growth_factor
            self._scale, self._growth_tracker = (grown if grown < 3.4e38 else scale), 0
        else:
            self._growth_tracker += 1

    def _factor(self, who: str) -> float:
        if self._scale is None:
            raise AssertionError(f"[GradScaler] {who}() before anything was scaled: scale the loss first")
        return self._scale

    def _present(self) -> Tensor:
        """The factor as a tensor, for compiled functions."""
        return _core.tensor(self._init_scale if self._scale is None else self._scale, _core.float64)

    def _state(self, optimizer: Any) -> _State:
        return self._states.setdefault(optimizer, _State())

    def get_scale(self) -> float:
        """The factor; 1.0 when disabled."""
        if not self._enabled:
            return 1.0
        if _core.is_tracing():
            return float(call_again(self._present, "GradScaler.get_scale", pure=True))
        return self._init_scale if self._scale is None else self._scale

    def get_growth_factor(self) -> float:
        """What the factor is multiplied with when it grows."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Sets what the factor is multiplied with when it grows; above 1."""
        if new_factor <= 1.0:
            raise AssertionError(f"[GradScaler] expected a growth factor above 1, got {new_factor}")
        self._growth_factor = float(new_factor)

    def get_backoff_factor(self) -> float:
        """What the factor is multiplied with when it shrinks."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Sets what the factor is multiplied with when it shrinks; below 1."""
        if new_factor >= 1.0:
            raise AssertionError(f"[GradScaler] expected a backoff factor below 1, got {new_factor}")
        self._backoff_factor = float(new_factor)

    def get_growth_interval(self) -> int:
        """After how many good steps the factor grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Sets after how many good steps the factor grows."""
        self._growth_interval = int(new_interval)

    def _get_growth_tracker(self) -> int:
        return self._growth_tracker if self._enabled else 0

    def is_enabled(self) -> bool:
        """Whether it scales."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """The factor and how it changes; empty when disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what `state_dict` of another scaler gave."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "[GradScaler] the state is empty, possibly saved by a disabled GradScaler: nothing to load"
            )
        missing = [key for key in self.state_dict() if key not in state_dict]
        if missing:
            raise KeyError(f"[GradScaler] the state lacks {', '.join(missing)}")
        self._init_scale = float(state_dict["scale"])
        if self._scale is not None:
            self._scale = self._init_scale
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._growth_tracker = state_dict["_growth_tracker"]


class OldGradScaler(GradScaler):
    """`GradScaler` by its old addresses, which name the device: in `cpu.amp` and `cuda.amp`."""

    device: str

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        super().__init__(self.device, init_scale, growth_factor, backoff_factor, growth_interval, enabled)


class CpuGradScaler(OldGradScaler):
    """`amp.GradScaler("cpu")`."""

    device = "cpu"


class CudaGradScaler(OldGradScaler):
    """`amp.GradScaler("cuda")`, which does not scale."""

    device = "cuda"
