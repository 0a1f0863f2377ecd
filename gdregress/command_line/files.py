"""The text of a file: as it is, out of an archive, or what pandas reads from a workbook or a Parquet file."""

import bz2
import codecs
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from gdregress.command_line.wording import TableError
from gdregress.rows.wording import count

PIECE = 2**26
"""Bytes that are read at a time."""

PACKED: dict[bytes, Callable[[Any], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
"""How a compressed file is opened, by its first bytes."""

NO_TABLES = {
    b"\x28\xb5\x2f\xfd": "is compressed by zstd, and not text: unpack it first.",
    **dict.fromkeys(
        (b"\x80\4", b"\x80\5"), "is a model or another pickle, and not text: predict with it by gdregress predict."
    ),
    b"%PDF": "is a PDF document, and not a table: give the path of a CSV file.",
}
"""What a file is that is refused, by its first bytes, and what is to be done with it."""

REMEDY = "give the path of a CSV file."


def read_text(path: str, encoding: str) -> tuple[bytes, list[str]]:
    """Return the content of a file in UTF-8, without a byte order mark, and what is to be said of it.

    What a file is, is told by its first bytes, whatever its name. Cells of workbooks and Parquet files become CSV.

    Parameters
    ----------
    path : str
        The file.
    encoding : str
        The encoding of its text.

    Raises
    ------
    TableError
        If the file cannot be read, or is no table.
    """
    try:
        with open(path, "rb") as file:
            content, notes = _content(path, file, encoding)
    except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile, RuntimeError) as error:
        raise TableError(f"{path} cannot be unpacked ({error}): unpack it by other means, or get it anew.") from error
    except OSError as error:
        raise TableError(f"{path} cannot be read ({error.strerror or error}): {REMEDY}") from error
    except ValueError as error:  # a null byte in the path
        if isinstance(error, TableError):
            raise
        raise TableError(f"{path!r} is no path ({error}): {REMEDY}") from error
    if not content or content.isspace():
        raise TableError(f"{path} is empty: {REMEDY}")
    return content, notes


def _content(path: str, file: Any, encoding: str) -> tuple[bytes, list[str]]:
    """Return the content of an open file and what is to be said of it, whatever it is packed in."""
    start = file.peek(8)[:8]
    for mark, words in NO_TABLES.items():
        if start.startswith(mark):
            raise TableError(f"{path} {words}")
    for mark, unpack in PACKED.items():
        if start.startswith(mark):
            with unpack(file) as inner:
                return _content(path, inner, encoding)
    if start.startswith(b"PAR1"):
        return _converted(path, "a Parquet file", "pyarrow", lambda pandas: _of_parquet(pandas, file))
    if start.startswith(b"\xd0\xcf\x11\xe0"):
        return _converted(path, "an Excel workbook", "xlrd", lambda pandas: _of_workbook(pandas, file))
    if not start.startswith(b"PK\3\4"):
        return _decoded(path, file, encoding).removeprefix(codecs.BOM_UTF8), []
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
        if "[Content_Types].xml" in names:
            return _converted(path, "an Excel workbook", "openpyxl", lambda pandas: _of_workbook(pandas, file))
        if "mimetype" in names:
            return _converted(path, "a workbook", "odfpy", lambda pandas: _of_workbook(pandas, file))
        if len(names) != 1:
            raise TableError(f"{path} holds {count(len(names), 'file')}, and not one: unpack it first.")
        with archive.open(names[0]) as inner:
            return _content(path, inner, encoding)


def _converted(path: str, kind: str, package: str, convert: Callable[[Any], Any]) -> tuple[bytes, list[str]]:
    """Return what pandas reads as CSV, and what is to be said of it; or say what pandas lacks."""
    try:
        return convert(import_pandas())
    except ImportError as error:
        raise TableError(
            f"{path} is {kind}, which pandas reads with {package}: python -m pip install {package}, or save it as CSV."
        ) from error
    except TableError:
        raise
    except Exception as error:  # readers of other packages raise nearly anything
        raise TableError(
            f"{path} cannot be read as {kind} ({type(error).__name__}: {error}): save it as CSV."
        ) from error


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


def _decoded(path: str, file: Any, encoding: str) -> bytes:
    """Return the content of an open file in UTF-8; refuse what is no text as soon as it shows."""
    pieces: list[bytes] = []
    try:
        for text in codecs.iterdecode(iter(lambda: file.read(PIECE), b""), encoding):
            if "\0" in text:
                raise TableError(f"{path} is not text (it holds a zero byte): {REMEDY}")
            pieces.append(text.encode(errors="surrogatepass"))
        return b"".join(pieces)
    except UnicodeError as error:
        line = 1 + sum(part.count(b"\n") for part in pieces)
        raise TableError(_wrong_encoding(path, encoding, error, line)) from error


def _wrong_encoding(path: str, encoding: str, error: UnicodeError, line: int) -> str:
    """Return the sentence on bytes that are no text in an encoding."""
    name = "UTF-8" if encoding == "utf-8" else encoding
    if not isinstance(error, UnicodeDecodeError):
        return f"{path} is not {name} text ({error}): name its encoding with --encoding."
    byte, line = error.object[error.start], line + error.object.count(b"\n", 0, error.start)
    likely = "utf-16" if error.object[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "cp1252"
    likely = f"such as --encoding {likely}" if likely != encoding else "with --encoding"
    return f"{path} is not {name} text (byte 0x{byte:02x} on line {line}): name its encoding, {likely}."


def import_pandas() -> Any:
    """Import pandas, or say how to install it."""
    try:
        import pandas
    except ImportError as error:
        raise TableError(
            'reading a file takes pandas, which is not installed: python -m pip install "gdregress[cli]".'
        ) from error
    return pandas
