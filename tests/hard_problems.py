"""Problems that are hard for losses of lines and parabolas, and other solvers for them, which share nothing with us."""

import contextlib
import warnings

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

KINKED = ["absolute_error", "quantile", "epsilon_insensitive"]
CURVED = ["huber", "squared_epsilon_insensitive"]


def draw(seed):
    """A problem of any kind: scales, offsets, ties, duplicates, few rows, wild rows, weights over six decades."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 120))
    p = n if rng.random() < 0.1 else int(rng.integers(1, min(40, 2 * n)))
    X, half = rng.standard_normal((n, p)), p // 2
    match rng.integers(0, 8):
        case 1:
            X *= 10 ** rng.uniform(-8, 8, p)
        case 2:
            X += 1e6
        case 3:
            X[:, half:] = X[:, : p - half]
        case 4:
            X[:, half:] = X[:, : p - half] + 10 ** rng.uniform(-10, -3) * X[:, half:]
        case 5:
            X = np.round(X)
        case 6:
            X *= rng.random((n, p)) < 0.2
        case 7:
            X = (X > 1).astype(float)
    deviation = np.where(X.std(axis=0) > 0, X.std(axis=0), 1.0)
    y = (X - X.mean(axis=0)) / deviation @ rng.standard_normal(p) * rng.integers(0, 2) + rng.standard_t(2, n)
    match rng.integers(0, 5):
        case 1:
            y = np.round(y)
        case 2:
            y *= rng.random(n) < 0.4
        case 3:
            y[: max(1, n // 20)] = 10 ** rng.uniform(2, 9)
        case 4:
            y = 1e4 * y + 1e6
    weight = None if rng.random() < 0.6 else 10 ** rng.uniform(-3, 3, n)
    params = {
        "loss": str(rng.choice(KINKED + CURVED)),
        "quantile": float(rng.choice([0.01, 0.1, 0.5, 0.9, 0.99])),
        "epsilon": float(10 ** rng.uniform(-4, 3) * (np.median(np.abs(y - np.median(y))) or 1.0)),
        "penalty": [None, None, "l1", "l2", "elasticnet"][rng.integers(0, 5)],
        "alpha": float(10 ** rng.uniform(-5, 0) / np.median(deviation)),
        "l1_ratio": 0.5,
        "positive": bool(rng.random() < 0.4),
        "fit_intercept": bool(rng.random() < 0.8),
    }
    return X, y, weight, params


def draw_small(seed):
    """A small problem with L1, an elastic net or signs, near-square as often as not, with duplicates and constants."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 31))
    p = int(np.clip(n + rng.integers(-2, 3), 3, 30)) if seed % 2 else int(rng.integers(3, 31))
    X, noise = rng.standard_normal((n, p)) + 5.0 * (seed % 5 == 1), float(rng.choice([0.0, 0.1, 1.0, 10.0]))
    y = X @ rng.standard_normal(p) + noise * rng.standard_normal(n)
    if seed % 7 == 1:
        X[:, -1] = rng.choice([-1.0, 1.0]) * X[:, 0]
    if seed % 13 == 1:
        X[:, 1] = 3.0
    loss, penalty = str(rng.choice(KINKED + CURVED)), [None, "l1", "l1", "elasticnet"][rng.integers(0, 4)]
    deviation = y.std() or 1.0
    params = {
        "loss": loss,
        "quantile": float(rng.choice([0.1, 0.3, 0.5, 0.9])),
        "epsilon": float(deviation * 10.0 ** rng.uniform(-2, 0.5)),
        "penalty": penalty,
        "alpha": float((deviation if loss in CURVED else 1.0) * 10.0 ** rng.uniform(-8 if seed % 3 == 0 else -3, 0)),
        "l1_ratio": 0.5,
        "positive": penalty is None or bool(rng.random() < 0.3),
        "fit_intercept": bool(rng.integers(2)),
    }
    return X, y, None, params


def draw_few_rows(seed):
    """A problem of no more rows than columns, in units over sixteen decades, with losses that have kinks."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 30))
    p = n + int(rng.integers(0, 20))
    X = rng.standard_normal((n, p)) * 10 ** rng.uniform(-8, 8, p)
    y = rng.standard_t(2, n) * 10 ** rng.uniform(-3, 3)
    weight = None if rng.random() < 0.6 else 10 ** rng.uniform(-3, 3, n)
    params = {
        "loss": KINKED[rng.integers(3)],
        "quantile": float(rng.choice([0.01, 0.1, 0.5, 0.9])),
        "epsilon": float(10 ** rng.uniform(-4, 1) * np.median(np.abs(y))),
        "penalty": [None, "l1", "l2"][rng.integers(3)],
        "alpha": float(10 ** rng.uniform(-8, 0)),
        "positive": bool(rng.random() < 0.3),
        "fit_intercept": bool(rng.random() < 0.8),
    }
    return X, y, weight, params


def strengths(params):
    """The strengths of L1 and of L2 in an objective with the loss as it is written here."""
    alpha = params.get("alpha", 0.0) * (2.0 if params["loss"] == "huber" else 1.0)
    share = {None: (0.0, 0.0), "l1": (1.0, 0.0), "l2": (0.0, 1.0), "elasticnet": (0.5, 0.5)}[params["penalty"]]
    return alpha * share[0], alpha * share[1]


def objective(params, X, y, weight, coef, intercept):
    """The objective, in extended precision."""
    residual = y - X.astype(np.longdouble) @ coef.astype(np.longdouble) - np.longdouble(intercept)
    size, epsilon, quantile = np.abs(residual), params.get("epsilon", 0.1), params.get("quantile", 0.5)
    of_rows = {
        "absolute_error": lambda: size,
        "quantile": lambda: np.maximum(quantile * residual, (quantile - 1) * residual),
        "epsilon_insensitive": lambda: np.maximum(size - epsilon, 0),
        "huber": lambda: np.where(size <= epsilon, size**2, 2 * epsilon * size - epsilon**2),
        "squared_epsilon_insensitive": lambda: np.maximum(size - epsilon, 0) ** 2,
    }[params["loss"]]()
    l1, l2 = strengths(params)
    return float(np.average(of_rows, weights=weight) + l1 * np.abs(coef).sum() + l2 / 2 * (coef**2).sum())


def standardised(X, y, weight, params):
    """The shares of the rows, the columns and their units, and the targets and theirs.

    The solvers here do not tell columns apart that are nearer than 1e-6 of each other. If only the predictions matter,
    orthonormal combinations take the place of such columns, which are computed in extended precision. What is no longer
    than the rounding of the numbers in X is none.
    """
    n, p = X.shape
    share, X = np.full(n, 1.0 / n) if weight is None else weight / weight.sum(), X.astype(np.longdouble)
    center = share @ X if params["fit_intercept"] else np.zeros(p)
    scale = np.sqrt(share @ (X - center) ** 2)
    scale = np.where(scale > 0, scale, 1.0)
    level = np.median(y) if params["fit_intercept"] else 0.0
    unit = np.median(np.abs(y - level)) or 1.0
    Z = (X - center) / scale
    is_free = params["penalty"] is None and not params["positive"]
    if is_free and np.linalg.cond(Z.astype(float)) > 1e5:
        size = np.sqrt(share @ X**2) / scale
        Z = orthonormal(Z, 8 * np.finfo(float).eps * float(size.max()))
        scale = np.ones(Z.shape[1])
    return share, Z.astype(float), scale.astype(float), (y - level) / unit, unit


def orthonormal(Z, least):
    """Orthonormal columns with the same span, by the modified method of Gram and Schmidt with pivots, done twice.

    A column that is no longer than `least`, once the others are projected out, is left out.
    """
    Z, columns = Z.copy(), []
    while Z.shape[1]:
        lengths = np.sqrt((Z**2).sum(axis=0))
        first = int(lengths.argmax())
        if not lengths[first] > least * len(Z) ** 0.5:
            break
        column = Z[:, first] / lengths[first]
        for other in columns:
            column = column - other * (other @ column)
        column = column / np.sqrt(column @ column)
        Z = np.delete(Z, first, axis=1)
        Z = Z - np.outer(column, column @ Z)
        columns.append(column)
    return np.sqrt(len(Z)) * np.column_stack([*columns, np.zeros((len(Z), 0))])


def linear_program(X, y, weight, params):
    """The least objective of a loss with kinks by HiGHS, or None: slacks above and below, and split coefficients."""
    share, Z, scale, t, unit = standardised(X, y, weight, params)
    n, p = Z.shape
    tube = params["epsilon"] / unit if params["loss"] == "epsilon_insensitive" else 0.0
    low, high = (1 - params["quantile"], params["quantile"]) if params["loss"] == "quantile" else (1.0, 1.0)
    price = strengths(params)[0] / scale
    eye, one = sparse.identity(n), np.ones((n, 1))
    above = sparse.hstack([Z, -Z, one, -one, eye, 0 * eye])
    below = sparse.hstack([-Z, Z, -one, one, 0 * eye, eye])
    bounds = [(0, None)] * p + [(0, 0 if params["positive"] else None)] * p
    bounds += [(0, None if params["fit_intercept"] else 0)] * 2 + [(0, None)] * (2 * n)
    solved = linprog(
        np.concatenate([price, price, [0, 0], high * share, low * share]),
        A_ub=-sparse.vstack([above, below]).tocsr(),
        b_ub=np.concatenate([tube - t, tube + t]),
        bounds=bounds,
        method="highs",
    )
    return solved.fun * unit if solved.success else None


def conic_program(X, y, weight, params):
    """The least objective by Clarabel, and the seconds that it takes by itself, or None.

    In a process of its own: cvxpy brings BLAS libraries whose threads cannot be limited, which other tests count.
    """
    import cvxpy as cp

    share, Z, scale, t, unit = standardised(X, y, weight, params)
    z, level = cp.Variable(Z.shape[1], nonneg=params["positive"]), cp.Variable()
    residual = t - Z @ z - (level if params["fit_intercept"] else 0.0)
    epsilon, quantile = params["epsilon"] / unit, params["quantile"]
    of_rows = {
        "absolute_error": lambda: cp.abs(residual),
        "quantile": lambda: cp.maximum(quantile * residual, (quantile - 1) * residual),
        "epsilon_insensitive": lambda: cp.pos(cp.abs(residual) - epsilon),
        "huber": lambda: cp.huber(residual, epsilon),
        "squared_epsilon_insensitive": lambda: cp.square(cp.pos(cp.abs(residual) - epsilon)),
    }[params["loss"]]()
    slope_unit = unit if params["loss"] in CURVED else 1.0
    l1, l2 = (strength / slope_unit for strength in strengths(params))
    value = share @ of_rows + (l1 / scale) @ cp.abs(z) + cp.sum_squares(cp.multiply(np.sqrt(l2 * unit / 2) / scale, z))
    problem = cp.Problem(cp.Minimize(value))
    for accuracy in (1e-10, 1e-8, 1e-6):
        given = {"tol_gap_rel": accuracy, "tol_gap_abs": 0.01 * accuracy, "tol_feas": accuracy}
        with warnings.catch_warnings(action="ignore"), contextlib.suppress(cp.SolverError):
            problem.solve(solver="CLARABEL", **given)
            if z.value is not None:  # the objective there, since what the solver takes for it may be too low
                return float(value.value) * unit * slope_unit, problem.solver_stats.solve_time
    return None
