"""The docs: every public name is on the API page and documented in full, and links lead somewhere."""

import inspect
import re
import runpy
from pathlib import Path

import pytest

import gdregress
import gdregress.problem.losses

ROOT = Path(__file__).parents[1]
PUBLIC = {name: getattr(gdregress, name) for name in gdregress.__all__ if name != "__version__"}


def sections(documented):
    """Give the lines of each section of a numpydoc docstring by its heading."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}\n", inspect.getdoc(documented), flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def entries(section):
    """Give the names that a section describes, each as `name : type` and with a line of its own below."""
    found = re.findall(r"^([\w, ]+) : \S.*\n {4}\S", section, flags=re.MULTILINE)
    return [name for names in found for name in names.split(", ")]


def own_methods(cls):
    for name, member in vars(cls).items():
        method = member.__func__ if isinstance(member, classmethod) else member
        if not name.startswith("_") and inspect.isfunction(method):
            yield pytest.param(method, id=f"{cls.__name__}.{name}")


CALLABLES = [pytest.param(public, id=name) for name, public in PUBLIC.items()]
METHODS = [method for public in PUBLIC.values() if inspect.isclass(public) for method in own_methods(public)]


@pytest.mark.parametrize("name", gdregress.__all__)
def test_every_public_name_is_on_the_api_page(name):
    page = (ROOT / "docs/api/index.rst").read_text()
    assert re.search(rf"^   {re.escape(name)}$|``gdregress\.{re.escape(name)}``", page, flags=re.MULTILINE)


def test_the_api_page_lists_nothing_else():
    page = (ROOT / "docs/api/index.rst").read_text()
    assert set(re.findall(r"^   ([\w.]+)$", page, flags=re.MULTILINE)) == set(PUBLIC)


@pytest.mark.parametrize("public", CALLABLES + METHODS)
def test_parameters_are_described_in_their_order(public):
    expected = [name for name in inspect.signature(public).parameters if name not in ("self", "cls")]
    described = entries(sections(public).get("Parameters", ""))
    assert described == expected


@pytest.mark.parametrize("public", CALLABLES + METHODS)
def test_what_is_returned_is_described(public):
    if not inspect.isclass(public) and "return " in inspect.getsource(public):
        assert sections(public)["Returns"].strip()


@pytest.mark.parametrize("public", CALLABLES)
def test_there_is_an_example(public):
    assert ">>> " in sections(public)["Examples"]


@pytest.mark.parametrize("public", CALLABLES + METHODS)
def test_it_begins_with_a_sentence_of_one_line(public):
    first, *rest = inspect.getdoc(public).splitlines()
    assert first.endswith(".")
    assert not rest or rest[0] == ""


def test_links_of_the_readme_lead_to_files():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text())
    assert targets
    for target in targets:
        assert (ROOT / target).is_file(), target


def test_the_figure_of_the_readme_is_made_by_the_code_beside_it():
    plt = pytest.importorskip("matplotlib.pyplot")
    image = pytest.importorskip("PIL.Image")
    rates = runpy.run_path(str(ROOT / "docs/images/rates.py"))
    with image.open(rates["PICTURE"]) as picture:
        assert picture.text["Source"] == rates["code"]()
    figure = rates["draw"]()
    [ax] = figure.axes
    labels = " ".join(text.get_text() for text in ax.get_legend().get_texts())
    assert all(f"learning_rate={rate}" in labels for rate in ("0.08", "0.085", "'auto'"))
    plt.close(figure)
