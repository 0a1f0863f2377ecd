"""What becomes of the cells of a column: numbers, days or categories, each decided by all of them and never by one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

GAPS = frozenset(
    {"", "na", "n/a", "n.a.", "nan", "-nan", "nat", "null", "none", "?", "#n/a", "#na", "<na>", r"\n", "0000-00-00"}
    | {".", "..", "-", "--", "---", "\N{EN DASH}", "\N{EM DASH}"}
    | {"#div/0!", "#value!", "#ref!", "#num!", "#name?", "#null!"}
)
"""What people, spreadsheets, databases and agencies write for a missing value, in any case."""

SPACES = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}"
"""Spaces that may group the digits of a number by thousands."""

APOSTROPHES = "'\N{RIGHT SINGLE QUOTATION MARK}"
"""Apostrophes that may do the same."""

MINUS = "\N{MINUS SIGN}"

CURRENCIES = "$\N{POUND SIGN}\N{YEN SIGN}\N{EURO SIGN}\N{INDIAN RUPEE SIGN}"

UNIT = re.compile(r"(?<=[\d.,])\s*(%|[^\W\d_]+[23\u00b2\u00b3]?)$")
"""What stands behind a number."""

DAYS = ["%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y-%m", "%Y%m%d", "%d.%m.%Y", "%d.%m.%y"]
DAYS += ["%m/%d/%Y", "%m/%d/%y", "%m-%d-%Y", "%m-%d-%y", "%d/%m/%Y", "%d/%m/%y", "%d-%m-%Y", "%d-%m-%y"]
DAYS += ["%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y"]
DAYS += ["%b %Y", "%B %Y", "%b-%Y"]
"""Ways to write a day, as `datetime.strptime` has them. Of two that fit all cells of a column the first is taken."""

TIMES = ["", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M%p", " %I:%M:%S %p"]
TIMES += ["T%H:%M", "T%H:%M:%S", "T%H:%M:%S.%f"]

FORMATS = [day + time + zone for day in DAYS for time in TIMES for zone in (("", "%z") if time else ("",))]

DAY_LIKE = re.compile(r"(\d{1,4}[-/. ]\w+|[^\W\d]{3,9}[- ]\d|(1[89]|20)\d{6}$).{,30}", re.DOTALL)
"""What a text must look like for its day to be looked for."""

COMPACT = re.compile(r"(1[89]|20)\d{6}")
"""A day that is written as a whole number: 20240131."""


def is_gap(text: str) -> bool:
    """Say whether a cell stands for a missing value."""
    return text.casefold() in GAPS


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

    def values(self, texts: Sequence[str]) -> NDArray:
        """Return a float for each text, NaN where it is not written like that, or has another currency than others."""
        pattern = _number_pattern(self.decimal, self.thousands, self.unit)
        currency = next((sign for text in texts for sign in text if sign in CURRENCIES), "")
        others = set(CURRENCIES) - {currency}
        is_number = [pattern.fullmatch(text) is not None for text in texts]
        if currency and not others.isdisjoint("".join(texts)):
            is_number = [fits and others.isdisjoint(text) for fits, text in zip(is_number, texts, strict=True)]
        values = np.full(len(texts), np.nan)
        if any(is_number):
            ignored = dict.fromkeys(f"{self.thousands}{CURRENCIES}) \t\n\r\f\v")
            bare = (text.removesuffix(self.unit) for text in compress(texts, is_number))
            numbers = "\0".join(bare).translate(str.maketrans(ignored | {MINUS: "-", "(": "-", self.decimal: "."}))
            values[is_number] = np.array(numbers.split("\0"), dtype=np.float64)
            values[np.isinf(values)] = np.nan
        return values


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


def unit_of(texts: Sequence[str]) -> str:
    """Return what stands behind the first of some numbers: a percent sign, or letters."""
    found = UNIT.search(texts[0]) if texts else None
    return found[1] if found else ""


@dataclass(frozen=True)
class Dates:
    """Dates, which become days since the first.

    Attributes
    ----------
    format : str
        How they are written, for `datetime.strptime`.
    first : str
        The first of the column, in ISO 8601.
    is_open : bool, default=False
        Whether all could be read with days and months in the other order too.
    """

    format: str
    first: str
    is_open: bool = False
    kind = "date"

    @property
    def written(self) -> str:
        """What the way they are written is called: day/month/year."""
        day = re.split(r"[ T]%[HI]", self.format)[0]
        words = {"Y": "year", "y": "year", "m": "month", "b": "month", "B": "month", "d": "day"}
        return re.sub("%(.)", lambda found: words[found[1]], day)

    def swapped(self) -> "Dates":
        """Return dates since the same day, with days and months in the other order."""
        return replace(self, format=self.format.translate(str.maketrans("md", "dm")), is_open=False)

    def values(self, texts: Sequence[str]) -> NDArray:
        """Return the days since the first for each text, NaN where it is no date; times without a zone are UTC.

        Other spellings are read too, but none with day and month in the other order.
        """
        import pandas as pd

        dates = _as_days(texts, self.format)
        if dates.isna().any():
            for form in FORMATS:
                if order_of(form) in ("", order_of(self.format)):
                    dates = dates.fillna(_as_days(texts, form))
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


Reading = Numbers | Dates | Categories
"""What becomes of the cells of a column."""


def as_dates(texts: Sequence[str], *, day_first: bool | None = None) -> Dates | None:
    """Return the first way to write dates in which all the texts are one, or None.

    Parameters
    ----------
    texts : sequence of str
        The different cells of a column without its gaps.
    day_first : bool or None, default=None
        Whether days stand before months where both orders fit; None if that is not known.
    """
    if not texts or not DAY_LIKE.fullmatch(texts[0]):
        return None
    for form in FORMATS:
        dates = _dates(form, texts) if _dates(form, texts[:1]) is not None else None
        if dates is not None:
            other = _dates(dates.swapped().format, texts) if order_of(form) else None
            if other is not None and day_first is None:
                return replace(dates, is_open=True)
            return other if other is not None and day_first else dates
    return None


def order_of(form: str) -> str:
    """Return %d or %m, whichever stands first, if a format would be another with days and months swapped."""
    found = re.match("%[dm](?=[/-]%[dm])", form)
    return found[0] if found else ""


def _dates(form: str, texts: Sequence[str]) -> Dates | None:
    """Return dates that are all written in a format, or None where one is not."""
    days = _as_days(texts, form)
    return Dates(form, days.min().tz_localize(None).isoformat()) if days.notna().all() else None


def _as_days(texts: Sequence[str], form: str) -> Any:
    """Return a column of dates, with gaps where a text is none; of a day without signs no digit may lack."""
    import pandas as pd

    if form.startswith("%Y%m%d"):
        texts = [text if COMPACT.match(text) else "" for text in texts]
    return pd.to_datetime(pd.Series(list(texts), dtype=object), format=form, errors="coerce", utc=True)
