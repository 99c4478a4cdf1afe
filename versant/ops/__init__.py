"""The op table and what is made from it."""

# Each family adds its records to the table when it is imported.
from versant.ops import (
    activations,
    arithmetic,
    comparison,
    powers,
    rounding,
    special,
    trigonometric,
)
from versant.ops.install import install, names, namespace
from versant.ops.record import Record, table

__all__ = [
    "Record",
    "activations",
    "arithmetic",
    "comparison",
    "install",
    "names",
    "namespace",
    "powers",
    "rounding",
    "special",
    "table",
    "trigonometric",
]
