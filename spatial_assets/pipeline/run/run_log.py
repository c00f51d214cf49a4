"""One row a run in the table `run_log`, written when the run starts and updated as it goes.

It serves users and forecasts. No run fails because of it, and no decision depends on it.
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
"""Interval of updates: a killed run loses no more than this from its row."""

KEPT_RUNS = 1000
"""Rows kept of a grid; older ones are deleted."""

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
        """Yield `outcomes` and log them; a consumer that stops early cuts the run short."""
        started = written = self.clock()
        self._write(started)
        self._delete_oldest()
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

    def _delete_oldest(self) -> None:
        """Keep the newest rows; if they cannot be read now, a later run deletes the others."""
        try:
            where, columns = {"grid_id": self.grid_id}, ["started_at", "run"]
            rows = self.database.rows(RUN_LOG, where=where, columns=columns)
        except DatabaseError as error:
            logger.warning("run_log could not be read; the run continues: %s", error)
            return
        self._commit(
            [Replace(RUN_LOG, self._key(str(row["run"])), []) for row in rows[:-KEPT_RUNS]]
        )

    def _commit(self, changes: Sequence[RowChange]) -> None:
        try:
            self.database.commit(changes)
        except DatabaseError as error:
            logger.warning("run_log was not written; the run continues: %s", error)

    def _key(self, run: str) -> dict[str, object]:
        return {"grid_id": self.grid_id, "run": run}
