"""The command `versant`: what it can do, its arguments, its exit codes.

Exit codes: 0 all went well, 1 the work failed, 2 the arguments make no sense, 130 stopped by Ctrl-C.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import versant


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (sys.argv) and return its exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help()
        return 0
    try:
        if args.command == "info":
            from versant.cli.info import info

            print(info())
        elif args.command == "bench":
            from versant.bench.machine import processors
            from versant.cli.bench import bench

            return bench(
                output_folder=args.output,
                only=args.only,
                quick=args.quick,
                against_peers=args.against,
                threads=args.threads or processors(),
                pythons=dict(args.python),
            )
        elif args.command == "debug":
            from versant.cli.debug import debug

            return debug(args.path, args.other, port=args.port, text=args.text)
        else:
            from versant.cli.demo import Demo

            Demo(output=args.output, epochs=args.epochs, seed=args.seed).run()
    except KeyboardInterrupt:
        print("versant: stopped", file=sys.stderr)
        return 130
    except (OSError, ValueError, RuntimeError, MemoryError, ImportError) as error:
        print(f"versant {args.command}: {error or type(error).__name__}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="versant", description="A deep-learning framework.")
    parser.add_argument("--version", action="version", version=f"versant {versant.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", title="commands")
    demo = commands.add_parser(
        "demo",
        help="train a network on handwritten digits",
        description="Train a convolutional network on 1,797 handwritten digits, draw its learning curve and "
        "the digits it misreads, save its weights, load them back and read a digit with them.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    demo.add_argument(
        "--output", type=Path, default=Path("demo_output"), help="folder for pictures and weights"
    )
    demo.add_argument("--epochs", type=_natural, default=20, help="passes over the training images")
    demo.add_argument("--seed", type=int, default=0, help="of weights, order and dropout")
    _add_bench(commands)
    _add_debug(commands)
    commands.add_parser("info", help="show build, instruction set, threads and libraries")
    return parser


def _add_bench(commands: Any) -> None:
    bench = commands.add_parser(
        "bench",
        help="measure Versant beside the frameworks that are installed",
        description="Run small, complete training steps on Versant and, in turns with it, on those of "
        "PyTorch, TensorFlow and JAX that are installed. Print a table; write the figures as JSON and a page "
        "with charts.",
    )
    option = bench.add_argument
    option("--only", type=_read_by("workloads"), metavar="W1,W5", help="these workloads alone (default: all)")
    option("--quick", action="store_true", help="a glance of less than two minutes")
    option(
        "--against",
        type=_read_by("peers"),
        metavar="A,B",
        help="these peers alone: torch, tf, jax, or a single column such as torch-compile (default: all)",
    )
    option(
        "--output",
        type=Path,
        default=Path("bench_output"),
        help="folder for page and figures (default: %(default)s)",
    )
    option("--threads", type=_natural, help="threads of each column (default: as many as processors)")
    option(
        "--python",
        type=_read_by("interpreter"),
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="the interpreter of a peer that lives in another environment",
    )


def _add_debug(commands: Any) -> None:
    debug = commands.add_parser(
        "debug",
        help="look at a recording of versant.debug.record, or at where two of them part",
        description="Serve a page on this machine that shows a recording: its steps, what its tensors are "
        "like, their lines of code and their history. With two recordings also the tensors that differ, the "
        "first one before the others.",
    )
    debug.add_argument("path", type=Path, help="a recording, which may still be written")
    debug.add_argument("other", type=Path, nargs="?", help="a recording that it is compared with")
    debug.add_argument("--port", type=int, default=0, help="of the page (default: a free one)")
    debug.add_argument("--text", action="store_true", help="print a summary, and serve no page")


def _read_by(reader: str) -> Callable[[str], Any]:
    """A function of versant.cli.bench that reads an option; imported only where the option is used."""

    def read(text: str) -> Any:
        from versant.cli import bench

        try:
            return getattr(bench, reader)(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def _natural(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text}")
    return int(text)
