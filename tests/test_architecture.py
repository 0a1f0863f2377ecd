"""The house: who imports whom, what is imported when, and that every parameter and fitted attribute has its place."""

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from collections import namedtuple
from pathlib import Path

import pandas as pd
import pytest
from sklearn.utils.estimator_checks import check_parameters_default_constructible

import gdregress
from gdregress.method.parameters import CONSTRAINTS
from gdregress.solve.attributes import FITTED

PACKAGE = Path(gdregress.__file__).parent
TESTS = sorted(Path(__file__).parent.glob("**/*.py"))

LAW = [
    "_version",
    "datasets",
    "rows",
    "problem",
    "method",
    "solve",
    "closed_form",
    "regressor",
    "displays",
    "tuning",
    "comparison",
    "__init__",
    "command_line",
    "__main__",
]
"""A module or a folder imports from itself and from those above it in this list, and from nowhere else in the house."""

OF_SCIKIT_LEARN = {"_init_callback_context", "_skl_callbacks"}
"""Names of scikit-learn with an underscore that are used: the first is public by its guide to callbacks.

The second is the exception: there is no other way to see whether an estimator has callbacks, and epochs are measured
one by one where it has.
"""

MOST_NAMES, MOST_FIELDS = 18, 10
"""Names at the top of the package, and fields of a record, at most."""


def imports(path):
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def trees():
    return [(path, ast.parse(path.read_bytes())) for path in sorted(PACKAGE.glob("**/*.py"))]


def test_every_module_has_its_place_and_the_top_is_short():
    top = {path.stem for path in PACKAGE.glob("*.py")} | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert top == set(LAW)
    assert len(top | {"py.typed"}) <= MOST_NAMES


@pytest.mark.parametrize("place", LAW)
def test_imports_point_back(place):
    allowed = {*LAW[: LAW.index(place)], place if (PACKAGE / place).is_dir() else ""}
    for path in [PACKAGE / f"{place}.py", *(PACKAGE / place).glob("*.py")]:
        if path.exists():
            ours = {name.split(".")[1] for name in imports(path) if name.startswith("gdregress.")}
            assert ours & set(LAW) <= allowed, f"{path} imports {ours & set(LAW) - allowed}"


def test_no_record_has_more_fields_than_can_be_held_in_mind():
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                fields = sum(isinstance(part, ast.AnnAssign) for part in node.body)
                assert fields <= MOST_FIELDS, f"{path.name}: {node.name} has {fields} fields"


def test_nobody_asks_of_what_class_ours_is():
    """What an object can do is a method or a fact of it; classes of numpy, dask and users are another matter."""
    ours = {node.name for _, tree in trees() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    for path, tree in trees():
        for node in ast.walk(tree) if path.parent.name in ("rows", "problem", "method", "solve") else ():
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
                named = {part.id for part in ast.walk(node.args[1]) if isinstance(part, ast.Name)}
                assert not named & ours, f"{path.name}:{node.lineno} asks for {named & ours}"


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("**/*.py")), ids=lambda path: path.stem)
def test_no_private_name_of_another_package(path):
    for name in imports(path):
        first, *rest = name.split(".")
        if first not in ("gdregress", "__future__"):
            assert not any(part.startswith("_") for part in rest), name


def test_no_private_attribute_of_another_package():
    """An attribute with an underscore, also one that is asked for by its name, is defined somewhere in the house."""
    ours, asked = set(), {}
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                ours.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                ours.add(node.id)
            elif isinstance(node, ast.Attribute):
                if isinstance(node.ctx, ast.Store) and getattr(node.value, "id", "") == "self":
                    ours.add(node.attr)
                asked[node.attr] = f"{path.name}:{node.lineno}"
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("hasattr", "getattr", "setattr"):
                asked[str(getattr(node.args[1], "value", ""))] = f"{path.name}:{node.lineno}"
    private = {name for name in asked if name.startswith("_") and not name.startswith("__")}
    foreign = private - ours - set(dir(namedtuple("Record", "field")))
    assert {name: asked.get(name) for name in foreign ^ OF_SCIKIT_LEARN} == {}


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_no_assertion_chooses_what_it_asserts(path):
    """``assert a < b if c else d`` asserts d where c does not hold: what is chosen is to be in parentheses."""
    asserted = [node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.Assert)]
    assert [node.lineno for node in asserted if isinstance(node.test, ast.IfExp | ast.Constant | ast.Tuple)] == []


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_no_test_module_imports_another(path):
    """One that skips itself as a whole would take those with it that import from it, without a word."""
    modules = {name.split(".")[0] for name in imports(path)}
    assert modules & {module.stem for module in TESTS if module.stem.startswith("test_")} == set()


def test_importing_imports_nothing_heavy():
    """scikit-learn imports some of these itself where they are installed; we import none of them."""
    code = """
import sys
import sklearn.linear_model, sklearn.model_selection, sklearn.multioutput, sklearn.pipeline
before = set(sys.modules)
import gdregress
print(*{"matplotlib", "pandas", "polars", "dask", "rich", "torch", "array_api_compat"} & (set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("**/*.py")), ids=lambda path: path.stem)
def test_optional_packages_are_imported_where_they_are_needed(path):
    tree = ast.parse(path.read_bytes())
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
    fits += [{"loss": "huber", "epsilon": "auto"}]
    found = set()
    for params in fits:
        model = gdregress.GradientDescentRegressor(**{"epochs": 3, "tol": None, **params}).fit(X, y)
        assert not [name for name in vars(model) if name.startswith("_")]
        found |= set(vars(model)) - set(model.get_params())
    for rate in ("auto", 0.01):
        found |= set(vars(gdregress.GradientDescentRegressor(rate).partial_fit(X, y))) - set(model.get_params())
    document = inspect.getdoc(gdregress.GradientDescentRegressor)
    section = re.search(r"\nAttributes\n-+\n(.*?)\n\n", document, re.DOTALL).group(1)
    documented = re.findall(r"^(\w+) : ", section, re.MULTILINE)
    assert sorted(documented) == sorted(found)
    assert sorted(documented) == sorted([*FITTED, "n_features_in_", "feature_names_in_"])


def test_fitted_state_is_plain():
    """Arrays, numbers, strings and dicts: pickle, joblib and skops all take them."""
    import numpy as np

    X, y = gdregress.load_house_prices(return_X_y=True)
    for model in (gdregress.GradientDescentRegressor(), gdregress.GradientDescentRegressor("lipschitz", tol=None)):
        for name, value in vars(model.fit(X, y)).items():
            assert isinstance(value, np.ndarray | np.number | float | int | str | bool | dict | None), name
            if isinstance(value, dict):
                assert all(isinstance(part, np.ndarray) and part.dtype == np.float64 for part in value.values())
