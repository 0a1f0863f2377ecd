"""What the cells of each column are, decided by all of them, and said in a line for each kind of decision."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import numpy as np

from gdregress.command_line.columns import Written
from gdregress.command_line.csv_tables import Table
from gdregress.command_line.readings import (
    COMPACT,
    Categories,
    Dates,
    Numbers,
    as_dates,
    is_number,
    order_of,
    unit_of,
)
from gdregress.command_line.wording import SHOWN, TableError, few, quote, shorten

MOSTLY = 0.5
"""Share of numbers or dates among the cells of a column from which on it is said why it is text all the same."""

FIRST = 20
"""Texts of a column that are tried first."""

CODE = re.compile(r"0\d+")
"""A postcode or another code: as a number it would lose its first zero."""

SUMMARY = re.compile(
    r"((grand |sub)?totals?|sums?|averages?|means?|gesamt(summe)?|summe|insgesamt|mittelwert|totale|somme|moyenne"
    r"|suma|soma|totaal)\b.*",
    re.IGNORECASE,
)
"""What a cell may say whose row is the sum or the mean of others."""

POINTS = set(".,")
"""Signs that may stand before a fraction, or group digits."""


@dataclass(frozen=True)
class Signs:
    """How the numbers of a table may be written.

    Attributes
    ----------
    frame : DataFrame
        The rows; columns that pandas may have misread are text.
    cells : dict of str to Written
        The cells of each column of text.
    ways : dict of str to list of Numbers
        The ways to write numbers in which all cells of a column are some.
    sure : dict of str to str
        The decimal sign of each column of numbers whose cells allow but one.
    doubtful : frozenset of str
        Columns of numbers whose signs may be decimal or of thousands.
    """

    frame: Any
    cells: dict[str, Written]
    ways: dict[str, list[Numbers]]
    sure: dict[str, str]
    doubtful: frozenset[str]

    @classmethod
    def of(cls, table: Table, numeric: Collection[str], units: Mapping[str, str]) -> "Signs":
        """Look at the columns of a table: those that are to be numbers are no codes, and some have known units."""
        misread = _misread(table)
        frame = table.frame.assign(**table.texts(misread)) if misread else table.frame
        ways, sure, cells = dict.fromkeys(frame, table.ways), {}, {}
        for name, kind in zip(frame.columns, frame.dtypes, strict=True):
            if kind.kind == "f":
                sure[name] = str(table.dialect.decimal)
            elif kind.kind not in "iu":
                column = cells[name] = Written.of(frame[name])
                unit = units.get(name, unit_of(column.present))
                unit = "" if name in numeric and name not in units and unit != "%" else unit  # 3k may be 3000
                is_code = name not in numeric and _are_codes(column.present)
                some = [] if is_code else [replace(way, unit=unit) for way in table.ways]
                ways[name] = [way for way in some if _fits(way, column.present)]
        signed = [name for name, column in cells.items() if ways[name] and column.characters & POINTS]
        sure |= {name: ways[name][0].decimal for name in signed if len(ways[name]) == 1}
        return cls(frame, cells, ways, sure, frozenset(signed) - sure.keys())


def decide(table: Table, target: str) -> tuple[Signs, dict[str, Any]]:
    """Decide how the cells of each column are read; each of the target must be a number."""
    signs = Signs.of(table, {target}, {})
    return signs, decide_numbers(table, signs, {}) | _find_dates(table, signs, target)


def decide_numbers(table: Table, signs: Signs, known: Mapping[str, Numbers]) -> dict[str, Any]:
    """Decide how the numbers of each column are read, which may be known from the file that was learnt from.

    A column that leaves its decimal sign open has that which it was learnt with, unless all that show theirs have
    changed it. Where nothing is known the others decide, and at last semicolons between the fields, for commas. Where
    no column shows it, and what separates the fields speaks for another sign, it is asked for.
    """
    likely, shown = "," if table.separator == ";" else ".", set(signs.sure.values())
    is_agreed = len(shown) == 1 and all(way.decimal != signs.sure.get(name) for name, way in known.items())
    readings: dict[str, Any] = {}
    for name, ways in signs.ways.items():
        column = signs.cells.get(name)
        has_dots = name in signs.doubtful and column is not None and "." in column.characters
        default = known[name].decimal if known else "." if has_dots else likely
        is_asked = name in signs.doubtful and default != likely and not is_agreed and not (known and shown)
        if is_asked and column is not None:
            text = next(text for text in column.present if POINTS & set(text))
            raise TableError(
                f"{table.name} has {quote(text)}, whose sign may be decimal or of thousands: say which by --decimal."
            )
        sign = signs.sure.get(name, *shown if is_agreed else [default])
        if known and column is not None and not ways:  # cells of other kinds are gaps
            ways = [replace(way, unit=known[name].unit) for way in table.ways]
            strays = {way.decimal: np.isnan(way.values(column.present)).sum() for way in ways}
            sign = min(strays, key=lambda sign: (strays[sign], sign != default))
        readings[name] = next((way for way in ways if way.decimal == sign), ways[0]) if ways else Categories()
        if known:
            readings[name] = replace(readings[name], unit=known[name].unit)
    return readings


def _misread(table: Table) -> list[str]:
    """Return the columns that are not what pandas takes them for.

    They are truth values, infinity, codes, numbers beside other things, and numbers whose points may be of thousands.
    """
    from pandas.api.types import infer_dtype

    misread, frame = [], table.frame
    kinds = {name: kind.kind for name, kind in zip(frame.columns, frame.dtypes, strict=True)}
    first = table.first_cells() if "f" in kinds.values() and len(table.ways) > 1 else {}
    has_commas = re.search(r"\d,\d", "\n".join(cell for cells in first.values() for cell in cells)) is not None
    for name, kind in kinds.items():
        if kind == "f":
            present = first.get(name, [])
            is_open = first and (table.separator == ";" or has_commas or all(text[-4:] == ".000" for text in present))
            other = [way for way in table.ways if way.decimal != table.dialect.decimal]
            is_misread = np.isinf(frame[name]).any() or (is_open and not np.isnan(other[0].values(present)).any())
        else:
            is_text = kind != "O" or infer_dtype(frame[name], skipna=True) in ("string", "empty")
            is_misread = kind == "b" or not is_text
        misread += [name] if is_misread else []
    return [*misread, *_codes(table, [name for name, kind in kinds.items() if kind in "iuf" and name not in misread])]


def _codes(table: Table, names: list[str]) -> list[str]:
    """Return the columns of numbers of which a cell begins with 0 and has no fraction: 02134."""
    around = rb'[\s"' + re.escape(table.separator).encode() + rb"]"
    code = re.compile(rb"0(?<=%b0)\d+(?=%b|\Z)" % (around, around))
    if not names or not code.search(table.content, table.start[0] - 1):
        return []
    texts = table.texts(names)
    return [name for name in names if texts[name].str.strip().str.fullmatch(CODE, na=False).any()]


def _fits(way: Numbers, texts: list[str]) -> bool:
    """Return whether all texts are numbers that are written in some way."""
    return not any(np.isnan(way.values(some)).any() for some in (texts[:FIRST], texts))


def _are_codes(texts: list[str]) -> bool:
    """Return whether a text begins with 0, and all that are numbers are of digits alone: 02134."""
    return any(map(CODE.fullmatch, texts)) and all(text.isdecimal() for text in texts if is_number(text))


def _find_dates(table: Table, signs: Signs, target: str) -> dict[str, Dates]:
    """Return the columns that are dates: text, and whole numbers such as 20240131.

    The order of day and month in a column that leaves it open is that of the other columns, if they agree.
    """
    cells: dict[str, Written] = {}
    for name, series in signs.frame.drop(columns=target).items():
        if name in signs.cells:
            if not signs.ways[name] or all(map(COMPACT.fullmatch, signs.cells[name].present)):
                cells[name] = signs.cells[name]
        elif series.min() >= 18e6 and series.max() < 21e6:
            cells[name] = Written.of(series)

    def read(names: Collection[str], day_first: bool | None) -> dict[str, Dates]:
        dates = {name: as_dates(cells[name].present, day_first=day_first) for name in names}
        return {name: one for name, one in dates.items() if one is not None}

    dates = read(cells, table.dialect.day_first)
    orders = {order_of(one.format) for one in dates.values() if not one.is_open} - {""}
    if len(orders) == 1:
        dates |= read([name for name, one in dates.items() if one.is_open], "%d" in orders)
    return dates


def describe(table: Table, signs: Signs, readings: Mapping[str, Any]) -> list[str]:
    """Say how numbers and dates are written, why columns are text that hold some, and what may sum up other rows."""
    dates, codes, strays, sums = [], [], [], []
    for name, reading in readings.items():
        called = shorten(name)
        if reading.kind == "date":
            doubt = f"; --day-first reads {reading.swapped().written}, which fits as well" if reading.is_open else ""
            dates.append(f"{called} ({reading.written}, since {reading.first.removesuffix('T00:00:00')}{doubt})")
        elif reading.kind == "text":
            column = signs.cells[name]
            texts = column.present
            if _are_codes(texts):
                codes.append(f"{called} ({quote(next(filter(CODE.fullmatch, texts)))})")
            elif stray := _stray(column, table.ways):
                strays.append((called, column, stray))
            summing = [quote(text) for text in texts if SUMMARY.fullmatch(text)]
            sums += [f"{called} ({few(summing)})"] if summing else []
    shown = [f"{name} ({quote(text)} on line {table.line_of(c.row_of(text))})" for name, c, text in strays[:SHOWN]]
    remarks = {
        "cells read as numbers: {}": _describe_numbers(table, signs, readings),
        "dates made days since the first: {}": dates,
        "text, as numbers would lose the zeros that they begin with: {}": codes,
        "text, not numbers or dates, because of some cells: {}; write all in one way, or name gaps by --gaps": shown
        + [""] * (len(strays) - len(shown)),
        "rows that may sum up others are learnt from: {}; delete them if they do": sums,
    }
    return [words.format(few(items)) for words, items in remarks.items() if items]


def _describe_numbers(table: Table, signs: Signs, readings: Mapping[str, Any]) -> list[str]:
    """Say which numbers Python would read otherwise, or may be others: '1,050' as 1050."""
    items = []
    first = table.first_cells() if table.dialect.decimal == "," else {}
    for name, reading in readings.items():
        if reading.kind == "number":
            texts = signs.cells[name].present if name in signs.cells else first.get(name, [])
            values = reading.values(texts)
            is_doubtful = name in signs.doubtful
            is_odd = [_plain(text) != value for text, value in zip(texts, values.tolist(), strict=True)]
            if is_doubtful and not any(is_odd) and (not signs.sure or not (values % 1).any()):
                is_odd = [not POINTS.isdisjoint(text) for text in texts]
            if any(is_odd):
                text, value = next(compress(zip(texts, values, strict=True), is_odd))
                otherwise = "." if reading.decimal == "," else ","
                doubt = f"; --decimal {otherwise} reads it otherwise" if is_doubtful else ""
                items.append(f"{shorten(name)} ({quote(text)} as {value:g}{doubt})")
    return items


def _plain(text: str) -> float:
    """Return the number that Python reads, NaN for none."""
    try:
        return float(text)
    except ValueError:
        return np.nan


def _stray(column: Written, ways: list[Numbers]) -> str:
    """Return the first cell for which a column is text of which most cells are numbers or dates; or nothing."""
    texts, counts = column.present, column.counts[~column.is_gap]
    readings: list[Any] = [replace(way, unit=unit) for way in ways for unit in {"", unit_of(texts)}] if texts else []
    readings += filter(None, [as_dates(texts[:1])])
    if not any(map(str.isdecimal, column.characters)):
        return ""
    is_stray = min((np.isnan(reading.values(texts)) for reading in readings), key=lambda strays: counts[strays].sum())
    return next(compress(texts, is_stray), "") if counts[~is_stray].sum() >= MOSTLY * counts.sum() else ""
