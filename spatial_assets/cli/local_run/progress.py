"""How far a long piece of work is: a bar with the time left, or a few plain lines in a log.

It goes to standard error, so that what a command answers can be piped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from spatial_assets.cli.app.console import format_duration

MAX_LOG_LINES = 10
"""Lines a piece of work at the most where there is no terminal, however long it is."""


class ProgressDisplay(Protocol):
    """Says what is being done, and how far it is."""

    def say(self, line: str) -> None:
        """A line that stays."""

    def begin(self, doing: str, total: int | None = None) -> None:
        """Start on something; `total` steps, if that is known."""

    def step(self, told: str) -> None:
        """One step further; `told` says what was done last."""


class CountColumn(ProgressColumn):
    """How many of how many, where that is known."""

    def render(self, task: Task) -> Text:
        """Such as `3 of 24`."""
        if task.total is None:
            return Text("")
        return Text(f"{task.completed:,.0f} of {task.total:,.0f}", style="progress.download")


class TimeLeftColumn(ProgressColumn):
    """How long it will take, once that is known."""

    max_refresh = 0.5  # seconds; a number that flickers is not read

    def render(self, task: Task) -> Text:
        """Such as `about 12 s left`; measured from the first step on, so that a start is none."""
        left = task.time_remaining
        told = "" if left is None or task.finished else f"about {format_duration(left)} left"
        return Text(told, style="progress.remaining")


@dataclass
class BarDisplay:
    """A bar that moves; what it leaves behind is what was said."""

    progress: Progress
    _task: TaskID | None = None

    def say(self, line: str) -> None:
        """Print above the bar."""
        self.progress.console.print(escape(line), highlight=False, soft_wrap=True)

    def begin(self, doing: str, total: int | None = None) -> None:
        """A new bar in place of the one before."""
        if self._task is not None:
            self.progress.remove_task(self._task)
        self._task = self.progress.add_task(escape(doing), total=total)

    def step(self, told: str) -> None:
        """Move on; the bar itself says how far, so `told` is left to logs."""
        del told
        if self._task is not None:
            self.progress.advance(self._task)


@dataclass
class LineDisplay:
    """Plain lines, not more than a few for each piece of work."""

    print: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _total: int | None = None
    _done: int = 0
    _first: float = 0.0

    def say(self, line: str) -> None:
        """Print."""
        self.print(line)

    def begin(self, doing: str, total: int | None = None) -> None:
        """Print what begins."""
        self._total, self._done = total, 0
        self.print(f"{doing} ...")

    def step(self, told: str) -> None:
        """Every tenth part is said, with the time left as the steps since the first tell it."""
        before, self._done = self._done, self._done + 1
        if self._done == 1:
            self._first = self.clock()
        total = self._total or 0
        if self._done * MAX_LOG_LINES // max(total, 1) == before * MAX_LOG_LINES // max(total, 1):
            return
        line = f"  {self._done} of {total}, last {told}"
        if 1 < self._done < total:
            each = (self.clock() - self._first) / (self._done - 1)
            line += f"; about {format_duration(each * (total - self._done))} left"
        self.print(line)


@contextmanager
def progress_display(console: Console | None = None) -> Iterator[ProgressDisplay]:
    """A bar where there is a terminal, else lines; on standard error."""
    console = console or Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield LineDisplay(partial(click.echo, err=True))
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        CountColumn(),
        TimeElapsedColumn(),
        TimeLeftColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield BarDisplay(progress)
