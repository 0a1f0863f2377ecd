"""A CSV file read by pandas: what must be known first is found out, and what is amiss is said in a sentence."""

import codecs
import csv
import difflib
import io
import math
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from gdregress.command_line.cells import Numbers

DELIMITERS = ";\t|,"
"""What may separate the fields. Of two that split as many records the first is taken: numbers have commas."""

SNIFFED_RECORDS = 50
"""Records by which the delimiter and the heading are found."""

SHOWN = 5
"""Items of a list that are shown at most."""

PIECE = 2**22
"""Bytes that are read at a time."""


class TableError(ValueError):
    """A file that cannot be learnt from; the message is one sentence for its owner."""


class Record(NamedTuple):
    """A row of a file.

    Attributes
    ----------
    line : int
        The line of the file on which it begins, from 1.
    fields : list of str
        A field for each column.
    """

    line: int
    fields: list[str]


@dataclass(frozen=True)
class Dialect:
    """How the user says that a file is written.

    Attributes
    ----------
    separator : str or None, default=None
        What separates the fields; None to find it out.
    encoding : str, default="utf-8"
        The encoding.
    """

    separator: str | None = None
    encoding: str = "utf-8"


@dataclass(frozen=True)
class Source:
    """The rows of a file below its heading.

    Attributes
    ----------
    path : str
        The file.
    content : bytes
        All of it, in UTF-8.
    separator : str
        What separates the fields.
    start, line : int
        Where the rows begin: the place in `content`, and the line of the file.
    columns : list of str
        Names of the columns, each different.
    """

    path: str
    content: bytes
    separator: str
    start: int
    line: int
    columns: list[str]

    def read(self, **options: Any) -> Any:
        """Read the rows with pandas, with nothing but empty cells taken for gaps."""
        pandas = import_pandas()
        stream = io.BytesIO(self.content)
        stream.seek(self.start)
        if int(pandas.__version__.partition(".")[0]) < 3:  # later versions read every digit without being told to
            options.setdefault("float_precision", "round_trip")
        return pandas.read_csv(
            stream,
            sep=self.separator,
            header=None,
            names=self.columns,
            keep_default_na=False,
            na_values=[""],
            skipinitialspace=self.separator != " ",
            low_memory=False,
            **options,
        )

    def texts(self, columns: Sequence[str]) -> Any:
        """Return columns as they are written."""
        return self.read(dtype=dict.fromkeys(columns, str))[list(columns)]

    def records(self, *, strict: bool = False) -> Iterator[Record]:
        """Yield the records that are not blank; `strict` refuses quotes that do not close."""
        stream = io.BytesIO(self.content)
        stream.seek(self.start)
        return _records(self.path, _Lines(stream), self.separator, self.line - 1, strict=strict)

    def line_of(self, row: int) -> int:
        """Return the line of the file on which a row begins, counted from 0."""
        return next(islice(self.records(), row, None)).line


@dataclass(frozen=True)
class Table:
    """A CSV file as pandas reads it.

    Attributes
    ----------
    name : str
        Name of the file.
    frame : DataFrame
        At least one row. Columns are numbers where pandas takes each cell for one, else text.
    source : Source
        The file.
    notes : list of str
        What was found out about it.
    """

    name: str
    frame: Any
    source: Source
    notes: list[str] = field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        """Names of the columns, each different."""
        return list(self.frame.columns)

    def of(self, columns: list[str]) -> "Table":
        """Return the table with some of its columns."""
        return replace(self, frame=self.frame[columns])

    def find(self, name: str) -> str:
        """Return the name of a column, or refuse with the nearest ones."""
        if name in self.frame.columns:
            return name
        folded = {column.casefold(): column for column in reversed(self.columns)}
        close = [folded[near] for near in difflib.get_close_matches(name.casefold(), folded, n=3)]
        remedy = f"its columns are {few(map(shorten, self.columns))}."
        if close:
            *others, last = map(quote, close)
            remedy = f"did you mean {' or '.join(filter(None, [', '.join(others), last]))}?"
        raise TableError(f"{self.name} has no column {quote(name)}: {remedy}")


def import_pandas() -> Any:
    """Import pandas, or say how to install it."""
    try:
        import pandas
    except ImportError as error:
        raise TableError(
            'reading a file takes pandas, which is not installed: python -m pip install "gdregress[cli]".'
        ) from error
    return pandas


def read_table(path: str, dialect: Dialect | None = None, *, decimal: str = ".", as_text: bool = False) -> Table:
    """Read a CSV file whose first line names the columns.

    Separated by comma, semicolon, tab or ``|``, whichever splits the first records most evenly, unless
    the dialect says. Blank lines, and lines above the heading that are no part of the table, are skipped.

    Parameters
    ----------
    path : str
        The file.
    dialect : Dialect, default=None
        What is known of it.
    decimal : str, default="."
        What stands before the fraction of numbers.
    as_text : bool, default=False
        Whether all columns are to be text.

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
    content = _read(path, dialect.encoding)
    separator, is_said = _separator(path, content, dialect.separator)
    heading, start, line, above = _heading(path, content, separator, int(is_said))
    notes = [f"{count(len(above), 'line')} above the heading skipped: {few(map(quote, above))}"] if above else []
    source = Source(path, content, separator, start, line, [])
    first = next(source.records(), None)
    if first is None:
        raise TableError(f"{path} has no rows below its heading: add some to learn from.")
    if len(first.fields) == len(heading) + 1 and not first.fields[-1]:
        heading = [*heading, ""]
    names = _names(heading)
    source.columns.extend(names)
    frame = _frame(source, first, is_open=not heading[-1], **({"dtype": str} if as_text else {"decimal": decimal}))
    if not heading[-1] and frame[names[-1]].isna().all():  # each line ends with a separator
        frame = frame.iloc[:, :-1]
        heading.pop()
    return Table(Path(path).name, frame, source, notes + _describe_names(heading, names))


def _read(path: str, encoding: str) -> bytes:
    """Return the content of a file in UTF-8, without a byte order mark."""
    remedy = "give the path of a CSV file."
    try:
        content = b"".join(_pieces(path, encoding))
    except OSError as error:
        raise TableError(f"{path} cannot be read ({error.strerror or error}): {remedy}") from error
    except ValueError as error:  # a null byte in the path
        if isinstance(error, UnicodeError | TableError):
            raise
        raise TableError(f"{quote(path)} is no path ({error}): {remedy}") from error
    content = content.removeprefix(codecs.BOM_UTF8)
    if not content or content.isspace():
        raise TableError(f"{path} is empty: {remedy}")
    return content


def _pieces(path: str, encoding: str) -> Iterator[bytes]:
    """Yield the content of a file in UTF-8; refuse what is no text as soon as it shows."""
    decoder = codecs.getincrementaldecoder(encoding)()
    with open(path, "rb") as file:
        if stat.S_ISDIR(os.fstat(file.fileno()).st_mode):
            raise IsADirectoryError("it is a directory")
        line = 1
        while True:
            piece = file.read(PIECE)
            try:
                text = decoder.decode(piece, final=not piece)
            except UnicodeError as error:
                raise TableError(_wrong_encoding(path, encoding, error, line)) from error
            if "\0" in text:
                raise TableError(f"{path} is not text (it holds a zero byte): give the path of a CSV file.")
            line += text.count("\n")
            yield text.encode(errors="surrogatepass")
            if not piece:
                return


def _wrong_encoding(path: str, encoding: str, error: UnicodeError, line: int) -> str:
    """Return the sentence on bytes that are no text in an encoding."""
    name = "UTF-8" if encoding == "utf-8" else encoding
    if not isinstance(error, UnicodeDecodeError):
        return f"{path} is not {name} text ({error}): name its encoding with --encoding."
    byte, line = error.object[error.start], line + error.object.count(b"\n", 0, error.start)
    likely = "utf-16" if error.object[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "cp1252"
    likely = f"such as --encoding {likely}" if likely != encoding else "with --encoding"
    return f"{path} is not {name} text (byte 0x{byte:02x} on line {line}): name its encoding, {likely}."


class _Lines:
    """The lines of a stream, with how many there were so far, and how many bytes they took."""

    def __init__(self, stream: io.BytesIO):
        self.stream = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        self.n_lines = 0
        self.n_bytes = 0

    def __iter__(self) -> Iterator[str]:
        for line in self.stream:
            self.n_lines += 1
            self.n_bytes += len(line.encode())
            yield line


def _records(path: str, lines: _Lines, separator: str, before: int = 0, *, strict: bool = False) -> Iterator[Record]:
    """Yield the records that are not blank, of lines that stand below others."""
    csv.field_size_limit(2**31 - 1)  # the largest that every system takes
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=separator != " ", strict=strict)
    line = before + 1
    try:
        for fields in reader:
            if len(fields) > 1 or "".join(fields).strip():
                yield Record(line, fields)
            line = before + reader.line_num + 1
    except csv.Error as error:
        raise TableError(f"{path}, line {line}: {error}; check the quotes from there on.") from error


def _separator(path: str, content: bytes, given: str | None) -> tuple[str, bool]:
    """Return what separates the fields, and whether the first line is there but to say so."""
    said = re.match(rb'"?sep=([\t !#-/:-@|^_~])"?[ ;,\t]*\r?\n', content)
    if given is not None:
        return given, said is not None
    if said is not None:
        return said[1].decode(), True

    def evenness(delimiter: str) -> int:
        records = islice(_records(path, _Lines(io.BytesIO(content)), delimiter), SNIFFED_RECORDS)
        counts = Counter(n_fields for _, fields in records if (n_fields := len(fields)) > 1)
        return max(counts.values(), default=0)

    return max(DELIMITERS, key=evenness), False


def _heading(path: str, content: bytes, separator: str, n_known: int) -> tuple[list[str], int, int, list[str]]:
    """Return the names, where the rows below them begin (place and line), and what the lines above them say."""
    lines = _Lines(io.BytesIO(content))
    records, ends = [], []
    for record in islice(_records(path, lines, separator), SNIFFED_RECORDS):
        records.append(record.fields)
        ends.append((lines.n_bytes, lines.n_lines + 1))
    if len(records) <= n_known:
        raise TableError(f"{path} has no heading: add a line with the names of the columns, and rows below it.")
    n_above = _count_lines_above(records, n_known)
    above = [f"sep={separator}"] * n_known + [" ".join(filter(None, fields)) for fields in records[n_known:n_above]]
    return records[n_above], *ends[n_above], above


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


def _frame(source: Source, first: Record, *, is_open: bool, **options: Any) -> Any:
    """Read the rows, or say which has too many or too few fields; the last may be lacking where rows are open."""
    n_columns = len(source.columns)
    if len(first.fields) > n_columns:
        raise _ragged(source, first)
    try:
        frame = source.read(**options)
    except ValueError as error:  # such as pandas' ParserError
        for record in source.records(strict=True):
            if len(record.fields) > n_columns:
                raise _ragged(source, record) from error
        raise TableError(f"{source.path} cannot be read as a table: {error}") from error
    # pandas fills up rows that are short: their last cell is empty.
    if frame.iloc[:, -1].isna().any() and not _is_even(source, len(frame)):
        for record in source.records():
            if len(record.fields) < n_columns - is_open:
                raise _ragged(source, record)
    return frame


def _is_even(source: Source, n_rows: int) -> bool:
    """Say whether the number of separators alone shows that no row is short."""
    n_separators = source.content.count(source.separator.encode(), source.start)
    return source.content.find(b'"', source.start) < 0 and n_separators == (len(source.columns) - 1) * n_rows


def _ragged(source: Source, record: Record) -> TableError:
    return TableError(
        f"{source.path}, line {record.line}: {count(len(record.fields), 'field')} where the heading has "
        f"{len(source.columns)}: add or remove a separator, or quote the field that holds one."
    )


def _names(heading: list[str]) -> list[str]:
    """Give every column a name of its own."""
    return distinct(" ".join(name.split()) or f"column {i}" for i, name in enumerate(heading, start=1))


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


def is_number(text: str) -> bool:
    """Say whether a text is a number, whichever way numbers are written."""
    return any(not math.isnan(Numbers(decimal, thousands).value(text.strip())) for decimal, thousands in (".,", ",."))


def distinct(names: Iterable[str]) -> list[str]:
    """Tell apart what is named alike: a, a (2)."""
    seen: dict[str, None] = {}
    taken: Counter[str] = Counter()
    for name in names:
        distinct, taken[name] = name, max(1, taken[name])
        while distinct in seen:
            taken[name] += 1
            distinct = f"{name} ({taken[name]})"
        seen[distinct] = None
    return list(seen)


def count(number: int, noun: str) -> str:
    """Write a number of things: 1 row, 2 rows."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def few(items: Iterable[str], separator: str = ", ", n_items: int | None = None) -> str:
    """Write the first items of a list, and how many more there are of `n_items`, or of all that are given."""
    listed = list(items)
    n_more = (len(listed) if n_items is None else n_items) - SHOWN
    more = [f"and {n_more} more"] if n_more > 0 else []
    return separator.join(listed[:SHOWN] + more)


def shorten(text: str, longest: int = 40) -> str:
    """Return the beginning of a text."""
    return text if len(text) <= longest else text[:longest] + "..."


def quote(text: str) -> str:
    """Quote the beginning of a text on one line."""
    return repr(shorten(text))
