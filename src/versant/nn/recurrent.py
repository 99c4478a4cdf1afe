"""Recurrent cells: one step over time."""

import math
from typing import Any

import versant
from versant import ShapeError, Tensor
from versant.nn import functional as F
from versant.nn import init
from versant.nn.checks import positive
from versant.nn.module import Module
from versant.nn.parameter import Parameter


class RNNCellBase(Module):
    """What the cells share: `gates` times hidden_size sums of input and hidden state."""

    weight_ih: Parameter  # (gates * hidden_size, input_size)
    weight_hh: Parameter  # (gates * hidden_size, hidden_size)
    bias_ih: Parameter | None  # (gates * hidden_size,)
    bias_hh: Parameter | None  # (gates * hidden_size,)

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, gates: int, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        name, options = type(self).__name__, {"device": device, "dtype": dtype}
        self.input_size = positive(name, "input_size", input_size, least=0)
        self.hidden_size = positive(name, "hidden_size", hidden_size)
        self.bias = bias
        rows = gates * hidden_size
        self.weight_ih = Parameter(versant.empty(rows, input_size, **options))
        self.weight_hh = Parameter(versant.empty(rows, hidden_size, **options))
        for key in ("bias_ih", "bias_hh"):
            self.register_parameter(key, Parameter(versant.empty(rows, **options)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters from U(-1/sqrt(hidden_size), 1/sqrt(hidden_size))."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _expect(self, input: Tensor, *states: Tensor) -> None:
        """Raise ShapeError unless input is (N, input_size) and the states (N, hidden_size)."""
        name = type(self).__name__
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ShapeError(
                f"[{name}] expected input of shape (N, {self.input_size}) or ({self.input_size},), "
                f"got {tuple(input.shape)}"
            )
        expected = (*input.shape[:-1], self.hidden_size)
        for state in states:
            if tuple(state.shape) != expected:
                raise ShapeError(f"[{name}] expected hx of shape {expected}, got {tuple(state.shape)}")

    def _zeros(self, input: Tensor) -> Tensor:
        return input.new_zeros((*input.shape[:-1], self.hidden_size))

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else f", bias={self.bias}")


class RNNCell(RNNCellBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu (Elman 1990).

    input: (N, input_size) or (input_size,); hx: (N, hidden_size), zeros by default; the result is h'.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"[RNNCell] nonlinearity must be 'tanh' or 'relu', got {self.nonlinearity!r}")
        self._expect(input, *(() if hx is None else (hx,)))
        h = self._zeros(input) if hx is None else hx
        total = F.linear(input, self.weight_ih, self.bias_ih) + F.linear(h, self.weight_hh, self.bias_hh)
        result: Tensor = total.tanh() if self.nonlinearity == "tanh" else total.relu()
        return result

    def extra_repr(self) -> str:
        way = "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}"
        return super().extra_repr() + way


class LSTMCell(RNNCellBase):
    """c' = f * c + i * g, h' = o * tanh(c'), the gates i, f, o and g from x and h (Hochreiter 1997).

    input: (N, input_size) or (input_size,); hx: the pair (h, c), each (N, hidden_size), zeros by default.
    The result is (h', c').
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        self._expect(input, *(() if hx is None else hx))
        h, c = (self._zeros(input),) * 2 if hx is None else hx
        if input.ndim == 2:
            return versant.lstm_cell(
                input, (h, c), self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh
            )
        rows = (h.unsqueeze(0), c.unsqueeze(0))
        h, c = versant.lstm_cell(
            input.unsqueeze(0), rows, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh
        )
        return h.squeeze(0), c.squeeze(0)


class GRUCell(RNNCellBase):
    """h' = (1 - z) * n + z * h, n = tanh(W_in x + b_in + r * (W_hn h + b_hn)) (Cho et al. 2014).

    input: (N, input_size) or (input_size,); hx: (N, hidden_size), zeros by default; the result is h'.
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        self._expect(input, *(() if hx is None else (hx,)))
        h = self._zeros(input) if hx is None else hx
        from_input = F.linear(input, self.weight_ih, self.bias_ih).chunk(3, -1)
        from_state = F.linear(h, self.weight_hh, self.bias_hh).chunk(3, -1)
        r = (from_input[0] + from_state[0]).sigmoid()
        z = (from_input[1] + from_state[1]).sigmoid()
        n = (from_input[2] + r * from_state[2]).tanh()
        return n + z * (h - n)


__all__ = ["GRUCell", "LSTMCell", "RNNCell", "RNNCellBase"]
