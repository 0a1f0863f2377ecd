"""The doctests of the pages are in their Markdown; scripts of the site are run by Sphinx."""

import inspect
from importlib.util import find_spec

from sklearn.linear_model import LinearRegression

collect_ignore_glob = ["*.py"]
if "tol" not in inspect.signature(LinearRegression).parameters:
    collect_ignore_glob.append("which_estimator.md")  # what it shows of LinearRegression came with its tol
if not (find_spec("dask") and find_spec("pyarrow")):
    collect_ignore_glob.append("past_one_machine.md")
