"""Values of columns as a table has them, from the types of every format.

No Arrow: the command line imports this module.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal


@dataclass(frozen=True)
class Undecodable:
    """Text that is not of the declared encoding."""

    raw: bytes
    """Bytes as the file has them."""

    encoding: str
    """Encoding that they were to have."""

    def __str__(self) -> str:
        """Return the text with escapes for what cannot be decoded: no two look alike."""
        text = self.raw.decode("ascii", errors="backslashreplace")
        return text.replace("\0", "\\x00")


def plain_value(value: object) -> object:
    """Return a value as None, text, boolean, number, date or datetime.

    Lists and objects become JSON text, as GDAL gives them; bytes become hexadecimal digits. Text
    that no database stores (a lone surrogate, a NUL) is `Undecodable`.
    """
    if value is None or isinstance(value, bool | int | float | Undecodable):
        return value
    if isinstance(value, datetime):
        whole = getattr(value, "to_pydatetime", None)  # nanoseconds of pandas
        return value if whole is None else whole(warn=False)
    if isinstance(value, date):
        return value
    if isinstance(value, Decimal):
        is_whole = value.is_finite() and value == value.to_integral_value()
        return int(value) if is_whole else float(value)
    return _storable(_text(value))


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=_json_text)
    return value.isoformat() if isinstance(value, time) else str(value)


def _storable(text: str) -> str | Undecodable:
    try:
        text.encode()
    except UnicodeEncodeError:
        return Undecodable(text.encode(errors="surrogatepass"), "Unicode")
    return text if "\0" not in text else Undecodable(text.encode(), "text without NUL")


def _json_text(value: object) -> str:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value.total_seconds())
    return str(value)
