"""What the cells of each column are, decided by all of them, and said in a line for each kind of decision."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gdregress.command_line.cells import (
    APOSTROPHES,
    CURRENCIES,
    MINUS,
    SPACES,
    Categories,
    Dates,
    Numbers,
    Reading,
    as_dates,
    is_mark,
)
from gdregress.command_line.columns import Written, is_text
from gdregress.command_line.csv_tables import SHOWN, Table, count, few, quote, shorten

MOSTLY = 0.5
"""Share of numbers among the cells of a column above which it is said why it is text all the same."""


@dataclass(frozen=True)
class Convention:
    """How the user says that numbers are written.

    Attributes
    ----------
    decimal, thousands : str or None, default=None
        What stands before the fraction, and what groups the digits before it; None to find it out.
    """

    decimal: str | None = None
    thousands: str | None = None

    @property
    def candidates(self) -> list[Numbers]:
        """The ways in which numbers may be written."""
        if self.decimal is None and self.thousands in (",", "."):
            return [self._numbers("," if self.thousands == "." else ".")]
        return [self._numbers(decimal) for decimal in ([self.decimal] if self.decimal else [".", ","])]

    def _numbers(self, decimal: str) -> Numbers:
        if self.thousands is None:
            return Numbers(decimal, ("," if decimal == "." else ".") + APOSTROPHES + SPACES)
        return Numbers(
            decimal, next((kind for kind in (SPACES, APOSTROPHES) if self.thousands in kind), self.thousands)
        )


@dataclass(frozen=True)
class Decisions:
    """What each column is.

    Attributes
    ----------
    frame : DataFrame
        The rows; columns that pandas misread are text.
    readings : dict of str to Reading
        What becomes of the cells of each column.
    notes : list of str
        A line for each kind of decision.
    """

    frame: Any
    readings: dict[str, Reading]
    notes: list[str]


def decide(table: Table, convention: Convention) -> Decisions:
    """Decide how the cells of each column are read.

    A number has a decimal point or a decimal comma as all columns say whose cells allow but one of them. Where
    they do not agree, or none says, separators that are semicolons stand for decimal commas, and others for points.

    Parameters
    ----------
    table : Table
        The file.
    convention : Convention
        What is known of it.

    Returns
    -------
    Decisions
    """
    frame = _with_text(table)
    ways = convention.candidates
    kinds = dict(zip(frame.columns, frame.dtypes, strict=True))
    written = {name: Written.of(frame[name]) for name, kind in kinds.items() if is_text(kind)}
    fitting = {name: _fitting(column, ways) for name, column in written.items()}
    if len(ways) > 1 and any("," in text for name in written if fitting[name] for text in written[name].present):
        # Where commas are in numbers, what pandas took for decimal points may be thousands.
        floats = [name for name, kind in kinds.items() if kind.kind == "f" and frame[name].notna().any()]
        texts = table.source.texts(floats) if floats else {}
        written |= {name: Written.of(texts[name]) for name in floats}
        fitting |= {name: _fitting(written[name], ways) for name in floats}
    signed = {
        name for name in written if fitting[name] and any(set(".,") & set(text) for text in written[name].present)
    }
    default = _default(ways, [fitting[name] for name in signed], table.source.separator)
    readings: dict[str, Reading] = {}
    dates = {name: found for name in written if not fitting[name] and (found := as_dates(written[name].present))}
    for name in frame.columns:
        if name not in written:
            readings[name] = default if kinds[name].kind in "iu" else ways[0]
        elif fitting[name]:
            fits = fitting[name]
            readings[name] = next((way for way in fits if way.decimal == default.decimal), fits[0])
        else:
            readings[name] = dates.get(name) or Categories()
    for name in [name for name in written if not is_text(kinds[name])]:
        if readings[name] == ways[0]:  # pandas has read it well
            del written[name]
        else:
            frame[name] = texts[name]
    doubtful = {name for name in signed if len(fitting[name]) > 1}
    return Decisions(
        frame,
        {name: readings[name] for name in frame.columns},
        [
            *_describe_gaps(written),
            *_describe_numbers({name: written[name] for name in written if fitting[name]}, readings, doubtful),
            *_describe_dates(dates),
            *_describe_strays(table, {name: written[name] for name in written if not fitting[name]}, readings, ways),
        ],
    )


def _with_text(table: Table) -> Any:
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
    return frame.assign(**table.source.texts(misread)) if misread else frame.copy(deep=False)


def _fitting(column: Written, ways: list[Numbers]) -> list[Numbers]:
    """Return the ways to write numbers in which every cell is one, with the same sign of currency or none."""
    texts = column.present
    if len({_currency(text) for text in texts} - {""}) > 1:
        return []
    ways = [replace(way, percent=bool(texts) and texts[0].endswith("%")) for way in ways]
    return [
        way for way in ways if not any(np.isnan(way.values(part)).any() for part in (texts[:20], texts[20:]) if part)
    ]


def _currency(text: str) -> str:
    return "".join(sign for sign in text if sign in CURRENCIES)


def _default(ways: list[Numbers], fitting: list[list[Numbers]], separator: str) -> Numbers:
    """Return how numbers are written where a column leaves it open."""
    sure = {fits[0].decimal for fits in fitting if len(fits) == 1}
    decimal = sure.pop() if len(sure) == 1 else "," if separator == ";" else "."
    return next((way for way in ways if way.decimal == decimal), ways[0])


def _describe_gaps(written: dict[str, Written]) -> list[str]:
    """Say what was taken for a missing value though it is not empty."""
    items = [
        f"{name}: {count(int(column.counts[i]), 'cell')} {quote(text)}"
        for name, column in written.items()
        for i, text in enumerate(column.texts)
        if is_mark(text)
    ]
    return [f"{few(items)} taken as gaps"] if items else []


def _describe_numbers(written: dict[str, Written], readings: dict[str, Reading], doubtful: set[str]) -> list[str]:
    """Say what was taken for a part of a number that Python would not take for one."""
    kinds: dict[str, tuple[Callable[[str, str], bool], str]] = {
        "decimal commas read": (lambda text, decimal: decimal == "," in text, "--thousands ,"),
        "commas taken as thousands": (lambda text, decimal: decimal == "." and "," in text, "--decimal ,"),
        "dots taken as thousands": (lambda text, decimal: decimal == "," and "." in text, "--decimal ."),
        "spaces taken as thousands": (lambda text, decimal: _splits_digits(text, SPACES), ""),
        "apostrophes taken as thousands": (lambda text, decimal: _splits_digits(text, APOSTROPHES), ""),
        "U+2212 taken as minus": (lambda text, decimal: MINUS in text, ""),
        "currency signs ignored": (lambda text, decimal: bool(_currency(text)), ""),
        "percent signs ignored": (lambda text, decimal: "%" in text, ""),
    }
    notes = []
    for kind, (is_in, otherwise) in kinds.items():
        examples = {
            name: next((text for text in column.present if is_in(text, getattr(readings[name], "decimal", ""))), "")
            for name, column in written.items()
        }
        items = [f"{shorten(name)} ({quote(text)})" for name, text in examples.items() if text]
        if items:
            is_doubtful = otherwise and any(examples[name] for name in doubtful & set(examples))
            option = f"; {otherwise} decides otherwise" if is_doubtful else ""
            notes.append(f"{kind}: {few(items)}{option}")
    return notes


def _splits_digits(text: str, marks: str) -> bool:
    return any(mark in text.strip("%" + CURRENCIES + marks) for mark in marks)


def _describe_dates(dates: dict[str, Dates]) -> list[str]:
    """Say how dates are written, and from when their days count."""
    items = [reading.describe(shorten(name)) for name, reading in dates.items()]
    return [f"dates made days since the first: {few(items)}"] if items else []


def _describe_strays(
    table: Table, written: dict[str, Written], readings: dict[str, Reading], ways: list[Numbers]
) -> list[str]:
    """Say why columns are text of which most cells are numbers."""
    strays = []
    for name, column in written.items():
        texts = column.present
        if readings[name].kind == "text" and any(map(str.isdecimal, "".join(texts))):
            either = [replace(way, percent=percent) for way in ways for percent in (False, True)]
            values = max((way.values(texts) for way in either), key=lambda values: int(np.isfinite(values).sum()))
            is_stray = np.isnan(values)
            counts = column.counts[~column.is_gap]
            if not is_stray.any():  # such as dollars beside euros
                is_stray = np.array([_currency(text) != _currency(texts[0]) for text in texts])
            if counts[~is_stray].sum() > MOSTLY * counts.sum():
                strays.append((name, column.row_of(text for text, stray in zip(texts, is_stray, strict=True) if stray)))
    items = [
        f"{shorten(name)} is text, not numbers, because of {quote(written[name].texts[written[name].codes[row]])} "
        f"on line {table.source.line_of(row)}"
        for name, row in strays[:SHOWN]
    ]
    return [few(items, "; ", len(strays))] if strays else []
