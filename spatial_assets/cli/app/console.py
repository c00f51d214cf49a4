"""Where tables are printed: as wide as the terminal, or wide enough for a log.

How numbers and lists are said. Pure.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

LOG_WIDTH = 160  # columns where there is no terminal to ask


def console() -> Console:
    """The console for what a command answers, on standard output."""
    is_known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, width=None if is_known else LOG_WIDTH)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "") -> Table:
    """A table of plain text, in which nothing is cut off and nothing is markup."""
    made = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))  # [scenes] is no markup here
    return made


def format_count(number: int, noun: str) -> str:
    """`1 tile`, `2,400 tiles`, `3 boundaries`."""
    if number != 1:
        noun = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun}"


def format_list(names: Sequence[str], *, most: int) -> str:
    """The names with commas between them, those beyond `most` as a number."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def format_size(number: float) -> str:
    """An amount of data as people say it: `640 kB`, `17.9 MB`, `1.2 TB`."""
    for unit, size in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if number < 1000 * size:
            return (
                f"{number / size:,.0f} {unit}" if unit == "kB" else f"{number / size:,.1f} {unit}"
            )
    return f"{number / 1e12:,.1f} TB"


def format_duration(seconds: float) -> str:
    """A length of time as people say it: `40 s`, `3 min`, `2.5 h`, `4 days`."""
    for unit, size, most in (("s", 1, 90), ("min", 60, 5_400)):
        if seconds < most:
            return f"{seconds / size:.0f} {unit}"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.0f} days"  # noqa: PLR2004 - two days
