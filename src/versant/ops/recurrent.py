"""Recurrent cells, for which the machine has a form in one piece."""

from __future__ import annotations

from versant import _core
from versant._core import Tensor
from versant.ops.lazy import np
from versant.ops.linear import linear
from versant.ops.record import composite, primitive
from versant.ops.samples import array, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def lstm_states(sums: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The states after a step, from the sums of its gates i, f, g and o side by side."""
    i, f, g, o = sums.chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def from_sums_composite(sums: Tensor, h: Tensor, c: Tensor, weight_hh: Tensor) -> tuple[Tensor, Tensor]:
    return lstm_states(sums + linear(h, weight_hh), c)


def lstm_composite(
    input: Tensor,
    h: Tensor,
    c: Tensor,
    weight_hh: Tensor,
    weight_ih: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    return lstm_states(linear(input, weight_ih, bias_ih) + linear(h, weight_hh, bias_hh), c)


def states_reference(sums: Any, c: Any) -> Any:
    i, f, g, o = np.split(sums, 4, -1)
    i, f, o = (1 / (1 + np.exp(-x)) for x in (i, f, o))
    c = f * c + i * np.tanh(g)
    return o * np.tanh(c), c


def lstm_reference(x: Any, h: Any, c: Any, w_hh: Any, w_ih: Any, b_ih: Any = 0, b_hh: Any = 0) -> Any:
    sums = x @ w_ih.T + h @ w_hh.T
    for bias in (b_ih, b_hh):
        sums = sums if bias is None else sums + bias
    return states_reference(sums, c)


whole = primitive(
    "lstm_cell.whole",
    "input, h, c, weight_hh, weight_ih, bias_ih: tensor? = None, bias_hh: tensor? = None -> h, c",
    "lstm_cell in one piece.",
    target="lstm_cell",
    definition=lstm_composite,
    ref=lstm_reference,
    samples=[
        call(array(2, 3), array(2, 4), array(2, 4), array(16, 4), array(16, 3), array(16), array(16)),
        call(array(3, 2), array(3, 2), array(3, 2), array(8, 2), array(8, 2)),
        call(array(2, 3), array(2, 1), array(2, 1), array(4, 1), array(4, 3), None, array(4)),
        call(array(0, 3), array(0, 2), array(0, 2), array(8, 2), array(8, 3), array(8)),
    ],
)

from_sums = primitive(
    "lstm_cell.from_sums",
    "sums, h, c, weight_hh -> h, c",
    "One step of a layer, whose products with the input of all steps were one.",
    target="lstm_cell_from_sums",
    definition=from_sums_composite,
    ref=lambda sums, h, c, w_hh: states_reference(sums + h @ w_hh.T, c),
    samples=[
        call(array(3, 16), array(3, 4), array(3, 4), array(16, 4)),
        call(array(2, 4), array(2, 1), array(2, 1), array(4, 1)),
    ],
)


def lstm_cell_from_sums(sums: Tensor, h: Tensor, c: Tensor, weight_hh: Tensor) -> tuple[Tensor, Tensor]:
    """(h', c'): lstm_cell, given x @ w_ih.T and the biases as `sums`."""
    form: Any = from_sums_composite if _core.get_autocast()[0] else from_sums
    return form(sums, h, c, weight_hh)


@composite(
    ref=lambda x, hx, w_ih, w_hh, b_ih=None, b_hh=None: lstm_reference(
        x, hx[0], hx[1], w_hh, w_ih, b_ih, b_hh
    ),
    samples=[
        call(array(2, 3), (array(2, 4), array(2, 4)), array(16, 3), array(16, 4), array(16), array(16)),
        call(array(3, 2), (array(3, 2), array(3, 2)), array(8, 2), array(8, 2)),
    ],
    places="versant",
)
def lstm_cell(
    input: Tensor,
    hx: Sequence[Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One step of long short-term memory (Hochreiter and Schmidhuber 1997): nn.LSTMCell with its weights.

    input: (N, input_size); hx: the pair (h, c), each (N, hidden_size); w_ih: (4 * hidden_size, input_size);
    w_hh: (4 * hidden_size, hidden_size); the gates are i, f, g and o. The result is (h', c').
    """
    h, c = hx
    # Mixed precision casts what lies between the ops.
    form: Any = lstm_composite if _core.get_autocast()[0] else whole
    return form(input, h, c, w_hh, w_ih, b_ih, b_hh)
