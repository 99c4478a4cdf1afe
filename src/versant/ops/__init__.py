"""The op table and what is made from it."""

# Each family adds its records to the table when it is imported; families build on those before them.
from versant.ops import arithmetic, powers, trigonometric, rounding, comparison, activations, special  # isort: skip
from versant.ops import complex_numbers  # isort: skip
from versant.ops import reductions, creation, sequences, copies, shape, joining  # isort: skip
from versant.ops import parts, indexing, ordered, statistics, differences  # isort: skip
from versant.ops import linear, convolution, pooling, pooling_variants, rearranging, resampling, grids  # isort: skip
from versant.ops import normalization, losses, class_losses, margin_losses, ctc  # isort: skip
from versant.ops import random, dropouts, tables, attention, multihead, recurrent  # isort: skip
from versant.ops import lapack, factors, solvers, decompositions, matrices  # isort: skip
from versant.ops import fourier, short_time  # isort: skip
from versant.ops.install import install, names, namespace
from versant.ops.record import Record, table

FAMILIES = (
    arithmetic,
    powers,
    trigonometric,
    rounding,
    comparison,
    activations,
    special,
    complex_numbers,
    reductions,
    creation,
    sequences,
    copies,
    shape,
    joining,
    parts,
    indexing,
    ordered,
    statistics,
    differences,
    linear,
    convolution,
    pooling,
    pooling_variants,
    rearranging,
    resampling,
    grids,
    normalization,
    losses,
    class_losses,
    margin_losses,
    ctc,
    random,
    dropouts,
    tables,
    attention,
    multihead,
    recurrent,
    lapack,
    factors,
    solvers,
    decompositions,
    matrices,
    fourier,
    short_time,
)

__all__ = ["FAMILIES", "Record", "install", "names", "namespace", "table"]
