"""One run of everything through Dagster, in a process of its own, followed by its log.

Dagster is started as a user would start it, not imported: a command line must not need it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spatial_assets.cli.local_run.progress import ProgressDisplay
from spatial_assets.errors import SettingsError
from spatial_assets.project import Project
from spatial_assets.project.loading import PROJECT_VARIABLE

HOME_VARIABLE = "DAGSTER_HOME"
STEP_BEGINS = re.compile(r"STEP_START - Started execution of step \"(?P<step>\w+)\"")
TILE_ENDS = re.compile(r" (?P<done>\d+) of (?P<total>\d+) tiles, last (?P<told>\S+ \w+)")
RUN_ENDS = re.compile(r" tile_chain - \d+ tiles: (?P<sentence>.+)$")
CHAIN = "tile_chain"
STOP_TIMEOUT_SECONDS = 30.0  # for a run that was interrupted to say so in Dagster's records

INSTANCE_CONFIG = "telemetry:\n  enabled: false  # nothing leaves this machine unasked\n"


@dataclass(frozen=True, kw_only=True)
class DemoRun:
    """How the run ended."""

    exit_code: int
    sentence: str
    """What became of the tiles, such as `24 unchanged`; empty where it never got so far."""

    log: Path
    """Everything that Dagster said."""


def dagster_home(project: Project, environment: Mapping[str, str]) -> Path:
    """The Dagster instance: $DAGSTER_HOME, else one of the project's own, made here.

    Raises:
        SettingsError: it cannot be made.
    """
    named = environment.get(HOME_VARIABLE)
    home = Path(named).expanduser().resolve() if named else project.root / ".dagster_home"
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not named and not (home / "dagster.yaml").exists():
            (home / "dagster.yaml").write_text(INSTANCE_CONFIG, encoding="utf-8")
    except OSError as error:
        message = f"${HOME_VARIABLE}: {home} cannot be made ({error}); name another folder"
        raise SettingsError(message) from error
    return home


def materialize_command(keys: Sequence[str]) -> list[str]:
    """The command that makes every asset of these tiles: one run, boundaries first."""
    program = [sys.executable, "-m", "dagster", "asset", "materialize"]
    tiles = (
        ["--partition", keys[0]]
        if len(keys) == 1
        else ["--partition-range", f"{keys[0]}...{keys[-1]}"]
    )
    return [*program, "-m", "spatial_assets.definitions", "--select", "*", *tiles]


def materialize_everything(project: Project, *, home: Path, progress: ProgressDisplay) -> DemoRun:
    """Make everything of a project; its log goes to a file beside Dagster's own records."""
    keys = project.partitioning.keys
    environment = {
        **os.environ,
        HOME_VARIABLE: str(home),
        PROJECT_VARIABLE: str(project.root),
        "PYTHONUNBUFFERED": "1",
    }
    log = home / "demo.log"
    progress.begin("Dagster starts")
    follower = LogFollower(progress, len(keys))
    with (
        log.open("w", encoding="utf-8") as file,
        running_process(materialize_command(keys), environment) as process,
    ):
        for line in process.stdout or ():
            file.write(line)
            follower.read(line)
        exit_code = process.wait()
    return DemoRun(exit_code=exit_code, sentence=follower.sentence, log=log)


@contextmanager
def running_process(
    command: Sequence[str], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """A process whose output can be read; ended with the block, whatever happens in it."""
    process = subprocess.Popen(  # noqa: S603 - our own command, no shell
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)  # as Ctrl-C: Dagster then notes that it was stopped
            try:
                process.communicate(timeout=STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        if process.stdout is not None:
            process.stdout.close()


class LogFollower:
    """Reads Dagster's log line by line, and moves a meter by it."""

    def __init__(self, progress: ProgressDisplay, tiles: int) -> None:
        self.sentence = ""
        self._progress = progress
        self._tiles = tiles
        self._done = 0

    def read(self, line: str) -> None:
        """Take in one line."""
        if found := STEP_BEGINS.search(line):
            self._begin(found["step"])
        elif found := TILE_ENDS.search(line):
            while self._done < int(found["done"]):
                self._done += 1
                self._progress.step(found["told"])
        elif found := RUN_ENDS.search(line.rstrip()):
            self.sentence = found["sentence"]

    def _begin(self, step: str) -> None:
        if step == CHAIN:
            self._progress.begin("tiles, from raw pixels to tables", total=self._tiles)
        else:
            self._progress.begin(step)
