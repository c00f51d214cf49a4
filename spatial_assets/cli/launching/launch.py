"""`materialize --launch`: launches a backfill of selected tiles in Dagster and follows it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import click

from spatial_assets.cli.app.clock import now
from spatial_assets.cli.app.console import format_count
from spatial_assets.cli.app.open_project import OpenProject, open_project
from spatial_assets.cli.launching.backfill import Backfill, launch, require_same_project
from spatial_assets.cli.launching.webserver_client import WebserverClient, webserver_client
from spatial_assets.cli.local_run.progress import ProgressDisplay, progress_display
from spatial_assets.cli.selection.asset_options import AssetSelection
from spatial_assets.cli.selection.changes import current_boundary_hashes
from spatial_assets.cli.selection.inventory import Inventory
from spatial_assets.cli.selection.tile_options import NO_MATCHING_TILE, TileSelectors
from spatial_assets.cli.selection.tile_status import TileStatus, TileSummary
from spatial_assets.errors import LaunchError
from spatial_assets.pipeline.stages import chain_of
from spatial_assets.project import Project
from spatial_assets.retries import Backoff, no_jitter, with_retries

BAD_STATUSES = frozenset({TileStatus.FAILED, TileStatus.QUARANTINED})

BadTiles = Mapping[str, TileSummary]
"""Tile -> its status, of the tiles that failed or are in quarantine."""


def launch_tiles(
    project: Project, selectors: TileSelectors, selection: AssetSelection, *, url: str, wait: bool
) -> None:
    """Launch a backfill of the selected tiles, print its URL, and follow it if `wait`.

    Raises:
        LaunchError: no webserver answers, it serves another project, or it refused.
        ClickException: with `wait`, a tile newly failed or was newly quarantined.
    """
    if not selection.stages:
        message = "only boundary sets are selected, which have no tiles; launch them in the UI"
        raise LaunchError(message)
    webserver = webserver_client(url, os.environ)
    with open_project(project) as opened:
        selected = Inventory(opened).select(selectors, selection.stages, now=now())
        keys = selected.keys
        selected.let_runs_find_lost(opened.store)
        boundaries = boundary_assets_to_launch(opened, selection)
    if not keys:
        click.echo(NO_MATCHING_TILE)
        return
    assets = (*selection.stages, *boundaries)
    require_same_project(webserver, project, assets)
    before = bad_tiles(project, keys, selection.stages)
    backfill = launch(webserver, project, keys, assets=assets)
    scope = f"{format_count(backfill.tiles, 'tile')} in {format_count(backfill.runs, 'run')}"
    scope += ", boundaries in another" if boundaries else ""
    click.echo(f"backfill {backfill.id}: {scope}, {backfill.url}")
    if wait:
        ended = follow_backfill(webserver, backfill, stage=selection.stages[-1])
        after = bad_tiles(project, keys, selection.stages)
        report_end(ended, before=before, after=after, url=backfill.url)


def boundary_assets_to_launch(opened: OpenProject, selection: AssetSelection) -> tuple[str, ...]:
    """Return the assets of boundary sets to launch together with the tiles.

    These are the selected ones if any was named; else all, but only if a set that the tiles need
    was never made: with them, Dagster makes the statistics in separate runs after the boundaries.
    """
    reads = set(chain_of(opened.project).statistics) & set(selection.stages)
    never_made = bool(reads) and current_boundary_hashes(opened) is None
    return selection.boundaries if selection.is_explicit or never_made else ()


def follow_backfill(
    webserver: WebserverClient, backfill: Backfill, *, stage: str
) -> BackfillProgress:
    """Show the progress of a backfill until it has ended; return its final progress."""
    with progress_display() as progress:
        follower = BackfillFollower(webserver=webserver, stage=stage, progress=progress)
        return follower.to_the_end(backfill)


def bad_tiles(project: Project, keys: Sequence[str], stages: Sequence[str]) -> BadTiles:
    """Return the tiles that failed or are in quarantine now."""
    with open_project(project) as opened:
        tiles = Inventory(opened).tiles(stages, keys=keys)
    return {tile.tile: tile for tile in tiles if tile.status in BAD_STATUSES}


def report_end(ended: BackfillProgress, *, before: BadTiles, after: BadTiles, url: str) -> None:
    """Report the result of a backfill.

    Raises:
        ClickException: a tile is newly bad, or was not materialized for no recorded reason.
    """
    new = [tile for key, tile in after.items() if before.get(key) != tile]
    bad_before = len(after) - len(new)
    for tile in new:
        cause = " ".join(f"{tile.reason}: {tile.message}".split())
        click.echo(f"{tile.tile} {tile.status} at {tile.stage}: {cause}", err=True)
    click.echo(f"{format_count(ended.materialized, 'tile')} materialized, {ended.failed:,} not.")
    if bad_before:
        click.echo(f"{bad_before:,} were bad before and still are.")
    if new or ended.status in STOPPED_STATUSES or ended.failed > bad_before:
        newly_bad = f"{format_count(len(new), 'tile')} newly bad" if new else "no tile is newly bad"
        message = f"{newly_bad}; Dagster reports {ended.error or ended.status}: {url}"
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
"""Seconds between polls; Dagster's daemon advances a backfill every 30 s."""

MAX_OUTAGE_SECONDS = 120.0
"""Seconds that a webserver may be unreachable, for example during a restart."""

STOPPED_STATUSES = frozenset({"FAILED", "CANCELED"})
FINAL_STATUSES = STOPPED_STATUSES | {"COMPLETED_SUCCESS", "COMPLETED_FAILED", "COMPLETED"}


@dataclass(frozen=True)
class BackfillProgress:
    """Progress of a backfill."""

    status: str
    """Status in Dagster's terms, e.g. REQUESTED, COMPLETED_SUCCESS."""

    materialized: int = 0
    """Number of tiles of the followed stage that were materialized."""

    failed: int = 0
    """Number of tiles of that stage that were not."""

    error: str = ""

    @property
    def has_ended(self) -> bool:
        """True if the status is final."""
        return self.status in FINAL_STATUSES


@dataclass(kw_only=True, eq=False)
class BackfillFollower:
    """Polls a backfill until it has ended."""

    webserver: WebserverClient
    stage: str
    """Last stage of the backfill; a tile has ended once this stage has."""

    progress: ProgressDisplay
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def to_the_end(self, backfill: Backfill) -> BackfillProgress:
        """Poll until the end and return the final progress of the backfill.

        Raises:
            LaunchError: the webserver stayed unreachable; the backfill continues without us.
        """
        shown = 0
        self.progress.begin(f"{self.stage} in Dagster", total=backfill.tiles)
        while True:
            found = self._poll(backfill)
            done = found.materialized + found.failed
            for number in range(shown, done):
                self.progress.step(f"tile {number + 1} of {self.stage}")
            shown = max(shown, done)
            if found.has_ended:
                return found
            self.sleep(POLL_INTERVAL_SECONDS)

    def _poll(self, backfill: Backfill) -> BackfillProgress:
        """Return the progress of the backfill; retry while the webserver is unreachable."""
        return with_retries(
            lambda: backfill_progress(self.webserver, backfill.id, self.stage),
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
    """Query the progress of one backfill.

    Raises:
        LaunchError: the webserver does not know the backfill, or does not answer.
    """
    found = webserver.execute(PROGRESS_QUERY, backfill=backfill)["partitionBackfillOrError"]
    if "status" not in found:
        message = f"Dagster at {webserver.url} does not know backfill {backfill}: "
        raise LaunchError(message + str(found.get("message")))
    data = found["assetBackfillData"] or {"assetBackfillStatuses": []}
    error = found["error"] or {"message": ""}
    counts = [
        each
        for each in data["assetBackfillStatuses"]
        if each.get("assetKey", {"path": [""]})["path"][-1] == stage
    ]
    return BackfillProgress(
        status=str(found["status"]),
        materialized=sum(each["numPartitionsMaterialized"] for each in counts),
        failed=sum(each["numPartitionsFailed"] for each in counts),
        error=str(error["message"]),
    )
