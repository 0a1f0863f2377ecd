"""Run a benchmark: ``python -m benchmarks tables``, ``tall`` or ``losses``."""

import argparse
import sys

from benchmarks import losses, tables, tall


def main() -> int:
    """Read the command line and run what it names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)

    real = commands.add_parser("tables", help="accuracy on real tables as they are, that come inside packages")
    real.add_argument(
        "--packages", nargs="+", metavar="NAME", help="tables of these only, such as sklearn; default: all"
    )
    real.add_argument("--all", action="store_true", help="print a line for each table")
    real.add_argument("--markdown", metavar="FILE", help="write summary and tables as markdown")

    large = commands.add_parser("tall", help="time and memory on many rows")
    large.add_argument("--rows", type=_positive, default=10**6)
    large.add_argument("--columns", type=_positive, default=100)
    large.add_argument("--repeats", type=_positive, default=5, help="fits of a solver, of which the fastest counts")
    large.add_argument("--json", metavar="FILE", help="write the results as JSON")

    other = commands.add_parser("losses", help="other losses, L1 and mini-batches beside scikit-learn's solvers")
    other.add_argument(
        "--problems", nargs="+", metavar="NAME", choices=losses.PROBLEMS, help=f"of {', '.join(losses.PROBLEMS)}"
    )
    other.add_argument("--markdown", metavar="FILE", help="write the table as markdown")
    other.add_argument("--json", metavar="FILE", help="write the results as JSON")

    options = parser.parse_args()
    if options.command == "tall":
        if options.rows < options.columns + 2:
            parser.error(f"{options.rows} rows are too few for {options.columns} columns: raise --rows.")
        return tall.run(options.rows, options.columns, repeats=options.repeats, json_file=options.json)
    if options.command == "losses":
        return losses.run(options.problems, markdown=options.markdown, json_file=options.json)
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
