"""Conjugate gradients for a linear system whose matrix is only multiplied with vectors."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


def conjugate_gradients(
    multiply: Callable[[NDArray], NDArray], inverse: NDArray, right: NDArray, forced: float, most: int
) -> tuple[NDArray, int, bool]:
    """Solve a system with a positive semidefinite matrix, up to a residual of `forced` times the right side.

    Parameters
    ----------
    multiply : callable
        Function from a vector to its product with the matrix.
    inverse, right : ndarray of shape (n,)
        Inverse of the diagonal of the matrix, or of what stands for it; and the right side.
    forced : float
        Length of the residual at the end, as a share of the first.
    most : int
        Largest number of products.

    Returns
    -------
    solution : ndarray of shape (n,)
        The solution.
    n_products : int
        Number of products that it took.
    is_solved : bool
        Whether the residual has become so short.
    """
    solution, rest = np.zeros_like(right), right
    along = direction = inverse * rest
    first = size = float(rest @ along)
    for n_products in range(1, most + 1):
        turned = multiply(direction)
        bend = float(direction @ turned)
        if not bend > 0:
            return solution, n_products, not rest.any()
        solution = solution + size / bend * direction
        rest = rest - size / bend * turned
        along = inverse * rest
        last, size = size, float(rest @ along)
        if size <= forced**2 * first:
            return solution, n_products, True
        direction = along + size / last * direction
    return solution, most, False
