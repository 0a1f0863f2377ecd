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

from gdregress.command_line.cells import APOSTROPHES, SPACES, Numbers, is_number
from gdregress.command_line.files import import_pandas, read_text
from gdregress.command_line.wording import TableError, distinct, few, nearest, quote, shorten
from gdregress.rows.wording import count

DELIMITERS = ";\t|,"
"""What may separate the fields. Of two that split as many records the first is taken: numbers have commas."""

SNIFFED_RECORDS = 50
"""Records by which the delimiter, the heading and the decimal sign are found."""


class Record(NamedTuple):
    """A row of a file: the line on which it begins, from 1, its fields, and where the next begins (byte and line)."""

    line: int
    fields: list[str]
    next: tuple[int, int]


@dataclass(frozen=True)
class Dialect:
    """How the user says that a file is written.

    Attributes
    ----------
    separator : str or None, default=None
        What separates the fields; None to find it out.
    encoding : str, default="utf-8"
        The encoding.
    decimal, thousands : str or None, default=None
        What stands before the fraction of numbers, and what groups the digits before it; None to find it out.
    day_first : bool or None, default=None
        Whether days stand before months in dates where both orders fit; None to find it out.
    """

    separator: str | None = None
    encoding: str = "utf-8"
    decimal: str | None = None
    thousands: str | None = None
    day_first: bool | None = None

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
    content : bytes
        All of it, in UTF-8.
    start : (int, int)
        Where the rows begin: the place in `content`, and the line of the file.
    separator, decimal : str
        What separates the fields, and what stands before the fraction of numbers, as far as is known.
    names : list of str
        Names of the columns of the file, each different.
    ways : list of Numbers
        The ways in which its numbers may be written.
    day_first : bool or None
        Whether days stand before months in its dates; None if that is not known.
    frame : DataFrame, default=None
        At least one row. Columns are numbers where pandas takes each cell for one, else text.
    notes : list of str
        What was found out about it.
    """

    path: str
    content: bytes
    start: tuple[int, int]
    separator: str
    decimal: str
    names: list[str]
    ways: list[Numbers]
    day_first: bool | None
    frame: Any = None
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of the file."""
        return Path(self.path).name

    @property
    def columns(self) -> list[str]:
        """Names of the columns of the frame."""
        return list(self.frame.columns)

    def read(self, **options: Any) -> Any:
        """Read the rows with pandas, with nothing but empty cells taken for gaps."""
        pandas = import_pandas()
        stream = io.BytesIO(self.content)
        stream.seek(self.start[0])
        if int(pandas.__version__.partition(".")[0]) < 3:  # later versions read every digit without being told to
            options.setdefault("float_precision", "round_trip")
        return pandas.read_csv(
            stream,
            sep=self.separator,
            decimal=self.decimal,
            header=None,
            names=self.names,
            keep_default_na=False,
            na_values=[""],
            skipinitialspace=self.separator != " ",
            **options,
        )

    def texts(self, columns: Sequence[str]) -> Any:
        """Return columns of the frame as they are written."""
        texts = self.read(dtype=dict.fromkeys(columns, str))[list(columns)]
        return texts.iloc[: len(self.frame)].set_index(self.frame.index)

    def records(self, *, strict: bool = False) -> Iterator[Record]:
        """Yield the records that are not blank; `strict` refuses quotes that do not close."""
        return _records(self.path, self.content, self.separator, self.start, strict=strict)

    def first_cells(self) -> dict[str, list[str]]:
        """Return the first cells of each column of the file as they are written."""
        records = [record.fields for record in islice(self.records(), SNIFFED_RECORDS)]
        return {name: [fields[i].strip() for fields in records if i < len(fields)] for i, name in enumerate(self.names)}

    def line_of(self, row: int) -> int:
        """Return the line of the file on which a row begins, counted from 0."""
        return next(islice(self.records(), row, None)).line

    def find(self, name: str) -> str:
        """Return the name of a column, or refuse with the nearest ones."""
        if name in self.frame.columns:
            return name
        close = nearest(name, self.columns)
        remedy = f"did you mean {close}?" if close else f"its columns are {few(map(shorten, self.columns))}."
        raise TableError(f"{self.name} has no column {quote(name)}: {remedy}")

    def find_all(self, asked: Iterable[str]) -> list[str]:
        """Return the names of columns, of which several may stand in one text, separated by commas."""
        names = []
        for text in asked:
            names += [text] if text in self.frame.columns else [name.strip() for name in text.split(",")]
        return list(dict.fromkeys(map(self.find, names)))


def read_table(path: str, dialect: Dialect | None = None, *, texts: Iterable[str] = ()) -> Table:
    """Read a CSV file whose first line names the columns.

    Separated by comma, semicolon, tab or ``|``, whichever splits the first records most evenly, unless
    the dialect says. Blank lines, and lines above the heading that are no part of the table, are skipped.

    Parameters
    ----------
    path : str
        The file.
    dialect : Dialect, default=None
        What is known of it.
    texts : iterable of str
        Names of columns that are text, as far as the file has them.

    Returns
    -------
    Table

    Raises
    ------
    TableError
        If there is no such file, it is not text, it has no rows, or a row has too many or too few fields.
    """
    import_pandas()
    dialect = dialect or Dialect()
    content, notes = read_text(path, dialect.encoding)
    separator, is_said = _separator(path, content, dialect.separator)
    records = list(islice(_records(path, content, separator), SNIFFED_RECORDS))
    if len(records) <= is_said:
        raise TableError(f"{path} has no heading: add a line with the names of the columns, and rows below it.")
    n_above = _count_lines_above([record.fields for record in records], int(is_said))
    above = [f"sep={separator}"] * is_said
    above += [" ".join(filter(None, record.fields)) for record in records[is_said:n_above]]
    notes += [f"{count(len(above), 'line')} above the heading skipped: {few(map(quote, above))}"] if above else []
    heading, rows = records[n_above].fields, records[n_above + 1 :]
    if not rows:
        raise TableError(f"{path} has no rows below its heading: add some.")
    if len(rows[0].fields) == len(heading) + 1 and not rows[0].fields[-1]:
        heading = [*heading, ""]
    names = distinct(" ".join(name.split()) or f"column {i}" for i, name in enumerate(heading, start=1))
    ways = dialect.ways
    decimal = ways[0].decimal if len(ways) == 1 else _decimal_sign(rows, separator)
    table = Table(path, content, records[n_above].next, separator, decimal, names, ways, dialect.day_first)
    if len(rows[0].fields) > len(names):
        raise _ragged(table, rows[0])
    frame = _frame(table, is_open=not heading[-1], dtype=dict.fromkeys(set(texts) & set(names), str))
    if not heading[-1] and frame[names[-1]].isna().all():  # each line ends with a separator
        frame = frame.iloc[:, :-1]
        heading = heading[:-1]
    return replace(table, frame=frame, notes=notes + _describe_names(heading, names))


def _records(
    path: str, content: bytes, separator: str, start: tuple[int, int] = (0, 1), *, strict: bool = False
) -> Iterator[Record]:
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
    reader = csv.reader(lines(), delimiter=separator, skipinitialspace=separator != " ", strict=strict)
    try:
        for fields in reader:
            after = start[1] + reader.line_num
            if len(fields) > 1 or "".join(fields).strip():
                yield Record(line, fields, (place, after))
            line = after
    except csv.Error as error:
        raise TableError(f"{path}, line {line}: {error}; check the quotes from there on.") from error


def _separator(path: str, content: bytes, given: str | None) -> tuple[str, bool]:
    """Return what separates the fields, and whether the first line is there but to say so."""
    said = re.match(rb'"?sep=([\t !#-/:-@|^_~])"?[ ;,\t]*\r?\n', content)
    if said is not None:
        return given or said[1].decode(), True

    def evenness(delimiter: str) -> int:
        sizes = [len(record.fields) for record in islice(_records(path, content, delimiter), SNIFFED_RECORDS)]
        return max(Counter(n_fields for n_fields in sizes if n_fields > 1).values(), default=0)

    return given or max(DELIMITERS, key=evenness), False


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


def _count_lines_above(records: list[list[str]], n_known: int) -> int:
    """Return how many records stand above the heading: titles and comments, `n_known` at least."""
    counts = [len(fields) for fields in records]
    usual = Counter(counts[n_known:]).most_common(1)[0][0]
    n_titles = n_known
    while n_titles < len(records) - 1 and _is_title(records[n_titles], records[n_titles + 1], usual):
        n_titles += 1
    below = records[n_titles + 1 :]
    ends_with_separators = bool(below) and all(
        len(fields) == usual and not fields[-1] for fields in records[n_known + 1 :]
    )
    has_names = not any(map(is_number, records[n_titles])) and counts[n_titles] >= usual - 1
    return n_titles if below and has_names and not ends_with_separators else n_known


def _is_title(fields: list[str], after: list[str], usual: int) -> bool:
    """Say whether a record has fewer fields than is usual, or but one that is filled, or is a comment."""
    is_comment = fields[0].startswith("#") and (len(fields) != usual or not any(map(is_number, after)))
    return is_comment or len(fields) < usual or (usual > 2 and sum(map(bool, fields)) <= 1)


def _frame(table: Table, *, is_open: bool, **options: Any) -> Any:
    """Read the rows, or say which has too many or too few fields; the last may be lacking where rows are open."""
    n_columns = len(table.names)
    try:
        frame = table.read(**options)
    except ValueError as error:  # such as pandas' ParserError
        for record in table.records(strict=True):
            if len(record.fields) > n_columns:
                raise _ragged(table, record) from error
        raise TableError(f"{table.path} cannot be read as a table: {error}") from error
    # pandas fills up rows that are short: their last cell is empty.
    if frame.iloc[:, -1].isna().any():
        unquoted = re.sub(rb'"[^"]*"', b"", table.content[table.start[0] :])
        if unquoted.count(table.separator.encode()) != (n_columns - 1) * len(frame):
            for record in table.records():
                if len(record.fields) < n_columns - is_open:
                    raise _ragged(table, record)
    return frame


def _ragged(table: Table, record: Record) -> TableError:
    return TableError(
        f"{table.path}, line {record.line}: {count(len(record.fields), 'field')} where the heading has "
        f"{len(table.names)}: add or remove a separator, quote the field that holds one, delete the line, "
        "or say by --sep what separates fields."
    )


def _describe_names(heading: list[str], names: list[str]) -> list[str]:
    """Say where a name is not the heading's, or is hardly one."""
    given = [" ".join(name.split()) for name in heading]
    pairs = [(old, new) for old, new in zip(given, names, strict=False) if old != new]
    twice = [f"another {shorten(old)} is called {shorten(new)}" for old, new in pairs if old]
    without = [f"a column without a name is called {new}" for old, new in pairs if not old]
    notes = [few(twice, "; "), few(without, "; ")]
    if any(map(is_number, given)):
        of = "of" if all(map(is_number, given)) else "with"
        notes.append(f"the first line, although {of} numbers, was taken for the names: {few(map(shorten, given))}")
    return list(filter(None, notes))
