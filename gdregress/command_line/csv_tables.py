"""A CSV file read: its delimiter found, its columns named, what is amiss with it said in a sentence."""

import csv
import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

DELIMITERS = ",;\t|"
"""What may separate the fields; the first is taken where none does."""

SNIFFED_RECORDS = 50
"""Records by which the delimiter is chosen."""

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
"""What stands for a missing value, in any case."""


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
class Table:
    """A CSV file as it is.

    Attributes
    ----------
    name : str
        Name of the file.
    columns : list of str
        Names of the columns, each different.
    records : list of Record
        At least one.
    notes : list of str
        What was done to the names.
    """

    name: str
    columns: list[str]
    records: list[Record]
    notes: list[str]


def read_table(path: str) -> Table:
    """Read a CSV file whose first line names the columns.

    UTF-8, with or without a byte order mark; separated by comma, semicolon, tab or ``|``, whichever
    splits the first records most evenly. Blank lines are skipped.

    Parameters
    ----------
    path : str
        The file.

    Returns
    -------
    Table

    Raises
    ------
    TableError
        If there is no such file, it is not text, it has no rows or but one column, or a row has too many
        or too few fields.
    """
    text = _read_text(path)
    heading, *records = _records(path, text, _sniff(path, text), strict=True)
    if not records:
        raise TableError(f"{path} has no rows below its heading: add some to learn from.")
    for line, fields in records:
        if len(fields) != len(heading.fields):
            raise TableError(
                f"{path}, line {line}: {count(len(fields), 'field')} where the heading has {len(heading.fields)}: "
                "add or remove a separator, or quote the field that holds one."
            )
    columns, notes = _name_columns(heading.fields)
    if len(columns) == 1:
        raise TableError(
            f"{path} has but one column, {columns[0]}: it takes another to learn from, "
            "separated by a comma, semicolon, tab or |."
        )
    return Table(Path(path).name, columns, records, notes)


def _read_text(path: str) -> str:
    remedy = "give the path of a CSV file in UTF-8."
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise TableError(f"{path} cannot be read ({error.strerror}): {remedy}") from error
    except UnicodeDecodeError as error:
        byte, line = error.object[error.start], error.object.count(b"\n", 0, error.start) + 1
        raise TableError(f"{path} is not UTF-8 text (byte 0x{byte:02x} on line {line}): {remedy}") from error
    if "\0" in text:
        raise TableError(f"{path} is not text (it holds a zero byte): {remedy}")
    if not text.strip():
        raise TableError(f"{path} is empty: {remedy}")
    return text


def _records(path: str, text: str, delimiter: str, *, strict: bool) -> Iterator[Record]:
    """Yield the records that are not blank; `strict` refuses quotes that do not close."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=strict)
    line = 1
    try:
        for fields in reader:
            if len(fields) > 1 or "".join(fields).strip():
                yield Record(line, fields)
            line = reader.line_num + 1
    except csv.Error as error:
        raise TableError(f"{path}, line {line}: {error}; check the quotes from there on.") from error


def _sniff(path: str, text: str) -> str:
    """Choose the delimiter that splits most of the first records as it splits the heading."""

    def evenness(delimiter: str) -> tuple[bool, int, int]:
        counts = [
            len(record.fields) for record in islice(_records(path, text, delimiter, strict=False), SNIFFED_RECORDS)
        ]
        return counts[0] > 1, counts.count(counts[0]), counts[0]

    return max(DELIMITERS, key=evenness)


def _name_columns(heading: list[str]) -> tuple[list[str], list[str]]:
    """Give every column a name of its own, and say where that is not the heading's."""
    given = [" ".join(name.split()) for name in heading]
    names = distinct([name or f"column {i}" for i, name in enumerate(given, start=1)])
    notes = [
        f"a second {old} is called {new}" if old else f"a column without a name is called {new}"
        for old, new in zip(given, names, strict=True)
        if old != new
    ]
    if all(parse_number(name) is not None for name in given):
        notes.append(f"the first line, although of numbers, was taken for the names: {', '.join(given)}")
    return names, notes


def distinct(names: Iterable[str]) -> list[str]:
    """Tell apart what is named alike: a, a (2)."""
    seen: dict[str, None] = {}
    for name in names:
        distinct, number = name, 1
        while distinct in seen:
            number += 1
            distinct = f"{name} ({number})"
        seen[distinct] = None
    return list(seen)


def is_missing(field: str) -> bool:
    """Say whether a field stands for a missing value."""
    return field.strip().casefold() in MISSING


def parse_number(field: str) -> float | None:
    """Give the finite number that a field writes, or None; Python's 1_000 is a name, not a number."""
    try:
        value = float(field)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in field else None


def count(number: int, noun: str) -> str:
    """Write a number of things: 1 row, 2 rows."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def quote(field: str, longest: int = 40) -> str:
    """Quote the beginning of a field on one line."""
    return repr(field if len(field) <= longest else field[:longest] + "...")
