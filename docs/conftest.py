"""The doctests of the pages are in their Markdown; scripts of the site are run by Sphinx."""

import inspect
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from sklearn import config_context
from sklearn.linear_model import LinearRegression

DATA = Path(__file__).parent / "data"

collect_ignore_glob = ["*.py"]
if "tol" not in inspect.signature(LinearRegression).parameters:
    collect_ignore_glob.append("which_estimator.md")  # what it shows of LinearRegression came with its tol
if not (find_spec("dask") and find_spec("pyarrow")):
    collect_ignore_glob.append("past_one_machine.md")


@pytest.fixture(autouse=True)
def folder_of_a_reader(tmp_path, monkeypatch):
    """Run each page where its data lie, with files and settings of its own."""
    shutil.copytree(DATA, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    with config_context():
        yield
