"""How tiles stand, as a table, as JSON and as GeoJSON. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import shapely

from spatial_assets.cli.app.console import format_count, format_duration, format_list
from spatial_assets.cli.selection.run_rates import Throughput
from spatial_assets.cli.selection.stale_tiles import FreshnessSummary, due_at, freshness_by_max_age
from spatial_assets.cli.selection.tile_status import TileStatus, TileSummary
from spatial_assets.project import Project
from spatial_assets.project.times import duration_text
from spatial_assets.stores.rows import Row

MAX_LISTED_TILES = 3  # tiles of a row of the table; JSON and GeoJSON name all
DEGREE_DECIMALS = 7  # of a degree: a centimetre

STATUS_COLUMNS = ("state", "tiles", "oldest", "why", "which")
FRESHNESS_COLUMNS = ("due after", "tiles", "due now", "next due", "which")


@dataclass(frozen=True, kw_only=True)
class StatusReport:
    """Everything that is known of a project's tiles at a moment."""

    project: Project
    tiles: Sequence[TileSummary]
    quarantine: Sequence[Row]
    throughput: Throughput | None
    """Of the last runs; None: no run has computed a tile."""

    now: datetime

    @cached_property
    def windows(self) -> tuple[FreshnessSummary, ...]:
        """How the tiles of each window of [freshness] stand; nothing without one."""
        return freshness_by_max_age(self.tiles, self.project, now=self.now)


def status_rows(report: StatusReport) -> Iterator[tuple[str, ...]]:
    """A row for each state that occurs: how many, how old, why, and the first of them."""
    for standing in TileStatus:
        found = [tile for tile in report.tiles if tile.standing is standing]
        if found:
            reasons = Counter(tile.reason or tile.stage for tile in found)
            why = [f"{reason} {count:,}" for reason, count in reasons.most_common() if reason]
            which = format_list([tile.tile for tile in found], most=MAX_LISTED_TILES)
            age = oldest(found, report.now)
            yield (str(standing), f"{len(found):,}", age, ", ".join(why), which)


def oldest(tiles: Iterable[TileSummary], now: datetime) -> str:
    """The age of the oldest: since its inputs were looked at, or since it is bad."""
    moments = [tile.refreshed_at or tile.since for tile in tiles]
    known = [moment for moment in moments if moment is not None]
    return format_duration((now - min(known)).total_seconds()) if known else ""


def freshness_rows(report: StatusReport) -> Iterator[tuple[str, ...]]:
    """A row for each window: how many tiles it is for, how many are due, and which is next."""
    for each in report.windows:
        following = ""
        if each.next_due_at is not None:
            left = format_duration((each.next_due_at - report.now).total_seconds())
            following = f"in {left}, {each.next_due_at:%Y-%m-%d %H:%M} UTC"
        yield (
            duration_text(each.window),
            f"{each.tiles:,}",
            f"{each.due:,}",
            following,
            each.next_due,
        )


def format_throughput(report: StatusReport) -> str:
    """How fast the last runs were, for people."""
    found = report.throughput
    if found is None:
        return "Throughput is not known: no run has computed a tile yet."
    runs = format_count(found.runs, "run")
    return f"{found.tiles_per_hour:,.0f} tiles an hour were computed in the last {runs}."


def document(report: StatusReport) -> dict[str, object]:
    """Everything, for programs; times as ISO 8601 in UTC, what is not known is null."""
    counts = Counter(str(tile.standing) for tile in report.tiles)
    found = report.throughput
    return {
        "project": str(report.project.file),
        "grid_id": report.project.grid_id,
        "counts": {str(standing): counts[str(standing)] for standing in TileStatus},
        "freshness": [
            {
                "due_after_seconds": each.window.total_seconds(),
                "tiles": each.tiles,
                "due": each.due,
                "next_due_at": isoformat(each.next_due_at),
                "next_due": each.next_due or None,
            }
            for each in report.windows
        ],
        "throughput": None
        if found is None
        else {"tiles_per_hour": round(found.tiles_per_hour, 1), "runs": found.runs},
        "tiles": [properties(report.project, tile) for tile in report.tiles],
        "quarantine": [
            {
                "kind": row["kind"],
                "subject": row["subject"],
                "tile": row["tile"],
                "reason": row["reason"],
                "message": row["message"],
                "evidence": row["evidence"],
                "first_seen": isoformat(row["first_seen"]),
                "last_seen": isoformat(row["last_seen"]),
            }
            for row in report.quarantine
        ],
    }


def geojson(report: StatusReport) -> str:
    """A feature for each tile, one a line: what it owns, in lon/lat, and how it stands."""
    features = ",\n".join(json.dumps(feature(report.project, tile)) for tile in report.tiles)
    return f'{{"type": "FeatureCollection", "features": [\n{features}\n]}}\n'


def feature(project: Project, tile: TileSummary) -> dict[str, object]:
    """One tile as a GeoJSON feature."""
    outline = project.partitioning.tile(tile.tile).footprint(project.pixel_grid)
    rounded = shapely.transform(outline, lambda places: places.round(DEGREE_DECIMALS))
    return {
        "type": "Feature",
        "id": tile.tile,
        "properties": properties(project, tile),
        "geometry": json.loads(shapely.to_geojson(rounded)),
    }


def properties(project: Project, tile: TileSummary) -> dict[str, object]:
    """What is known of a tile; JSON types only."""
    due = None if project.freshness.tiles is None else due_at(tile, project)
    return {
        "tile": tile.tile,
        "state": str(tile.standing),
        "stage": tile.stage or None,
        "reason": tile.reason or None,
        "message": tile.message or None,
        "valid_fraction": tile.valid_fraction,
        "since": isoformat(tile.since),
        "refreshed_at": isoformat(tile.refreshed_at),
        "due_at": isoformat(due),
    }


def isoformat(value: object) -> str | None:
    """A moment as ISO 8601."""
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else None
