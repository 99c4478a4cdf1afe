"""Model and Sequential: layers of layers."""

from collections.abc import Iterator
from typing import Any

from versant.tf.keras.layers.dense import InputLayer
from versant.tf.keras.layers.layer import Layer

__all__ = ["Model", "Sequential"]


class Model(Layer):
    """A layer of layers, trained by a loop that calls it under a tape. A subclass defines call."""

    @property
    def layers(self) -> list[Layer]:
        """The layers that its attributes hold."""
        return [child for child in self._children() if isinstance(child, Layer)]

    def build(self, input_shape: Any) -> None:
        """Make the weights of all layers, by a call on zeros of that shape."""
        if not self.built and not self._building:
            self._building = True
            try:
                self.compute_output_shape(input_shape)
            finally:
                self._building = False
        self.built = True

    _building = False

    def _build_for(self, input_shape: Any) -> None:
        self.built = True  # the layers build themselves as they are called

    def summary(self, print_fn: Any = print) -> None:
        """Print the layers and how many numbers they hold."""
        rows = [
            (layer.name, type(layer).__name__, sum(v.numel() for v in layer.weights)) for layer in self.layers
        ]
        print_fn(f'Model: "{self.name}"')
        for name, kind, count in rows:
            print_fn(f"  {name} ({kind})".ljust(52) + f"{count:,}")
        trainable = sum(v.numel() for v in self.trainable_weights)
        print_fn(f"Total params: {sum(v.numel() for v in self.weights):,}")
        print_fn(f"Trainable params: {trainable:,}")

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of that name or number."""
        if index is not None:
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ValueError(f"[{self.name}] there is no layer {name!r}")

    def save_weights(self, filepath: Any) -> None:
        """Write the weights to a safetensors file, in order."""
        import versant
        from versant import _core

        versant.save({f"{i}": _core.plain(v).detach() for i, v in enumerate(self.weights)}, filepath)

    def load_weights(self, filepath: Any) -> None:
        """Read what save_weights wrote."""
        import versant

        values = versant.load(filepath)
        self.set_weights([values[f"{i}"] for i in range(len(values))])


class Sequential(Model):
    """Layers one after the other."""

    def __init__(self, layers: Any = None, trainable: bool = True, name: str | None = None) -> None:
        super().__init__(trainable=trainable, name=name)
        self._layers: list[Any] = []
        self._shape: Any = None  # that the last layer gives, where the first one's input is known
        for layer in layers or []:
            self.add(layer)

    def add(self, layer: Any) -> None:
        """Append a layer, or a function."""
        if not callable(layer):
            raise TypeError(f"[Sequential] expected a layer, got {type(layer).__name__}")
        self._layers.append(layer)
        if len(self._layers) == 1:
            self._shape = getattr(layer, "batch_shape", None)
        if self._shape is not None and not isinstance(layer, InputLayer):
            self._shape = layer.compute_output_shape(self._shape) if isinstance(layer, Layer) else None

    def pop(self) -> Any:
        """Take the last layer away."""
        self._shape = None
        return self._layers.pop()

    @property
    def layers(self) -> list[Any]:
        """The layers."""
        return [layer for layer in self._layers if not isinstance(layer, InputLayer)]

    def _named_children(self) -> Iterator[tuple[str, Any]]:
        for name, child in super()._named_children():
            yield child.name if name.startswith("_layers.") else name, child

    def call(self, inputs: Any, training: Any = None) -> Any:
        """The layers, one after the other."""
        for layer in self._layers:
            if training is not None and isinstance(layer, Layer) and layer._takes_training:
                inputs = layer(inputs, training=training)
            else:
                inputs = layer(inputs)
        return inputs
