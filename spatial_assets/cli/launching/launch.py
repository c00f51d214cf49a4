"""`materialize --launch`: chosen tiles handed to Dagster, and followed where that is asked for.

BackfillFollower backfills to their end: how far they are, and how they ended.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import click

from spatial_assets.cli.app.console import format_count
from spatial_assets.cli.app.open_project import OpenProject, open_project
from spatial_assets.cli.launching.backfill import Backfill, launch, require_same_project
from spatial_assets.cli.launching.webserver_client import WebserverClient, webserver_client
from spatial_assets.cli.local_run.progress import ProgressDisplay, progress_display
from spatial_assets.cli.local_run.run_here import now
from spatial_assets.cli.selection.asset_options import AssetSelection
from spatial_assets.cli.selection.changes import current_features
from spatial_assets.cli.selection.inventory import Inventory
from spatial_assets.cli.selection.tile_options import TileSelectors
from spatial_assets.cli.selection.tile_status import TileStatus, TileSummary
from spatial_assets.errors import LaunchError
from spatial_assets.pipeline.stages import chain_of
from spatial_assets.project import Project
from spatial_assets.retries import Backoff, no_jitter, with_retries

BAD_STATUSES = frozenset({TileStatus.FAILED, TileStatus.QUARANTINED})
STOPPED_STATUSES = frozenset({"FAILED", "CANCELED"})

BadTiles = Mapping[str, TileSummary]


def launch_tiles(
    project: Project, selectors: TileSelectors, selection: AssetSelection, *, url: str, wait: bool
) -> None:
    """Launch a backfill of the chosen tiles, say where it is, and wait for its end if asked to.

    Raises:
        LaunchError: no webserver answers, it serves another project, or it refused.
        ClickException: tiles went bad while we waited.
    """
    if not selection.stages:
        message = "only boundary sets are selected, which have no tiles; launch them in the UI"
        raise LaunchError(message)
    webserver = webserver_client(url, os.environ)
    with open_project(project) as opened:
        keys = Inventory(opened).chosen(selectors, selection.stages, now=now()).keys
        boundaries = boundary_assets_to_launch(opened, selection)
    if not keys:
        click.echo("Nothing to do: no tile is as was asked for.")
        return
    assets = (*selection.stages, *boundaries)
    require_same_project(webserver, project, assets)
    before = bad_tiles(project, keys, selection.stages)
    backfills = launch(webserver, project, keys, assets=assets)
    for each in backfills:
        told = f"{format_count(each.tiles, 'tile')} in {format_count(each.runs, 'run')}"
        told += ", boundaries in another" if boundaries else ""
        click.echo(f"backfill {each.id}: {told}, {each.url}")
    if wait:
        ended = follow_backfills(webserver, backfills, stage=selection.stages[-1])
        after = bad_tiles(project, keys, selection.stages)
        report_end(ended, before=before, after=after, urls=[each.url for each in backfills])


def boundary_assets_to_launch(opened: OpenProject, selection: AssetSelection) -> tuple[str, ...]:
    """The assets of boundary sets that go with the tiles.

    Those that were named; else all of them if one was never made and is needed. Not always: with
    them Dagster makes the statistics in runs of their own, once the boundaries are there.
    """
    reads = set(chain_of(opened.project).statistics) & set(selection.stages)
    never_made = bool(reads) and current_features(opened) is None
    return selection.boundaries if selection.is_named or never_made else ()


def follow_backfills(
    webserver: WebserverClient, backfills: Sequence[Backfill], *, stage: str
) -> tuple[BackfillProgress, ...]:
    """How they ended, with their progress shown until then."""
    with progress_display() as progress:
        following = BackfillFollower(webserver=webserver, stage=stage, progress=progress)
        return following.to_the_end(backfills)


def bad_tiles(project: Project, keys: Sequence[str], stages: Sequence[str]) -> BadTiles:
    """Those of the tiles that failed or are in quarantine now."""
    with open_project(project) as opened:
        tiles = Inventory(opened).tiles(stages, keys=keys)
    return {tile.tile: tile for tile in tiles if tile.standing in BAD_STATUSES}


def report_end(
    ended: Sequence[BackfillProgress], *, before: BadTiles, after: BadTiles, urls: Sequence[str]
) -> None:
    """Say what came of it.

    Raises:
        ClickException: a tile is newly bad, or came to nothing for a reason that nobody noted.
    """
    new = [tile for key, tile in after.items() if before.get(key) != tile]
    standing = len(after) - len(new)
    for tile in new:
        why = " ".join(f"{tile.reason}: {tile.message}".split())
        click.echo(f"{tile.tile} {tile.standing} at {tile.stage}: {why}", err=True)
    made, failed = sum(each.made for each in ended), sum(each.failed for each in ended)
    click.echo(f"{format_count(made, 'tile')} materialized, {failed:,} not.")
    if standing:
        click.echo(f"{standing:,} were bad before, and still are.")
    stopped = any(each.status in STOPPED_STATUSES for each in ended)
    if new or stopped or failed > standing:
        how = ", ".join(
            each.error or each.status for each in ended if each.status != SUCCESS_STATUS
        )
        attention = f"{format_count(len(new), 'tile')} newly bad" if new else "no tile is newly bad"
        message = f"{attention}; Dagster says {how}: {', '.join(urls)}"
        raise click.ClickException(message)


PROGRESS_QUERY = """
query BackfillProgress($backfill: String!) {
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
POLL_INTERVAL_SECONDS = 3.0
"""Seconds between looks: Dagster's daemon goes on with a backfill every 30."""

MAX_OUTAGE_SECONDS = 120.0
"""Seconds that a webserver may be away, such as for a restart, before waiting is given up."""

SUCCESS_STATUS = "COMPLETED_SUCCESS"
FINAL_STATUSES = frozenset({SUCCESS_STATUS, "COMPLETED_FAILED", "COMPLETED", "FAILED", "CANCELED"})


@dataclass(frozen=True)
class BackfillProgress:
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
        return self.status in FINAL_STATUSES


@dataclass(kw_only=True, eq=False)
class BackfillFollower:
    """Looks at backfills until all have ended."""

    webserver: WebserverClient
    stage: str
    """The last stage: a tile has ended when it has."""

    progress: ProgressDisplay
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def to_the_end(self, backfills: Sequence[Backfill]) -> tuple[BackfillProgress, ...]:
        """How each ended.

        Raises:
            LaunchError: the webserver stayed away; the backfills go on without us.
        """
        told = 0
        self.progress.begin(f"{self.stage} in Dagster", total=sum(each.tiles for each in backfills))
        while True:
            found = self._seen(backfills)
            done = sum(each.made + each.failed for each in found)
            for number in range(told, done):
                self.progress.step(f"tile {number + 1} of {self.stage}")
            told = max(told, done)
            if all(each.has_ended for each in found):
                return found
            self.sleep(POLL_INTERVAL_SECONDS)

    def _seen(self, backfills: Sequence[Backfill]) -> tuple[BackfillProgress, ...]:
        """How far they are; a webserver that is away for a moment is waited for."""
        return with_retries(
            lambda: tuple(
                backfill_progress(self.webserver, each.id, self.stage) for each in backfills
            ),
            backoff=Backoff(
                first=POLL_INTERVAL_SECONDS,
                largest=POLL_INTERVAL_SECONDS,
                time_limit=MAX_OUTAGE_SECONDS,
                jitter=no_jitter,
                sleep=self.sleep,
                clock=self.clock,
            ),
            errors=(LaunchError,),
        )


def backfill_progress(webserver: WebserverClient, backfill: str, stage: str) -> BackfillProgress:
    """How far one backfill is.

    Raises:
        LaunchError: the webserver does not know it, or does not answer.
    """
    found = webserver.ask(PROGRESS_QUERY, backfill=backfill)["partitionBackfillOrError"]
    if "status" not in found:
        message = f"Dagster at {webserver.url} does not know backfill {backfill}: "
        raise LaunchError(message + str(found.get("message")))
    data = found["assetBackfillData"] or {"assetBackfillStatuses": []}
    error = found["error"] or {"message": ""}
    counts = [
        each for each in data["assetBackfillStatuses"] if each.get("assetKey") == {"path": [stage]}
    ]
    return BackfillProgress(
        status=str(found["status"]),
        made=sum(each["numPartitionsMaterialized"] for each in counts),
        failed=sum(each["numPartitionsFailed"] for each in counts),
        error=str(error["message"]),
    )
