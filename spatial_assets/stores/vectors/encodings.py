"""Text of boundaries files: decoded as the file declares, or marked; never replaced.

GDAL drops bytes that it cannot decode and warns once a process, and Arrow assumes UTF-8. So the
text of a shapefile is read byte for byte, and decoded here.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from spatial_assets.stores.vectors.values import Undecodable

_DEFAULT = "iso-8859-1"  # of dBASE, and of GDAL, for a table that declares nothing
_CHUNK = 1 << 20

# Language drivers of dBASE, byte 29 of a .dbf, and their code pages (GDAL, ogrshapelayer.cpp)
_PAGES: Mapping[str, tuple[int, ...]] = {
    "cp437": (0x01, 0x0B, 0x0D, 0x0F, 0x11, 0x15, 0x18, 0x19, 0x1B),
    "cp850": (0x02, 0x0A, 0x0E, 0x10, 0x12, 0x14, 0x16, 0x1A, 0x1D, 0x25, 0x37),
    "cp852": (0x1F, 0x22, 0x23, 0x40, 0x64, 0x87),
    "cp1252": (0x03, 0x58, 0x59),
    "iso-8859-1": (0x57,),
    "mac-roman": (0x04,),
    "cp865": (0x08, 0x17, 0x66),
    "cp932": (0x13, 0x7B),
    "cp863": (0x1C, 0x6C),
    "cp860": (0x24,),
    "cp866": (0x26, 0x65),
    "gbk": (0x4D, 0x7A),
    "cp949": (0x4E, 0x79),
    "cp950": (0x4F, 0x78),
    "cp874": (0x50, 0x7C),
    "cp861": (0x67,),
    "cp737": (0x6A, 0x86),
    "cp857": (0x6B, 0x88),
    "mac-cyrillic": (0x96,),
    "mac-latin2": (0x97,),
    "cp1250": (0xC8,),
    "cp1251": (0xC9,),
    "cp1254": (0xCA,),
    "cp1253": (0xCB,),
    "cp1257": (0xCC,),
}
_LANGUAGE_DRIVERS = {number: page for page, numbers in _PAGES.items() for number in numbers}


@dataclass(frozen=True)
class TextEncoding:
    """Encoding of the text of a shapefile."""

    codec: str
    """Name in Python."""

    declared: str
    """Declaration as the file has it, for messages."""

    notes: tuple[str, ...] = ()
    """Doubts for the user."""

    carrier: str = "ISO-8859-1"
    """Encoding to give GDAL: a character for each of the 256 bytes, so that none is lost."""

    def name_of(self, given: str) -> str:
        """Decode the name of a column; escaped where that is impossible."""
        raw = given.encode(self.carrier)
        return raw.decode(self.codec, errors="backslashreplace")

    def value_of(self, given: str) -> str | Undecodable:
        """Decode a value."""
        if given.isascii():
            return given
        raw = given.encode(self.carrier)
        try:
            return raw.decode(self.codec)
        except UnicodeDecodeError:
            return Undecodable(raw, self.declared)


def encoding_of(path: Path, layer: str) -> TextEncoding:
    """Return the encoding of a shapefile: that of its .cpg, else of its .dbf, else the default.

    Args:
        path: the .shp, or the folder that it is in.
        layer: its name without a suffix.
    """
    folder = path if path.is_dir() else path.parent
    files = {file.name.casefold(): file for file in folder.iterdir()}
    page, table = (files.get(f"{layer}{suffix}".casefold()) for suffix in (".cpg", ".dbf"))
    declared = page.read_bytes()[:100].decode("ascii", errors="replace").strip() if page else ""
    if declared:
        return TextEncoding(_codec(declared) or "ascii", declared)
    if table is None:
        return TextEncoding(_DEFAULT, "no encoding")
    with table.open("rb") as file:
        driver = file.read(30)[29:30]
    if driver != b"\0" and driver:
        found = f"language driver {driver[0]:#04x}"
        return TextEncoding(_LANGUAGE_DRIVERS.get(driver[0], "ascii"), found)
    return _undeclared(table)


def decoded_rows(batch: Any, text: TextEncoding | None) -> list[dict[str, object]]:  # noqa: ANN401 - pyarrow has no types
    """Rows of a batch, with `Undecodable` for text that is not of its encoding.

    Args:
        batch: record batch of Arrow.
        text: encoding of text that was read byte for byte; None: it is UTF-8.

    Raises:
        pa.ArrowInvalid: the batch is damaged.
    """
    try:
        if text is None:
            return _utf8_rows(batch)
        return [
            {name: text.value_of(v) if isinstance(v, str) else v for name, v in row.items()}
            for row in batch.to_pylist()
        ]
    except SystemError as error:  # Arrow takes a damaged offset for a negative length
        raise pa.ArrowInvalid(str(error)) from error


def _utf8_rows(batch: Any) -> list[dict[str, object]]:  # noqa: ANN401
    try:
        return list(batch.to_pylist())
    except UnicodeDecodeError:
        columns = {}
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
            values = (column.cast(pa.binary()) if is_text else column).to_pylist()
            columns[name] = [_utf8(value) if is_text else value for value in values]
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _utf8(value: bytes | None) -> str | Undecodable | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return Undecodable(value or b"", "UTF-8")


def _codec(declared: str) -> str | None:
    """Return Python's name of an encoding as a .cpg names it, None if it is unknown."""
    text = re.sub(r"^(ansi|oem)[ _-]*", "", declared.strip().lower())
    digits = re.sub(r"\D", "", text) if re.fullmatch(r"(cp|windows)?[ _-]*\d+", text) else ""
    names = [text]
    if digits.startswith("8859"):
        names = [f"iso-8859-{digits[4:]}"]
    elif digits:
        names = ["utf-8" if digits == "65001" else "gbk" if digits == "936" else f"cp{digits}"]
    for name in names:
        try:
            return codecs.lookup(name).name
        except LookupError:
            continue
    return None


def _undeclared(table: Path) -> TextEncoding:
    """Return UTF-8 if all of the table is, else the default of dBASE, with a note."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    is_ascii = True
    with table.open("rb") as file:
        file.seek(int.from_bytes(file.read(10)[8:10], "little"))
        try:
            while chunk := file.read(_CHUNK):
                is_ascii = is_ascii and chunk.isascii()
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            is_ascii, codec = False, _DEFAULT
        else:
            codec = "utf-8"
    note = f"{table.name} declares no encoding and is read as {codec.upper()}: add a .cpg file"
    return TextEncoding(codec, "no encoding", () if is_ascii else (note,))
