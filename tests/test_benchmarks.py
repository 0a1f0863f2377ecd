"""The benchmarks run, score everybody by one objective, and say what they leave out. No time is asserted."""

import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pd = pytest.importorskip("pandas")
ROOT = Path(__file__).parents[1]
PROBLEMS = ("small", "weights", "early-stopping", "lasso", "p")
SOLVERS = (
    *("X.T @ X", "GradientDescentRegressor", "GradientDescentRegressor(early stopping)", "Ridge(cholesky)"),
    *("StandardScaler + SGDRegressor", "Lasso", "Lasso (celer)"),
)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    output = tmp_path_factory.mktemp("benchmarks")
    command = [sys.executable, "-m", "benchmarks", "--quick", "--problems", *PROBLEMS, "--repeats", "1"]
    command += ["--output", str(output), "--solvers", *SOLVERS]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return pd.read_csv(output / "results.csv"), output, ran.stdout


def results(report, problem):
    frame = report[0]
    return frame[frame["problem"].str.startswith(f"{problem}:")].set_index("solver")


@pytest.mark.parametrize("problem", ["small", "weights"])
def test_every_solver_is_scored_against_the_same_reference(report, problem):
    error = results(report, problem)["coef. error"]
    assert error["GradientDescentRegressor"] < 1e-10
    assert error["Ridge(cholesky)"] < 1e-10
    assert error["StandardScaler + SGDRegressor"] > 1e-3


def test_an_objective_with_a_penalty_is_scored_relative_to_the_lowest(report):
    lasso = results(report, "lasso")
    assert lasso["excess"]["GradientDescentRegressor"] < 1e-9
    assert 0 < lasso["excess"]["Lasso"] < 1e-3
    ratio = lasso["objective"]["Lasso"] / lasso["objective"]["GradientDescentRegressor"]
    assert ratio - 1 == pytest.approx(lasso["excess"]["Lasso"], rel=1e-3)
    assert lasso["zeros"]["GradientDescentRegressor"] == lasso["zeros"]["Lasso"]


def test_rows_that_nobody_fitted_tell_what_stopping_early_is_worth(report):
    excess = results(report, "early-stopping")["excess"]
    assert excess["GradientDescentRegressor(early stopping)"] < excess["GradientDescentRegressor"]


def test_time_and_memory_are_recorded(report):
    frame = report[0]
    ran = frame[frame["missing"].isna()]
    assert (ran["seconds"] > 0).all()
    assert not (ran["peak_bytes"] < 0).any()
    small = results(report, "small")
    ratio = small["seconds"]["Ridge(cholesky)"] / small["seconds"]["GradientDescentRegressor"]
    assert small["time / ours"]["Ridge(cholesky)"] == pytest.approx(ratio)


def test_what_is_printed_is_what_is_written(report):
    frame, output, printed = report
    tables = (output / "tables.md").read_text()
    assert tables.strip() in printed
    assert "| solver " in tables
    for file in ("ahead.md", "behind.md"):
        assert (output / file).read_text().strip() in printed
    assert len(np.unique(frame["size"].dropna())) == 3
    assert ("celer is not installed" in printed) == (find_spec("celer") is None)


def test_ours_is_ahead_where_nobody_else_that_arrives_is_faster():
    from benchmarks.report import standings

    contests = {
        "fast": [("GradientDescentRegressor", 1.0, 0.0), ("Ridge", 2.0, 0.0), ("SGDRegressor", 0.5, 0.1)],
        "alone": [("GradientDescentRegressor", 1.0, 0.0), ("X.T @ X", 0.1, np.nan), ("SGDRegressor", 0.5, 0.1)],
        "slow": [("GradientDescentRegressor", 1.0, 0.0), ("Ridge", 0.8, 1e-4)],
        "wrong": [("GradientDescentRegressor", 1.0, 0.2), ("Ridge", 3.0, 0.0)],
    }
    rows = [(f"{name}: 2 x 1, loss", *row) for name, contest in contests.items() for row in contest]
    frame = pd.DataFrame(rows, columns=["problem", "solver", "seconds", "excess"]).assign(missing="", runs=1)
    ahead, behind = standings(frame)
    assert [line.split()[1] for line in ahead.splitlines()[2:]] == ["alone", "fast"]
    assert [line.split()[1] for line in behind.splitlines()[2:]] == ["wrong", "slow"]


def test_the_commands_of_the_pages_are_known():
    from benchmarks.__main__ import make_parser

    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    commands = [each for page in pages for each in re.findall(r"python -m benchmarks([^`&]*)`", page.read_text())]
    parsed = [make_parser().parse_args(shlex.split(command)) for command in commands]
    assert {options.command for options in parsed} == {None, "pieces", "device"}


def test_who_claims_to_have_arrived_and_has_not_is_wrong(monkeypatch):
    from benchmarks import run
    from benchmarks.measure import Measurement
    from benchmarks.problems import OURS, PROBLEMS

    [small] = [problem for problem in PROBLEMS if problem.name == "small"]
    wrong = Measurement(1.0, 1, coef=np.zeros(10), intercept=0.0, converged=True)
    for measurement in (wrong, Measurement(None)):
        monkeypatch.setattr(run, "measure", lambda *args, measurement=measurement: measurement)
        assert list(run.contest(small, [OURS])["is_wrong"]) == [True]
