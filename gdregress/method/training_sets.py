"""Losses with kinks or straight lines: the minima over the training sets of all splits, from that over all rows."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress.method.side_by_side import Found, Objectives, Second, WeightedRows, minima
from gdregress.problem.boxes import BoxProblem, fenchel_gaps, losses_at, slopes_in
from gdregress.problem.typical import typical

NEAR_ROWS = 2.0
"""Near rows at first, in units of sqrt(n p): those that change their line between a training set and all rows."""

ALL_NEAR = 2000
"""Number of rows up to which all of them count as near."""

ENOUGH = {1: 1e-10, 2: 1e-7}
"""Largest optimality of a minimum, for each degree: rounding may hide a gap of 1e-14."""

MOST_ENTRIES = 2**22
"""Entries of the near rows, at most: 32 MB."""

MOST_CODES = 2**31
"""Number of codes of cells from which those that occur are numbered anew."""

LOOKS = 8
"""Largest number of passes that look for rows which have changed their line."""


@dataclass(frozen=True)
class TrainingSets:
    """The training sets of several splits, for one output and the strength 1.

    Attributes
    ----------
    box : BoxProblem
        The problem over all rows, without L1 and signs.
    cells : ndarray of shape (n_rows,)
        Cell of each row of A: the rows of a cell are in the same training sets.
    shares : ndarray of shape (n_cells, n_splits)
        Weight in each training set of a row of a cell, in its weight among all rows.
    l2 : ndarray of shape (n_coordinates, n_splits)
        Diagonals of L.
    """

    box: BoxProblem
    cells: NDArray
    shares: NDArray
    l2: NDArray

    @classmethod
    def of(cls, box: BoxProblem, counts: NDArray, units: NDArray) -> "TrainingSets":
        """Return the training sets, given how often each row of positive weight is in each of them.

        Parameters
        ----------
        box : BoxProblem
            The problem over all rows, with L2 of strength 1.
        counts : ndarray of shape (n_samples, n_splits)
            How often each row of positive weight is in each training set.
        units : ndarray of shape (n_features, n_splits)
            Units of X in which coefficients are penalised in each training set, in those of all rows.
        """
        of_cells, first, cells = np.unique(_codes(counts), return_index=True, return_inverse=True)
        shares = counts[first]
        totals = np.bincount(cells, box.weight[: len(counts)], len(of_cells)) @ shares
        l2 = np.repeat(box.l2[:, np.newaxis], counts.shape[1], axis=1)
        # The coefficient of a column that does not vary has no penalty: with any it is zero.
        l2[: len(units)] = np.where(l2[: len(units)] > 0, l2[: len(units)] * units**2, 1.0)
        return cls(box, np.tile(cells, box.design.copies), shares / totals, l2)

    @cached_property
    def weight(self) -> NDArray:
        """Weights s of the rows of A in each training set; they add up to 1 over the rows of X."""
        return self.shares[self.cells] * self.box.weight[:, np.newaxis]

    @property
    def _few(self) -> int:
        """Number of rows that are near at first."""
        return int(NEAR_ROWS * np.sqrt(len(self.cells) * len(self.l2)))

    @property
    def takes_all(self) -> bool:
        """Whether there are so few rows that all of them are near, wherever a search begins."""
        return len(self.cells) <= max(2 * self._few, ALL_NEAR)

    def minima(self, alpha: float, point: NDArray) -> tuple[NDArray, NDArray]:
        """Return the minima over the training sets for a strength, and which of them are found.

        With w_0 a point near them, the minimum over all rows or that for the last strength, and u_0 its slopes::

            N <- the rows nearest to a kink or to an end of the parabola at w_0
            h_c <- sum over the others of s_ic u_0i a_i  -  L_c w_0
            Q_c <- sum over those of them that are on a parabola of s_ic a_i a_i' / k  +  L_c
            repeat
                w_c <- minimum of  sum over N of s_ic l(r_i)  -  h_c . (w - w_0)  +  (w - w_0)' Q_c (w - w_0) / 2,
                       for all training sets side by side
                N <- N and the rows of others that have changed their line at a w_c
            until none has

        Then the others are on the same lines as at w_0, so that w_c is the minimum over the whole training set. The
        pass that looks for changes tells the duality gap too.

        Parameters
        ----------
        alpha : float
            The strength.
        point : ndarray of shape (n_coordinates,)
            w_0, in the coordinates of the problem.

        Returns
        -------
        points : ndarray of shape (n_coordinates, n_splits)
            The minima, in the coordinates of the problem.
        is_found : ndarray of bool, of shape (n_splits,)
            Whether the duality gap of each is closed.
        """
        box, origin, l2 = self.box, self.box.of_point(point)[:, np.newaxis], alpha * self.l2
        residual = box.residual(origin[:, 0])
        slope, members = box.slopes(residual), self._nearest(residual)
        on = self._on(slope)
        objectives = self._objectives(members, origin, l2, slope, on)
        found = Found.first(objectives, origin, self._seconds(objectives, members, on))
        for _ in range(LOOKS):
            found = minima(objectives, found)
            look = Look.of(box, found.points)
            changed = look.changed(box, slope, on) & (self.weight > 0)
            changed[members] = False
            is_found = found.is_closed & ~changed.any(axis=0)
            more = np.flatnonzero(changed[:, found.is_closed].any(axis=1))
            if not len(more) or (len(members) + len(more)) * len(origin) > MOST_ENTRIES:
                break
            objectives = objectives.with_rows(self._rows(more), slope[more], on[more])
            members, found = np.concatenate([members, more]), found.with_rows(slope[more], on[more])
        is_found &= self._optimality(found, look, members, l2) <= ENOUGH[box.degree]
        return np.column_stack([box.to_point(each) for each in found.points.T]), is_found

    def _on(self, slope: NDArray) -> NDArray:
        """Return which rows are on a parabola, given their slopes."""
        return self.box.is_curved & (slope > self.box.low) & (slope < self.box.high)

    def _nearest(self, residual: NDArray) -> NDArray:
        """Return the rows nearest to a kink or to an end of their parabola, all of them if there are few."""
        box, k = self.box, float(self.box.flatness[0])
        if self.takes_all:
            return np.arange(len(residual))
        upper = np.where(box.capped, np.abs(residual - k * box.cap), np.inf)
        distance = np.minimum(np.abs(residual - k * box.low), upper)
        return np.flatnonzero(distance <= np.partition(distance, self._few)[self._few])

    def _rows(self, members: NDArray) -> WeightedRows:
        """Return some rows of A."""
        box = self.box
        target, low, high = (each[members, np.newaxis] for each in (box.target, box.low, box.high))
        return WeightedRows(box.design.chosen(members), target, low, high, self.weight[members])

    def _objectives(self, members: NDArray, origin: NDArray, l2: NDArray, slope: NDArray, on: NDArray) -> Objectives:
        """Return the objectives over N, with the others and L2 in h and Q.

        Parameters
        ----------
        members : ndarray of int
            N.
        origin : ndarray of shape (n_coordinates, 1)
            w_0.
        l2 : ndarray of shape (n_coordinates, n_splits)
            Diagonals of L.
        slope : ndarray of shape (n_rows,)
            The slopes at w_0.
        on : ndarray of bool, of shape (n_rows,)
            Which rows are on a parabola there.
        """
        box, is_other = self.box, np.ones(len(slope), bool)
        is_other[members] = False
        pull = box.design.transposed(np.where(is_other, slope, 0.0)[:, np.newaxis] * self.weight)
        curvature = np.zeros((l2.shape[1], len(l2), len(l2)))
        if (on & is_other).any():
            curvature = self._sums(box.design.gram, np.where(on & is_other, box.curvature, 0.0), slice(None))
        diagonal = np.arange(len(l2))
        curvature[:, diagonal, diagonal] += l2.T
        return Objectives(self._rows(members), float(box.flatness[0]), origin, pull - l2 * origin, curvature)

    def _seconds(self, objectives: Objectives, members: NDArray, on: NDArray) -> list[Second]:
        """Return the second derivatives at w_0, for which the products of each row are formed once."""
        matrices, features = objectives.curvature, objectives.rows.features

        def gram(weight: NDArray) -> NDArray:
            [counted] = np.nonzero(weight)
            return (features[counted].T * weight[counted]) @ features[counted]

        if on[members].any():
            matrices = matrices + self._sums(gram, np.where(on, self.box.curvature, 0.0)[members], members)
        counts = on[members, np.newaxis] & (objectives.rows.weight > 0)
        return [Second(*each) for each in zip(counts.T, matrices, strict=True)]

    def _sums(self, gram: Callable[[NDArray], NDArray], firm: NDArray, members: NDArray | slice) -> NDArray:
        """Return the sums of s firm a a' over some rows, by cells if these are few.

        Parameters
        ----------
        gram : callable
            Function from weights of these rows to A' diag(weight) A.
        firm : ndarray of shape (n_members,)
            What the rows count besides their weights.
        members : ndarray of int or slice
            The rows.
        """
        if len(self.shares) > self.shares.shape[1] + 1:
            return np.array([gram(weight * firm) for weight in self.weight[members].T])
        cells, firm = self.cells[members], firm * self.box.weight[members]
        of_cells = [gram(np.where(cells == cell, firm, 0.0)) for cell in range(len(self.shares))]
        return np.einsum("gc,gjk->cjk", self.shares, np.array(of_cells))

    def _optimality(self, found: Found, look: "Look", members: NDArray, l2: NDArray) -> NDArray:
        """Return the optimality of points, from their slopes near kinks and those of the loss elsewhere."""
        box, k = self.box, float(self.box.flatness[0])
        near, here = look.residual[members], look.slope[members]
        of_rows = fenchel_gaps(near, here, found.slopes, k)
        gaps = np.einsum("ic,ic->c", self.weight[members], np.maximum(of_rows, 0.0))
        losses, dual = losses_at(look.residual, look.slope, k), look.slope.copy()
        dual[members] = found.slopes
        lack = box.design.transposed(self.weight * dual) - l2 * found.points
        of_splits = zip(found.points.T, l2.T, lack.T, losses.T, self.weight.T, gaps, strict=True)
        shares = []
        for point, strength, missing, loss, weight, gap in of_splits:
            counted = weight > 0
            scale = typical(loss[counted], weight[counted]) + 0.5 * float(strength @ (point * point))
            shares.append((gap + replace(box, l2=strength).cost(point, missing)) / scale)
        return np.sqrt(2.0 * np.array(shares)) if box.is_curved else np.array(shares)


class Look(NamedTuple):
    """What a pass over all rows sees at several points.

    Attributes
    ----------
    residual, slope : ndarray of shape (n_rows, n_points)
        Residuals, and the slopes of the loss there.
    """

    residual: NDArray
    slope: NDArray

    @classmethod
    def of(cls, box: BoxProblem, points: NDArray) -> "Look":
        """Look at the rows of A."""
        residual = box.target[:, np.newaxis] - box.design.dot(points)
        low, high = box.low[:, np.newaxis], box.high[:, np.newaxis]
        return cls(residual, slopes_in(low, high, float(box.flatness[0]), residual))

    def changed(self, box: BoxProblem, slope: NDArray, on: NDArray) -> NDArray:
        """Return which rows are on another line than they were, or have left their parabola.

        Parameters
        ----------
        box : BoxProblem
            The problem.
        slope : ndarray of shape (n_rows,)
            The slopes that they had.
        on : ndarray of bool, of shape (n_rows,)
            Which of them were on a parabola.
        """
        is_other = self.slope != slope[:, np.newaxis]
        if not on.any():
            return is_other
        is_at_end = (self.slope == box.low[:, np.newaxis]) | (self.slope == box.high[:, np.newaxis])
        return np.where(on[:, np.newaxis], is_at_end, is_other)


def _codes(counts: NDArray) -> NDArray:
    """Return a number for each row of counts, the same for equal rows."""
    codes, n_codes = np.zeros(len(counts), np.int64), 1
    for column in counts.T:
        base = int(column.max()) + 1
        if n_codes * base > MOST_CODES:
            present, codes = np.unique(codes, return_inverse=True)
            n_codes = len(present)
        codes, n_codes = codes * base + column.astype(np.int64), n_codes * base
    return codes
