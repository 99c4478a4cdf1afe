"""Functions of functions: derivatives of either direction and order, and batches of samples.

All of them take ordinary functions over tensors, nest in each other and in `vs.compile`, and go through any
containers of tensors (tuples, lists, dicts, named tuples, dataclasses).
"""

from versant.func.custom import custom_jvp, custom_vjp
from versant.func.derivatives import grad, grad_and_value, hvp, jvp, linearize, value_and_grad, vjp
from versant.func.jacobians import hessian, jacfwd, jacrev
from versant.func.modules import functional_call, stack_module_state
from versant.func.vmap import vmap

__all__ = [
    "custom_jvp",
    "custom_vjp",
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "hvp",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "stack_module_state",
    "value_and_grad",
    "vjp",
    "vmap",
]
