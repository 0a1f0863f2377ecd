"""The minimum on a face: where an active set is known, it is the solution of a linear system, with all digits."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack, qr

from gdregress.problem.box_gaps import measured
from gdregress.problem.boxes import LITTLE, NOISE, OUTSIDE, WELL_INSIDE, BoxProblem, Iterate, to_the_middle

CANDIDATES, FEW_CANDIDATES = 3, 1.5
"""Rows among which those of a vertex are looked for, as a multiple of their number: of few and of many."""

COSTLY_PIVOTS = 200
"""Number of columns from which a QR factorisation with pivots costs far more than an epoch.

Up to so many a vertex is looked for with rows of the penalty in place of coefficients that are not known to be zero."""

INSIDE = 1e-9
"""Share of a box by which the slopes of a vertex are inside; if one is at an end, the minimum is not at one point."""


def vertex(box: BoxProblem, curvature: NDArray, slope: NDArray, zeros: NDArray) -> Iterate | None:
    """Return the vertex near a state, the solution of as many rows of A as there are coefficients, if there is one.

    The rows are those of coefficients that are zero, and for the others those of the largest t that are independent.
    Its slopes solve A'S u = 0, with those of the other rows at the end that their residual names. If they are inside
    their boxes, the vertex is the minimum, and the only one.

    Parameters
    ----------
    box : BoxProblem
        The problem, of kinks only and without L2.
    curvature : ndarray of shape (n_rows,)
        t, the curvature of the barrier along each row.
    slope : ndarray of shape (n_rows,)
        Slopes of rows on the vertex that are not among the independent ones.
    zeros : ndarray of int
        Coefficients that are zero; none in a basis. Their equations need not be solved.
    """
    design, zeros = box.design, zeros[: box.design.basis.rank - 1]  # LAPACK takes no system without equations
    free, of_zeros = np.delete(np.arange(design.basis.rank), zeros), box.n_data + zeros
    rank = len(free)
    if rank > max(COSTLY_PIVOTS, design.rows.n_samples):
        return None  # it would need more rows of X than there are: the state shows too few zeros yet
    likely = np.argsort(-curvature, kind="stable")
    candidates = CANDIDATES if rank <= COSTLY_PIVOTS else FEW_CANDIDATES
    likely = likely[np.isin(likely, of_zeros, invert=True)][: int(candidates * rank)]
    rows = design.chosen(likely)[:, free]
    order = _independent(rows * np.sqrt(curvature[likely])[:, np.newaxis])
    chosen, rows = likely[order], rows[order]
    if len(chosen) < rank:
        return None
    lu, pivots, info = lapack.dgetrf(rows)
    if info != 0:
        return None
    inner = np.zeros(design.basis.rank)
    inner[free] = lapack.dgetrs(lu, pivots, box.target[chosen])[0]
    inner[free] += lapack.dgetrs(lu, pivots, box.target[chosen] - rows @ inner[free])[0]
    point = design.basis.point(inner)
    point[chosen[chosen >= box.n_data] - box.n_data] = 0.0
    if not np.isfinite(point).all():
        return None
    point = box.allowed(point)
    residual = box.residual(point)
    noise = NOISE * (np.abs(box.target) + np.abs(box.target - residual) + LITTLE)
    residual = np.where(np.abs(residual) > noise, residual, 0.0)
    slope = np.where(residual == 0, slope, box.slopes(residual))
    slope[chosen] = slope[of_zeros] = 0.0
    slope[chosen] = lapack.dgetrs(lu, pivots, -box.pulled(slope)[free], trans=1)[0] / box.weight[chosen]
    slope[of_zeros] = -box.pull(slope)[zeros] / box.weight[of_zeros]
    on = np.concatenate([chosen, of_zeros])
    room, depth = (distance[on] for distance in box.distances(slope))
    if (np.minimum(room, depth) <= INSIDE * np.minimum(box.reach, box.reach[: box.n_data].max())[on]).any():
        return None
    return measured(box, point, residual, slope, box.pull(slope))


def _independent(rows: NDArray) -> NDArray:
    """Return as many numbers of rows as there are columns, of rows that are long and independent: the pivots.

    Those of QR keep the longest rows. With many columns those of LU are found in a tenth of the time.
    """
    n, rank = rows.shape
    if rank <= COSTLY_PIVOTS:
        return qr(rows.T, mode="r", pivoting=True)[1][:rank]
    _, swaps, _ = lapack.dgetrf(rows)
    order = np.arange(n)
    for place, other in enumerate(swaps):
        order[place], order[other] = order[other], order[place]
    return order[:rank]


class Face(NamedTuple):
    """The minimum for an active set, which may be on the wrong side of some of its ends.

    Attributes
    ----------
    point, residual : ndarray of shape (n_coordinates,), (n_rows,)
        w and its residuals.
    slope : ndarray of shape (n_rows,)
        The slopes u that solve the system.
    curvature : ndarray of shape (n_rows,)
        1/k of the rows that are taken to be on their parabola, else 0.
    free : ndarray of int
        The coordinates F that are not zero.
    system : ndarray of shape (n_free + n_kinks, n_free + n_kinks)
        The matrix.
    """

    point: NDArray
    residual: NDArray
    slope: NDArray
    curvature: NDArray
    free: NDArray
    system: NDArray

    @classmethod
    def of(cls, box: BoxProblem, point: NDArray, is_inside: NDArray, signs: NDArray) -> "Face | None":
        """Return the minimum for an active set; None with more kinks than coefficients, or where no system is finite.

        Parameters
        ----------
        box : BoxProblem
            The problem.
        point : ndarray of shape (n_coordinates,)
            A point from which to step.
        is_inside : ndarray of bool, shape (n_data,)
            Which rows of X have slopes inside their boxes.
        signs : ndarray of shape (n_penalised,)
            Signs of the coefficients that have a row of the penalty, 0 for those that are zero.
        """
        design, n_data = box.design.without_basis(), box.n_data
        is_free = np.append(signs != 0, np.ones(len(point) - len(signs), bool))
        free, rows, of_penalty = np.flatnonzero(is_free), box.n_data + np.flatnonzero(signs == 0), np.s_[n_data:]
        point = np.where(is_free, point, 0.0)
        residual = box.residual(point)
        slope = box.slopes(residual)
        slope = np.where(slope - box.low < box.high - slope, box.low, box.high)  # a row off its parabola is at an end
        slope[of_penalty] = np.where(signs > 0, box.low[of_penalty], np.where(signs < 0, box.cap[of_penalty], 0.0))
        kinks = np.flatnonzero(is_inside & (box.flatness[:n_data] == 0))
        on = np.append(is_inside & (box.flatness[:n_data] > 0), np.zeros(len(signs), bool))
        slope[kinks] = 0.0
        slope[on] = residual[on] / box.flatness[on]
        curvature = np.divide(1.0, box.flatness, out=np.zeros_like(slope), where=on)
        if len(kinks) > len(free):
            return None
        second = np.diag(box.l2[free])
        if on.any() and len(free):
            of_free = design.of_columns(free[free < design.n_penalised]) if len(rows) else design
            second += of_free.gram(np.delete(box.weight * curvature, rows))
        along = design.chosen(kinks)[:, free]
        system = np.block([[second, -along.T], [along, np.zeros((len(kinks),) * 2)]])
        if not np.isfinite(system).all():
            return None
        solution = _solved(system, np.concatenate([box.lack(point, box.pull(slope))[free], residual[kinks]]))
        step = np.zeros_like(point)
        step[free] = solution[: len(free)]
        slope -= curvature * design.dot(step)
        slope[kinks] = solution[len(free) :] / box.weight[kinks]
        point = point + step
        slope[rows] = -box.lack(point, box.pull(slope))[rows - n_data] / box.weight[rows]
        return cls(point, box.residual(point), slope, curvature, free, system)

    def signs(self, box: BoxProblem, signs: NDArray) -> NDArray:
        """Return the signs that follow: of zeros whose slopes are outside their boxes, 0 for those that have turned."""
        of_penalty = np.s_[box.n_data :]
        slope, slack = self.slope[of_penalty], _slack(box)[of_penalty]
        turned = self.point[: len(signs)] * signs < 0
        leaving = np.where(
            slope > box.high[of_penalty] + slack, -1.0, np.where(slope < box.low[of_penalty] - slack, 1.0, 0.0)
        )
        return np.where(signs == 0, leaving, np.where(turned, 0.0, signs))

    def allowed(self, box: BoxProblem) -> Self:
        """Return the face with coefficients whose signs are allowed: rounding may have turned one that is nearly 0."""
        point = box.allowed(self.point)
        return self if (point == self.point).all() else self._replace(point=point, residual=box.residual(point))

    def is_inside(self, box: BoxProblem) -> NDArray:
        """Return which rows of X are on their parabola at the point."""
        slope, data = box.slopes(self.residual), np.s_[: box.n_data]
        return ((slope > box.low) & (slope < box.high))[data]

    def centred(self, box: BoxProblem) -> Self:
        """Return the face at the middle of its minima, where the one coordinate without L2 is free: the intercept.

        It is free where no slope is inside its box.
        """
        free, data = np.flatnonzero(box.l2 == 0), np.s_[: box.n_data]
        low, high, slope, counts = box.low[data], box.high[data], self.slope[data], box.weight[data] > 0
        is_inside = (slope > low + WELL_INSIDE) & (slope < high - WELL_INSIDE) & counts
        if box.is_curved or len(free) != 1 or is_inside.any():
            return self
        direction = np.zeros_like(self.point)
        direction[free] = 1.0
        along = np.where(counts, box.design.without_basis().dot(direction)[data], 0.0)
        point = self.point + to_the_middle(self.residual[data], along, slope - low > high - slope) * direction
        return self._replace(point=point, residual=box.residual(point))

    def measured(self, box: BoxProblem) -> Iterate | None:
        """Return how far the point is from the minimum; None if a slope is outside its box."""
        point, residual, slope, curvature, free, system = self
        slack = _slack(box)
        if not ((slope >= box.low - slack) & (slope <= box.high + slack)).all():
            return None
        pull = box.pull(slope)
        if not box.is_curved:
            return measured(box, point, residual, slope, pull)
        here, of_penalty = box.slopes(residual), np.s_[box.n_data :]
        here[of_penalty] = np.where(residual[of_penalty] == 0, slope[of_penalty], here[of_penalty])
        # What rounding has left of the lack is projected once more, without rounding it again: E is empty here.
        lack = box.lack(point, pull)
        left, rest, step = lack[free], np.zeros_like(lack), np.zeros_like(point)
        step[free] = _solved(system, left)
        rest[free] = left - system @ step[free]
        gap = 0.5 * float(left @ step[free]) + box.cost(point, rest)
        gap += box.fenchel_gap(residual, here, slope)
        dual = slope - curvature * box.design.without_basis().dot(step)
        return box.iterate(point, residual, here, max(gap, 0.0))._replace(dual=dual)


def face(box: BoxProblem, point: NDArray, is_inside: NDArray, zeros: NDArray) -> Iterate | None:
    """Return the minimum near an active set, if it is found.

    Of the rows whose slopes are inside their boxes, some lie on a parabola, and the others, E, on a kink. With H the
    curvature of the parabolas and of L2, and F the coefficients that are not zero, a step d and the slopes u of E
    solve::

        H d - E'S u  =  A'S u' - L w  (for F)            u': the slopes of the other rows, at w
        E d          =  r             (for E)

    A coefficient that is zero has a slope of its own, which balances its gradient. If that is outside its box, the
    coefficient joins F. One that has got the wrong sign leaves F, and a row on a line joins the parabola that it has
    come to, or the other way round. Then the system is solved anew, as long as fewer change each time: the primal-dual
    active set method of Hintermueller, Ito and Kunisch (2002).

    Parameters
    ----------
    box : BoxProblem
        The problem.
    point : ndarray of shape (n_coordinates,)
        w.
    is_inside : ndarray of bool, shape (n_data,)
        Which rows of X have slopes inside their boxes.
    zeros : ndarray of int
        Coefficients that are zero.
    """
    signs = np.sign(point[: box.design.n_penalised])
    signs[zeros] = 0.0
    fewest = np.inf
    while (found := Face.of(box, point, is_inside, signs)) is not None:
        others, rows = found.signs(box, signs), found.is_inside(box) if box.is_curved else is_inside
        n_changes = float(np.count_nonzero(others != signs) + np.count_nonzero(rows != is_inside))
        if n_changes == 0:
            if not (box.l2.any() or box.is_curved):
                return found.measured(box)
            # The error of a step is a share of the step, so that the next, for the same active set, has all digits.
            exact = Face.of(box, found.point, is_inside, signs)
            return None if exact is None else exact.allowed(box).centred(box).measured(box)
        if n_changes >= fewest:
            return None  # it goes in circles, or away
        point, is_inside, signs, fewest = found.point, rows, others, n_changes
    return None


def _slack(box: BoxProblem) -> NDArray:
    """Return by how much rounding may put slopes outside their boxes; one without an end is as large as another."""
    return OUTSIDE * np.minimum(box.reach, box.reach[: box.n_data].max())


def _solved(matrix: NDArray, right: NDArray) -> NDArray:
    """Return the solution of a linear system, or its least-squares solution of least norm where it is singular."""
    if not len(right):
        return right
    _, _, solution, info = lapack.dgesv(matrix, right)
    if info == 0 and np.isfinite(solution).all():
        return solution
    return np.linalg.lstsq(matrix, right, rcond=None)[0]
