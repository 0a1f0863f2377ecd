"""How cells are written: gaps, numbers and dates, each decided by all the cells of a column and never by one."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from itertools import compress
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

GAPS = frozenset({"", "na", "n/a", "nan", "null", "none"})
"""What stands for a missing value beyond doubt, in any case."""

MARKS = frozenset(
    {"?", "#n/a", "#na", "<na>", ".", "..", "-", "--", "---", "\N{EN DASH}", "\N{EM DASH}", r"\n", "nat", "-nan"}
    | {"#div/0!", "#value!", "#ref!", "#num!", "#name?", "#null!", "0000-00-00"}
)
"""What spreadsheets, databases and agencies write for a missing value, in any case: taken for one, and said."""

SPACES = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}"
"""Spaces that may group the digits of a number by thousands."""

APOSTROPHES = "'\N{RIGHT SINGLE QUOTATION MARK}"
"""Apostrophes that may do the same."""

MINUS = "\N{MINUS SIGN}"

PARENTHESES = "()"
"""What bookkeepers write around a negative number."""

CURRENCIES = "$\N{POUND SIGN}\N{YEN SIGN}\N{EURO SIGN}\N{INDIAN RUPEE SIGN}"

UUID = re.compile(r"\{?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\}?", re.IGNORECASE)

MEASURE = re.compile(
    rf"[-+{MINUS}]?[{CURRENCIES}]?(?P<code>[A-Z]{{3}} ?)?(?:\d+(?:[.,]\d{{3}})*(?:[.,]\d+)?|[.,]\d+)"
    r"\s*(?P<unit>[^\W\d]+[23\u00b2\u00b3]?)?"
)
"""A number with the sign or the code of a currency, or a unit, any of which may be lacking."""

TOTAL = re.compile(
    r"(grand |sub)?totals?|sums?|averages?|means?|gesamt(summe)?|summe|insgesamt|mittelwert|totale|somme|moyenne"
    r"|suma|soma|totaal",
    re.IGNORECASE,
)
"""What a cell says whose row is no row of the table, but the sum or the mean of the others."""

SUMMARY = re.compile(rf"({TOTAL.pattern})\b.*", re.IGNORECASE)
"""What a cell may say whose row sums up some of the others."""

DAYS = {
    "year-month-day": ["%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d"],
    "year-month": ["%Y-%m"],
    "day.month.year": ["%d.%m.%Y", "%d.%m.%y"],
    "month/day/year": ["%m/%d/%Y", "%m/%d/%y", "%m-%d-%Y", "%m-%d-%y"],
    "day/month/year": ["%d/%m/%Y", "%d/%m/%y", "%d-%m-%Y", "%d-%m-%y"],
    "day month year": ["%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d %B %Y"],
    "month day, year": ["%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y"],
    "month year": ["%b %Y", "%B %Y", "%b-%Y"],
    "yyyymmdd": ["%Y%m%d"],
}
"""Ways to write a day by what they are called. Of two that fit all the cells of a column the first is taken."""

SWAPPED = {"month/day/year": "day/month/year", "day/month/year": "month/day/year"}
"""Those that can be taken for each other."""

DAY_LIKE = re.compile(r"\d{1,4}[-/. ]\w+.*|[^\W\d]{3,9}[- ]\d.*|(1[89]|20)\d{6}", re.DOTALL)
"""What a text must look like for its day to be looked for."""

COMPACT = re.compile(r"(1[89]|20)\d{6}")
"""A day that is written as a whole number: 20240131."""

MONTH = (
    r"(jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?|oct(ober)?|(nov|dec)(ember)?)"
)
LONGEST_DAY = 40
"""Characters that the text of a date has at most."""

DATE_LIKE = re.compile(
    rf"(?!.{{{LONGEST_DAY + 1}}})("
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}|\d{1,2}([-/]\d{1,2}[-/]|\.\d\d\.)\d{2})\b(?![-/.]).*"
    r"|\d{4}-\d{2}"
    rf"|(.*\W)?{MONTH}\b.*\d.*|.*\d\W+{MONTH}\b.*"
    r"|\d{1,2}:\d\d\b.*)",
    re.DOTALL | re.IGNORECASE,
)
"""What a text looks like that is a date, or a time of day, whether its spelling is known or not. With a year of two
digits, a month between dots has two: 1.2.34 is a version."""

VERSION_LIKE = re.compile(r"([1-9]|1[0-2])\.[1-9]\d?\.\d\d(\D.*)?", re.DOTALL)
"""A version, such as 3.11.20: as a date with a year of two digits it has no day above the twelfth, and no zero."""

CODE = re.compile(r"0\d+")
"""A postcode or another code: as a number it would lose its first zero."""

FEWEST_DAYS = 3
"""Different whole numbers of a column that are read as dates: two would give the same predictions as numbers."""

TIMES = ["", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M%p", " %I:%M:%S %p"]
TIMES += ["T%H:%M", "T%H:%M:%S", "T%H:%M:%S.%f"]

ZONES = ["", "%z"]


def is_gap(text: str) -> bool:
    """Say whether a cell stands for a missing value."""
    return text.casefold() in GAPS or is_mark(text)


def is_mark(text: str) -> bool:
    """Say whether a cell stands for a missing value in a way that is to be said."""
    return text.casefold() in MARKS


class Reading(Protocol):
    """What becomes of the cells of a column.

    Attributes
    ----------
    kind : str
        What it is called.
    takes : str
        Kinds of NumPy types that `of` takes; columns of all others are read as text.
    """

    kind: str
    takes: str

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
    unit : str, default=""
        What stands behind each and is ignored, such as a percent sign: 10% is 10, and is no number beside 0.1.
    """

    decimal: str = "."
    thousands: str = "," + APOSTROPHES + SPACES
    unit: str = ""
    kind = "number"
    takes = "biuf"

    def values(self, texts: Sequence[str]) -> NDArray:
        """Return a float for each text, NaN where it is not written like that."""
        pattern = _number_pattern(self.decimal, self.thousands, self.unit)
        is_number = np.fromiter(map(bool, map(pattern.fullmatch, texts)), dtype=bool, count=len(texts))
        values = np.full(len(texts), np.nan)
        if is_number.any():
            ignored = dict.fromkeys(f"{self.thousands}{CURRENCIES}%) \t\n\r\f\v")
            bare = (text.removesuffix(self.unit) for text in compress(texts, is_number))
            numbers = "\0".join(bare).translate(str.maketrans(ignored | {MINUS: "-", "(": "-", self.decimal: "."}))
            values[is_number] = np.array(numbers.split("\0"), dtype=np.float64)
            values[np.isinf(values)] = np.nan
        return values

    def of(self, column: Any) -> NDArray:
        """Return numbers as they are."""
        return column.to_numpy(dtype=np.float64, na_value=np.nan)


@cache
def _number_pattern(decimal: str, thousands: str, unit: str) -> re.Pattern[str]:
    """Return what a number looks like, with all that may stand around its digits."""
    sign, currency, fraction = f"[-+{MINUS}]", f"[{CURRENCIES}]", re.escape(decimal)
    whole = rf"(?:[1-9]\d{{0,2}}([{re.escape(thousands)}])\d{{3}}(?:\1\d{{3}})*|\d+)"
    end = re.escape(unit)
    negative = rf"\({currency}?\d[\d{re.escape(thousands)}]*(?:{fraction}\d*)?{end}\)"
    return re.compile(
        rf"(?:{sign}?\s*{currency}?\s*|{currency}?\s*{sign})(?:{whole}(?:{fraction}\d*)?|{fraction}\d+)"
        rf"(?:[eE]{sign}?\d+)?\s*{currency}?{end}|{negative}",
        re.ASCII,
    )


def is_number(text: str) -> bool:
    """Say whether a text is a number, whichever way numbers are written."""
    ways = (".", ","), (",", ".")
    return any(_number_pattern(*way, "").fullmatch(text.strip()) for way in ways)


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
    otherwise : str, default=""
        What another way is called, with days and months in the other order, in which all could be read too.
    """

    written: str
    format: str
    first: str
    otherwise: str = ""
    kind = "date"
    takes = "Miuf"

    def describe(self, name: str) -> str:
        """Say how a column of that name is written, and from when its days count."""
        doubt = f"; --day-first reads {self.otherwise}, which fits as well" if self.otherwise else ""
        return f"{name} ({self.written}, since {self.first.removesuffix('T00:00:00')}{doubt})"

    def values(self, texts: Sequence[str]) -> NDArray:
        """Return the days since the first for each text, NaN where it is no date.

        Other spellings are read too, but none with day and month in the other order.
        """
        dates = _as_days(texts, self.format)
        if dates.isna().any():
            for form in _forms(self.written, *(written for written in DAYS if written not in SWAPPED)):
                dates = dates.fillna(_as_days(texts, form))
        return self.of(dates)

    def has_form(self, text: str) -> bool:
        """Say whether a text is written in the same format."""
        return _is_date(text, self.format)

    def swapped(self) -> "Dates":
        """Return dates since the same day, with days and months in the other order."""
        return replace(self, written=SWAPPED[self.written], format=_swapped(self.format), otherwise="")

    def of(self, column: Any) -> NDArray:
        """Return the days since the first of a column of dates, or of whole numbers; times without a zone are UTC."""
        import pandas as pd

        if column.dtype.kind in "iuf":  # of 20240131
            numbers = column.to_numpy(dtype=np.float64, na_value=np.nan).tolist()
            column = _as_days([f"{number:.0f}" if number % 1 == 0 else "" for number in numbers], "%Y%m%d")
        dates = pd.to_datetime(column, errors="coerce", utc=True)
        return ((dates - pd.Timestamp(self.first, tz="UTC")) / pd.Timedelta(days=1)).to_numpy(dtype=np.float64)


@dataclass(frozen=True)
class Categories:
    """Text, of which each value is a category."""

    kind = "text"
    takes = "iuf"

    def values(self, texts: Sequence[str]) -> NDArray:
        """Return the texts, on one line each."""
        values = np.empty(len(texts), dtype=object)
        values[:] = [" ".join(text.split()) for text in texts]
        return values

    def of(self, column: Any) -> NDArray:
        """Return what pandas has read as numbers as text, with None in the gaps."""
        present = column.notna().to_numpy()
        values = np.full(len(column), None, dtype=object)
        # Whole numbers beside gaps are floats to pandas, but have no fraction in the file.
        values[present] = [str(int(value) if value == value // 1 else value) for value in column[present].tolist()]
        return values


def as_dates(texts: Sequence[str], *, day_first: bool | None = None) -> Dates | None:
    """Return the first way to write dates in which all the texts are one, or None.

    Parameters
    ----------
    texts : sequence of str
        The different cells of a column without its gaps.
    day_first : bool or None, default=None
        Whether days stand before months where both orders fit; None if that is not known.
    """
    if not texts or not DAY_LIKE.fullmatch(texts[0]) or len(texts[0]) > LONGEST_DAY:
        return None
    for written in DAYS:
        for form in _forms(written):
            dates = _dates(written, form, texts) if _is_date(texts[0], form) else None
            if dates is not None:
                other = _dates(SWAPPED[written], _swapped(form), texts) if written in SWAPPED else None
                if other is not None and day_first is None:
                    return replace(dates, otherwise=other.written)
                return other if other is not None and day_first else dates
    return None


def _dates(written: str, form: str, texts: Sequence[str]) -> Dates | None:
    """Return dates that are all written in a format, or None where one is not."""
    days = _as_days(texts, form)
    return Dates(written, form, days.min().tz_localize(None).isoformat()) if days.notna().all() else None


def _swapped(form: str) -> str:
    """Return a format with days and months in the other order."""
    return form.translate(str.maketrans("md", "dm"))


def _forms(*several: str) -> list[str]:
    """Return the formats of the given ways to write dates, with and without times and zones."""
    days = [day for written in several for day in DAYS[written]]
    return [day + time + zone for day in days for time in TIMES for zone in (ZONES if time else ZONES[:1])]


def _as_days(texts: Sequence[str], form: str) -> Any:
    """Return a column of dates, with gaps where a text is none; of a day without signs no digit may lack."""
    import pandas as pd

    if form.startswith("%Y%m%d"):
        texts = [text if COMPACT.match(text) else "" for text in texts]
    return pd.to_datetime(pd.Series(list(texts), dtype=object), format=form, errors="coerce", utc=True)


def _is_date(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def unit_of(texts: Sequence[str]) -> str:
    """Return what stands behind most of some numbers: a percent sign, or behind each of them the same letters."""
    if sum(text.endswith("%") for text in texts) * 2 > len(texts):
        return "%"
    found = [MEASURE.fullmatch(text) for text in texts]
    units = {match and not match["code"] and match["unit"] for match in found}
    return (units.pop() or "") if len(units) == 1 else ""


def all_are(pattern: re.Pattern[str], texts: Iterable[str]) -> bool:
    """Say whether a pattern fits each text as a whole."""
    return all(pattern.fullmatch(text) for text in texts)
