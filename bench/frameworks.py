"""The frameworks that the harness can measure, and the variants of them that meet in a table."""

import importlib
import os
import re
import sys
from dataclasses import dataclass, field
from typing import Any

from machine import ROOT
from workloads.workload import Options


def load(module: str) -> Any:
    """Imports a framework; finds a versant that was built in place too, unless one is installed."""
    sys.path.append(str(ROOT / "src"))
    return importlib.import_module(module)


class Torch:
    """Torch, and every module that is imported in its place."""

    dialect = "torch"

    def __init__(self, module: str, threads: int) -> None:
        self.module = load(module)
        self.module.set_num_threads(threads)

    def version(self) -> str:
        return str(self.module.__version__)

    def arrays(self, result: Any) -> list[Any]:
        """The arrays of a step's result, in numpy's float64."""
        parts = result if isinstance(result, (tuple, list)) else [result]
        return [part.detach().double().numpy() for part in parts]


class TensorFlow:
    dialect = "tensorflow"

    def __init__(self, module: str, threads: int) -> None:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        self.module = load(module)
        self.module.config.threading.set_intra_op_parallelism_threads(threads)
        self.module.config.threading.set_inter_op_parallelism_threads(threads)

    def version(self) -> str:
        return str(self.module.__version__)

    def arrays(self, result: Any) -> list[Any]:
        parts = result if isinstance(result, (tuple, list)) else [result]
        return [self.module.cast(part, "float64").numpy() for part in parts]


# The short name of a framework: who speaks for it, and the module to import.
FRAMEWORKS: dict[str, tuple[type[Torch] | type[TensorFlow], str]] = {
    "versant": (Torch, "versant"),
    "torch": (Torch, "torch"),
    "tf": (TensorFlow, "tensorflow"),
}


@dataclass(frozen=True)
class Contestant:
    """A framework, and the options that its programs are built with."""

    name: str
    framework: str
    what: str
    options: Options = field(default_factory=Options)


CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant(
            "versant",
            "versant",
            "eager, channels-last, library's cells",
            Options(channels_last=True, cells=True),
        ),
        Contestant("versant-plain", "versant", "eager, contiguous images, the program's own cells"),
        Contestant("torch", "torch", "eager, optimizers as they come"),
        Contestant("torch-foreach", "torch", "eager, foreach optimizers", Options({"foreach": True})),
        Contestant(
            "torch-fused",
            "torch",
            "eager, fused optimizers, channels-last, library's cells",
            Options({"fused": True}, channels_last=True, cells=True),
        ),
        Contestant("torch-cells", "torch", "eager, library's cells", Options(cells=True)),
        Contestant("tf", "tf", "eager, fused update ops"),
    )
}
DEFAULT_PEERS = ["torch", "torch-fused", "tf"]


@dataclass(frozen=True)
class Column:
    """A contestant with what the command line adds to its name: `torch-fused:1`, `versant@before`."""

    label: str
    contestant: Contestant
    threads: int | None
    """Where it differs from the other columns."""

    peer: str
    """Columns of one peer compete for being its best: all of a framework, but not another build of it."""

    @staticmethod
    def parse(label: str) -> "Column":
        match = re.fullmatch(r"([\w-]+)(?::([1-9]\d*))?(@\w+)?", label)
        if match is None or match[1] not in CONTESTANTS:
            raise ValueError(f"no column {label!r}; there are {', '.join(CONTESTANTS)}")
        contestant = CONTESTANTS[match[1]]
        peer = contestant.framework + (match[3] or "")
        return Column(label, contestant, int(match[2]) if match[2] else None, peer)
