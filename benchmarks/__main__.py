"""Every problem with every solver; or, as a command, rows in pieces, tuning or rows on a device."""

import argparse
import sys
from pathlib import Path

from benchmarks import device, pieces, run, tuning
from benchmarks.solvers import SOLVERS


def make_parser() -> argparse.ArgumentParser:
    """Make what reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, under a minute: to see that all works")
    parser.add_argument(
        "--problems", nargs="+", metavar="NAME", choices=run.NAMES, help=f"of {', '.join(run.NAMES)}; default: all"
    )
    parser.add_argument(
        "--solvers", nargs="+", metavar="NAME", choices=SOLVERS, help=f"of {', '.join(SOLVERS)}; default: all"
    )
    parser.add_argument("--repeats", type=positive, help="fits of a solver, of which the fastest counts")
    parser.add_argument("--output", type=Path, metavar="FOLDER", default=Path("build/benchmarks"), help="for the files")
    commands = parser.add_subparsers(dest="command")
    parts = commands.add_parser("pieces", help="a file larger than memory, and worker processes")
    parts.add_argument("--quick", action="store_true", help="small sizes")
    grids = commands.add_parser("tuning", help="grids of parameters with cross-validation")
    grids.add_argument("--quick", action="store_true", help="the smallest table only")
    there = commands.add_parser("device", help="rows on a GPU, by torch")
    there.add_argument("--quick", action="store_true", help="small sizes")
    return parser


def main() -> int:
    """Read the command line and run what it names."""
    options = make_parser().parse_args()
    if options.command == "pieces":
        return pieces.run(quick=options.quick)
    if options.command == "tuning":
        return tuning.run(quick=options.quick)
    if options.command == "device":
        return device.run(quick=options.quick)
    return run.run(
        options.problems, options.solvers, quick=options.quick, repeats=options.repeats, output=options.output
    )


def positive(text: str) -> int:
    """Read a positive number."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a positive number")
    return number


if __name__ == "__main__":
    sys.exit(main())
