"""The workloads: small, complete training steps that every framework runs from the same numbers.

A program is a function `program(framework, options) -> step`: it loads the numbers into the framework's own
arrays and returns one step, a function without arguments whose result is checked and whose time is measured.
The program of the "torch" dialect serves every framework that can be imported in torch's place.
"""

from . import chains, first_programs, gpt, mlps, pinn, products, recurrent, resnets
from .workload import Workload

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for family in (first_programs, chains, mlps, pinn, recurrent, gpt, resnets, products)
    for workload in family.WORKLOADS
}
