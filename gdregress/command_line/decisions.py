"""What the cells of each column are, decided by all of them, and said in a line for each kind of decision."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.command_line.cells import (
    APOSTROPHES,
    COMPACT,
    CURRENCIES,
    DATE_LIKE,
    FEWEST_DAYS,
    MEASURE,
    MINUS,
    PARENTHESES,
    SPACES,
    SUMMARY,
    SWAPPED,
    TOTAL,
    Categories,
    Dates,
    Numbers,
    Reading,
    all_are,
    as_dates,
    is_gap,
    is_mark,
)
from gdregress.command_line.columns import Written, is_text
from gdregress.command_line.csv_tables import SHOWN, Table, TableError, count, few, quote, shorten

MOSTLY = 0.5
"""Share of numbers among the cells of a column above which it is said why it is text all the same."""

ODD_TEXTS, ODD_SHARE = 3, 0.05
"""Different texts among the numbers of a column, and their share of its cells, up to which they are gaps."""

FIRST = 20
"""Texts of a column that are tried first."""

PARTS = [
    ("decimal commas read", ",", ",", "--thousands ,"),
    ("commas taken as thousands", ",", ".", "--decimal ,"),
    ("dots taken as thousands", ".", ",", "--decimal ."),
    ("spaces taken as thousands", SPACES, ".,", ""),
    ("apostrophes taken as thousands", APOSTROPHES, ".,", ""),
    ("U+2212 taken as minus", MINUS, ".,", ""),
    ("parentheses taken as minus", PARENTHESES, ".,", ""),
    ("currency signs ignored", CURRENCIES, ".,", ""),
    ("percent signs ignored", "%", ".,", ""),
]
"""Parts of a number that Python would not read: what is said of them, the signs, with which decimal signs, and the
option that decides otherwise."""


@dataclass(frozen=True)
class Signs:
    """How the numbers of a table are written.

    Attributes
    ----------
    frame : DataFrame
        The rows; columns that may be other numbers than pandas has read are text.
    written : dict of str to Written
        The cells of each column of text.
    fitting : dict of str to list of Numbers
        The ways in which all their cells are numbers.
    sure : set of str
        Decimal signs that cells show.
    doubtful : list of str
        Columns whose cells have a sign that may be decimal or of thousands.
    """

    frame: Any
    written: dict[str, Written]
    fitting: dict[str, list[Numbers]]
    sure: set[str]
    doubtful: list[str]

    @classmethod
    def of(cls, table: Table, strict: str | None = None) -> "Signs":
        """Look at the columns of a table. In the strict one each cell must be a number."""
        ways, frame, written, fitting, sure = table.ways, table.frame, {}, {}, set()
        kinds = dict(zip(frame.columns, frame.dtypes, strict=True))
        for name in [name for name, kind in kinds.items() if is_text(kind)]:
            written[name], fitting[name] = _fit(Written.of(frame[name]), ways, is_strict=name == strict)
        has_commas = any("," in written[name].characters for name in written if fitting[name])
        if len(ways) > 1 and (table.separator == ";" or table.decimal == "," or has_commas):
            # What pandas took for decimals may be thousands: 1.050 is either.
            other = next(way for way in ways if way.decimal != table.decimal)
            floats = [name for name, kind in kinds.items() if kind.kind == "f" and frame[name].notna().any()]
            first = table.first_cells() if floats else {}
            either = [
                name
                for name in floats
                if not np.isnan(other.values([text for text in first[name] if not is_gap(text)])).any()
            ]
            sure |= {table.decimal for name in floats if name not in either}
            texts = table.texts(either) if either else {}
            frame = frame.assign(**texts)
            for name in either:
                written[name], fitting[name] = _fit(Written.of(texts[name]), ways, is_strict=name == strict)
        signed = [name for name in written if fitting[name] and set(".,") & written[name].characters]
        sure |= {fitting[name][0].decimal for name in signed if len(fitting[name]) == 1}
        return cls(frame, written, fitting, sure, [name for name in signed if len(fitting[name]) > 1])

    def question(self, name: str) -> str:
        """Return the sentence, without its subject, that asks how the cells of a doubtful column are written."""
        text = next(text for text in self.written[name].present if set(".,") & set(text))
        return f"has {quote(text)}, whose sign may be decimal or of thousands: say which by --decimal."


def decide(table: Table, target: str) -> tuple[Any, dict[str, Reading], list[str]]:
    """Decide how the cells of each column are read.

    A number has a decimal point or a decimal comma as all columns say whose cells allow but one of them. Where
    they do not agree, or none says, separators that are semicolons stand for decimal commas, and others for points.

    Parameters
    ----------
    table : Table
        The file.
    target : str
        The column to learn, of which each cell must be a number.

    Returns
    -------
    DataFrame
        The rows; columns that pandas misread are text.
    dict of str to Reading
        What becomes of the cells of each column.
    list of str
        A line for each kind of decision.

    Raises
    ------
    TableError
        If only a semicolon speaks for dots that group thousands.
    """
    table = replace(table, frame=with_text(table))
    ways = table.ways
    signs = Signs.of(table, target)
    default = _default(signs, table)
    readings: dict[str, Reading] = {}
    for name, kind in zip(signs.frame.columns, signs.frame.dtypes, strict=True):
        if name not in signs.written:
            decimal = table.decimal if kind.kind == "f" else default.decimal
            readings[name] = next((way for way in ways if way.decimal == decimal), default)
        elif fits := signs.fitting[name]:
            readings[name] = next((way for way in fits if way.decimal == default.decimal), fits[0])
        else:
            readings[name] = Categories()
    dates, cells = _find_dates(table, signs, target)
    readings |= dates
    written = {name: cells.get(name, column) for name, column in signs.written.items()}
    notes = [
        *_describe_gaps(written),
        *_describe_numbers(_examples(table, signs), readings, signs.doubtful),
        *_describe_dates(readings),
        *_describe_strays(table, written, readings),
        *_describe_summaries(written, readings),
    ]
    return signs.frame, readings, notes


def _find_dates(table: Table, signs: Signs, target: str) -> tuple[dict[str, Dates], dict[str, Written]]:
    """Return the columns that are dates, and their cells, of which a few odd texts are made gaps.

    The order of day and month in a column that leaves it open is that of the other columns, if they agree.
    """
    cells = {name: column for name, column in _may_be_days(signs).items() if name != target}

    def read(names: Iterable[str], day_first: bool | None) -> dict[str, Dates]:
        dates = {name: as_dates(cells[name].present, day_first=day_first) for name in names}
        return {name: one for name, one in dates.items() if one is not None}

    found = read(cells, table.day_first)
    orders = {dates.written for dates in found.values() if dates.written in SWAPPED and not dates.otherwise}
    if len(orders) == 1:
        found |= read([name for name, dates in found.items() if dates.otherwise], "day/month/year" in orders)
    return found, {name: cells[name] for name in found}


def _may_be_days(signs: Signs) -> dict[str, Written]:
    """Return the cells of the columns that may be dates: text, and whole numbers such as 20240131."""
    cells: dict[str, Written] = {}
    for name, series in signs.frame.items():
        if name not in signs.written:
            if series.min() >= 18e6 and series.max() < 21e6 and (series.dropna() % 1 == 0).all():
                column = Written.of(series.dropna().astype("int64").astype(str))
                if len(column.texts) >= FEWEST_DAYS:
                    cells[name] = column
        elif not signs.fitting[name]:
            column = signs.written[name]
            is_odd = _is_no_day(column.present)
            is_rare = _are_few(is_odd, column.counts[~column.is_gap])
            cells[name] = column.without(compress(column.present, is_odd)) if is_rare else column
        elif all_are(COMPACT, signs.written[name].present) and len(signs.written[name].present) >= FEWEST_DAYS:
            cells[name] = signs.written[name]
    return cells


def _is_no_day(texts: list[str]) -> NDArray:
    """Return which texts look like no date, or are none as the first that does is written: 2024-02-31."""
    is_odd = np.array([not DATE_LIKE.fullmatch(text) for text in texts], dtype=bool)
    first = as_dates([text for text, odd in zip(texts, is_odd, strict=True) if not odd][:1])
    return is_odd if first is None or first.written in SWAPPED else is_odd | np.isnan(first.values(texts))


def _are_few(is_odd: NDArray, counts: NDArray) -> bool:
    """Return whether odd texts are so few, and in so few cells, that they are gaps."""
    return bool(is_odd.sum() <= ODD_TEXTS and counts[is_odd].sum() <= ODD_SHARE * counts.sum())


def without_totals(table: Table) -> Table:
    """Return a table without its last rows, as long as a cell of the last one alone says that it is a total."""
    while (note := _of_total(table.frame)) is not None:
        table = replace(table, frame=table.frame.iloc[:-1], notes=[*table.notes, note])
    return table


def _of_total(frame: Any) -> str | None:
    """Say that the last row is a total, if it is one."""
    if len(frame) > 2:
        for name, cell in frame.iloc[-1].items():
            if isinstance(cell, str) and TOTAL.fullmatch(cell.strip(" :")) and (frame[name] == cell).sum() == 1:
                return f"the last row left out, as it is a total: {shorten(name)} is {quote(cell)}"
    return None


def with_text(table: Table) -> Any:
    """Return the rows with text where pandas sees truth values or infinity, or numbers beside other things."""
    import pandas as pd

    frame = table.frame
    kinds = dict(zip(frame.columns, frame.dtypes, strict=True))
    floats = [name for name, kind in kinds.items() if kind.kind == "f"]
    is_infinite = np.isinf(frame[floats].to_numpy()).any(axis=0) if floats else []
    misread = [name for name, kind in kinds.items() if kind.kind == "b"]
    misread += [name for name, infinite in zip(floats, is_infinite, strict=True) if infinite]
    misread += [
        name
        for name, kind in kinds.items()
        if str(kind) == "object" and pd.api.types.infer_dtype(frame[name], skipna=True) not in ("string", "empty")
    ]
    return frame.assign(**table.texts(misread)) if misread else frame


def _fit(column: Written, ways: list[Numbers], *, is_strict: bool) -> tuple[Written, list[Numbers]]:
    """Return the ways to write numbers in which every cell is one, with a few odd texts made gaps unless it is strict.

    All cells have the same sign of currency or none, and either all have a percent sign or none.
    """
    texts, counts = column.present, column.counts[~column.is_gap]
    has_percent = sum(text.endswith("%") for text in texts[:FIRST]) * 2 > len(texts[:FIRST])
    odd: dict[Numbers, NDArray] = {}
    for way in (replace(way, percent=has_percent) for way in ways) if len(column.currencies) < 2 else ():
        if np.isnan(way.values(texts[:FIRST])).sum() <= ODD_TEXTS:
            is_odd = np.isnan(way.values(texts))
            if not is_odd.any() or (_are_few(is_odd, counts) and not is_strict):
                odd[way] = is_odd
    fewest = min((is_odd.sum() for is_odd in odd.values()), default=0)
    fits = [way for way, is_odd in odd.items() if is_odd.sum() == fewest]
    return (column.without(compress(texts, odd[fits[0]])) if fewest else column), fits


def _default(signs: Signs, table: Table) -> Numbers:
    """Return how numbers are written where a column leaves it open."""
    decimal = "," if table.separator == ";" else "."
    if len(signs.sure) == 1:
        [decimal] = signs.sure
    elif decimal == ",":
        for name in signs.doubtful:
            if "." in signs.written[name].characters:
                raise TableError(f"{table.name} {signs.question(name)}")
    return next((way for way in table.ways if way.decimal == decimal), table.ways[0])


def _describe_gaps(written: dict[str, Written]) -> list[str]:
    """Say what was taken for a missing value though it is not empty."""
    cells = [
        (name, int(column.counts[i]), text)
        for name, column in written.items()
        for i, text in enumerate(column.texts)
        if text in column.odd or is_mark(text)
    ]
    items = [f"{name}: {count(n_cells, 'cell')} {quote(text)}" for name, n_cells, text in cells]
    taken = "taken as a gap" if [n_cells for _, n_cells, _ in cells] == [1] else "taken as gaps"
    return [f"{few(items)} {taken}"] if items else []


def _examples(table: Table, signs: Signs) -> dict[str, Written]:
    """Return the cells of the columns of numbers that are text, and first cells of those with decimal commas."""
    import pandas as pd

    columns = {name: column for name, column in signs.written.items() if signs.fitting[name]}
    if table.decimal == ",":
        for name, cells in table.first_cells().items():
            if name in signs.frame and name not in signs.written:
                columns[name] = Written.of(pd.Series(cells, dtype=object))
    return columns


def _describe_numbers(columns: dict[str, Written], readings: dict[str, Reading], doubtful: list[str]) -> list[str]:
    """Say what was taken for a part of a number that Python would not take for one."""
    notes = []
    for words, signs, decimals, otherwise in PARTS:
        ends = "%" + CURRENCIES + SPACES if signs in (SPACES, APOSTROPHES) else ""
        items, is_doubtful = [], False
        for name, column in columns.items():
            if getattr(readings[name], "decimal", " ") in decimals and column.characters & set(signs):
                text = next((text for text in column.present if set(text.strip(ends or None)) & set(signs)), None)
                if text is not None:
                    items.append(f"{shorten(name)} ({quote(text)})")
                    is_doubtful |= bool(otherwise) and name in doubtful
        if items:
            notes.append(f"{words}: {few(items)}{f'; {otherwise} decides otherwise' if is_doubtful else ''}")
    return notes


def _describe_dates(readings: dict[str, Reading]) -> list[str]:
    """Say how dates are written, and from when their days count."""
    items = [reading.describe(shorten(name)) for name, reading in readings.items() if isinstance(reading, Dates)]
    return [f"dates made days since the first: {few(items)}"] if items else []


def _describe_summaries(written: dict[str, Written], readings: dict[str, Reading]) -> list[str]:
    """Say which categories may be those of rows that sum up others."""
    items = [
        f"{shorten(name)} ({few(map(quote, texts))})"
        for name, column in written.items()
        if readings[name].kind == "text" and (texts := [text for text in column.present if SUMMARY.fullmatch(text)])
    ]
    return [f"rows that may sum up others are learnt from: {few(items)}; delete them if they do"] if items else []


def _describe_strays(table: Table, written: dict[str, Written], readings: dict[str, Reading]) -> list[str]:
    """Say why columns are text of which most cells are numbers."""
    strays, currencies, measures, dated = [], [], [], []
    for name, column in written.items():
        texts = column.present
        if readings[name].kind == "text" and any(map(str.isdecimal, column.characters)):
            either = [replace(way, percent=percent) for way in table.ways for percent in (False, True)]
            is_stray = min((np.isnan(way.values(texts)) for way in either), key=np.sum)
            counts = column.counts[~column.is_gap]
            if all_are(DATE_LIKE, texts):
                first = as_dates(texts[:1])
                other = next((text for text in texts if first is None or not first.has_form(text)), texts[0])
                dated.append(f"{shorten(name)} ({quote(other)})")
            elif not is_stray.any():
                currencies.append(f"{shorten(name)} ({', '.join(column.currencies)})")
            elif all_are(MEASURE, texts):
                measures.append(f"{shorten(name)} ({quote(next(compress(texts, is_stray)))})")
            elif counts[~is_stray].sum() > MOSTLY * counts.sum():
                strays.append((name, column.row_of(compress(texts, is_stray))))
    items = [
        f"{shorten(name)} is text, not numbers, because of {quote(written[name].texts[written[name].codes[row]])} "
        f"on line {table.line_of(row)}"
        for name, row in strays[:SHOWN]
    ]
    notes = [f"text, not numbers, as the currencies differ: {few(currencies)}"] if currencies else []
    notes += [f"text, not numbers, as units stand beside them: {few(measures)}; strip these"] if measures else []
    like_dates = "text, although it looks like dates or times"
    notes += [f"{like_dates}: {few(dated)}; write dates as 2024-12-31, and times as numbers"] if dated else []
    remedy = "; empty such cells if they are gaps"
    return notes + ([few(items, "; ", len(strays)) + remedy] if strays else [])
