"""How cost grows with rows, with columns and with epochs: the same contest at one size after the other."""

from dataclasses import asdict, dataclass, replace

from benchmarks import generators
from benchmarks.contest import hold
from benchmarks.measure import Effort
from benchmarks.problems import GRAM, OURS, Descent, Problem

DIRECT = (GRAM, OURS, "LinearRegression", "Ridge(cholesky)", "StandardScaler + SGDRegressor")


@dataclass(frozen=True)
class Axis:
    """What grows.

    Attributes
    ----------
    name : str
        Its letter, or its word.
    label : str
        What stands below the plot.
    title : str
        What is measured.
    problem : Problem
        What is solved at each size.
    sizes, quick_sizes : tuple of int
        Of what grows.
    """

    name: str
    label: str
    title: str
    problem: Problem
    sizes: tuple[int, ...]
    quick_sizes: tuple[int, ...]

    def at(self, size: int, *, quick: bool) -> Problem:
        """Give the problem at a size."""
        n, p = self.problem.quick_shape if quick else self.problem.shape
        match self.name:
            case "n":
                return replace(self.problem, shape=(size, p))
            case "p":
                return replace(self.problem, shape=(n, size))
            case _:
                return replace(self.problem, shape=(n, p), descent=replace(self.problem.descent, epochs=size))


@dataclass(frozen=True)
class Point:
    """A point of a curve, with its score: time alone says nothing.

    Attributes
    ----------
    size : int
        Of what grows.
    seconds : float
        Time of the fastest fit.
    excess : float or None
        Distance of the objective from the lowest at that size, as `Judge.excess` measures it.
    """

    size: int
    seconds: float
    excess: float | None


@dataclass(frozen=True)
class Curves:
    """Times against what grows.

    Attributes
    ----------
    axis : Axis
        What grows.
    shape : tuple of int
        That of X, but for what grows.
    lines : dict of str to list of Point
        By solver.
    """

    axis: Axis
    shape: tuple[int, int]
    lines: dict[str, list[Point]]

    def as_dict(self) -> dict:
        """Give plain values."""
        lines = {solver: [asdict(point) for point in points] for solver, points in self.lines.items()}
        return {"axis": self.axis.name, "shape": self.shape, "lines": lines}


AXES: tuple[Axis, ...] = (
    Axis(
        "n",
        "rows of X",
        "Time of a fit, {p} columns",
        Problem("n", generators.badly_scaled, (10**5, 100), (1000, 20), DIRECT),
        (1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000),
        (1000, 3000, 10_000),
    ),
    Axis(
        "p",
        "columns of X",
        "Time of a fit, {n:,} rows",
        Problem("p", generators.badly_scaled, (10**5, 100), (2000, 20), DIRECT),
        (10, 30, 100, 300, 1000, 2000),
        (10, 30, 100),
    ),
    Axis(
        "epochs",
        "epochs",
        "Time of plain descent with its loss history, {n:,} rows, {p} columns",
        Problem(
            "epochs",
            generators.neighbours,
            (10**5, 100),
            (2000, 20),
            (GRAM, OURS, "NumPy loop", "StandardScaler + SGDRegressor"),
            descent=Descent(epochs=1, learning_rate=0.1),
        ),
        (10, 100, 1000, 10_000, 100_000),
        (10, 100, 1000),
    ),
)
"""The three plots."""


def grow(axis: Axis, names: list[str], effort: Effort, *, slow: float, quick: bool) -> Curves:
    """Measure the curves of an axis.

    Parameters
    ----------
    axis : Axis
        What grows.
    names : list of str
        Solvers, of those that are installed.
    effort : Effort
        How often each is run, and how long at most.
    slow : float
        Seconds of a fit at which a curve ends.
    quick : bool
        Whether sizes are the quick ones.
    """
    lines: dict[str, list[Point]] = {name: [] for name in names}
    running = names
    for size in axis.quick_sizes if quick else axis.sizes:
        contest = hold(axis.at(size, quick=quick), running, effort, with_reference=False)
        measured = [result for result in contest.results if result.runs and result.extrapolated_from is None]
        for result in measured:
            lines[result.solver].append(Point(size, result.seconds, result.excess))
        running = [result.solver for result in measured if result.seconds < slow]
        if not running:
            break
    return Curves(axis, contest.problem.shape, lines)
