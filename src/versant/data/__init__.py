"""Data: datasets, the order in which they are read, and batches of them."""

from versant.data.collate import default_collate
from versant.data.dataset import Dataset, Subset, TensorDataset, random_split
from versant.data.loader import DataLoader
from versant.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

__all__ = [
    "BatchSampler",
    "DataLoader",
    "Dataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "default_collate",
    "random_split",
]
