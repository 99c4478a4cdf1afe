"""Programs that people write first in TensorFlow 2: each takes TensorFlow, or what stands for it.

They give numbers. Weights and inputs are numpy's, so that both start from the same ones.
"""

from tf import programs_nested, programs_networks, programs_parts, programs_training
from tf.program_table import PROGRAMS, differences, flat

__all__ = [
    "PROGRAMS",
    "differences",
    "flat",
    "programs_nested",
    "programs_networks",
    "programs_parts",
    "programs_training",
]
