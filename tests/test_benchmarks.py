"""The benchmark suite runs, scores everybody by one objective, and says what it leaves out. No time is asserted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    output = tmp_path_factory.mktemp("benchmarks")
    solvers = ["GradientDescentRegressor", "Ridge(svd)", "StandardScaler + SGDRegressor", "Lasso", "Lasso (celer)"]
    command = [sys.executable, "-m", "benchmarks", "--quick", "--problems", "small", "lasso", "--repeats", "1"]
    command += ["--output", str(output), "--solvers", *solvers]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads((output / "results.json").read_text()), (output / "tables.md").read_text(), ran.stdout


def test_machine_threads_and_versions_are_recorded(report):
    machine = report[0]["machine"]
    assert {"cores", "threads", "versions"} <= machine.keys()
    assert {"numpy", "scikit-learn", "gdregress"} <= machine["versions"].keys()


def test_every_solver_is_scored_by_the_same_objective(report):
    problems = {problem["problem"]: problem["results"] for problem in report[0]["contests"]}
    small = {result["solver"]: result for result in problems["small"]}
    assert small["GradientDescentRegressor"]["coefficient_error"] < 1e-10
    assert small["Ridge(svd)"]["coefficient_error"] < 1e-10
    assert small["StandardScaler + SGDRegressor"]["excess"] > 1e-6
    lasso = {result["solver"]: result for result in problems["lasso"]}
    assert lasso["GradientDescentRegressor"]["objective"] == pytest.approx(lasso["Lasso"]["objective"], rel=1e-3)


def test_memory_is_recorded(report):
    results = [result for problem in report[0]["contests"] for result in problem["results"]]
    assert all(result["peak_bytes"] >= 0 for result in results)


def test_tables_and_what_is_missing(report):
    _, tables, printed = report
    assert "| solver |" in tables
    try:
        import celer  # noqa: F401
    except ModuleNotFoundError:
        assert "celer" in printed
