"""One Dagster run of all assets in a separate process, followed through its log.

Dagster is started as a user would start it and not imported: the command line must not need it.
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
TILE_ENDS = re.compile(r" (?P<done>\d+) of (?P<total>\d+) tiles, last (?P<outcome>\S+ \w+)")
RUN_ENDS = re.compile(r" tile_chain - \d+ tiles: (?P<counts>.+)$")
CHAIN = "tile_chain"
STOP_TIMEOUT_SECONDS = 30.0  # for an interrupted run to record its end in Dagster

INSTANCE_CONFIG = "telemetry:\n  enabled: false  # no data leaves this machine unasked\n"


@dataclass(frozen=True, kw_only=True)
class DemoRun:
    """Result of the Dagster run."""

    exit_code: int
    tile_counts: str
    """Outcomes of the tiles, such as `24 unchanged`; empty if the run ended before them."""

    log: Path
    """File with the output of Dagster."""


def dagster_home(project: Project, environment: Mapping[str, str]) -> Path:
    """Return the folder of the Dagster instance: $DAGSTER_HOME, else one in the project folder.

    Raises:
        SettingsError: the folder cannot be created.
    """
    named = environment.get(HOME_VARIABLE)
    home = Path(named).expanduser().resolve() if named else project.root / ".dagster_home"
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not named and not (home / "dagster.yaml").exists():
            (home / "dagster.yaml").write_text(INSTANCE_CONFIG, encoding="utf-8")
    except OSError as error:
        message = f"${HOME_VARIABLE}: {home} cannot be created ({error}); name another folder"
        raise SettingsError(message) from error
    return home


def materialize_command(keys: Sequence[str]) -> list[str]:
    """Return the command that materializes all assets of these tiles in one run."""
    program = [sys.executable, "-m", "dagster", "asset", "materialize"]
    tiles = (
        ["--partition", keys[0]]
        if len(keys) == 1
        else ["--partition-range", f"{keys[0]}...{keys[-1]}"]
    )
    return [*program, "-m", "spatial_assets.definitions", "--select", "*", *tiles]


def materialize_everything(project: Project, *, home: Path, progress: ProgressDisplay) -> DemoRun:
    """Materialize all assets of a project; the log goes to `demo.log` in the Dagster instance."""
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
    return DemoRun(exit_code=exit_code, tile_counts=follower.tile_counts, log=log)


@contextmanager
def running_process(
    command: Sequence[str], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """Start a process with readable output, and end it with the block."""
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
            process.send_signal(
                signal.SIGINT
            )  # as Ctrl-C, so that Dagster records the interruption
            try:
                process.communicate(timeout=STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        if process.stdout is not None:
            process.stdout.close()


class LogFollower:
    """Reads Dagster's log line by line and advances a progress display."""

    def __init__(self, progress: ProgressDisplay, tiles: int) -> None:
        self.tile_counts = ""
        self._progress = progress
        self._tiles = tiles
        self._done = 0

    def read(self, line: str) -> None:
        """Read one line."""
        if found := STEP_BEGINS.search(line):
            self._begin(found["step"])
        elif found := TILE_ENDS.search(line):
            while self._done < int(found["done"]):
                self._done += 1
                self._progress.step(found["outcome"])
        elif found := RUN_ENDS.search(line.rstrip()):
            self.tile_counts = found["counts"]

    def _begin(self, step: str) -> None:
        if step == CHAIN:
            self._progress.begin("tiles, from raw pixels to tables", total=self._tiles)
        else:
            self._progress.begin(step)
