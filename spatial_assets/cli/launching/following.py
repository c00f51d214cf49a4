"""Following backfills to their end: how far they are, and how they ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spatial_assets.cli.launching.backfill import Backfill
from spatial_assets.cli.launching.webserver import Webserver
from spatial_assets.cli.running.meter import Meter
from spatial_assets.errors import LaunchError

PROGRESS = """
query Progress($backfill: String!) {
  partitionBackfillOrError(backfillId: $backfill) {
    ... on Error { message }
    ... on PartitionBackfill {
      status
      error { message }
      assetBackfillData {
        assetBackfillStatuses {
          ... on AssetPartitionsStatusCounts {
            assetKey { path }
            numPartitionsMaterialized
            numPartitionsFailed
          }
        }
      }
    }
  }
}
"""
EVERY = 3.0
"""Seconds between looks: Dagster's daemon goes on with a backfill every 30."""

PATIENCE = 120.0
"""Seconds that a webserver may be away, such as for a restart, before waiting is given up."""

GOOD = "COMPLETED_SUCCESS"
ENDED = frozenset({GOOD, "COMPLETED_FAILED", "COMPLETED", "FAILED", "CANCELED"})


@dataclass(frozen=True)
class Progress:
    """How far a backfill is."""

    status: str
    """As Dagster calls it, e.g. REQUESTED, COMPLETED_SUCCESS."""

    made: int = 0
    """Tiles of the stage that was asked about."""

    failed: int = 0
    """Tiles of that stage that came to nothing."""

    error: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more happens."""
        return self.status in ENDED


@dataclass(kw_only=True, eq=False)
class Following:
    """Looks at backfills until all have ended."""

    webserver: Webserver
    stage: str
    """The last stage: a tile has ended when it has."""

    meter: Meter
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def to_the_end(self, backfills: Sequence[Backfill]) -> tuple[Progress, ...]:
        """How each ended.

        Raises:
            LaunchError: the webserver stayed away; the backfills go on without us.
        """
        told = 0
        self.meter.begin(f"{self.stage} in Dagster", total=sum(each.tiles for each in backfills))
        while True:
            found = self._seen(backfills)
            done = sum(each.made + each.failed for each in found)
            for number in range(told, done):
                self.meter.step(f"tile {number + 1} of {self.stage}")
            told = max(told, done)
            if all(each.has_ended for each in found):
                return found
            self.sleep(EVERY)

    def _seen(self, backfills: Sequence[Backfill]) -> tuple[Progress, ...]:
        """How far they are; a webserver that is away for a moment is waited for."""
        deadline = self.clock() + PATIENCE
        while True:
            try:
                return tuple(progress_of(self.webserver, each.id, self.stage) for each in backfills)
            except LaunchError:
                if self.clock() >= deadline:
                    raise
                self.sleep(EVERY)


def progress_of(webserver: Webserver, backfill: str, stage: str) -> Progress:
    """How far one backfill is.

    Raises:
        LaunchError: the webserver does not know it, or does not answer.
    """
    found = webserver.ask(PROGRESS, backfill=backfill)["partitionBackfillOrError"]
    if "status" not in found:
        message = f"Dagster at {webserver.url} does not know backfill {backfill}: "
        raise LaunchError(message + str(found.get("message")))
    data = found["assetBackfillData"] or {"assetBackfillStatuses": []}
    error = found["error"] or {"message": ""}
    counts = [
        each for each in data["assetBackfillStatuses"] if each.get("assetKey") == {"path": [stage]}
    ]
    return Progress(
        status=str(found["status"]),
        made=sum(each["numPartitionsMaterialized"] for each in counts),
        failed=sum(each["numPartitionsFailed"] for each in counts),
        error=str(error["message"]),
    )
