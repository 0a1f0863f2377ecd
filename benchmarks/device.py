"""Rows on a device: fits beside the products that the device's memory allows, with the error of the coefficients.

It needs torch, and takes its first GPU, or else the CPU, with as many rows as fit. Then some of them go through the
device from a file. On an H100 it takes under five minutes.
"""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.report import markdown

ON_A_GPU, ON_A_CPU, QUICK = (10_000_000, 500), (200_000, 100), (20_000, 20)
"""Rows and columns."""

SMALLER = (2_000, 10), (100_000, 50), (1_000_000, 20)
"""Rows and columns of tables that are fitted on the device and on the host."""

SHARE = 0.5
"""Largest share of the device's memory that X may take."""

BLOCK = 2**18
"""Rows that are generated, or summed for the reference, at a time."""

LARGEST_ON_THE_HOST = 2**28
"""Entries of an X that is fitted on the host too."""

LARGEST_FILE = 2**29
"""Entries of the file: 2 GB."""

EPSILON = 1.35
"""Where Huber's loss turns from a parabola into a line, in units of y."""

STRENGTHS, FOLDS = 24, 5
"""Grid of a cross-validation."""

LOSSES = {
    "ours, squared error": {},
    "ours, L2": {"penalty": "l2", "alpha": 1e-3, "standardize": True},
    "ours, L1": {"penalty": "l1", "alpha": 1e-2, "standardize": True},
    "ours, Huber": {"loss": "huber", "epsilon": EPSILON},
    "ours, median": {"loss": "absolute_error"},
}
"""What is fitted, by its name in the table."""


def run(*, quick: bool) -> int:
    """Measure, and print a table."""
    if find_spec("torch") is None:
        print("Rows on a device: left out, torch is not installed.")
        return 0
    os.environ["SCIPY_ARRAY_API"] = "1"  # which scikit-learn asks for
    import sklearn
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    n, p = QUICK if quick else ON_A_GPU if device == "cuda" else ON_A_CPU
    if device == "cuda":
        n = min(n, int(SHARE * torch.cuda.get_device_properties(0).total_memory) // (4 * p))
    name = torch.cuda.get_device_name(0) if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    torch.backends.cuda.matmul.allow_tf32 = False
    X, y = _rows(torch, n, p, device)
    with sklearn.config_context(array_api_dispatch=True):
        smaller = _smaller(torch, device, SMALLER[:1] if quick else SMALLER)
        table = _measured(torch, X, y)
    print(f"{name}, and the host: seconds, float32\n\n{markdown(smaller)}\n", flush=True)
    print(f"{name}: {n:,} x {p}, float32\n\n{markdown(table)}\n", flush=True)
    n = min(n, LARGEST_FILE // p)
    with tempfile.TemporaryDirectory() as folder:
        table = _through(torch, Path(folder) / "X.npy", X[:n], y[:n].cpu().numpy())
    print(f"{name}: {n:,} x {p}, float32, in a file\n\n{markdown(table)}\n", flush=True)
    return 0


def _rows(torch: Any, n: int, p: int, device: str) -> tuple[Any, Any]:
    """Return columns of mixed scales with means, and targets with a tenth of outliers."""
    generator = torch.Generator(device).manual_seed(0)
    scale = torch.logspace(-2, 2, p, device=device)
    coef = torch.randn(p, generator=generator, device=device) / scale
    X, y = torch.empty((n, p), device=device), torch.empty(n, dtype=torch.float64, device=device)
    for start in range(0, n, BLOCK):
        rows = slice(start, min(start + BLOCK, n))
        size = rows.stop - rows.start
        X[rows] = (torch.randn((size, p), generator=generator, device=device) + 1.0) * scale
        noise = torch.randn(size, generator=generator, device=device)
        wild = torch.rand(size, generator=generator, device=device) < 0.1
        y[rows] = (X[rows].double() @ coef.double()) + torch.where(wild, 20.0 * noise, noise).double()
    return X, y


def _smaller(torch: Any, device: str, shapes: Sequence[tuple[int, int]]) -> pd.DataFrame:
    """Measure fits of tables of several sizes, on the device and on the host."""
    from gdregress import GradientDescentRegressor

    columns: dict[str, list[Any]] = {"": list(LOSSES)}
    for n, p in shapes:
        X, y = _rows(torch, n, p, device)
        for where, given in (("device", (X, y)), ("host", (X.cpu().numpy(), y.cpu().numpy()))):
            models = [GradientDescentRegressor(**params) for params in LOSSES.values()]
            seconds = [_seconds(torch, partial(model.fit, *given)) for model in models]
            columns[f"{n:,} x {p}, {where}"] = [f"{each:.4f}" for each in seconds]
    return pd.DataFrame(columns)


def _measured(torch: Any, X: Any, y: Any) -> pd.DataFrame:
    from gdregress import GradientDescentRegressor

    n, p = X.shape
    coef, deviation = _least_squares(torch, X, y)
    vector, gigabytes = torch.ones(p, device=X.device), 4e-9 * n * p
    passes = _seconds(torch, lambda: X.T @ (X @ vector))
    gram = _seconds(torch, lambda: X.T @ X)
    rows = [
        {"": "X.T @ (X @ v), float32", "seconds": passes, "note": f"{2 * gigabytes / passes:.0f} GB/s"},
        {"": "X.T @ X, float32", "seconds": gram, "note": f"{1e-12 * n * p * p / gram:.1f} TFLOPS, n p^2"},
    ]
    for name, params in LOSSES.items():
        model = GradientDescentRegressor(**params).fit(X[:1000], y[:1000])  # what is imported or compiled once
        seconds = _seconds(torch, partial(model.fit, X, y), runs=2)
        is_least_squares = not params
        row = {"": name, "seconds": seconds, "note": f"{model.n_iter_} epochs, optimality {model.optimality_:.0e}"}
        rows.append(row | ({"coef. error": _error(model.coef_, coef, deviation)} if is_least_squares else {}))
    rows.append(_tuned(torch, X, y))
    rows.append(_lbfgs(torch, X, y, deviation))
    rows += _others(torch, X, y, coef, deviation)
    frame = pd.DataFrame(rows)
    frame.insert(2, "/ X.T @ (X @ v)", (frame["seconds"] / passes).map("{:.1f}".format))
    frame.insert(3, "/ X.T @ X", (frame["seconds"] / gram).map("{:.2f}".format))
    frame["seconds"] = frame["seconds"].map("{:.4g}".format)
    frame["note"] = frame["note"].fillna("")
    frame["coef. error"] = frame["coef. error"].map(lambda error: "-" if np.isnan(error) else f"{error:.0e}")
    return frame


def _through(torch: Any, path: Path, X: Any, y: Any) -> pd.DataFrame:
    """Measure fits of a file whose blocks go through the device, beside the way of all blocks without any work."""
    from gdregress import GradientDescentRegressor, through_device
    from gdregress.rows.transfer import pieces_of

    n, p = X.shape
    written = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, p))
    for start in range(0, n, BLOCK):
        written[start : start + BLOCK] = X[start : start + BLOCK].cpu().numpy()
    there = through_device(np.load(path, mmap_mode="r"), X.device.type)
    features = there.__through_device__()
    pieces = pieces_of(n, features.block_entries // p)

    def to_the_device() -> None:
        for _ in features.blocks(pieces):
            pass

    rows = [{"": "the file to the device", "seconds": _seconds(torch, to_the_device)}]
    rows[0]["note"] = f"{4e-9 * n * p / rows[0]['seconds']:.1f} GB/s"
    for name in ("ours, squared error", "ours, Huber", "ours, median"):
        for where, given in (("through the device", there), ("on the host", there.array)):
            model = GradientDescentRegressor(**LOSSES[name])
            seconds = _seconds(torch, partial(model.fit, given, y), runs=2)
            note = f"{model.n_iter_} epochs, optimality {model.optimality_:.0e}"
            rows.append({"": f"{name}, {where}", "seconds": seconds, "note": note})
    frame = pd.DataFrame(rows)
    frame.insert(2, "/ to the device", (frame["seconds"] / frame["seconds"][0]).map("{:.1f}".format))
    frame["seconds"] = frame["seconds"].map("{:.4g}".format)
    return frame


def _tuned(torch: Any, X: Any, y: Any) -> dict[str, Any]:
    """Measure a cross-validation of L2."""
    from gdregress import GradientDescentRegressorCV

    alphas = np.geomspace(1e-4, 1e2, STRENGTHS)
    model = GradientDescentRegressorCV(alphas, penalty="l2", standardize=True, cv=FOLDS)
    seconds = _seconds(torch, partial(model.fit, X, y), runs=2)
    return {"": f"ours, L2, {STRENGTHS} strengths in {FOLDS} folds", "seconds": seconds, "note": f"{model.alpha_:.1e}"}


def _lbfgs(torch: Any, X: Any, y: Any, deviation: Any) -> dict[str, Any]:
    """Measure what is usual for Huber's loss: L-BFGS in single precision on columns that were standardised by hand."""
    from gdregress import GradientDescentRegressor

    center, scale, targets = X.mean(dim=0), deviation.float(), y.float()
    steps = 0

    def fitted() -> tuple[Any, Any]:
        nonlocal steps
        weights = torch.zeros(X.shape[1] + 1, device=X.device, requires_grad=True)
        optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")
        steps = 0

        def objective() -> Any:
            nonlocal steps
            steps += 1
            optimizer.zero_grad()
            per_unit = weights[:-1] / scale
            predicted = X @ per_unit + (weights[-1] - center @ per_unit)
            loss = torch.nn.functional.huber_loss(predicted, targets, delta=EPSILON)
            loss.backward()
            return loss

        optimizer.step(objective)
        per_unit = (weights[:-1] / scale).detach()
        return per_unit, (weights[-1] - center @ per_unit).detach()

    seconds = _seconds(torch, fitted, runs=2)
    model = GradientDescentRegressor(**LOSSES["ours, Huber"]).fit(X, y)
    found, ours = _huber(torch, X, y, *fitted()), _huber(torch, X, y, model.coef_, model.intercept_)
    above = f"objective {found / ours - 1:.0e} above ours"
    return {"": "torch.optim.LBFGS, Huber, float32", "seconds": seconds, "note": f"{steps} passes, {above}"}


def _huber(torch: Any, X: Any, y: Any, coef: Any, intercept: Any) -> float:
    """Return the mean of Huber's loss in double precision."""
    total = 0.0
    for start in range(0, len(X), BLOCK):
        rows = slice(start, start + BLOCK)
        predicted = X[rows].double() @ coef.double() + float(intercept)
        total += float(torch.nn.functional.huber_loss(predicted, y[rows], reduction="sum", delta=EPSILON))
    return total / len(X)


def _others(torch: Any, X: Any, y: Any, coef: Any, deviation: Any) -> list[dict[str, Any]]:
    """Measure other solvers of least squares where they are installed and have the memory."""
    from gdregress import GradientDescentRegressor

    rows: list[dict[str, Any]] = []

    def orthogonal() -> Any:
        with_ones = torch.hstack([X, torch.ones((len(X), 1), device=X.device)])
        return torch.linalg.lstsq(with_ones, y.float()[:, None], driver="gels").solution[:-1, 0]

    try:
        error, seconds = _error(orthogonal(), coef, deviation), _seconds(torch, orthogonal, runs=1)
        rows.append({"": "torch.linalg.lstsq", "seconds": seconds, "coef. error": error})
    except (torch.cuda.OutOfMemoryError, torch.linalg.LinAlgError) as error:
        rows.append({"": "torch.linalg.lstsq", "seconds": np.nan, "note": type(error).__name__.strip("_")})
    if find_spec("cuml") is not None:
        from cuml.linear_model import LinearRegression

        other = LinearRegression()
        seconds = _seconds(torch, lambda: other.fit(X, y.float()), runs=2)
        found = torch.as_tensor(other.coef_, device=X.device)
        rows.append({"": "cuML LinearRegression", "seconds": seconds, "coef. error": _error(found, coef, deviation)})
    if X.numel() <= LARGEST_ON_THE_HOST:
        here, targets = X.cpu().numpy(), y.cpu().numpy()
        model = GradientDescentRegressor().fit(here, targets)
        seconds = _seconds(torch, lambda: model.fit(here, targets), runs=3)
        error = _error(torch.as_tensor(model.coef_, device=X.device), coef, deviation)
        rows.append({"": "ours, squared error, NumPy on the host", "seconds": seconds, "coef. error": error})
    return rows


def _least_squares(torch: Any, X: Any, y: Any) -> tuple[Any, Any]:
    """Return coefficients in double precision, refined once, and the deviations of the columns."""
    n, p = X.shape
    blocks = [slice(start, start + BLOCK) for start in range(0, n, BLOCK)]
    center = sum(X[rows].double().sum(dim=0) for rows in blocks) / n
    gram, joint = (torch.zeros(shape, dtype=torch.float64, device=X.device) for shape in ((p, p), (p,)))
    for rows in blocks:
        Z = X[rows].double() - center
        gram += Z.T @ Z
        joint += Z.T @ y[rows]
    scale = gram.diagonal().sqrt()
    factor = torch.linalg.cholesky(gram / scale / scale[:, None])
    coef = torch.cholesky_solve((joint / scale)[:, None], factor)[:, 0] / scale
    left = sum((X[rows].double() - center).T @ (y[rows] - X[rows].double() @ coef) for rows in blocks)
    return coef + torch.cholesky_solve((left / scale)[:, None], factor)[:, 0] / scale, scale / n**0.5


def _error(found: Any, coef: Any, deviation: Any) -> float:
    """Return the largest error of a coefficient, as a share of the largest, per deviation of its column."""
    return float(((found.double() - coef) * deviation).abs().max() / (coef * deviation).abs().max())


def _seconds(torch: Any, work: Callable[[], Any], runs: int = 3) -> float:
    """Return the time of the fastest run, the device's work included."""
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    return min(taken)
