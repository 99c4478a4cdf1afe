"""tf.function: a Python function compiled by vs.compile, and what says how functions are run."""

import functools
from collections.abc import Callable
from typing import Any

import versant
from versant import _core
from versant.tensors.nest import flatten
from versant.tf.dtypes import as_dtype
from versant.tf.shapes import TensorShape
from versant.tf.tensors import convert
from versant.tf.variables import lifting

__all__ = [
    "Function",
    "TensorSpec",
    "function",
    "functions_run_eagerly",
    "init_scope",
    "inside_function",
    "py_function",
    "run_functions_eagerly",
]

_eager = False


def run_functions_eagerly(run_eagerly: bool) -> None:
    """Whether functions run as they are written, to be stepped through."""
    global _eager
    _eager = bool(run_eagerly)


def functions_run_eagerly() -> bool:
    """Whether functions run as they are written."""
    return _eager


def inside_function() -> bool:
    """Whether a function is being traced."""
    return _core.is_tracing()


class init_scope:
    """A context: what is in it runs at once. Versant's functions have no graph to step out of."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: Any) -> None:
        pass


def py_function(func: Callable[..., Any], inp: Any, Tout: Any, name: Any = None) -> Any:
    """func(*inp), which runs as Python."""
    return func(*inp)


class TensorSpec:
    """The shape and dtype of tensors; None among the sizes, or for the shape, fits any."""

    def __init__(self, shape: Any, dtype: Any = "float32", name: str | None = None) -> None:
        self.shape = None if shape is None else TensorShape(shape)
        self.dtype = as_dtype(dtype)
        self.name = name

    @classmethod
    def from_tensor(cls, tensor: Any, name: str | None = None) -> "TensorSpec":
        """The shape and dtype of a tensor."""
        return cls(tuple(tensor.shape), tensor.dtype, name)

    def is_compatible_with(self, other: Any) -> bool:
        """Whether a tensor, or another spec, is of this shape and dtype."""
        if other.dtype is not self.dtype:
            return False
        return self.shape is None or self.shape.is_compatible_with(tuple(other.shape))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TensorSpec) and (self.shape, self.dtype) == (other.shape, other.dtype)

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))

    def __repr__(self) -> str:
        return f"TensorSpec(shape={self.shape}, dtype={self.dtype.name})"


class Function:
    """A function of tf.function; called, it replays what the function computed.

    The call in which it creates variables runs as it is written, and is not kept.
    """

    def __init__(
        self, python_function: Callable[..., Any], input_signature: Any, dynamic: bool | None
    ) -> None:
        self.python_function = python_function
        self.input_signature = None if input_signature is None else tuple(input_signature)
        self._compiled = versant.compile(python_function, dynamic=dynamic)
        self._dynamic = dynamic
        self.created = False  # whether the call under way has created variables
        functools.update_wrapper(self, python_function, updated=())

    def _taken(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """Arguments as the signature wants them.  Raises TypeError or ValueError for others."""
        name = getattr(self, "__name__", "function")
        signature = self.input_signature or ()
        if kwargs:
            import inspect

            bound = inspect.signature(self.python_function).bind(*args, **kwargs)
            args = tuple(bound.arguments.values())
        if len(args) != len(signature):
            raise TypeError(f"[{name}] input_signature has {len(signature)} arguments, got {len(args)}")
        found = []
        for i, (value, spec) in enumerate(zip(args, signature, strict=True)):
            if isinstance(spec, TensorSpec):
                value = convert(value, spec.dtype)
            specs, leaves = flatten(spec), flatten(value)
            if len(specs) != len(leaves):
                raise TypeError(f"[{name}] argument {i} is not nested as its input_signature")
            for leaf, wanted in zip(leaves, specs, strict=True):
                if not wanted.is_compatible_with(leaf):
                    raise TypeError(
                        f"[{name}] argument {i} has shape {tuple(leaf.shape)} and dtype {leaf.dtype.name}, "
                        f"its input_signature says {wanted}"
                    )
            found.append(value)
        return tuple(found)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.input_signature is not None:
            args, kwargs = self._taken(args, kwargs), {}
        if _eager or _core.is_tracing():
            return self.python_function(*args, **kwargs)
        before, lifting.by = lifting.by, self
        try:
            return self._compiled(*args, **kwargs)
        finally:
            lifting.by = before
            if self.created:
                self.created = False
                self._compiled = versant.compile(self.python_function, dynamic=self._dynamic)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        key = f"_tf_function_{id(self)}"
        bound = instance.__dict__.get(key)
        if bound is None:
            method = self.python_function.__get__(instance, owner)
            bound = Function(method, self.input_signature, self._dynamic)
            object.__setattr__(instance, key, bound)
        return bound

    def experimental_get_tracing_count(self) -> int:
        """How many traces were made."""
        count: int = self._compiled.stats()["traces"]
        return count

    def get_concrete_function(self, *args: Any, **kwargs: Any) -> "Function":
        """The function: its traces are made by calls."""
        return self

    def explain(self) -> str:
        """What is assumed, and why anything was traced again."""
        text: str = self._compiled.explain()
        return text


def function(
    func: Callable[..., Any] | None = None,
    input_signature: Any = None,
    autograph: bool = True,
    jit_compile: bool | None = None,
    reduce_retracing: bool = False,
    experimental_implements: Any = None,
    experimental_autograph_options: Any = None,
    experimental_attributes: Any = None,
    experimental_follow_type_hints: Any = None,
    **kwargs: Any,
) -> Any:
    """A decorator: the function is traced at a call and replayed by later ones, bit for bit.

    input_signature: TensorSpecs that every call must fit. reduce_retracing: other shapes are expected.
    autograph, jit_compile: accepted; Python control flow on tensors works in any case, and there is one
    compiler.
    """
    if func is None:
        return functools.partial(
            function,
            input_signature=input_signature,
            jit_compile=jit_compile,
            reduce_retracing=reduce_retracing,
        )
    unknown_sizes = any(
        spec.shape is None or not spec.shape.is_fully_defined()
        for spec in flatten(list(input_signature or ()))
        if isinstance(spec, TensorSpec)
    )
    return Function(func, input_signature, True if reduce_retracing or unknown_sizes else None)
