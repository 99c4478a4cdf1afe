"""Recurrent layers: whole sequences through one or more layers, in one direction or both.

A layer multiplies the inputs of all steps by its weights at once; what is left for a step is the product with
the hidden state and the cell's formula. Batches and packed sequences take the same way: rows, and how many of
them belong to each step.
"""

import math
import numbers
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import versant
from versant import ShapeError, Tensor, ops
from versant.nn import functional as F
from versant.nn import init
from versant.nn.module import Module
from versant.nn.parameter import Parameter
from versant.nn.utils.rnn import PackedSequence

# What one step of a cell does: (its rows of W_ih x + b, the states before, the weights) to the states after.
States = tuple[Tensor, ...]
Step = Callable[[Tensor, States, dict[str, Tensor]], States]


def _tanh_step(x: Tensor, states: States, of: dict[str, Tensor]) -> States:
    return (versant.addmm(x, states[0], of["weight_hh"].t()).tanh(),)


def _relu_step(x: Tensor, states: States, of: dict[str, Tensor]) -> States:
    return (versant.addmm(x, states[0], of["weight_hh"].t()).relu(),)


def _lstm_step(x: Tensor, states: States, of: dict[str, Tensor]) -> States:
    h, c = ops.recurrent.lstm_cell_from_sums(x, states[0], states[1], of["weight_hh"])
    return (F.linear(h, of["weight_hr"]) if "weight_hr" in of else h), c


def _gru_step(x: Tensor, states: States, of: dict[str, Tensor]) -> States:
    (h,) = states
    from_state = F.linear(h, of["weight_hh"], of.get("bias_hh"))
    (xr, xz, xn), (hr, hz, hn) = x.chunk(3, 1), from_state.chunk(3, 1)
    z = (xz + hz).sigmoid()
    n = (xn + (xr + hr).sigmoid() * hn).tanh()
    return (n + z * (h - n),)


# By mode: gates, states, the step, and whether both biases belong to the sums of the input.
MODES: dict[str, tuple[int, int, Step, bool]] = {
    "RNN_TANH": (1, 1, _tanh_step, True),
    "RNN_RELU": (1, 1, _relu_step, True),
    "LSTM": (4, 2, _lstm_step, True),
    "GRU": (3, 1, _gru_step, False),
}


class RNNBase(Module):
    """What RNN, LSTM and GRU share: parameters, checks, and the walk over layers, directions and steps."""

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if mode not in MODES:
            raise ValueError(f"[{name}] Unrecognized RNN mode: {mode}")
        fair = isinstance(dropout, numbers.Number) and not isinstance(dropout, bool)
        if not fair or not 0 <= dropout <= 1:
            raise ValueError(f"[{name}] dropout should be a number in range [0, 1], got {dropout!r}")
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                f"[{name}] dropout comes after all layers but the last: dropout={dropout} with num_layers=1 "
                "drops nothing",
                stacklevel=3,
            )
        for key, value, kind in (
            ("bias", bias, bool),
            ("batch_first", batch_first, bool),
            ("input_size", input_size, int),
            ("hidden_size", hidden_size, int),
        ):
            if not isinstance(value, kind):
                raise TypeError(
                    f"[{name}] {key} should be of type {kind.__name__}, got: {type(value).__name__}"
                )
        for key, size in (
            ("input_size", input_size),
            ("hidden_size", hidden_size),
            ("num_layers", num_layers),
        ):
            if size <= 0:
                raise ValueError(f"[{name}] {key} must be greater than zero, got {size}")
        if not 0 <= proj_size < hidden_size:
            raise ValueError(
                f"[{name}] proj_size has to be smaller than hidden_size {hidden_size} and not negative, "
                f"got {proj_size}"
            )
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._suffixes = [
            f"_l{layer}{way}"
            for layer in range(num_layers)
            for way in (("", "_reverse") if bidirectional else ("",))
        ]
        rows, options = MODES[mode][0] * hidden_size, {"device": device, "dtype": dtype}
        width = proj_size or hidden_size
        for suffix in self._suffixes:
            columns = input_size if suffix.startswith("_l0") else width * (2 if bidirectional else 1)
            shapes = {"weight_ih": (rows, columns), "weight_hh": (rows, width)}
            if bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}  # type: ignore[dict-item]
            if proj_size:
                shapes["weight_hr"] = (proj_size, hidden_size)
            for key, shape in shapes.items():
                self.register_parameter(key + suffix, Parameter(versant.empty(shape, **options)))
        self._names = tuple(shapes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters from U(-1/sqrt(hidden_size), 1/sqrt(hidden_size))."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing: the weights of a processor need no common block of memory."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of every layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    @property
    def _all_weights(self) -> list[list[str]]:
        """Their names, as PyTorch's programs ask for them."""
        return [[key + suffix for key in self._names] for suffix in self._suffixes]

    # Checks -------------------------------------------------------------------------------------------------

    def _expect(self, condition: bool, text: str, kind: type[Exception] = ShapeError) -> None:
        if not condition:
            raise kind(f"[{type(self).__name__}] {text}")

    def _check_input(self, input: Tensor) -> None:
        shape, weight = tuple(input.shape), self.all_weights[0][0]
        self._expect(
            input.dtype is weight.dtype or versant.is_autocast_enabled(),
            f"RNN input dtype ({input.dtype}) does not match weight dtype ({weight.dtype}). "
            f"Convert input: input.to({weight.dtype}), or convert model: model.to({input.dtype})",
            ValueError,
        )
        self._expect(
            shape[-1] == self.input_size,
            f"input.size(-1) must be equal to input_size: expected {self.input_size}, "
            f"got input of shape {shape}",
        )

    def _check_states(self, states: States, batch: int) -> None:
        for label, state, width in zip(
            ("hx", "cx"), states, (self.proj_size or self.hidden_size, self.hidden_size), strict=False
        ):
            expected = (len(self._suffixes), batch, width)
            self._expect(
                tuple(state.shape) == expected,
                f"expected {label} of shape {expected}, got {tuple(state.shape)}",
            )

    def _zeros(self, input: Tensor, batch: int) -> States:
        widths = (self.proj_size or self.hidden_size, self.hidden_size)[: MODES[self.mode][1]]
        return tuple(input.new_zeros(len(self._suffixes), batch, width) for width in widths)

    # The walk -----------------------------------------------------------------------------------------------

    def _run(self, input: Any, states: States | None) -> tuple[Any, States]:
        """Output and last states; input is a tensor or packed."""
        if isinstance(input, PackedSequence):
            return self._run_packed(input, states)
        self._expect(
            input.ndim in (2, 3), f"Expected input to be 2D or 3D, got {input.ndim}D instead", ValueError
        )
        batched = input.ndim == 3
        for label, state in zip(("hx", "cx"), states or (), strict=False):
            self._expect(
                state.ndim == input.ndim,
                f"for {input.ndim}-D input, {label} should also be {input.ndim}-D "
                f"but got a {state.ndim}-D tensor",
            )
        if not batched:
            input = input.unsqueeze(1)
            states = None if states is None else tuple(state.unsqueeze(1) for state in states)
        elif self.batch_first:
            input = input.transpose(0, 1)
        steps, batch = input.shape[:2]
        self._check_input(input)
        if states is not None:
            self._check_states(states, batch)
        self._expect(steps > 0, "Expected sequence length to be larger than 0 in RNN", RuntimeError)
        rows = input.reshape(steps * batch, self.input_size)
        output, last = self._run_layers(rows, [batch] * steps, states or self._zeros(input, batch))
        output = output.reshape(steps, batch, -1)
        if not batched:
            return output.squeeze(1), tuple(state.squeeze(1) for state in last)
        return (output.transpose(0, 1) if self.batch_first else output), last

    def _run_packed(self, input: PackedSequence, states: States | None) -> tuple[PackedSequence, States]:
        batch_sizes = input.batch_sizes.tolist()
        self._expect(
            input.data.ndim == 2, f"packed input must have 2 dimensions, got {input.data.ndim}", RuntimeError
        )
        self._check_input(input.data)
        if states is None:
            states = self._zeros(input.data, batch_sizes[0])
        else:
            self._check_states(states, batch_sizes[0])
            if input.sorted_indices is not None:
                states = tuple(state.index_select(1, input.sorted_indices) for state in states)
        output, last = self._run_layers(input.data, batch_sizes, states)
        if input.unsorted_indices is not None:
            last = tuple(state.index_select(1, input.unsorted_indices) for state in last)
        return PackedSequence(output, *input[1:]), last

    def _run_layers(self, rows: Tensor, batch_sizes: list[int], states: States) -> tuple[Tensor, States]:
        ways = 2 if self.bidirectional else 1
        firsts = list(zip(*(state.unbind(0) for state in states), strict=True))
        lasts: list[States] = []
        for layer in range(self.num_layers):
            if layer and self.dropout and self.training:
                rows = F.dropout(rows, self.dropout)
            outputs = []
            for way in range(ways):
                at = layer * ways + way
                output, last = self._run_way(rows, batch_sizes, firsts[at], self._suffixes[at], way == 1)
                outputs.append(output)
                lasts.append(last)
            rows = outputs[0] if ways == 1 else versant.cat(outputs, 1)
        return rows, tuple(versant.stack(parts) for parts in zip(*lasts, strict=True))

    def _run_way(
        self, rows: Tensor, batch_sizes: list[int], states: States, suffix: str, reverse: bool
    ) -> tuple[Tensor, States]:
        """One layer in one direction: its outputs in the order of `rows`, and the last states."""
        _, _, step, joined = MODES[self.mode]
        of = {key: getattr(self, key + suffix) for key in self._names}
        bias = of.get("bias_ih")
        if bias is not None and joined:
            bias = bias + of["bias_hh"]
        sums = F.linear(rows, of["weight_ih"], bias)
        even = batch_sizes[0] == batch_sizes[-1]
        parts = sums.view(len(batch_sizes), batch_sizes[0], -1).unbind(0) if even else sums.split(batch_sizes)
        if even:
            outputs, states = _over_steps(step, parts, states, of, reverse)
        else:
            walk = _over_growing if reverse else _over_shrinking
            outputs, states = walk(step, parts, states, of)
        return versant.cat(outputs), states

    def extra_repr(self) -> str:
        given = {
            "proj_size": self.proj_size or None,
            "num_layers": self.num_layers if self.num_layers != 1 else None,
            "bias": None if self.bias else False,
            "batch_first": self.batch_first or None,
            "dropout": self.dropout or None,
            "bidirectional": self.bidirectional or None,
        }
        more = "".join(f", {key}={value}" for key, value in given.items() if value is not None)
        return f"{self.input_size}, {self.hidden_size}{more}"


def _over_steps(
    step: Step, parts: Sequence[Tensor], states: States, of: dict[str, Tensor], reverse: bool
) -> tuple[list[Tensor], States]:
    """All sequences reach all steps."""
    outputs = []
    for part in reversed(parts) if reverse else parts:
        states = step(part, states, of)
        outputs.append(states[0])
    return outputs[::-1] if reverse else outputs, states


def _over_shrinking(
    step: Step, parts: Sequence[Tensor], states: States, of: dict[str, Tensor]
) -> tuple[list[Tensor], States]:
    """Forward over packed steps: the states of sequences that end are set aside."""
    outputs, ended = [], []
    for part in parts:
        rows = part.shape[0]
        if rows < states[0].shape[0]:
            ended.append(tuple(state[rows:] for state in states))
            states = tuple(state[:rows] for state in states)
        states = step(part, states, of)
        outputs.append(states[0])
    ended.append(states)
    return outputs, tuple(versant.cat(several) for several in zip(*reversed(ended), strict=True))


def _over_growing(
    step: Step, parts: Sequence[Tensor], states: States, of: dict[str, Tensor]
) -> tuple[list[Tensor], States]:
    """Backward over packed steps: shorter sequences join with their first states."""
    outputs, firsts = [], states
    states = tuple(state[:0] for state in firsts)
    for part in reversed(parts):
        before, rows = states[0].shape[0], part.shape[0]
        if rows > before:
            joining = (first[before:rows] for first in firsts)
            states = tuple(versant.cat(both) for both in zip(states, joining, strict=True))
        states = step(part, states, of)
        outputs.append(states[0])
    return outputs[::-1], states


class RNN(RNNBase):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), or relu, over a sequence (Elman 1990).

    input: (T, N, input_size), (N, T, input_size) if batch_first, (T, input_size), or a PackedSequence; hx:
    (num_layers * directions, N, hidden_size), zeros by default. Returns the outputs of the last layer at
    every step and the last hidden states, shaped as input and hx.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"[RNN] Unknown nonlinearity {nonlinearity!r}. Select from 'tanh' or 'relu'.")
        mode = f"RNN_{nonlinearity.upper()}"
        super().__init__(
            mode,
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
        )
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        output, states = self._run(input, None if hx is None else (hx,))
        return output, states[0]


class LSTM(RNNBase):
    """Long short-term memory over a sequence (Hochreiter and Schmidhuber 1997): see LSTMCell for one step.

    input: (T, N, input_size), (N, T, input_size) if batch_first, (T, input_size), or a PackedSequence; hx:
    the pair (h, c) of (num_layers * directions, N, proj_size or hidden_size) and (num_layers * directions, N,
    hidden_size), zeros by default. Returns the outputs of the last layer at every step and the last states.
    proj_size: the hidden state is a projection of that many numbers (Sak et al. 2014).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )

    def forward(self, input: Any, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Any, States]:
        self._expect(hx is None or len(hx) == 2, "expected hx to be a pair (h, c)", ValueError)
        return self._run(input, None if hx is None else tuple(hx))


class GRU(RNNBase):
    """Gated recurrent units over a sequence (Cho et al. 2014): see GRUCell for one step.

    input: (T, N, input_size), (N, T, input_size) if batch_first, (T, input_size), or a PackedSequence; hx:
    (num_layers * directions, N, hidden_size), zeros by default. Returns the outputs of the last layer at
    every step and the last hidden states.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
        )

    def forward(self, input: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        output, states = self._run(input, None if hx is None else (hx,))
        return output, states[0]


__all__ = ["GRU", "LSTM", "RNN", "RNNBase"]
