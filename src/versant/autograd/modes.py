"""Context managers and decorators that switch recording on and off."""

from __future__ import annotations

import functools

from versant import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, ParamSpec, Self, TypeVar, overload

    P = ParamSpec("P")
    R = TypeVar("R")


def is_grad_enabled() -> bool:
    """Whether ops on tensors that require gradients are recorded."""
    return _core.is_grad_enabled()


def is_inference_mode_enabled() -> bool:
    """Whether inference mode is on."""
    return _core.is_inference_mode_enabled()


def _is_generator(function: Callable[..., Any]) -> bool:
    """Whether calling it gives a generator.

    The module inspect would cost a tenth of the package's import time.
    """
    code = getattr(function, "__code__", None)
    return code is not None and bool(code.co_flags & 0x20)  # CO_GENERATOR


class _Mode:
    """A mode as a context manager; the same object may be entered again, and nested."""

    def __init__(self) -> None:
        self._before: list[Any] = []

    def _enter(self) -> Any:
        raise NotImplementedError

    def _exit(self, before: Any) -> None:
        raise NotImplementedError

    def _again(self) -> _Mode:
        return type(self)()

    def __enter__(self) -> None:
        self._before.append(self._enter())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exit(self._before.pop())

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """The function, run inside the mode; a generator is inside it only while its own code runs."""
        if _is_generator(function):
            return self._wrap_generator(function)

        @functools.wraps(function)
        def inside(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._again():
                return function(*args, **kwargs)

        return inside

    def _wrap_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                generator = function(*args, **kwargs)
            answer: Any = None
            step: Callable[..., Any] = generator.send
            while True:
                try:
                    with self._again():
                        value = step(answer)
                except StopIteration as stop:
                    return stop.value
                try:
                    answer = yield value
                    step = generator.send
                except GeneratorExit:
                    with self._again():
                        generator.close()
                    raise
                except BaseException as error:
                    answer, step = error, generator.throw

        return inside


class _GradMode(_Mode):
    on: bool

    def _enter(self) -> bool:
        return _core.set_grad_mode(self.on)

    def _exit(self, before: bool) -> None:
        _core.set_grad_mode(before)


class _BareGradMode(_GradMode):
    """Decorates with and without parentheses."""

    if TYPE_CHECKING:

        @overload
        def __new__(cls, function: None = None) -> Self: ...
        @overload
        def __new__(cls, function: Callable[P, R]) -> Callable[P, R]: ...  # type: ignore[misc]
        def __new__(cls, function: Callable[..., Any] | None = None) -> Any: ...

    else:

        def __new__(cls, function=None):
            mode = super().__new__(cls)
            if function is None:
                return mode
            mode.__init__()
            return mode(function)


class no_grad(_BareGradMode):
    """Inside, nothing is recorded.  `with vs.no_grad(): ...` or `@vs.no_grad()`."""

    on = False


class enable_grad(_BareGradMode):
    """Inside, ops are recorded again, also within `no_grad`."""

    on = True


class set_grad_enabled(_GradMode):
    """Switches recording at once, as a call; as a context manager also back."""

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self.on = bool(mode)
        self._initial = _core.set_grad_mode(self.on)
        self._fresh = True

    def _enter(self) -> bool:
        before = self._initial if self._fresh else _core.is_grad_enabled()
        self._fresh = False
        _core.set_grad_mode(self.on)
        return before

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        _core.set_grad_mode(self._initial)
        mode = enable_grad if self.on else no_grad
        wrapped: Callable[P, R] = mode()(function)
        return wrapped


class inference_mode(_Mode):
    """Inside, nothing is recorded and new tensors can never take part in gradients.

    mode: False switches it off.
    """

    if TYPE_CHECKING:

        @overload
        def __new__(cls, mode: bool = True) -> Self: ...
        @overload
        def __new__(cls, mode: Callable[P, R]) -> Callable[P, R]: ...  # type: ignore[misc]
        def __new__(cls, mode: bool | Callable[..., Any] = True) -> Any: ...

    else:

        def __new__(cls, mode=True):
            made = super().__new__(cls)
            if isinstance(mode, bool):
                return made
            made.__init__()
            return made(mode)

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self.mode = mode

    def _again(self) -> _Mode:
        return type(self)(self.mode)

    def _enter(self) -> tuple[bool, bool]:
        inference = _core.set_inference_mode(self.mode)
        return inference, _core.set_grad_mode(not self.mode)

    def _exit(self, before: tuple[bool, bool]) -> None:
        _core.set_inference_mode(before[0])
        _core.set_grad_mode(before[1])
