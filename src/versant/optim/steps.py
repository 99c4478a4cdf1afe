"""The machine's optimizer steps: each updates all its parameters in one call, in place and off the tape.

Without a list of gradients it takes those of the parameters themselves.
"""

from typing import Any

from versant import _core

_R = _core.REQUIRED


def _step(name: str, **kinds: str) -> Any:
    signature = [(argument, kind, _R, False) for argument, kind in kinds.items()]
    return _core.define_function(name, name, signature, f"{name}: see core/machine/optimizer.cc")


sgd_step = _step(
    "sgd_step",
    params="tensors", grads="tensors?", momenta="tensors?", lr="float", momentum="float", dampening="float",
    weight_decay="float", nesterov="bool", maximize="bool", first_step="bool",
)  # fmt: skip

adam_step = _step(
    "adam_step",
    params="tensors", grads="tensors?", exp_avgs="tensors", exp_avg_sqs="tensors", max_exp_avg_sqs="tensors?",
    step="int", lr="float", beta1="float", beta2="float", eps="float", weight_decay="float", decoupled="bool",
    maximize="bool",
)  # fmt: skip
