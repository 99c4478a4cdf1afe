"""Layer: what all layers share."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from versant import _core
from versant.tensors.nest import flatten, map_structure
from versant.tf import dtypes
from versant.tf.dtypes import as_dtype
from versant.tf.keras import initializers, regularizers
from versant.tf.modules import Module
from versant.tf.shapes import TensorShape
from versant.tf.tensors import convert
from versant.tf.variables import Variable

_counts: dict[str, int] = {}


def unique_name(base: str) -> str:
    """base, base_1, base_2, ..."""
    n = _counts.get(base, 0)
    _counts[base] = n + 1
    return base if n == 0 else f"{base}_{n}"


class Layer(Module):
    """A function with weights: `build` makes them at the first call, `call` computes.

    A subclass calls super().__init__(), makes weights by add_weight in build(input_shape), or in its
    constructor, and defines call(inputs). training=True or False is passed on where call takes it.
    """

    def __init__(
        self,
        *,
        trainable: bool = True,
        name: str | None = None,
        dtype: Any = None,
        activity_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        input_shape = kwargs.pop("input_shape", None)
        if "input_dim" in kwargs:
            input_shape = (kwargs.pop("input_dim"),)
        if kwargs:
            raise ValueError(f"[{type(self).__name__}] unknown arguments: {', '.join(kwargs)}")
        super().__init__(name)
        if name is None:
            self._name = unique_name(self._name)
        self.built = False
        self._trainable = bool(trainable)
        self._dtype = as_dtype(dtype) if dtype is not None else dtypes.float32
        self._penalties: list[tuple[Any, Any]] = []
        self.activity_regularizer = regularizers.get(activity_regularizer)
        if input_shape is not None:
            self.batch_shape = (None, *tuple(input_shape))
            self._build_for(self.batch_shape)

    batch_shape: Any = None  # of the input, where the constructor was told
    _takes_training = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Whether call takes training=, which outer layers pass on."""
        super().__init_subclass__(**kwargs)
        code = getattr(cls.call, "__code__", None)
        if code is not None:
            names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            cls._takes_training = "training" in names or bool(code.co_flags & 0x08)  # **kwargs

    # Weights ------------------------------------------------------------------------------------------------

    def add_weight(
        self,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        name: Any = None,
        **kwargs: Any,
    ) -> Variable:
        """A new variable of the layer; initial values are Glorot-uniform unless said otherwise."""
        if isinstance(shape, str):  # Keras 2 has the name first
            shape, name = (initializer if isinstance(initializer, list | tuple) else ()), shape
            initializer = None
        if dtype is None:
            dtype = self._dtype
        make = initializers.get("glorot_uniform" if initializer is None else initializer)
        sizes = () if shape is None else tuple(int(n) for n in shape)
        variable = Variable(
            make(sizes, dtype=as_dtype(dtype)), trainable=trainable, name=name, constraint=constraint
        )
        if not hasattr(self, "_own"):
            self._own: list[Variable] = []
        self._own.append(variable)
        penalty = regularizers.get(regularizer)
        if penalty is not None:
            self._penalties.append((penalty, variable))
        return variable

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of that shape."""
        self.built = True

    def _build_for(self, input_shape: Any) -> None:
        self.build(TensorShape(input_shape) if _is_shape(input_shape) else input_shape)
        self.built = True

    @property
    def dtype(self) -> Any:
        """The dtype of the weights."""
        return self._dtype

    compute_dtype = variable_dtype = dtype

    @property
    def trainable(self) -> bool:
        """Whether the layer's weights are trained."""
        return self._trainable

    @trainable.setter
    def trainable(self, on: bool) -> None:
        self._trainable = bool(on)
        for child in self._children():
            if isinstance(child, Layer):
                child.trainable = on

    def _attributes(self) -> Iterable[tuple[str, Any]]:
        return vars(self).items()  # in the order in which they were made

    def _named_children(self) -> Iterator[tuple[str, Any]]:
        for name, child in super()._named_children():
            # A weight that no attribute holds is called as add_weight was told.
            yield child.name.partition(":")[0] if name.startswith("_own.") else name, child

    @property
    def weights(self) -> list[Any]:
        """All variables: the layer's own, those that are trained first, then those of the layers inside."""
        own: list[Variable] = []
        inside: list[Variable] = []
        for child in self._children():
            if isinstance(child, Variable):
                own.append(child)
            else:
                inside += child.weights if isinstance(child, Layer) else child.variables
        ordered = [v for v in own if v.trainable] + [v for v in own if not v.trainable] + inside
        return list({id(v): v for v in ordered}.values())

    @property
    def trainable_weights(self) -> list[Any]:
        """The variables that are trained."""
        frozen = self._frozen()
        return [v for v in self.weights if v.trainable and id(v) not in frozen]

    @property
    def non_trainable_weights(self) -> list[Any]:
        """The variables that are not trained."""
        frozen = self._frozen()
        return [v for v in self.weights if not v.trainable or id(v) in frozen]

    def _frozen(self) -> set[int]:
        found: set[int] = set()
        for layer in (self, *self.submodules):
            if isinstance(layer, Layer) and not layer._trainable:
                found |= {id(v) for v in Module.variables.fget(layer)}  # type: ignore[attr-defined]
        return found

    @property
    def variables(self) -> Any:
        """All variables."""
        return self.weights

    @property
    def trainable_variables(self) -> Any:
        """The variables that are trained."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> Any:
        """The variables that are not trained."""
        return self.non_trainable_weights

    def get_weights(self) -> list[Any]:
        """The weights' values as numpy arrays."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights: Any) -> None:
        """Set the weights' values, in the order of `weights`."""
        own = self.weights
        if len(own) != len(weights):
            raise ValueError(f"[{self.name}] expected {len(own)} weights, got {len(weights)}")
        for variable, value in zip(own, weights, strict=True):
            variable.assign(value)

    def count_params(self) -> int:
        """How many numbers the weights hold."""
        if not self.built:
            raise ValueError(
                f"[{self.name}] count_params() before the layer is built: call it once, or build()"
            )
        return sum(v.numel() for v in self.weights)

    # Penalties ----------------------------------------------------------------------------------------------

    def add_loss(self, losses: Any) -> None:
        """Add penalties of this call to `losses`."""
        if not hasattr(self, "_call_losses"):
            self._call_losses: list[Any] = []
        self._call_losses += flatten(losses)

    @property
    def losses(self) -> list[Any]:
        """Penalties on the weights, and what `add_loss` added in the last call."""
        found: list[Any] = []
        for layer in (self, *self.submodules):
            if isinstance(layer, Layer):
                found += [penalty(v) for penalty, v in layer._penalties]
                found += getattr(layer, "_call_losses", [])
        return found

    # Calls --------------------------------------------------------------------------------------------------

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """What the layer computes."""
        raise NotImplementedError(f"[{type(self).__name__}] call is not defined")

    __call__: Callable[..., Any] = _core.layer_call

    def _call_built(self, *args: Any, **kwargs: Any) -> Any:
        """What `__call__` does, as the layer that runs."""
        args = tuple(map_structure(self._converted, arg) for arg in args)
        if not self.built and args:
            shapes = [TensorShape(tuple(x.shape)) for x in flatten(args[0]) if isinstance(x, _core.Tensor)]
            nested = isinstance(args[0], list | tuple)
            self._build_for(shapes if nested else shapes[0] if shapes else None)
        if hasattr(self, "_call_losses"):
            self._call_losses.clear()
        if kwargs.get("training", False) is None or ("training" in kwargs and not self._takes_training):
            kwargs.pop("training")
        found = self.call(*args, **kwargs)
        if self.activity_regularizer is not None:
            for y in flatten(found):
                self.add_loss(self.activity_regularizer(y))
        return found

    def _converted(self, x: Any) -> Any:
        """Arrays become tensors, floating ones in the layer's dtype."""
        if isinstance(x, _core.Tensor) or x is None or isinstance(x, bool | str | int | float):
            return x
        try:
            tensor = convert(x)
        except (TypeError, ValueError):
            return x
        if tensor.dtype.is_floating_point and tensor.dtype is not self._dtype:
            from versant.tf.tensors import cast

            tensor = cast(tensor, self._dtype)
        return tensor

    def get_config(self) -> dict[str, Any]:
        """Name, dtype and whether it is trained."""
        return {"name": self.name, "trainable": self.trainable, "dtype": self._dtype.name}

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        """The shape of the output for inputs of that shape, found by a call on zeros."""
        from versant.tf.arrays import zeros

        sizes = [1 if n is None else n for n in input_shape]
        found = tuple(self(zeros(sizes, self._dtype)).shape)
        return TensorShape([None if input_shape[0] is None else found[0], *found[1:]])


def _is_shape(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(n is None or isinstance(n, int) for n in value)


def pair(value: Any, n: int = 2) -> tuple[int, ...]:
    """One number for each spatial axis."""
    return (int(value),) * n if isinstance(value, int) else tuple(int(v) for v in value)
