"""Moments in the obvious way, and the comparison with them."""

import numpy as np


def naive(X, y, weight=None):
    """Two passes, in the obvious way and in extended precision."""
    X, y = np.asarray(X, np.longdouble), np.asarray(y, np.longdouble)
    weight = np.ones(len(X)) if weight is None else weight
    share = (weight / weight.sum())[:, np.newaxis]
    Xc, yc = X - (share * X).sum(axis=0), y - (share * y).sum(axis=0)
    return {
        "mean": (share * X).sum(axis=0),
        "target_mean": (share * y).sum(axis=0),
        "cross": (share * Xc).T @ Xc,
        "target_cross": (share * Xc).T @ yc,
        "target_variance": (share * yc * yc).sum(axis=0),
    }


def assert_moments(found, expected, rtol=1e-11):
    """Compare in units of the standard deviations; a mean is a float, and no closer than one."""
    deviation = np.sqrt(np.diag(expected["cross"])).astype(float)
    target_deviation = np.sqrt(expected["target_variance"]).astype(float)
    scales = {
        "cross": np.outer(deviation, deviation),
        "target_cross": np.outer(deviation, target_deviation),
        "target_variance": target_deviation**2,
    }
    plain = found.plain()
    for name, scale in scales.items():
        error = np.abs(plain[name] - expected[name].astype(float)) / scale
        assert error.max() <= rtol, name
    for name, scale in {"mean": deviation, "target_mean": target_deviation}.items():
        np.testing.assert_array_less(
            np.abs(plain[name] - expected[name]), rtol * scale + 4e-16 * np.abs(expected[name])
        )
    np.testing.assert_array_equal(found.x.variance, np.diag(found.cross))
