"""How cells are written: gaps, numbers and dates, each decided by all the cells of a column and never by one."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

GAPS = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
"""What stands for a missing value beyond doubt, in any case."""

MARKS = frozenset(
    {"#n/a", "#na", "<na>", ".", "..", "-", "--", "---", "\N{EN DASH}", "\N{EM DASH}", r"\n", "nat", "-nan"}
    | {"#div/0!", "#value!", "#ref!", "#num!", "#name?", "#null!", "0000-00-00"}
)
"""What spreadsheets, databases and agencies write for a missing value, in any case: taken for one, and said."""

SPACES = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}"
"""Spaces that may group the digits of a number by thousands."""

APOSTROPHES = "'\N{RIGHT SINGLE QUOTATION MARK}"
"""Apostrophes that may do the same."""

MINUS = "\N{MINUS SIGN}"

CURRENCIES = "$\N{POUND SIGN}\N{YEN SIGN}\N{EURO SIGN}\N{INDIAN RUPEE SIGN}"

WRITTEN = re.compile(
    rf"""
    (?P<sign>[-+{MINUS}])? \s* (?P<before>[{CURRENCIES}])? \s* (?P<inner>[-+{MINUS}])?
    (?P<body>[\d.,{APOSTROPHES}{SPACES}]*[\d.,]) (?P<exponent>[eE][-+{MINUS}]?\d+)?
    \s* (?P<after>[{CURRENCIES}])? (?P<percent>%)?
    """,
    re.VERBOSE | re.ASCII,
)
"""A number with all that may stand around its digits."""

UUID = re.compile(r"\{?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\}?", re.IGNORECASE)

DAYS = {
    "year-month-day": ["%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d"],
    "year-month": ["%Y-%m"],
    "day.month.year": ["%d.%m.%Y", "%d.%m.%y"],
    "month/day/year": ["%m/%d/%Y", "%m/%d/%y", "%m-%d-%Y"],
    "day/month/year": ["%d/%m/%Y", "%d/%m/%y", "%d-%m-%Y"],
    "day month year": ["%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d %B %Y"],
    "month day, year": ["%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y"],
    "month year": ["%b %Y", "%B %Y", "%b-%Y"],
}
"""Ways to write a day by what they are called. Of two that fit all the cells of a column the first is taken."""

DAY_LIKE = re.compile(r"\d{1,4}[-/. ]\w+.*|[^\W\d]{3,9}[- ]\d.*", re.DOTALL)
"""What a text must look like for its day to be looked for."""

TIMES = ["", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", "T%H:%M", "T%H:%M:%S", "T%H:%M:%S.%f"]

ZONES = ["", "%z"]


def is_gap(text: str) -> bool:
    """Say whether a cell stands for a missing value."""
    return text.casefold() in GAPS or is_mark(text)


def is_mark(text: str) -> bool:
    """Say whether a cell stands for a missing value in a way that is to be said."""
    return text.casefold() in MARKS


class Reading(Protocol):
    """What becomes of the cells of a column."""

    kind: str

    def values(self, texts: Sequence[str]) -> NDArray:
        """Return a value for each text that is no gap: floats, NaN where it is none; or objects."""
        ...

    def of(self, column: Any) -> NDArray:
        """Return the values of a column that pandas has read as something else than text."""
        ...


@dataclass(frozen=True)
class Numbers:
    """Numbers, written with one decimal sign.

    Attributes
    ----------
    decimal : str
        What stands before the fraction: ``.`` or ``,``.
    thousands : str
        Each character that may group the digits before it.
    percent : bool, default=False
        Whether each has a percent sign, which is ignored: 10% is 10, and is no number beside 0.1.
    """

    decimal: str = "."
    thousands: str = "," + APOSTROPHES + SPACES
    percent: bool = False
    kind = "number"

    def values(self, texts: Sequence[str]) -> NDArray:
        """Return a float for each text, NaN where it is not written like that."""
        return np.array([self.value(text) for text in texts], dtype=np.float64)

    def of(self, column: Any) -> NDArray:
        """Return numbers as they are."""
        return column.to_numpy(dtype=np.float64, na_value=np.nan)

    def value(self, text: str) -> float:
        """Return the number that a text writes, or NaN."""
        found = WRITTEN.fullmatch(text)
        if found is None or (found["sign"] and found["inner"]) or self.percent != bool(found["percent"]):
            return math.nan
        digits = self._digits(found["body"])
        if digits is None:
            return math.nan
        sign = "-" if (found["sign"] or found["inner"] or "+") in ("-", MINUS) else ""
        number = float(f"{sign}{digits}{(found['exponent'] or '').replace(MINUS, '-')}")
        return number if math.isfinite(number) else math.nan

    def _digits(self, body: str) -> str | None:
        """Return the digits with a point before the fraction, or None."""
        whole, sign, fraction = body.partition(self.decimal)
        if not (whole + fraction).strip(self.thousands) or (fraction and not fraction.isdecimal()):
            return None
        if whole and not whole.isdecimal():
            first, *groups = re.split(rf"[{re.escape(self.thousands)}]", whole) if self.thousands else [whole]
            marks = set(whole) - set("0123456789")
            is_grouped = groups and len(marks) == 1 and 1 <= len(first) <= 3 and not first.startswith("0")
            if not is_grouped or any(len(group) != 3 for group in groups) or not (first + "".join(groups)).isdecimal():
                return None
            whole = first + "".join(groups)
        return f"{whole or '0'}{'.' if sign else ''}{fraction}"


@dataclass(frozen=True)
class Dates:
    """Dates, which become days since the first.

    Attributes
    ----------
    written : str
        What the way they are written is called.
    format : str
        The same for `datetime.strptime`.
    first : str
        The first of the column, in ISO 8601.
    """

    written: str
    format: str
    first: str
    kind = "date"

    def describe(self, name: str) -> str:
        """Say how a column of that name is written, and from when its days count."""
        return f"{name} ({self.written}, since {self.first.removesuffix('T00:00:00')})"

    def values(self, texts: Sequence[str]) -> NDArray:
        """Return the days since the first for each text, NaN where it is no such date."""
        import pandas as pd

        column = pd.Series(list(texts), dtype=object)
        return self.of(pd.to_datetime(column, format=self.format, errors="coerce", utc=True))

    def of(self, column: Any) -> NDArray:
        """Return the days since the first of a column of dates; times without a zone are UTC."""
        import pandas as pd

        dates = pd.to_datetime(column, errors="coerce", utc=True)
        return ((dates - pd.Timestamp(self.first, tz="UTC")) / pd.Timedelta(days=1)).to_numpy(dtype=np.float64)


@dataclass(frozen=True)
class Categories:
    """Text, of which each value is a category."""

    kind = "text"

    def values(self, texts: Sequence[str]) -> NDArray:
        """Return the texts, on one line each."""
        values = np.empty(len(texts), dtype=object)
        values[:] = [" ".join(text.split()) for text in texts]
        return values

    def of(self, column: Any) -> NDArray:
        """Return what pandas has read as numbers, truth values or categories as text, with None in the gaps."""
        present = column.notna().to_numpy()
        values = np.full(len(column), None, dtype=object)
        # Whole numbers beside gaps are floats to pandas, but have no fraction in the file.
        values[present] = [str(int(value) if value == value // 1 else value) for value in column[present].tolist()]
        return values


def as_dates(texts: Sequence[str]) -> Dates | None:
    """Return the first way to write dates in which all the texts are one, or None.

    Parameters
    ----------
    texts : sequence of str
        The different cells of a column without its gaps.
    """
    import pandas as pd

    if not texts or not DAY_LIKE.fullmatch(texts[0]) or len(texts[0]) > 40:
        return None
    for written, days in DAYS.items():
        for form in (day + time + zone for day in days for time in TIMES for zone in (ZONES if time else ZONES[:1])):
            if _is_date(texts[0], form):
                dates = pd.to_datetime(pd.Series(list(texts), dtype=object), format=form, errors="coerce", utc=True)
                if dates.notna().all():
                    return Dates(written, form, dates.min().tz_localize(None).isoformat())
    return None


def _is_date(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def all_are(pattern: re.Pattern[str], texts: Iterable[str]) -> bool:
    """Say whether a pattern fits each text as a whole."""
    return all(pattern.fullmatch(text) for text in texts)
