"""The command `versant`: what it can do, its arguments, its exit codes.

Exit codes: 0 all went well, 1 the work failed, 2 the arguments make no sense, 130 stopped by Ctrl-C.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

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
    commands.add_parser("info", help="show build, instruction set, threads and libraries")
    return parser


def _natural(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text}")
    return int(text)
