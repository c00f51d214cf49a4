"""Where tables are printed: as wide as the terminal, or wide enough for a log."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH_OF_A_LOG = 160  # columns where there is no terminal to ask


def console() -> Console:
    """The console for what a command answers, on standard output."""
    is_known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, width=None if is_known else WIDTH_OF_A_LOG)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "") -> Table:
    """A table of plain text, in which nothing is cut off and nothing is markup."""
    made = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))  # [scenes] is no markup here
    return made
