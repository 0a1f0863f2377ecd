"""The text of a file: as it is, out of an archive, or what pandas reads from a workbook or a Parquet file."""

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from gdregress.command_line.wording import TableError
from gdregress.rows.wording import count

PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
"""How a compressed file is opened, by its first bytes."""

REMEDY = "give the path of a CSV file."


def read_text(path: str, encoding: str) -> tuple[bytes, list[str]]:
    """Return the content of a file in UTF-8, without a byte order mark, and what is to be said of it.

    What a file is, is told by its first bytes, whatever its name. Cells of workbooks and Parquet files become CSV.
    """
    try:
        with open(path, "rb") as file:
            content, notes = _content(path, file, encoding)
    except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile, RuntimeError) as error:
        raise TableError(f"{path} cannot be unpacked ({error}): unpack it by other means, or get it anew.") from error
    except OSError as error:
        raise TableError(f"{path} cannot be read ({error.strerror or error}): {REMEDY}") from error
    except TableError:
        raise
    except ValueError as error:  # a null byte in the path
        raise TableError(f"{path!r} is no path ({error}): {REMEDY}") from error
    if not content or content.isspace():
        raise TableError(f"{path} is empty: {REMEDY}")
    return content, notes


def _content(path: str, file: Any, encoding: str) -> tuple[bytes, list[str]]:
    """Return the content of an open file and what is to be said of it, whatever it is packed in."""
    start = file.peek(8)[:8]
    for mark, unpack in PACKED.items():
        if start.startswith(mark):
            with unpack(file) as inner:
                return _content(path, inner, encoding)
    if start == bytes(8):  # of /dev/zero there is no end
        raise TableError(f"{path} is not text (it holds a zero byte): {REMEDY}")
    if start.startswith(b"PAR1"):
        return _converted(path, file, _of_parquet)
    if start.startswith(b"\xd0\xcf\x11\xe0"):
        return _converted(path, file, _of_workbook)
    if not start.startswith(b"PK\3\4"):
        return _decoded(path, file.read(), encoding), []
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
        if {"[Content_Types].xml", "mimetype"} & set(names):
            return _converted(path, file, _of_workbook)
        if len(names) != 1:
            raise TableError(f"{path} holds {count(len(names), 'file')}, and not one: unpack it first.")
        with archive.open(names[0]) as inner:
            return _content(path, inner, encoding)


def _converted(path: str, file: Any, convert: Callable[[Any, Any], tuple[bytes, list[str]]]) -> tuple[bytes, list[str]]:
    """Return what pandas reads as CSV, and what is to be said of it; or say what pandas says, such as what it lacks."""
    pandas = import_pandas()
    try:
        return convert(pandas, file)
    except Exception as error:  # readers of other packages raise nearly anything
        raise TableError(f"{path} is not read by pandas ({type(error).__name__}: {error}): save it as CSV.") from error


def _of_parquet(pandas: Any, file: Any) -> tuple[bytes, list[str]]:
    frame = pandas.read_parquet(file)
    frame = frame if frame.index.names == [None] else frame.reset_index()
    return frame.to_csv(index=False).encode(), []


def _of_workbook(pandas: Any, file: Any) -> tuple[bytes, list[str]]:
    """Return the first sheet, with all cells as they are: the lines of the text are its rows."""
    with pandas.ExcelFile(file) as workbook:
        first, *others = workbook.sheet_names
        cells = workbook.parse(first, header=None, dtype=object, keep_default_na=False, na_values=[""])
    notes = [f"the first of {1 + len(others)} sheets is read: {first}"] if others else []
    return cells.to_csv(index=False, header=False).encode(), notes


def _decoded(path: str, content: bytes, encoding: str) -> bytes:
    """Return text of some encoding in UTF-8; refuse what is no text."""
    try:
        text = content.decode(encoding)
    except UnicodeError as error:
        remedy = "name its encoding with --encoding, such as cp1252 or utf-16."
        raise TableError(f"{path} is not {encoding.upper()} text ({error}): {remedy}") from error
    if "\0" in text:
        raise TableError(f"{path} is not text (it holds a zero byte): {REMEDY}")
    return text.removeprefix("\ufeff").encode(errors="surrogatepass")


def import_pandas() -> Any:
    """Import pandas, or say how to install it."""
    try:
        import pandas
    except ImportError as error:
        raise TableError(
            'reading a file takes pandas, which is not installed: python -m pip install "gdregress[cli]".'
        ) from error
    return pandas
