"""Progress of a long command: a bar with the time left on a terminal, a few lines in a log.

Written to standard error, so that the output of a command can be piped.
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
"""Maximum number of progress lines per task where standard error is not a terminal."""


class ProgressDisplay(Protocol):
    """Shows the current task and its progress."""

    def say(self, line: str) -> None:
        """Print a line that stays."""

    def begin(self, task: str, total: int | None = None) -> None:
        """Begin a task of `total` steps, if their number is known."""

    def step(self, done: str) -> None:
        """Advance by one step; `done` names the step."""


class CountColumn(ProgressColumn):
    """Column with the completed and total steps, if the total is known."""

    def render(self, task: Task) -> Text:
        """Render for example `3 of 24`."""
        if task.total is None:
            return Text("")
        return Text(f"{task.completed:,.0f} of {task.total:,.0f}", style="progress.download")


class TimeLeftColumn(ProgressColumn):
    """Column with the estimated time left."""

    max_refresh = 0.5  # seconds: a flickering number is unreadable

    def render(self, task: Task) -> Text:
        """Render for example `about 12 s left`; measured from the first step on."""
        left = task.time_remaining
        text = "" if left is None or task.finished else f"about {format_duration(left)} left"
        return Text(text, style="progress.remaining")


@dataclass
class BarDisplay:
    """Progress bar on a terminal; only the printed lines remain afterwards."""

    progress: Progress
    _task: TaskID | None = None

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self.progress.console.print(escape(line), highlight=False, soft_wrap=True)

    def begin(self, task: str, total: int | None = None) -> None:
        """Replace the bar by a new one."""
        if self._task is not None:
            self.progress.remove_task(self._task)
        self._task = self.progress.add_task(escape(task), total=total)

    def step(self, done: str) -> None:
        """Advance the bar, which does not show `done`."""
        del done
        if self._task is not None:
            self.progress.advance(self._task)


@dataclass
class LineDisplay:
    """Plain lines, at most MAX_LOG_LINES per task and two more."""

    print: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _total: int | None = None
    _done: int = 0
    _first: float = 0.0

    def say(self, line: str) -> None:
        """Print a line."""
        self.print(line)

    def begin(self, task: str, total: int | None = None) -> None:
        """Print the name of the task."""
        self._total, self._done = total, 0
        self.print(f"{task} ...")

    def step(self, done: str) -> None:
        """Print every tenth of the task, with the time left extrapolated from the first step."""
        before, self._done = self._done, self._done + 1
        if self._done == 1:
            self._first = self.clock()
        total = self._total or 0
        if self._done * MAX_LOG_LINES // max(total, 1) == before * MAX_LOG_LINES // max(total, 1):
            return
        line = f"  {self._done} of {total}, last {done}"
        if 1 < self._done < total:
            each = (self.clock() - self._first) / (self._done - 1)
            line += f"; about {format_duration(each * (total - self._done))} left"
        self.print(line)


@contextmanager
def progress_display(console: Console | None = None) -> Iterator[ProgressDisplay]:
    """Open a bar on a terminal, else plain lines; on standard error."""
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
