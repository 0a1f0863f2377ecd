"""One pass over the rows that brings those near a kink of the loss, and sums of the others."""

from typing import Any, NamedTuple, Self

import numpy as np
from scipy import sparse

from gdregress.problem.residuals import Residuals
from gdregress.rows.memory import RowBlocks
from gdregress.rows.namespaces import cast, namespace, taken
from gdregress.rows.sums import Sums, dot

LINES = (-1.0, 0.0, 1.0)
"""The lines of a loss with kinks, by the signs of their slopes."""


class Nearness(NamedTuple):
    """Which rows are near a kink, and where losses are cut off.

    Attributes
    ----------
    distance : float
        Largest distance of a residual from a kink with which its row is near.
    most : int
        Number of near rows that may be brought.
    cut : float
        Loss at which those of wild rows are cut off.
    step : int, default=1
        Only every row of a block whose number is a multiple of this is looked at.
    """

    distance: float
    most: int
    cut: float
    step: int = 1


class NearRows(Sums):
    """Accumulator of the rows near a kink at a point of one output, and of sums of the others on each line of the loss.

    Parameters
    ----------
    residuals : Residuals
        Function to the residuals at the point.
    loss : Loss
        Loss of residuals in units of the target scale.
    nearness : Nearness
        Which rows are near.

    Attributes
    ----------
    losses, clipped, predicted, count : ndarray of shape (1,)
        Sums of the losses, of the losses that are cut off, and of the sizes of the predictions; number of near rows.
    near : ndarray of shape (n_near, n_coordinates + 2)
        The near rows in the coordinates, each followed by its target and its weight. They are complete once `joined`,
        if `count` is no more than may be brought.
    parts : tuple of ndarray
        The near rows of blocks that have not been joined.
    others : ndarray of shape (3, n_coordinates + 2)
        Sums of the other rows for each of `LINES`: weighted rows, weighted targets, and weights.
    """

    sums = ("losses", "clipped", "predicted", "count", "others")
    arrays = (*sums, "near")
    movables = ("_residuals", "_loss")

    def __init__(self, residuals: Residuals, loss: Any, nearness: Nearness):
        self._residuals = residuals
        self._loss = loss
        self._nearness = nearness
        self.parts: tuple[Any, ...] = ()
        self.losses, self.clipped, self.predicted, self.count = (np.zeros(1) for _ in range(4))
        self.near: Any = np.empty((0, len(residuals.point) + 2))
        self.others = np.zeros((len(LINES), len(residuals.point) + 2))

    def __getstate__(self):
        """Return the sums and the near rows, with how many of these may be brought."""
        return {**super().__getstate__(), "near": self.joined().near, "parts": (), "_nearness": self._nearness}

    def add(self, X, y, weight):
        """Add a block of rows."""
        xp = namespace(y)
        if self._nearness.step > 1:
            rows = np.s_[:: self._nearness.step]
            X, y, weight = X[rows, :], y[rows, :], None if weight is None else weight[rows]
        X = cast(X, self.losses.dtype)
        residual = self._residuals.of(X, y)[:, 0, 0]
        share = xp.ones_like(residual) if weight is None else weight
        losses = self._loss.value(residual)
        self.losses += xp.sum(share * losses)
        self.clipped += xp.sum(share * xp.clip(losses, None, self._nearness.cut))
        self.predicted += xp.sum(share * xp.abs(y[:, 0] - residual))
        distance = xp.abs(xp.abs(residual) - self._loss.tube)
        is_near = (distance <= self._nearness.distance) & (share > 0)
        [chosen] = xp.nonzero(is_near)
        self.count += chosen.shape[0]
        if self._n_brought() + chosen.shape[0] <= self._nearness.most:
            X_near, *others = (taken(array, chosen) for array in (X, y, share[:, np.newaxis]))
            near = xp.concat([self._residuals.coordinates.standardised(X_near), *others], axis=1)
            self.parts = (*self.parts, near)
        line, far = xp.sign(self._loss.derivative(residual)), xp.where(is_near, xp.zeros_like(share), share)
        shares = xp.stack([cast(line == each, far.dtype) * far for each in LINES])
        weights = xp.sum(shares, axis=1)[:, np.newaxis]
        self.others += xp.concat([self._summed(shares, weights, X), shares @ y, weights], axis=1)

    def merge(self, other):
        """Add the result of another thread."""
        super().merge(other)
        if self.count[0] <= self._nearness.most:
            self.parts = (*self.parts, other.joined().near)

    def _n_brought(self) -> int:
        return sum(each.shape[0] for each in (self.near, *self.parts))

    def joined(self) -> Self:
        """Return this accumulator with the near rows of all blocks in one array."""
        if self.parts:
            self.near = namespace(self.near).concat([self.near, *self.parts])
            self.parts = ()
        return self

    def rows(self, n_outputs: int) -> RowBlocks:
        """Return the near rows and the means of the others, with the target repeated for each output."""
        means = self.others[self.others[:, -1] > 0]
        means[:, :-1] /= means[:, -1:]
        together = np.concatenate([self.near, means])
        self.near = together[: len(self.near)]  # of many rows there is one copy
        return RowBlocks(together[:, :-2], np.repeat(together[:, -2:-1], n_outputs, axis=1), together[:, -1].copy())

    def _summed(self, shares: Any, weights: Any, X: Any) -> Any:
        """Return weighted sums of rows in the coordinates; CSR is not made dense, and has lost digits by that."""
        coordinates, xp = self._residuals.coordinates, namespace(weights)
        center = coordinates.center
        centred = shares @ X - weights * center if sparse.issparse(X) else dot(shares, X - center)
        sums = centred * coordinates.inverse_scale
        return xp.concat([sums, weights], axis=1) if coordinates.fit_intercept else sums
