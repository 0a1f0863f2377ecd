"""The docs: every public name is on the API page and documented in full, and links lead somewhere."""

import inspect
import re
import runpy
import shlex
import shutil
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

import gdregress
import gdregress.problem.losses
from gdregress.__main__ import main
from gdregress.comparison.table import Row
from gdregress.rows.through import ThroughDevice

ROOT = Path(__file__).parents[1]
PACKAGE = Path(gdregress.__file__).parent
PUBLIC = {name: getattr(gdregress, name) for name in gdregress.__all__ if name != "__version__"}
RETURNED = {"comparison.table.Row": Row, "rows.through.ThroughDevice": ThroughDevice}

SITE = "https://gdregress.readthedocs.io/en/latest/"
REPOSITORY = "https://github.com/gdregress/gdregress"
SOURCES = (f"{REPOSITORY}/blob/main/", "https://raw.githubusercontent.com/gdregress/gdregress/main/")


def source_of(address):
    """Give the file that an address of ours shows, and None for an address of others."""
    for start in SOURCES:
        if address.startswith(start):
            name = address.removeprefix(start)
            return (PACKAGE.parent if name.startswith(f"{PACKAGE.name}/") else ROOT) / name
    if not address.startswith(SITE):
        return None
    folder, _, name = address.removeprefix(SITE).removesuffix(".html").rpartition("/")
    return ROOT / "docs" / (f"gallery/{name}.py" if folder == "examples" else f"{folder}/{name}.md".lstrip("/"))


def anchors(source):
    """Give the anchors of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", source.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def sections(documented):
    """Give the lines of each section of a numpydoc docstring by its heading."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}\n", inspect.getdoc(documented), flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def entries(section):
    """Give the names that a section describes, each as `name : type` and with a line of its own below."""
    found = re.findall(r"^([\w*, ]+) : \S.*\n {4}\S", section, flags=re.MULTILINE)
    return [name for names in found for name in names.split(", ")]


def own_methods(cls):
    """Give the public methods of a class, and those that it has from other classes of the package."""
    ours = [base for base in reversed(cls.__mro__) if base.__module__.startswith("gdregress")]
    for name, member in {name: member for base in ours for name, member in vars(base).items()}.items():
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
    assert set(re.findall(r"^   ([\w.]+)$", page, flags=re.MULTILINE)) == set(PUBLIC) | set(RETURNED)


@pytest.mark.parametrize("record", RETURNED.values())
def test_the_fields_of_what_is_only_returned_are_described(record):
    assert entries(sections(record)["Attributes"]) == [field.name for field in fields(record)]


def test_the_api_page_has_each_parameter_in_one_of_four_groups():
    _, *groups = re.split(r"^\*\*.*\*\*$", (ROOT / "docs/api/index.rst").read_text(), flags=re.MULTILINE)
    grouped = [re.findall(r"^- :parameter:`(\w+)`: ", group, re.MULTILINE) for group in groups]
    assert [bool(group) for group in grouped] == [True] * 4
    parameters = inspect.signature(gdregress.GradientDescentRegressor).parameters
    assert sorted(name for group in grouped for name in group) == sorted(parameters)


@pytest.mark.parametrize("public", CALLABLES + METHODS)
def test_parameters_are_described_in_their_order(public):
    expected = [name for name in inspect.signature(public).parameters if name not in ("self", "cls")]
    described = [name.lstrip("*") for name in entries(sections(public).get("Parameters", ""))]
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


def links(text):
    return re.findall(r"\]\(([^)\s]+)\)", text)


def test_links_of_the_readme_lead_to_files():
    """They are absolute, since where the package is listed, no other resolves."""
    found = links((ROOT / "README.md").read_text())
    assert [link for link in found if not link.startswith("https://")] == []
    ours = [link.partition("#") for link in found if source_of(link)]
    assert len(ours) > 10
    for address, _, anchor in ours:
        source = source_of(address)
        assert source.is_file(), address
        assert not anchor or anchor in anchors(source), f"{address}#{anchor}"


def test_links_of_the_project_lead_to_what_they_are_named_for():
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    assert urls["Documentation"] + "/" == SITE
    assert source_of(urls["Changelog"]) == ROOT / "docs/changelog.md"
    assert urls["Source"] == REPOSITORY
    assert urls["Issues"] == f"{REPOSITORY}/issues"


def test_there_is_one_version():
    """The newest in the changelog, whether released or not, with its day, and the one to cite."""
    changelog, citation = ((ROOT / name).read_text() for name in ("docs/changelog.md", "CITATION.cff"))
    newest = re.search(r"^## \[([\d.]+)\] - ([\d-]+)$", changelog, re.MULTILINE).groups()
    assert newest[0] == gdregress.__version__
    cited = dict(re.findall(r"^(version|date-released): (.*)$", citation, re.MULTILINE))
    assert (cited["version"], cited["date-released"]) == newest
    targets = dict(re.findall(r"^\[(.*)\]: (.*)$", changelog, re.MULTILINE))
    assert targets["Unreleased"] == f"{REPOSITORY}/compare/v{newest[0]}...HEAD"
    assert targets[newest[0]].endswith(f"v{newest[0]}")


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


def test_the_commands_of_the_real_table_read_it_save_and_predict(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pandas")
    shutil.copy(ROOT / "docs/data/penguins.csv", tmp_path)
    monkeypatch.chdir(tmp_path)
    fitting, predicting = re.findall(r"^gdregress (.*)$", (ROOT / "docs/real_table.md").read_text(), re.MULTILINE)
    assert main(shlex.split(fitting)) == 0
    assert "target body_mass_g" in capsys.readouterr().out
    assert main(shlex.split(predicting.partition(" > ")[0])) == 0
    name, *masses = capsys.readouterr().out.split()
    assert name == "body_mass_g"
    assert len(masses) == 344
    assert all(2500 < float(mass) < 6500 for mass in masses)


def tables_of(text):
    """Give the rows of the Markdown tables of a text."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return [row for row in rows if not set(row[0]) <= {"-", " "}]


def contests(tables):
    """Give the summary of each problem with times beside ours: we win, or not, and its row for each of the fastest."""
    for section in re.split(r"^### ", tables, flags=re.MULTILINE)[1:]:
        problem, _, data = section.splitlines()[0].partition(": ")
        heads, *rows = tables_of(section)
        results = [dict(zip(heads, row, strict=True)) for row in rows]
        if "time / ours" in heads:
            ours = next(each for each in results if each["solver"] == "GradientDescentRegressor")
            near = [each for each in results if each["excess"] != "-" and float(each["excess"]) <= 1e-3]
            others = [each for each in near if not each["solver"].startswith("GradientDescentRegressor")]
            least = min((float(each["time / ours"]) for each in others), default=float("inf"))
            best = [
                [each["solver"], each["time / ours"], each["excess"]]
                for each in others
                if float(each["time / ours"]) == least  # several, where two decimals are the same
            ]
            head = [problem, data, ours["seconds (runs)"].partition(" (")[0], ours["excess"]]
            yield ours in near and least > 1, [[*head, *each] for each in best or [["none", "-", "-"]]]


def test_the_summary_of_the_benchmarks_is_that_of_their_tables():
    page, tables = ((ROOT / "docs" / name).read_text() for name in ("benchmarks.md", "benchmarks/tables.md"))
    found = list(contests(tables))
    assert len(found) > 15
    for file, wins in (("ahead", True), ("behind", False)):
        assert f"{{include}} benchmarks/{file}.md" in page
        _, *shown = tables_of((ROOT / f"docs/benchmarks/{file}.md").read_text())
        expected = [rows for each, rows in found if each == wins]
        assert len(shown) == len(expected)
        assert all(any(row in shown for row in rows) for rows in expected)
    section = page.partition("## Where we win\n")[2].partition("\n## Public tables")[0]
    figures = re.findall(r"\d\.\de[+-]\d\d", section)
    assert [figure for figure in figures if figure not in tables] == []


def test_the_table_of_arguments_has_all_of_sgdregressor_and_only_ours():
    from sklearn.linear_model import SGDRegressor

    page = (ROOT / "docs/coming_from.md").read_text()
    _, *rows = tables_of(page.partition("### Its arguments, and those of others\n")[2].partition("\n## ")[0])
    theirs, ours = ({name for row in rows for name in re.findall(r"(?:`|, )(\w+)[`=]", row[of])} for of in (0, 1))
    assert set(SGDRegressor().get_params()) <= theirs
    assert ours <= set(inspect.signature(gdregress.GradientDescentRegressor).parameters)
    assert len(ours) > 10
