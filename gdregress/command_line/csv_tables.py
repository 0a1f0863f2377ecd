"""A table read by pandas: what must be known first is found out, and what is amiss is said in a sentence."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from gdregress.command_line.files import import_pandas, read_text
from gdregress.command_line.readings import APOSTROPHES, SPACES, Numbers, is_gap, is_number
from gdregress.command_line.wording import TableError, distinct, few, nearest, quote, shorten
from gdregress.rows.wording import count

DELIMITERS = ";\t|,"
"""What may separate the fields. Of two that split as many records the first is taken: numbers have commas."""

SNIFFED_RECORDS = 50
"""Records by which the delimiter and the decimal sign are found."""


class Record(NamedTuple):
    """A row of a file: the line on which it begins, from 1, its fields, and where the next begins (byte and line)."""

    line: int
    fields: list[str]
    next: tuple[int, int]


@dataclass(frozen=True)
class Dialect:
    """What the user says of how a file is written; None is found out.

    Attributes
    ----------
    separator, decimal, thousands : str or None, default=None
        What separates the fields, stands before the fraction of numbers, and groups the digits before it.
    encoding : str, default="utf-8"
        The encoding.
    day_first : bool or None, default=None
        Whether days stand before months in dates where both orders fit.
    skip : int, default=0
        Lines above the heading.
    gaps : tuple of str, default=()
        Cells that stand for a missing value, beside those that do in any file.
    """

    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    encoding: str = "utf-8"
    day_first: bool | None = None
    skip: int = 0
    gaps: tuple[str, ...] = ()

    @property
    def ways(self) -> list[Numbers]:
        """The ways in which numbers may be written."""
        said = self.decimal or {",": ".", ".": ","}.get(self.thousands or "")
        groups = next((kind for kind in (SPACES, APOSTROPHES) if self.thousands and self.thousands in kind), None)
        return [
            Numbers(sign, groups or self.thousands or {".": ",", ",": "."}[sign] + APOSTROPHES + SPACES)
            for sign in said or ".,"
        ]


@dataclass(frozen=True)
class Table:
    """A CSV file as pandas reads it.

    Attributes
    ----------
    path : str
        The file.
    dialect : Dialect
        How it is written, with its separator and the decimal sign that its first rows show.
    content : bytes
        All of it, in UTF-8.
    start : (int, int)
        Where the rows begin: the place in `content`, and the line of the file.
    ways : list of Numbers
        The ways in which its numbers may be written.
    names : list of str
        Names of the columns of the file, each different.
    frame : DataFrame, default=None
        At least one row. Columns are numbers where pandas takes each cell for one, else text.
    notes : list of str
        What was found out about it.
    """

    path: str
    dialect: Dialect
    content: bytes
    start: tuple[int, int]
    ways: list[Numbers]
    names: list[str]
    frame: Any = None
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of the file."""
        return Path(self.path).name

    @property
    def separator(self) -> str:
        """What separates the fields."""
        return self.dialect.separator or ","

    @property
    def columns(self) -> list[str]:
        """Names of the columns of the frame."""
        return list(self.frame.columns)

    def read(self, **options: Any) -> Any:
        """Read the rows with pandas, with nothing but empty cells and what the user names taken for gaps."""
        pandas = import_pandas()
        stream = io.BytesIO(self.content)
        stream.seek(self.start[0])
        if int(pandas.__version__.partition(".")[0]) < 3:  # later versions read every digit without being told to
            options.setdefault("float_precision", "round_trip")
        return pandas.read_csv(
            stream,
            sep=self.separator,
            decimal=self.dialect.decimal,
            header=None,
            names=self.names,
            keep_default_na=False,
            na_values=["", *self.dialect.gaps],
            skipinitialspace=self.separator != " ",
            **options,
        )

    def texts(self, columns: Sequence[str]) -> Any:
        """Return columns of the frame as they are written."""
        return self.read(dtype=dict.fromkeys(columns, str))[list(columns)]

    def records(self) -> Iterator[Record]:
        """Yield the records that are not blank."""
        return _records(self.path, self.content, self.separator, self.start)

    def first_cells(self) -> dict[str, list[str]]:
        """Return the first cells of each column of the file that are no gaps, as they are written."""
        cells: dict[str, list[str]] = {name: [] for name in self.names}
        for record in islice(self.records(), SNIFFED_RECORDS):
            for name, text in zip(self.names, map(str.strip, record.fields), strict=False):
                if not is_gap(text) and text not in self.dialect.gaps:
                    cells[name].append(text)
        return cells

    def line_of(self, row: int) -> int:
        """Return the line of the file on which a row begins, counted from 0."""
        return next(islice(self.records(), row, None)).line

    def find(self, name: str) -> str:
        """Return the name of a column, or refuse with the nearest ones."""
        if name in self.frame.columns:
            return name
        close = nearest(name, self.columns)
        if close:
            raise TableError(f"{self.name} has no column {quote(name)}: did you mean {close}?")
        raise TableError(
            f"{self.name} has no column {quote(name)}: its columns are {few(map(shorten, self.columns))}; if these "
            "are no names, say by --skip how many lines stand above them."
        )

    def find_all(self, asked: Iterable[str]) -> list[str]:
        """Return the names of columns, of which several may stand in one text, separated by commas."""
        names = []
        for text in asked:
            names += [text] if text in self.frame.columns else [name.strip() for name in text.split(",")]
        return list(dict.fromkeys(map(self.find, names)))


def read_table(path: str, dialect: Dialect | None = None, *, texts: Iterable[str] = ()) -> Table:
    """Read a CSV file whose first line names the columns, as the dialect says, or as its first rows show.

    Blank lines are skipped, and the columns whose names are in `texts` are text.
    """
    import_pandas()
    dialect = dialect or Dialect()
    content, notes = read_text(path, dialect.encoding)
    if said := re.match(rb"sep=([,;|\t])", content):  # a line that Excel reads
        dialect = replace(dialect, separator=dialect.separator or said[1].decode(), skip=max(1, dialect.skip))
    start = (sum(map(len, content.splitlines(keepends=True)[: dialect.skip])) if dialect.skip else 0, 1 + dialect.skip)

    def first_records(separator: str) -> list[Record]:
        return list(islice(_records(path, content, separator, start), SNIFFED_RECORDS))

    def evenness(separator: str) -> int:
        sizes = [len(record.fields) for record in first_records(separator)]
        return max(Counter(n_fields for n_fields in sizes if n_fields > 1).values(), default=0)

    separator = dialect.separator or max(DELIMITERS, key=evenness)
    records = first_records(separator)
    if len(records) < 2:
        raise TableError(f"{path} has no rows below its heading: add some.")
    heading, *rows = records
    given = [" ".join(name.split()) for name in heading.fields]
    names = distinct(name or f"column {i}" for i, name in enumerate(given, start=1))
    ways = dialect.ways
    decimal = ways[0].decimal if len(ways) == 1 else _decimal_sign(rows, separator)
    dialect = replace(dialect, separator=separator, decimal=decimal)
    table = Table(path, dialect, content, heading.next, ways, names, notes=notes)
    if len(rows[0].fields) > len(names):
        raise _ragged(table, rows[0])
    if any(map(is_number, given)):
        notes.append(f"the first line, although with numbers, was taken for the names: {few(map(shorten, given))}")
    return replace(table, frame=_frame(table, dict.fromkeys(set(texts) & set(names), str)))


def _records(path: str, content: bytes, separator: str, start: tuple[int, int]) -> Iterator[Record]:
    """Yield the records that are not blank, from a place and its line on."""
    place, line = start
    stream = io.BytesIO(content)
    stream.seek(place)

    def lines() -> Iterator[str]:
        nonlocal place
        for text in io.TextIOWrapper(stream, encoding="utf-8", newline=""):
            place += len(text.encode())
            yield text

    csv.field_size_limit(2**31 - 1)  # the largest that every system takes
    reader = csv.reader(lines(), delimiter=separator, skipinitialspace=separator != " ")
    try:
        for fields in reader:
            after = start[1] + reader.line_num
            if len(fields) > 1 or "".join(fields).strip():
                yield Record(line, fields, (place, after))
            line = after
    except csv.Error as error:
        raise TableError(f"{path}, line {line}: {error}; check the quotes from there on.") from error


def _decimal_sign(records: list[Record], separator: str) -> str:
    """Return the decimal sign of the first rows: a comma where cells show it, and none shows a point."""
    if separator == ",":
        return "."
    cells = [cell.strip() for record in records for cell in record.fields]
    comma, point = (
        any(re.fullmatch(rf"[-+]?(\d+[{sign}](\d{{1,2}}|\d{{4,}})|0[{sign}]\d+)", cell, re.ASCII) for cell in cells)
        for sign in ",."
    )
    return "," if comma and not point else "."


def _frame(table: Table, kinds: dict[str, type]) -> Any:
    """Read the rows, or say which has too many or too few fields."""
    try:
        frame = table.read(dtype=kinds, low_memory=False)
    except ValueError as error:  # such as pandas' ParserError
        for record in table.records():
            if len(record.fields) > len(table.names):
                raise _ragged(table, record) from error
        raise TableError(f"{table.path} cannot be read as a table ({error}): check its quotes.") from error
    if frame.iloc[:, -1].isna().any():  # pandas fills up rows that are short
        for record in table.records():
            if len(record.fields) < len(table.names):
                raise _ragged(table, record)
    return frame


def _ragged(table: Table, record: Record) -> TableError:
    return TableError(
        f"{table.path}, line {record.line}: {count(len(record.fields), 'field')} where the heading has "
        f"{len(table.names)}: add or remove a separator, quote the field that holds one, delete the line, say by --sep "
        "what separates fields, or by --skip how many lines stand above the heading."
    )
