"""TensorFlow's eager dialect over Versant's tensors.

    import versant.tf as tf

Names, argument order and rules (strict dtypes, NHWC) are TensorFlow's; docs/tensorflow.md tells what differs.

>>> import versant.tf as tf
>>> w = tf.Variable(3.0)
>>> with tf.GradientTape() as tape:
...     loss = w * w
>>> tape.gradient(loss, w)
<tf.Tensor: shape=(), dtype=float32, numpy=6.0>
"""

from typing import Any as _Any

from versant.tf import dtypes, errors, tensors

dtypes.install()
tensors.install()

from versant.autograd.tape import GradientTape, UnconnectedGradients  # noqa: E402
from versant.tf import arrays, elementwise, gathering, products, reductions  # noqa: E402
from versant.tf import namespaces as _namespaces  # noqa: E402
from versant.tf.control_flow import (  # noqa: E402
    case,
    cond,
    foldl,
    foldr,
    group,
    map_fn,
    no_op,
    scan,
    switch_case,
    vectorized_map,
    while_loop,
)
from versant.tf.dtypes import *  # noqa: E402, F403
from versant.tf.functions import TensorSpec, function, init_scope, inside_function, py_function  # noqa: E402
from versant.tf.gradients import custom_gradient, grad_pass_through, gradients, recompute_grad, stop_gradient  # noqa: E402
from versant.tf.shapes import TensorShape  # noqa: E402
from versant.tf.tensors import (  # noqa: E402
    Tensor,
    cast,
    constant,
    convert_to_tensor,
    identity,
    is_tensor,
)
from versant.tf.variables import Variable, VariableAggregation, VariableSynchronization  # noqa: E402

__version__ = "2.0"  # the interface; versant.__version__ is that of the package
newaxis = None

globals().update({name: elementwise.MATH[name] for name in elementwise.TOP_LEVEL})
globals().update({name: reductions.MATH[name] for name in reductions.TOP_LEVEL})
globals().update(arrays.NAMES | gathering.NAMES | products.TOP_LEVEL)
globals().update(_namespaces.TOP_LEVEL)
dtypes.cast, dtypes.complex = cast, elementwise.complex  # type: ignore[attr-defined]


def __getattr__(name: str) -> _Any:
    found = _namespaces.find(name)
    if found is None:
        raise AttributeError(
            f"module 'versant.tf' has no attribute {name!r}; `make coverage-tf` lists the names that it has"
        )
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_namespaces.NAMES})


__all__ = [
    "GradientTape",
    "Tensor",
    "TensorShape",
    "TensorSpec",
    "UnconnectedGradients",
    "Variable",
    "VariableAggregation",
    "VariableSynchronization",
    "case",
    "cast",
    "cond",
    "constant",
    "convert_to_tensor",
    "custom_gradient",
    "errors",
    "foldl",
    "foldr",
    "function",
    "grad_pass_through",
    "gradients",
    "group",
    "identity",
    "init_scope",
    "inside_function",
    "is_tensor",
    "map_fn",
    "newaxis",
    "no_op",
    "py_function",
    "recompute_grad",
    "scan",
    "stop_gradient",
    "switch_case",
    "vectorized_map",
    "while_loop",
]
