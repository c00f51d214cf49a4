"""The console that tables are printed on, and formats for counts, lists, sizes and durations."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

LOG_WIDTH = 160  # columns where standard output is not a terminal


def console() -> Console:
    """Return a console on standard output, as wide as the terminal or as LOG_WIDTH."""
    width_is_known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, width=None if width_is_known else LOG_WIDTH)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "") -> Table:
    """Build a table of plain text that folds long cells and interprets no markup."""
    built = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        built.add_column(column, overflow="fold")
    for row in rows:
        built.add_row(*(Text(cell) for cell in row))  # Text: [scenes] is not markup
    return built


def format_count(number: int, noun: str) -> str:
    """Format a number with its noun: `1 tile`, `2,400 tiles`, `3 boundaries`."""
    if number != 1:
        noun = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun}"


def format_list(names: Sequence[str], *, most: int) -> str:
    """Join names with commas; count those beyond `most`."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def format_size(size: float) -> str:
    """Format a number of bytes: `640 kB`, `17.9 MB`, `1.2 TB`."""
    for unit, factor in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if size < 1000 * factor:
            return f"{size / factor:,.{0 if unit == 'kB' else 1}f} {unit}"
    return f"{size / 1e12:,.1f} TB"


def format_duration(seconds: float) -> str:
    """Format a duration: `40 s`, `3 min`, `2.5 h`, `4 days`."""
    for unit, size, most in (("s", 1, 90), ("min", 60, 5_400)):
        if seconds < most:
            return f"{seconds / size:.0f} {unit}"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.0f} days"  # noqa: PLR2004 - two days
