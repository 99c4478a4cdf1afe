"""The frameworks that the harness can measure, and the variants of them that meet in a table."""

import importlib
import importlib.util
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from .workloads.workload import Options, Step

HOME = Path(__file__).resolve().parents[2]  # the folder with this Versant in it


def is_ours(module: str) -> bool:
    return module.partition(".")[0] == "versant"


def load(module: str) -> Any:
    """Imports a framework; finds the Versant around this file, unless another one is installed."""
    if is_ours(module) and importlib.util.find_spec("versant") is None:
        sys.path.append(str(HOME))
    return importlib.import_module(module)


class Torch:
    """Torch, and every module that is imported in its place."""

    dialect = "torch"

    def __init__(self, module: str, threads: int) -> None:
        self.module = load(module)
        self.module.set_num_threads(threads)

    def version(self) -> str:
        return str(self.module.__version__)

    def lacks(self, mode: str) -> str | None:
        """Why the mode cannot be measured with this version, or None."""
        if mode == "eager" or callable(getattr(self.module, "compile", None)):
            return None
        return f"{self.module.__name__} {self.version()} has no compile()"

    def in_mode(self, step: Step, mode: str) -> Step:
        """The step as a whole, compiled where the mode says so."""
        if mode != "compile":  # the programs of "onestep" compile themselves
            return step
        reset = getattr(getattr(self.module, "compiler", None), "reset", None)
        if callable(reset):
            reset()  # of what earlier workloads left
        compiled: Step = self.module.compile(step)
        return compiled

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

    def lacks(self, mode: str) -> str | None:
        return None

    def in_mode(self, step: Step, mode: str) -> Step:
        if mode == "eager":
            return step
        compiled: Step = self.module.function(step, jit_compile=mode == "xla")
        return compiled

    def arrays(self, result: Any) -> list[Any]:
        parts = result if isinstance(result, (tuple, list)) else [result]
        return [self.module.cast(part, "float64").numpy() for part in parts]


class WithoutTape(TensorFlow):
    """Our TensorFlow dialect with `backward()` in the place of the tape: what a tape costs."""

    def __init__(self, module: str, threads: int) -> None:
        super().__init__(module, threads)
        tf = self.module

        class Tape:
            """Records as ever, and takes gradients as PyTorch's programs do."""

            def __enter__(self) -> "Tape":
                return self

            def __exit__(self, *exception: Any) -> None:
                pass

            def watch(self, tensor: Any) -> None:
                tensor.requires_grad_()

            def gradient(self, target: Any, sources: Any) -> Any:
                target.backward()
                listed = sources if isinstance(sources, list) else [sources]
                found = [source.grad for source in listed]
                for source in listed:
                    source.grad = None
                return found if listed is sources else found[0]

        def variable(*args: Any, **kwargs: Any) -> Any:
            return tf.Variable(*args, **kwargs).requires_grad_()

        names = {"GradientTape": Tape, "Variable": variable, "__file__": tf.__file__}
        self.module = SimpleNamespace(**{**{name: getattr(tf, name) for name in dir(tf)}, **names})
        self.module.__version__ = tf.__version__


class Jax:
    """JAX, whose programs call jit themselves."""

    dialect = "jax"

    def __init__(self, module: str, threads: int) -> None:
        # It has no setting for threads; it takes as many as there are processors that it may run on.
        if sys.platform == "linux":
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
        os.environ["JAX_PLATFORMS"] = "cpu"
        self.module = load(module)
        # A step waits for its result, so that a second thread to start it from would cost time and gain none.
        self.module.config.update("jax_cpu_enable_async_dispatch", False)

    def version(self) -> str:
        return str(self.module.__version__)

    def lacks(self, mode: str) -> str | None:
        return None

    def in_mode(self, step: Step, mode: str) -> Step:
        return step

    def arrays(self, result: Any) -> list[Any]:
        import numpy as np

        parts = result if isinstance(result, (tuple, list)) else [result]
        return [np.asarray(part.astype("float32"), dtype=np.float64) for part in parts]


# The short name of a framework: who speaks for it, and the module to import.
FRAMEWORKS: dict[str, tuple[type[Torch] | type[TensorFlow] | type[Jax], str]] = {
    "versant": (Torch, "versant"),
    "torch": (Torch, "torch"),
    "tf": (TensorFlow, "tensorflow"),
    "jax": (Jax, "jax"),
    "versant-tf": (TensorFlow, "versant.tf"),
    "versant-tf-backward": (WithoutTape, "versant.tf"),
}


@dataclass(frozen=True)
class Contestant:
    """A framework, the mode in which it runs a step, and the options that its programs are built with."""

    name: str
    framework: str
    title: str
    what: str
    options: Options = field(default_factory=Options)
    mode: str = "eager"
    programs: str = ""
    """The dialect of its programs where it is not that of the framework."""

    @property
    def dialect(self) -> str:
        return self.programs or FRAMEWORKS[self.framework][0].dialect

    @property
    def compiles(self) -> bool:
        return self.mode != "eager"


OURS = Options(channels_last=True, cells=True)

CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant("versant", "versant", "Versant", "eager, channels-last, library's cells", OURS),
        Contestant(
            "versant-compile",
            "versant",
            "Versant compiled",
            "vs.compile of the whole step, channels-last, library's cells",
            OURS,
            "compile",
        ),
        Contestant(
            "versant-plain", "versant", "Versant plain", "eager, contiguous images, the program's own cells"
        ),
        Contestant("torch", "torch", "PyTorch", "eager, optimizers as they come"),
        Contestant(
            "torch-foreach",
            "torch",
            "PyTorch foreach",
            "eager, foreach optimizers",
            Options({"foreach": True}),
        ),
        Contestant(
            "torch-fused",
            "torch",
            "PyTorch fused",
            "eager, fused optimizers, channels-last, library's cells",
            Options({"fused": True}, channels_last=True, cells=True),
        ),
        Contestant("torch-cells", "torch", "PyTorch cells", "eager, library's cells", Options(cells=True)),
        Contestant(
            "torch-compile",
            "torch",
            "torch.compile",
            "torch.compile of the whole step, channels-last",
            Options(channels_last=True, functional=True),
            "compile",
        ),
        Contestant(
            "torch-onestep",
            "torch",
            "torch one step",
            "torch.compile(fullgraph=True) of gradients and a written-out update; inference frozen",
            Options(channels_last=True),
            "onestep",
            "torch-onestep",
        ),
        Contestant("tf", "tf", "TensorFlow", "eager, fused update ops"),
        Contestant("tf-function", "tf", "tf.function", "tf.function of the whole step", mode="function"),
        Contestant(
            "tf-xla", "tf", "TensorFlow XLA", "tf.function(jit_compile=True) of the whole step", mode="xla"
        ),
        Contestant("jax", "jax", "JAX", "jax.jit of the whole step", mode="jit"),
        Contestant("versant-tf", "versant-tf", "Versant's tf", "TensorFlow's programs on versant.tf, eager"),
        Contestant(
            "versant-tf-function",
            "versant-tf",
            "Versant's tf.function",
            "TensorFlow's programs on versant.tf, tf.function of the whole step",
            mode="function",
        ),
        Contestant(
            "versant-tf-backward",
            "versant-tf-backward",
            "Versant's tf, backward()",
            "the same with backward() in the place of the tape",
        ),
    )
}


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

    @property
    def title(self) -> str:
        return self.contestant.title + self.label.removeprefix(self.contestant.name)
