"""What each run did, in the table `run_log`: begun with the run, written on as it goes.

It is kept for people and forecasts. No run fails because of it, and no decision rests on it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

from spatial_assets.errors import DatabaseError
from spatial_assets.pipeline.outcome import State, TileOutcome
from spatial_assets.pipeline.stages import RAW
from spatial_assets.stores.rows import Replace, RowChange
from spatial_assets.stores.tables.database import Database
from spatial_assets.stores.tables.declarations import RUN_LOG

logger = logging.getLogger(__name__)

WRITTEN_EVERY = timedelta(seconds=30)
"""A run that is killed loses no more than that from its row."""

KEPT_RUNS = 1000
"""Rows of a grid; the oldest beyond are forgotten."""

COMPUTED = frozenset({State.MATERIALIZED, State.EMPTY})


@dataclass(kw_only=True, eq=False)
class RunLog:
    """The row of one run."""

    database: Database
    grid_id: str
    owner: str
    stages: Sequence[str]
    workers: int
    clock: Callable[[], datetime]
    _run: str = field(default_factory=lambda: uuid4().hex)
    _tiles: Counter[str] = field(default_factory=Counter)
    _computed: int = 0
    _seconds: float = 0.0
    _bytes_read: int = 0

    def of(
        self, outcomes: Generator[TileOutcome, None, None]
    ) -> Generator[TileOutcome, None, None]:
        """Yield `outcomes`, noted; whoever stops asking for more has cut the run short."""
        started = written = self.clock()
        self._write(started)
        self._forget_the_oldest()
        try:
            with closing(outcomes):
                for outcome in outcomes:
                    self._add(outcome)
                    yield outcome
                    if self.clock() - written >= WRITTEN_EVERY:
                        written = self.clock()
                        self._write(started)
        finally:
            self._write(started, ended=self.clock())

    def _add(self, outcome: TileOutcome) -> None:
        self._tiles[str(outcome.state)] += 1
        if outcome.state not in COMPUTED:
            return
        self._computed += 1
        self._seconds += outcome.seconds
        read = (stage.facts for stage in outcome.stages if stage.stage == RAW)
        self._bytes_read += sum(int(str(facts.get("bytes_read", 0))) for facts in read)

    def _write(self, started: datetime, *, ended: datetime | None = None) -> None:
        row = {
            "owner": self.owner,
            "started_at": started,
            "written_at": self.clock(),
            "ended_at": ended,
            "stages": list(self.stages),
            "workers": max(self.workers, 1),
            "tiles": dict(self._tiles),
            "computed": self._computed,
            "seconds": self._seconds,
            "bytes_read": self._bytes_read,
        }
        self._commit([Replace(RUN_LOG, self._key(self._run), [row])])

    def _forget_the_oldest(self) -> None:
        """Keep the newest rows; what cannot be read now is forgotten another time."""
        try:
            where, columns = {"grid_id": self.grid_id}, ["started_at", "run"]
            rows = self.database.rows(RUN_LOG, where=where, columns=columns)
        except DatabaseError as error:
            logger.warning("run_log could not be read, the run goes on: %s", error)
            return
        self._commit(
            [Replace(RUN_LOG, self._key(str(row["run"])), []) for row in rows[:-KEPT_RUNS]]
        )

    def _commit(self, changes: Sequence[RowChange]) -> None:
        try:
            self.database.commit(changes)
        except DatabaseError as error:
            logger.warning("run_log was not written, the run goes on: %s", error)

    def _key(self, run: str) -> dict[str, object]:
        return {"grid_id": self.grid_id, "run": run}
