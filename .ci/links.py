"""Says which links lead nowhere, without a network: ``python .ci/links.py SITE``, SITE the folder of the built site.

Links of the site, of the README and its like, and of the HTML view of an estimator: a relative one leads to a file of
the site, its fragment to an id there, and one to an address of ours to what the site or the repository will have there.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin

import gdregress

ROOT = Path(__file__).parents[1]
SITE = "https://gdregress.readthedocs.io/en/latest/"
REPOSITORY = "https://github.com/gdregress/gdregress"
FILES = re.compile(rf"(?:{REPOSITORY}/(?:blob|tree|raw)|https://raw\.githubusercontent\.com/gdregress/gdregress)/main/")
OTHER = re.compile(rf"{REPOSITORY}(?:/issues|/releases/tag/v[\d.]+|/compare/v[\d.]+\d\.{{3}}(?:HEAD|v[\d.]+)|\.git|/)?")
OURS = re.compile(
    r"https?://(?:gdregress\.|github\.com/gdregress\b|raw\.githubusercontent\.com/gdregress\b)[^\s()<>\"'`]*"
)
IN_WRITING = ("README.md", "CONTRIBUTING.md", "CITATION.cff", "pyproject.toml")
DIRECTIVE = ":~:text="


class Page(HTMLParser):
    """What a page links to, the ids that it has, and its text without spaces."""

    def __init__(self, text):
        super().__init__()
        self.links, self.ids, self.words = [], set(), []
        self.feed(text)
        self.text = "".join("".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        """Take up links and ids."""
        given = {name: value for name, value in attributes if value is not None}
        self.links += [given[name] for name in ("href", "src") if name in given]
        self.links += [each.split()[0] for each in given.get("srcset", "").split(",") if each.strip()]
        self.ids |= {given[name] for name in ("id", "name") if name in given}

    def handle_data(self, data):
        """Take up text."""
        self.words.append(data)


def said(page, directive):
    """Whether a page has what a text directive names: [prefix-,]start[,end][,-suffix]."""
    parts = ["".join(unquote(part).split()) for part in directive.split(",")]
    before = parts.pop(0)[:-1] if parts[0].endswith("-") else ""
    after = parts.pop()[1:] if parts[-1].startswith("-") else ""
    words = ".*".join(re.escape(part) for part in parts)
    return re.search(re.escape(before) + words + re.escape(after), page.text, re.DOTALL) is not None


class Site:
    """The pages of a built site by their addresses."""

    def __init__(self, folder):
        self.folder = folder
        paths = (path for path in folder.rglob("*.html") if path.name != "webpack-macros.html")
        self.pages = {SITE + path.relative_to(folder).as_posix(): Page(path.read_text("utf-8")) for path in paths}

    def fault(self, link, address):
        """Say what is wrong with a link on the page of that address, or nothing."""
        place, _, fragment = urljoin(address, link).partition("#")
        place = SITE if place + "/" == SITE else place.partition("?")[0]
        if place.startswith(SITE):
            return self.fault_within(place, fragment)
        if files := FILES.match(place):
            return "" if (ROOT / place[files.end() :]).exists() else "no such file in the repository"
        if OURS.match(place):
            return "" if OTHER.fullmatch(place) else "not an address of ours"
        return "" if ":" in link else "outside of the site"

    def fault_within(self, place, fragment):
        """Say what is wrong with an address of the site."""
        place += "index.html" if place.endswith("/") else ""
        if not (self.folder / unquote(place.removeprefix(SITE))).is_file():
            return "no such file in the site"
        anchor, _, directive = fragment.partition(DIRECTIVE)
        page = self.pages.get(place)
        if anchor and (page is None or unquote(anchor) not in page.ids):
            return "no such id on the page"
        if directive and not said(page, directive):
            return "no such text on the page"
        return ""


def views():
    """Give the HTML views of an estimator, not fitted and fitted."""
    model = gdregress.GradientDescentRegressor()
    yield "the HTML view", model._repr_html_()
    yield "the HTML view of a fit", model.fit(*gdregress.load_house_prices(return_X_y=True))._repr_html_()


def main(folder):
    """Print each fault, with where it is."""
    site = Site(Path(folder))
    links = [(address, link) for address, page in site.pages.items() for link in page.links]
    links += [(name, link) for name in IN_WRITING for link in OURS.findall((ROOT / name).read_text("utf-8"))]
    shown = [(name, link) for name, view in views() for link in Page(view).links]
    assert len(shown) > 2 * len(gdregress.GradientDescentRegressor().get_params())
    faults = {(where, link): site.fault(link, where) for where, link in links + shown}
    found = [f"{where}: {link}: {fault}" for (where, link), fault in faults.items() if fault]
    print(
        *found or [f"{len(faults)} links of {len(site.pages)} pages and of what points to them lead somewhere"],
        sep="\n",
    )
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
