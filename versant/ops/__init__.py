"""The op table and what is made from it."""

from versant.ops import arithmetic
from versant.ops.install import install, namespace, names
from versant.ops.record import Record, table

__all__ = ["Record", "arithmetic", "install", "names", "namespace", "table"]
