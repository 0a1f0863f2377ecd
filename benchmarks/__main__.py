"""Every problem with every solver; or, as a command, the survey of all public tables, or rows in pieces."""

import argparse
import sys
from pathlib import Path

from benchmarks import pieces, run, tables
from benchmarks.solvers import SOLVERS


def main() -> int:
    """Read the command line and run what it names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, under a minute: to see that all works")
    parser.add_argument(
        "--problems", nargs="+", metavar="NAME", choices=run.NAMES, help=f"of {', '.join(run.NAMES)}; default: all"
    )
    parser.add_argument(
        "--solvers", nargs="+", metavar="NAME", choices=SOLVERS, help=f"of {', '.join(SOLVERS)}; default: all"
    )
    parser.add_argument("--repeats", type=_positive, help="fits of a solver, of which the fastest counts")
    parser.add_argument("--output", type=Path, metavar="FOLDER", default=Path("build/benchmarks"), help="for the files")
    commands = parser.add_subparsers(dest="command")

    real = commands.add_parser("tables", help="accuracy on real tables as they are, that come inside packages")
    real.add_argument(
        "--packages", nargs="+", metavar="NAME", help="tables of these only, such as sklearn; default: all"
    )
    real.add_argument("--all", action="store_true", help="print a line for each table")
    real.add_argument("--markdown", metavar="FILE", help="write summary and tables as markdown")

    commands.add_parser("pieces", help="a file larger than memory, worker processes, and a cluster on paper")

    options = parser.parse_args()
    if options.command == "pieces":
        return pieces.run(quick=options.quick)
    if options.command is None:
        return run.run(
            options.problems, options.solvers, quick=options.quick, repeats=options.repeats, output=options.output
        )
    try:
        return tables.run(options.packages, show_all=options.all, markdown=options.markdown)
    except ModuleNotFoundError as error:
        parser.error(f"{error.name} is not installed: pip install 'gdregress[bench]' brings it.")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a positive number")
    return number


if __name__ == "__main__":
    sys.exit(main())
