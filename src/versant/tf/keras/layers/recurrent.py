"""Recurrent layers over (N, T, C): SimpleRNN, LSTM, GRU."""

from typing import Any

from versant.tf import arrays, products
from versant.tf.keras import activations, initializers
from versant.tf.keras.layers.layer import Layer
from versant.tf.tensors import convert

__all__ = ["GRU", "LSTM", "SimpleRNN"]


class _Recurrent(Layer):
    """Recurrent layers have kernel (C, gates * units), recurrent_kernel (units, gates * units), bias."""

    gates = 1
    n_states = 1

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        **kwargs: Any,
    ) -> None:
        self.units, self.use_bias = units, use_bias
        self.activation = activations.get(activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.return_sequences, self.return_state, self.go_backwards = (
            return_sequences,
            return_state,
            go_backwards,
        )
        super().__init__(**kwargs)

    def _bias(self) -> Any:
        return self.add_weight((self.gates * self.units,), self.bias_initializer, name="bias")

    def build(self, input_shape: Any) -> None:
        """Make the kernels and the bias."""
        width = self.gates * self.units
        self.kernel = self.add_weight((input_shape[-1], width), self.kernel_initializer, name="kernel")
        self.recurrent_kernel = self.add_weight(
            (self.units, width), self.recurrent_initializer, name="recurrent_kernel"
        )
        self.bias = self._bias() if self.use_bias else None
        self.built = True

    def _step(self, x: Any, states: list[Any]) -> list[Any]:
        raise NotImplementedError

    def call(self, sequences: Any, initial_state: Any = None, training: Any = False) -> Any:
        """The last output (N, units), or all, (N, T, units); with return_state the states after it."""
        x = convert(sequences)
        n = x.shape[0]
        states = (
            initial_state
            if initial_state is not None
            else [arrays.zeros((n, self.units), x.dtype)] * self.n_states
        )
        states = list(states) if isinstance(states, list | tuple) else [states]
        slices = arrays.unstack(x, axis=1)
        outputs = []
        for slice_ in reversed(slices) if self.go_backwards else slices:
            states = self._step(slice_, states)
            outputs.append(states[0])
        found = arrays.stack(outputs, 1) if self.return_sequences else outputs[-1]
        return [found, *states] if self.return_state else found


class SimpleRNN(_Recurrent):
    """h = activation(x @ kernel + h @ recurrent_kernel + bias)."""

    def _step(self, x: Any, states: list[Any]) -> list[Any]:
        total = products.matmul(x, self.kernel) + products.matmul(states[0], self.recurrent_kernel)
        return [self.activation(total if self.bias is None else total + self.bias)]


class LSTM(_Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997): gates in the order i, f, c, o."""

    gates = 4
    n_states = 2

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        unit_forget_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        self.recurrent_activation = activations.get(recurrent_activation)
        self.unit_forget_bias = unit_forget_bias
        super().__init__(units, activation, **kwargs)

    def _bias(self) -> Any:
        bias = super()._bias()
        if self.unit_forget_bias:
            ones = arrays.ones(self.units, bias.dtype)
            zeros = arrays.zeros(self.units, bias.dtype)
            bias.assign_add(arrays.concat([zeros, ones, zeros, zeros], 0))
        return bias

    def _step(self, x: Any, states: list[Any]) -> list[Any]:
        h, c = states
        total = products.matmul(x, self.kernel) + products.matmul(h, self.recurrent_kernel)
        i, f, g, o = arrays.split(total if self.bias is None else total + self.bias, 4, axis=1)
        gate = self.recurrent_activation
        c = gate(f) * c + gate(i) * self.activation(g)
        return [gate(o) * self.activation(c), c]


class GRU(_Recurrent):
    """Gated recurrent unit (Cho et al., 2014), reset after the product: gates in the order z, r, h."""

    gates = 3

    def __init__(
        self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid", **kwargs: Any
    ) -> None:
        if not kwargs.pop("reset_after", True):
            raise ValueError("[GRU] reset_after must be True")
        self.recurrent_activation = activations.get(recurrent_activation)
        super().__init__(units, activation, **kwargs)

    def _bias(self) -> Any:
        return self.add_weight((2, 3 * self.units), self.bias_initializer, name="bias")

    def _step(self, x: Any, states: list[Any]) -> list[Any]:
        (h,) = states
        inner, outer = products.matmul(x, self.kernel), products.matmul(h, self.recurrent_kernel)
        if self.bias is not None:
            inner, outer = inner + self.bias[0], outer + self.bias[1]
        xz, xr, xh = arrays.split(inner, 3, axis=1)
        hz, hr, hh = arrays.split(outer, 3, axis=1)
        z, r = self.recurrent_activation(xz + hz), self.recurrent_activation(xr + hr)
        candidate = self.activation(xh + r * hh)
        return [z * h + (1.0 - z) * candidate]
