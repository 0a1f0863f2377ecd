"""A primal-dual interior point method for losses of lines and parabolas, with L1 and signs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from gdregress.method.faces import face, vertex
from gdregress.method.rounding import Adjustment, Rounding, matched, rounded, unchanged
from gdregress.method.states import Block, abreast
from gdregress.problem.box_gaps import measured
from gdregress.problem.boxes import LITTLE, ROUNDING, BoxProblem, Iterate
from gdregress.problem.design import Design, DesignOfCombinations, has_row_space
from gdregress.problem.problem import Problem
from gdregress.problem.typical import quantile, typical

NEARLY = 0.9995
"""Share of the way to the nearest end of a box that a step takes."""

BETWEEN = 0.1
"""Residual of rows that are between the lines at a start that is nearly the minimum, as a share of the median one."""

SHORT = 0.1
"""Length of a step below which one towards the middle of the boxes is tried instead."""

CENTRED = 0.5
"""What this step aims at, as a share of mu."""

MANY, CORRECTORS = 200, 3
"""Number of coefficients from which a factor costs far more than a step, and how many further correctors pay then."""

FURTHER, SLIGHT = 0.3, 0.01
"""How much longer than the last step one is that a further corrector makes possible, and the least that it gains."""

LEAST, MOST = 0.1, 3.0
"""Multiples of what it aims at between which a product is near it."""

CLEAR = 1.02
"""Multiple of the number of coefficients up to which rows inside their boxes may be those of a vertex."""

STEEPEST = 1e14
"""Largest curvature t of the barrier along a row."""

NEAR = 1e-2
"""Largest optimality at which the face of the minimum is looked for."""

NEARER = 0.1
"""Share of the complementarity of the last such look at which it is looked for again."""

EXACT = 1e-12
"""Gap, as a share of the scale, below which there is nothing to gain."""

IDLE, IDLE_AT_THE_END = 10, 2
"""Numbers of consecutive epochs without a smaller gap after which the solver ends: early on, and where it is small."""

LESS = 0.9
"""Share of the least gap, and of what slopes have lacked at least, below which one counts as less than that."""

WEAK = 1e-3
"""Strength of L1, in slopes of the loss, below which it takes a smaller mu to tell that a coefficient is zero."""

AT_THE_END = 1e-8
"""Gap, as a share of the scale, that counts as small."""

NO_NEARER = (
    "the slopes of the loss and its residuals come no nearer to each other. "
    "Drop columns that are nearly collinear and rows that are far too large, use penalty='l2', or raise tol."
)
"""Reason and remedy where a solver that knows the dual ends above `tol`."""


class State(NamedTuple):
    """A point of the interior.

    Attributes
    ----------
    point : ndarray of shape (n_coordinates,)
        The coefficients w.
    room, depth : ndarray of shape (n_rows,)
        Distances of the slopes u from the upper and from the lower end, 1 from an end that is not there. A slope next
        to an end would have lost the digits of that distance, which a wild row multiplies by its residual.
    above, below : ndarray of shape (n_rows,)
        Multipliers p and q of the upper and of the lower ends.
    """

    point: NDArray
    room: NDArray
    depth: NDArray
    above: NDArray
    below: NDArray

    @classmethod
    def first(cls, box: BoxProblem) -> Self:
        """Return the state of least squares, with slopes in the middle of their boxes."""
        point = box.least_squares()
        residual = box.residual(point)
        data = np.s_[: box.n_data]
        little = max(0.1 * typical(np.abs(residual[data]), box.weight[data]), LITTLE)
        slope = np.where(box.capped, 0.5 * (box.low + box.cap), np.maximum(box.low + 0.1 / box.weight, 0.0))
        slope = np.where((box.low < 0) & (box.high > 0) & box.capped, 0.0, slope)
        if box.is_curved:
            half = 0.5 * box.reach[data]
            slope[data] = np.clip(
                box.slopes(residual)[data],
                box.low[data] + half,
                np.where(box.capped[data], box.high[data] - half, np.inf),
            )
            residual = residual - box.flatness * slope
        room, depth = np.where(box.capped, box.high - slope, 1.0), slope - box.low
        inside = np.minimum(np.where(box.capped, room, np.inf), depth)
        # The products that are to become zero are of one size: the boxes of the penalty may be far smaller or larger.
        inside[: box.n_data] = inside[: box.n_data].mean()
        little = little * np.clip(inside[0] / inside * box.lightness, 1e-3, 1e3)
        above = box.capped * (np.maximum(residual, 0.0) + little)
        return cls(point, room, depth, above, np.maximum(-residual, 0.0) + little)

    @classmethod
    def near(cls, box: BoxProblem, point: NDArray) -> Self:
        """Return the state at a point that is nearly the minimum of a loss with kinks, with slopes that suit it.

        With r its residuals, d = high - low, and mu a tenth of the median of abs(r) times the steepest slope::

            the nearer of high - u and u - low  =  2 mu d / (|r| d + 2 mu + sqrt(r^2 d^2 + 4 mu^2))

        solves ``p - q = r``, ``p (high - u) = q (u - low) = mu``. So only A'S u = L w is open.
        """
        residual, data = box.residual(point), np.s_[: box.n_data]
        little = max(BETWEEN * quantile(np.abs(residual[data]), 0.5), LITTLE)
        mu = little * float(box.reach[data].max()) * box.lightness
        width = np.where(box.capped, box.cap - box.low, 1.0)
        size = np.abs(residual) * width
        nearer = 2.0 * mu * width / (size + 2.0 * mu + np.hypot(size, 2.0 * mu))
        is_positive = residual > 0
        room = np.where(is_positive, nearer, width - nearer)
        depth = np.where(is_positive, width - nearer, nearer)
        alone = mu / np.maximum(-residual, little)
        room, depth = np.where(box.capped, room, 1.0), np.where(box.capped, depth, alone)
        return cls(point, room, depth, box.capped * mu / room, mu / depth)

    def slope(self, box: BoxProblem) -> NDArray:
        """Return u."""
        return np.where(box.capped & (self.room < self.depth), box.cap - self.room, box.low + self.depth)

    def curvature(self, box: BoxProblem) -> NDArray:
        """Return t, the curvature of the barrier along each row."""
        return np.minimum(1.0 / (box.flatness + self.above / self.room + self.below / self.depth), STEEPEST)

    def complementarity(self, box: BoxProblem) -> float:
        """Return mu, the mean of the products that are to become zero."""
        return float(box.weight @ (self.room * self.above + self.depth * self.below)) / box.n_ends

    def moved(self, step: tuple[NDArray, ...], primal: float, dual: float) -> Self:
        """Return the state after a step, of which w, p and q go as far as `primal`, and u as far as `dual`."""
        lengths = (primal, dual, dual, primal, primal)
        return type(self)(*(part + far * change for part, far, change in zip(self, lengths, step, strict=True)))

    def inside(self, box: BoxProblem) -> NDArray:
        """Return how far the slopes are from the nearest end."""
        return np.minimum(np.where(box.capped, self.room, np.inf), self.depth)


@dataclass(frozen=True)
class InteriorPoint:
    """Predictor and corrector steps (Mehrotra, 1992), as for quantiles by Portnoy and Koenker (1997).

    With p, q > 0 the multipliers of the ends of the boxes, whose slopes u are strictly inside, the minimum is where::

        r = k u + p - q,    A'S u = L w,    p (high - u) = 0,    q (u - low) = 0

    An epoch is a step of Newton's towards the same with a small mu in place of the last two zeros::

        1/t = k + p / (high - u) + q / (u - low)
        dw  = (A'S diag(t) A + L)^-1 (A'S (t e + u) - L w)      e: what the rows lack, for the mu that is aimed at
        du  = t (e - A dw)
        w, p, q <- as far along as p and q stay positive;  u <- as far along as u stays inside

    It is taken twice with the same factor: the predictor aims at mu = 0, and the corrector at the cube of what the
    predictor reached, with its products dp du and dq du. With many coefficients, further correctors bring those
    products nearer mu that would end a longer step (Gondzio, 1996). If all this gets hardly anywhere, another step
    aims at mu / 2. Once the gap is small, the rows with the largest t are those on which the minimum lies: without L2
    it is a vertex, the solution of as many equations as there are coefficients, and else a face.

    Attributes
    ----------
    basis : ndarray of shape (n_features, rank) or None
        Columns that make the rows of X orthonormal, for columns that are nearly collinear; None for none.
    """

    basis: NDArray | None = None
    goes_below_tol = True
    limit = NO_NEARER

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states in blocks of one, the start first; end where no step narrows the gap."""
        return in_lockstep(problem, start, self.basis, interior_points)


def in_lockstep(
    problem: Problem,
    start: NDArray,
    basis: NDArray | None,
    descend: Callable[[BoxProblem, NDArray], Iterator[Iterate]],
) -> Iterator[Block]:
    """Descend for each output by itself, and yield the states of all of them, in blocks of one.

    Parameters
    ----------
    problem : Problem
        The problem.
    start : ndarray of shape (n_coordinates, n_outputs)
        The point to start from.
    basis : ndarray of shape (n_features, rank) or None
        Columns that make the rows of X orthonormal; None if they need not be.
    descend : callable
        Function from the problem of one output and its start to iterates, the start first.

    Yields
    ------
    Block
        The next state. An output that has ended stays where it is.
    """
    exact = None if basis is None or problem.terms.is_penalised else DesignOfCombinations.exact(problem, basis)
    design, adjusted = Design.of(problem, basis), unchanged
    if exact is not None:
        design, adjusted = exact, partial(rounded, Rounding.of(problem), Design.of(problem, None))
    elif has_row_space(problem.terms, problem.rows):
        of_columns = _boxes(problem, Design.of(problem, None), start.shape[1])
        adjusted = partial(matched, of_columns, int(problem.terms.fit_intercept))
        design = DesignOfCombinations.of_row_space(problem)
    boxes = _boxes(problem, design, start.shape[1])
    starts = start.T.astype(np.float64)
    descents = [descend(box, box.of_point(column)) for box, column in zip(boxes, starts, strict=True)]
    best: Block | None = None
    for epochs, latest in enumerate(abreast([next(descent) for descent in descents], descents)):
        block = _block(latest, 1.0 if epochs else None, boxes, adjusted)
        best = block if best is None or block.optimality[0] <= best.optimality[0] else best
        yield block
    if best is not None and best is not block and exact is not None:
        yield best  # its coefficients have been rounded with more luck


def _boxes(problem: Problem, design: Design, n_outputs: int) -> list[BoxProblem]:
    """Return the problem of each output, by itself."""
    return [BoxProblem.of(problem, design, output) for output in range(n_outputs)]


def _block(latest: list[Iterate], rate: float | None, boxes: list[BoxProblem], adjusted: Adjustment) -> Block:
    units = np.array([box.unit**box.degree for box in boxes])
    scale = np.array([each.scale for each in latest])
    given = np.array([box.to_point(each.point) for box, each in zip(boxes, latest, strict=True)]).T
    point, value, gap = adjusted(boxes, latest, given)
    share = float((gap / scale).max())
    return Block.bounded(point, value * units, gap * units, share if boxes[0].degree == 1 else np.sqrt(2 * share), rate)


def interior_points(
    box: BoxProblem, start: NDArray, first: Callable[[BoxProblem], State] = State.first
) -> Iterator[Iterate]:
    """Yield the start, then a point for each epoch, until the gap is closed or no longer narrows.

    Parameters
    ----------
    box : BoxProblem
        The problem.
    start : ndarray of shape (n_coordinates,)
        The start, from which nothing but its gap follows.
    first : callable, default=State.first
        Function from the problem to the state from which the epochs begin.

    Yields
    ------
    Iterate
        The next point.
    """
    residual = box.residual(start)
    slope = box.slopes(residual)
    best = measured(box, start, residual, slope, box.pull(slope))
    yield best
    if best.gap <= EXACT**box.degree * best.scale:
        return
    state, idle, least, tried, lacked = first(box), 0, np.inf, np.inf, np.inf
    while idle < (IDLE if min(best.gap, least) > AT_THE_END**box.degree * best.scale else IDLE_AT_THE_END):
        here, place = _measure(box, state)
        ends = EXACT
        distance = state.complementarity(box)
        if not (np.isfinite(here.gap) and distance > 0):
            break  # no float is nearer
        is_near = here.gap <= NEAR**box.degree * here.scale and distance <= NEARER**box.degree * tried
        if is_near and (here.gap <= AT_THE_END * here.scale or _is_clear(box, state)):
            tried = distance
            settled = _settled(box, state, place)
            if settled is not None and settled.gap < here.gap:
                here, ends = settled, AT_THE_END  # its gap is only rounding
        lack = float(np.abs(box.lack(place.point, place.pull)).max(initial=0.0))
        gains = here.gap < LESS * best.gap or EXACT**box.degree * here.scale < distance < least
        idle = 0 if gains or ROUNDING < lack <= LESS * lacked else idle + 1
        least, lacked = min(least, distance), min(lacked, lack)
        best = min(best, here, key=lambda each: each.gap)
        yield here
        if here.gap <= ends**box.degree * here.scale:
            return
        try:
            state = _advance(box, state, place)
        except FloatingPointError:
            break
    yield best


class PrimalDual(NamedTuple):
    """The coefficients and the slopes of a state, with what X makes of them.

    Attributes
    ----------
    point : ndarray of shape (n_coordinates,)
        The coefficients w.
    residual : ndarray of shape (n_rows,)
        r = y - A w.
    slope : ndarray of shape (n_rows,)
        The slopes u.
    pull : ndarray of shape (n_coordinates,)
        A'S u.
    """

    point: NDArray
    residual: NDArray
    slope: NDArray
    pull: NDArray


def _measure(box: BoxProblem, state: State) -> tuple[Iterate, PrimalDual]:
    """Return how far a state is, with zeros where it shows that coefficients are zero, and its point."""
    point, slope = state.point, state.slope(box)
    place = PrimalDual(point, box.residual(point), slope, box.pull(slope))
    zeros = _zeros(box, state, point)
    if not zeros.size:
        return measured(box, point, place.residual, slope, place.pull), place
    exact = point.copy()
    exact[zeros] = 0.0
    return measured(box, exact, box.residual(exact), slope, place.pull), place


def _settled(box: BoxProblem, state: State, place: PrimalDual) -> Iterate | None:
    """Return the minimum, if the state shows on which rows it lies."""
    if not (box.is_curved or box.l2.any()):
        zeros = _zeros(box, state, place.point) if box.design.basis.is_standard else np.empty(0, np.intp)
        return vertex(box, state.curvature(box), place.slope, zeros)
    return face(box, place.point, _is_inside(box, state), _zeros(box, state, place.point))


def _is_inside(box: BoxProblem, state: State) -> NDArray:
    """Return which rows of X have slopes inside their boxes at the minimum, as far as the state shows."""
    data = np.s_[: box.n_data]
    return (state.inside(box) / box.reach)[data] > np.maximum(state.above, state.below)[data]


def _is_clear(box: BoxProblem, state: State) -> bool:
    """Return whether a vertex is worth looking for: it is dear with many coefficients, and so may have few rows."""
    if box.design.basis.rank <= MANY or box.is_curved:
        return True
    return int(np.count_nonzero(_is_inside(box, state))) <= CLEAR * box.design.basis.rank


def _zeros(box: BoxProblem, state: State, point: NDArray) -> NDArray:
    """Return the coefficients that are zero at the minimum, as far as the state shows, or have the wrong sign.

    Of the two factors of a product that becomes zero, that of the residual is the smaller one, each in its own unit:
    the slopes in that of their boxes, and the residuals in that of y. Of weak L1 both are small until mu is far smaller
    than it, so that slopes count for less.
    """
    rows = np.s_[box.n_data :]
    steepest = float(box.reach[: box.n_data].max())
    of_slope = np.minimum(np.where(box.capped, box.high, np.inf)[rows], steepest / box.weight[rows])
    inside = state.inside(box)[rows] / of_slope * np.minimum(1.0, box.weight[rows] * of_slope / (WEAK * steepest))
    away = np.maximum(state.above, state.below)[rows]
    is_wrong = ~box.capped[rows] & (point[: box.design.n_penalised] < 0)
    return np.flatnonzero((inside > away) | is_wrong | box.is_held)


def _advance(box: BoxProblem, state: State, place: PrimalDual) -> State:
    """Take an epoch: a predictor and a corrector with one factor."""
    _, room, depth, above, below = state
    capped = box.capped
    off = place.residual - box.flatness * place.slope - above + below
    lack = box.lack(place.point, place.pull)
    system = box.system(state.curvature(box))

    def step(at_top: NDArray, at_bottom: NDArray) -> tuple[NDArray, ...]:
        """Return the changes of the state that make p (high - u) and q (u - low) change as given."""
        rest = off - at_top / room + at_bottom / depth
        along, turn = system.solve(rest, lack)
        return along, capped * -turn, turn, (at_top + above * turn) / room, (at_bottom - below * turn) / depth

    def lengths(_along: NDArray, *changes: NDArray) -> tuple[float, float]:
        """Return how far w, p and q may go, and how far u may."""
        of_room, of_depth, of_above, of_below = map(_longest, state[1:], changes)
        return min(of_above, of_below), min(of_room, of_depth)

    mu, predictor = state.complementarity(box), step(-room * above, -depth * below)
    reached = state.moved(predictor, *lengths(*predictor)).complementarity(box)
    aims = mu * min(max(reached / mu, 0.0), 1.0) ** 3 * box.lightness
    _, _, turn, of_above, of_below = predictor
    top, bottom = capped * (aims - room * above + of_above * turn), aims - depth * below - of_below * turn
    found = step(top, bottom)
    far = lengths(*found)
    for _ in range(CORRECTORS if box.design.basis.rank > MANY else 0):
        trial = state.moved(found, *(min(each + FURTHER, 1.0) for each in far))
        top = top + capped * _towards(trial.room * trial.above, aims)
        bottom = bottom + _towards(trial.depth * trial.below, aims)
        other = step(top, bottom)
        if min(lengths(*other)) < min(far) + SLIGHT:
            break
        found, far = other, lengths(*other)
    if min(far) < SHORT:
        aims = CENTRED * mu * box.lightness
        centred = step(capped * (aims - room * above), aims - depth * below)
        found, far = max((found, far), (centred, lengths(*centred)), key=lambda each: min(each[1]))
    return state.moved(found, *far)


def _towards(product: NDArray, aims: NDArray) -> NDArray:
    """Return the change that brings products near what they aim at, which is no larger than that."""
    return np.maximum(np.clip(product, LEAST * aims, MOST * aims) - product, -MOST * aims)


def _longest(distance: NDArray, change: NDArray) -> float:
    """Return how far a change may go, at most 1, so that distances stay positive; those that are 0 do not change."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = change / distance
    steepest = np.fmin.reduce(share)
    if not steepest < 0:
        return 1.0
    nearest = int((share == steepest).argmax())
    return min(1.0, NEARLY * float(-distance[nearest] / change[nearest]))
