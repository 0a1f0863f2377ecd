"""The house: who imports whom, what is imported when, and that every parameter and fitted attribute has its place."""

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest
from sklearn.utils.estimator_checks import check_parameters_default_constructible

import gdregress
from gdregress.parameters import CONSTRAINTS

PACKAGE = Path(gdregress.__file__).parent

FLOORS = [
    {"_version", "availability", "checks", "csv_tables", "datasets", "descent", "extended", "ranges", "threads"},
    {"blocks", "losses", "penalties", "schedules"},
    {"batches", "closed_form", "inputs", "moments", "preparation"},
    {"frames"},
    {"objectives"},
    {"eigenbasis", "learning_rates", "optimizers", "task"},
    {"baseline", "combinations", "parameters", "sketches"},
    {"plan", "streams"},
    {"dask_arrays", "passes"},
    {"planner", "progress", "stopping", "validation"},
    {"callbacks"},
    {"fitting"},
    {"regressor"},
    {"displays"},
    {"comparison"},
    {"__init__"},
    {"__main__"},
]
"""A module imports from the floors below its own, and from nowhere else in the house."""


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_module_has_its_floor():
    modules = {path.stem for path in PACKAGE.glob("*.py")}
    assert modules | {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set().union(*FLOORS)


@pytest.mark.parametrize("floor", range(len(FLOORS)))
def test_imports_point_down(floor):
    below = set().union(*FLOORS[:floor])
    for module in FLOORS[floor]:
        for path in [PACKAGE / f"{module}.py", *(PACKAGE / module).glob("*.py")]:
            ours = (
                {name.split(".")[1] for name in imports(path) if name.startswith("gdregress.")}
                if path.exists()
                else set()
            )
            modules = ours & set().union(*FLOORS) - ({module} if path.parent != PACKAGE else set())
            assert modules <= below, f"{path.name} imports {modules - below}"


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("**/*.py")), ids=lambda path: path.stem)
def test_no_private_name_of_another_package(path):
    for name in imports(path):
        first, *rest = name.split(".")
        if first not in ("gdregress", "__future__"):
            assert not any(part.startswith("_") for part in rest), name


def test_importing_imports_nothing_heavy():
    """scikit-learn imports some of these itself where they are installed; we import none of them."""
    code = """
import sys
import sklearn.linear_model, sklearn.model_selection, sklearn.multioutput, sklearn.pipeline
before = set(sys.modules)
import gdregress
print(*{"matplotlib", "pandas", "polars", "dask", "rich"} & (set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("**/*.py")), ids=lambda path: path.stem)
def test_optional_packages_are_imported_where_they_are_needed(path):
    tree = ast.parse(path.read_text())
    at_the_top = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
    names = {alias.name for node in at_the_top.body for alias in node.names}
    names |= {node.module for node in at_the_top.body if isinstance(node, ast.ImportFrom)}
    assert not {name.split(".")[0] for name in names} & {"matplotlib", "pandas", "polars", "dask", "rich"}


def test_the_documentation_has_one_address():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    template = gdregress.GradientDescentRegressor._doc_link_template
    assert template == project["urls"]["Documentation"] + "/api/generated/gdregress.{estimator_name}.html"


def test_every_parameter_has_its_constraint():
    assert set(CONSTRAINTS) == set(gdregress.GradientDescentRegressor().get_params())
    check_parameters_default_constructible("GradientDescentRegressor", gdregress.GradientDescentRegressor())


def test_the_fitted_attributes_are_those_documented():
    """The section names each that some fit has, and none that no fit has."""
    X, y = gdregress.load_house_prices(return_X_y=True)
    X = pd.DataFrame(X, columns=["bedrooms"])
    fits = [{}, {"learning_rate": 1e-4}, {"learning_rate": "lipschitz", "early_stopping": True, "random_state": 0}]
    fits += [{"loss": "absolute_error"}, {"record_path": True}, {"batch_size": 2, "random_state": 0}, {"penalty": "l1"}]
    found = set()
    for params in fits:
        model = gdregress.GradientDescentRegressor(**{"epochs": 3, "tol": None, **params}).fit(X, y)
        assert not [name for name in vars(model) if name.startswith("_")]
        found |= set(vars(model)) - set(model.get_params())
    for rate in ("auto", 0.01):
        found |= set(vars(gdregress.GradientDescentRegressor(rate).partial_fit(X, y))) - set(model.get_params())
    document = inspect.getdoc(gdregress.GradientDescentRegressor)
    section = re.search(r"\nAttributes\n-+\n(.*?)\n\n", document, re.DOTALL).group(1)
    assert sorted(re.findall(r"^(\w+) : ", section, re.MULTILINE)) == sorted(found)


def test_fitted_state_is_plain():
    """Arrays, numbers, strings and dicts: pickle, joblib and skops all take them."""
    import numpy as np

    X, y = gdregress.load_house_prices(return_X_y=True)
    for model in (gdregress.GradientDescentRegressor(), gdregress.GradientDescentRegressor("lipschitz", tol=None)):
        for name, value in vars(model.fit(X, y)).items():
            assert isinstance(value, np.ndarray | np.number | float | int | str | bool | dict | None), name
            if isinstance(value, dict):
                assert all(isinstance(part, np.ndarray) and part.dtype == np.float64 for part in value.values())
