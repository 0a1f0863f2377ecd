"""What the cells of each column are, decided by all of them, and said in a line for each kind of decision."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.command_line.cells import (
    APOSTROPHES,
    CODE,
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
    VERSION_LIKE,
    Categories,
    Dates,
    Numbers,
    Reading,
    all_are,
    as_dates,
    is_gap,
    is_mark,
    is_number,
    unit_of,
)
from gdregress.command_line.columns import Written
from gdregress.command_line.csv_tables import Table
from gdregress.command_line.wording import SHOWN, TableError, few, quote, shorten
from gdregress.rows.wording import count

MOSTLY = 0.5
"""Share of numbers among the cells of a column above which it is said why it is text all the same."""

ODD_TEXTS, ODD_SHARE = 3, 0.05
"""Different texts among the numbers of a column, and their share of its cells, up to which they are gaps."""

ROWS = 100_000
"""Rows in which codes are looked for at a time."""

FIRST = 20
"""Texts of a column that are tried first."""

PARTS = [
    ("decimal commas read", ",", ",", "--thousands ,"),
    ("commas taken as thousands", ",", ".", "--decimal ,"),
    ("dots taken as thousands", ".", ",", "--decimal ."),
    ("dots before three digits taken as decimals", ".", ".", "--decimal ,"),
    ("spaces taken as thousands", SPACES, ".,", ""),
    ("apostrophes taken as thousands", APOSTROPHES, ".,", ""),
    ("U+2212 taken as minus", MINUS, ".,", ""),
    ("parentheses taken as minus", PARENTHESES, ".,", ""),
    ("currency signs ignored", CURRENCIES, ".,", ""),
    ("percent signs ignored", "%", ".,", ""),
]
"""Parts of a number that Python would not read, or that may be others: what is said of them, the signs, with which
decimal signs, and the option that decides otherwise."""

CODES = "text, as numbers would lose the zeros that they begin with: {}"
MIXED_DATES = "text, although it looks like dates: {}; write all in one way, as 2024-12-31"
STRAY = "text, not numbers, because of some cells: {}; empty such cells if they are gaps"
UNLIKE = "text, not numbers, as their signs or units differ: {}; write all in one way, without units"
UNKNOWN = "text, although it looks like dates or times: {}; write dates as 2024-12-31, and times as numbers"
"""Why a column is text."""


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
    sure : dict of str to str
        The decimal sign of each column whose cells allow but one.
    doubtful : list of str
        Columns whose cells have a sign that may be decimal or of thousands.
    """

    frame: Any
    written: dict[str, Written]
    fitting: dict[str, list[Numbers]]
    sure: dict[str, str]
    doubtful: list[str]

    @classmethod
    def of(cls, table: Table, strict: str | None = None) -> "Signs":
        """Look at the columns of a table. In the strict one each cell must be a number."""
        ways, frame, written, fitting = table.ways, table.frame, {}, {}
        sure: dict[str, str] = {}
        kinds = dict(zip(frame.columns, frame.dtypes, strict=True))
        for name in [name for name, kind in kinds.items() if kind.kind == "O"]:
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
            sure |= {name: table.decimal for name in floats if name not in either}
            texts = table.texts(either) if either else {}
            frame = frame.assign(**texts)
            for name in either:
                written[name], fitting[name] = _fit(Written.of(texts[name]), ways, is_strict=name == strict)
        signed = [name for name in written if fitting[name] and set(".,") & written[name].characters]
        sure |= {name: fitting[name][0].decimal for name in signed if len(fitting[name]) == 1}
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
        *_describe_numbers(_examples(table, signs), readings, signs),
        *_describe_whole(table, signs),
        *_describe_dates(readings),
        *_describe_text(table, written, readings),
        *_describe_summaries(written, readings),
    ]
    return signs.frame, readings, notes


def _find_dates(table: Table, signs: Signs, target: str) -> tuple[dict[str, Dates], dict[str, Written]]:
    """Return the columns that are dates, and their cells, of which a few odd texts are made gaps.

    The order of day and month in a column that leaves it open is that of the other columns, if they agree.
    """
    cells = {
        name: column
        for name, column in _may_be_days(signs).items()
        if name != target and not all_are(VERSION_LIKE, column.present)
    }

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
    return is_odd if first is None or first.written in SWAPPED else np.isnan(first.values(texts))


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
    """Return the rows with text where pandas sees truth values, infinity, codes or numbers beside other things."""
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
    misread += _codes(table, [name for name, kind in kinds.items() if kind.kind in "iuf"])
    return frame.assign(**table.texts(misread)) if misread else frame


def _codes(table: Table, names: list[str]) -> list[str]:
    """Return the columns of numbers of which a cell begins with 0 and has no fraction: 02134."""
    begins = re.compile(rb'0(?<=[\s"' + re.escape(table.separator).encode() + rb"]0)\d")
    if not names or not begins.search(table.content, table.start[0] - 1):
        return []
    found: set[str] = set()
    for rows in table.read(dtype=dict.fromkeys(names, str), chunksize=ROWS):
        found |= {name for name in names if rows[name].str.strip().str.fullmatch(CODE, na=False).any()}
    return [name for name in names if name in found]


def _fit(column: Written, ways: list[Numbers], *, is_strict: bool) -> tuple[Written, list[Numbers]]:
    """Return the ways to write numbers in which every cell is one, with a few odd texts made gaps unless it is strict.

    All cells have the same sign of currency or none, and the same unit, such as a percent sign, or none.
    """
    texts, counts = column.present, column.counts[~column.is_gap]
    if not is_strict and _are_codes(texts):
        return column, []
    unit = unit_of(texts[:FIRST])
    if is_strict and unit != "%":
        unit = ""  # 3k may be 3000
    odd: dict[Numbers, NDArray] = {}
    for way in (replace(way, unit=unit) for way in ways) if len(column.characters & set(CURRENCIES)) < 2 else ():
        if np.isnan(way.values(texts[:FIRST])).sum() <= ODD_TEXTS:
            is_odd = np.isnan(way.values(texts))
            if not is_odd.any() or (_are_few(is_odd, counts) and not is_strict):
                odd[way] = is_odd
    fewest = min((is_odd.sum() for is_odd in odd.values()), default=0)
    fits = [way for way, is_odd in odd.items() if is_odd.sum() == fewest]
    return (column.without(compress(texts, odd[fits[0]])) if fewest else column), fits


def _are_codes(texts: list[str]) -> bool:
    """Return whether a text begins with 0, and all that are numbers are of digits alone: 02134."""
    return any(map(CODE.fullmatch, texts)) and all(text.isdecimal() for text in texts if is_number(text))


def _default(signs: Signs, table: Table) -> Numbers:
    """Return how numbers are written where a column leaves it open."""
    decimal = "," if table.separator == ";" else "."
    shown = set(signs.sure.values())
    if len(shown) == 1:
        [decimal] = shown
    elif decimal == ",":
        for name in signs.doubtful:
            if "." in signs.written[name].characters:
                raise TableError(f"{table.name} {signs.question(name)}")
    return next((way for way in table.ways if way.decimal == decimal), table.ways[0])


def _describe_gaps(written: dict[str, Written]) -> list[str]:
    """Say what was taken for a missing value though it is not empty, if there is any doubt in the column."""
    cells = [
        (name, int(column.counts[i]), text)
        for name, column in written.items()
        if column.odd or any(map(is_mark, column.texts))
        for i, text in enumerate(column.texts)
        if text and column.is_gap[i]
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


def _describe_numbers(columns: dict[str, Written], readings: dict[str, Reading], table_signs: Signs) -> list[str]:
    """Say what was taken for a part of a number that Python would not take for one."""
    notes = []
    units = {name: getattr(readings[name], "unit", "") for name in columns}
    for words, signs, decimals, otherwise in PARTS:
        ends = "%" + CURRENCIES + SPACES if signs in (SPACES, APOSTROPHES) else None
        items, is_doubtful = [], False
        for name, column in columns.items():
            is_plain = signs == decimals == "." and (name not in table_signs.doubtful or table_signs.sure)
            if getattr(readings[name], "decimal", " ") in decimals and column.characters & set(signs) and not is_plain:
                behind = units[name] if ends else ""
                texts = (text for text in column.present if set(text.removesuffix(behind).strip(ends)) & set(signs))
                text = next(texts, None)
                if text is not None:
                    items.append(f"{shorten(name)} ({quote(text)})")
                    is_doubtful |= bool(otherwise) and name in table_signs.doubtful
        if items:
            notes.append(f"{words}: {few(items)}{f'; {otherwise} decides otherwise' if is_doubtful else ''}")
    measured = [
        f"{shorten(name)} ({quote(columns[name].present[0])})" for name in units if units[name] not in ("", "%")
    ]
    notes += [f"units ignored, which are the same in each cell: {few(measured)}"] if measured else []
    mixed = [name for name in table_signs.doubtful if set(".,") <= columns[name].characters]
    examples = [[next(text for text in columns[name].present if sign in text) for sign in ",."] for name in mixed]
    pairs = [f"{shorten(name)} ({' and '.join(map(quote, pair))})" for name, pair in zip(mixed, examples, strict=True)]
    if pairs:
        notes.append(
            f"both commas and dots stand before three digits: {few(pairs)}; write one of them if they mean one"
        )
    return notes


def _describe_whole(table: Table, signs: Signs) -> list[str]:
    """Say which numbers with a fraction are all whole, and end with three zeros: 632.000 may be 632 thousand."""
    first = table.first_cells() if table.decimal == "." and len(table.ways) > 1 else {}
    items = []
    for name, kind in zip(signs.frame.columns, signs.frame.dtypes, strict=True):
        cells = [cell for cell in first.get(name, []) if not is_gap(cell)]
        is_likely = kind.kind == "f" and cells and all(cell.endswith(".000") for cell in cells)
        if is_likely and (signs.frame[name].dropna() % 1 == 0).all():
            items.append(f"{shorten(name)} ({quote(cells[0])} is {signs.frame[name].dropna().iloc[0]:g})")
    return [f"dots before three zeros taken as decimals: {few(items)}; --decimal , decides otherwise"] if items else []


def _describe_dates(readings: dict[str, Reading]) -> list[str]:
    """Say how dates are written, and from when their days count."""
    dates: dict[str, Any] = {name: reading for name, reading in readings.items() if reading.kind == "date"}
    items = [reading.describe(shorten(name)) for name, reading in dates.items()]
    return [f"dates made days since the first: {few(items)}"] if items else []


def _describe_summaries(written: dict[str, Written], readings: dict[str, Reading]) -> list[str]:
    """Say which categories may be those of rows that sum up others."""
    items = [
        f"{shorten(name)} ({few(map(quote, texts))})"
        for name, column in written.items()
        if readings[name].kind == "text" and (texts := [text for text in column.present if SUMMARY.fullmatch(text)])
    ]
    return [f"rows that may sum up others are learnt from: {few(items)}; delete them if they do"] if items else []


def _describe_text(table: Table, written: dict[str, Written], readings: dict[str, Reading]) -> list[str]:
    """Say why columns are text of which most cells are numbers or dates."""
    reasons: dict[str, list[tuple[str, list[str]]]] = {}
    for name, column in written.items():
        if readings[name].kind == "text" and (why := _why_text(column, table.ways)) is not None:
            reasons.setdefault(why[0], []).append((name, why[1]))

    def example(name: str, texts: list[str], reason: str) -> str:
        line = f" on line {table.line_of(written[name].row_of(texts))}" if reason == STRAY else ""
        return f"{shorten(name)} ({' and '.join(map(quote, texts))}{line})"

    return [
        reason.format(few([example(*each, reason) for each in found[:SHOWN]], n_items=len(found)))
        for reason, found in reasons.items()
    ]


def _why_text(column: Written, ways: list[Numbers]) -> tuple[str, list[str]] | None:
    """Return the reason why a column is text, and the texts that show it; None if most cells are words."""
    texts, counts = column.present, column.counts[~column.is_gap]
    if not any(map(str.isdecimal, column.characters)):
        return None
    if _are_codes(texts):
        return CODES, list(filter(CODE.fullmatch, texts))[:1]
    if all_are(DATE_LIKE, texts):
        first = as_dates(texts[:1])
        return (UNKNOWN, texts[:1]) if first is None else (MIXED_DATES, _pair(texts, first.has_form))
    either = [replace(way, unit=unit) for way in ways for unit in ("", "%")]
    is_stray = min((np.isnan(way.values(texts)) for way in either), key=np.sum)
    strays = list(compress(texts, is_stray))
    if not strays or all_are(MEASURE, texts):
        return UNLIKE, _pair(texts, lambda text: re.sub(r"\d+", "", text))
    return (STRAY, strays[:1]) if counts[~is_stray].sum() > MOSTLY * counts.sum() else None


def _pair(texts: list[str], form: Callable[[str], Any]) -> list[str]:
    """Return the first text, and the first of another form."""
    return [*texts[:1], *[text for text in texts[1:] if form(text) != form(texts[0])][:1]]
