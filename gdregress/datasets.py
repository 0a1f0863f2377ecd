"""The house prices of the textbook example."""

import numpy as np
from sklearn.utils import Bunch


def load_house_prices(*, return_X_y=False):
    """Load the number of bedrooms and the price, in thousands, of seven houses.

    Parameters
    ----------
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    Bunch or tuple of ndarray
        `data` of shape (7, 1), `target` of shape (7,), `feature_names`, `target_name` and `DESCR`.

    Examples
    --------
    >>> from gdregress import load_house_prices
    >>> X, y = load_house_prices(return_X_y=True)
    >>> X.ravel(), y
    (array([1., 2., 3., 3., 4., 4., 5.]), array([ 80., 170., 100., 220., 200., 270., 500.]))
    """
    X = np.array([[1.0], [2.0], [3.0], [3.0], [4.0], [4.0], [5.0]])
    y = np.array([80.0, 170.0, 100.0, 220.0, 200.0, 270.0, 500.0])
    if return_X_y:
        return X, y
    return Bunch(
        data=X,
        target=y,
        feature_names=["bedrooms"],
        target_name="price",
        DESCR="Bedrooms and prices, in thousands, of seven houses.",
    )
