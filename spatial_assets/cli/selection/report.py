"""Status report of the tiles as a table, as JSON and as GeoJSON. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import shapely

from spatial_assets.catalog.item_notes import ItemNotes
from spatial_assets.cli.app.console import format_count, format_duration, format_list
from spatial_assets.cli.selection.run_rates import Throughput
from spatial_assets.cli.selection.stale_tiles import FreshnessSummary, due_at, freshness_by_max_age
from spatial_assets.cli.selection.tile_status import TileStatus, TileSummary
from spatial_assets.pipeline.freshness.former_code import AcceptedVersion
from spatial_assets.pipeline.freshness.scene_register import AbsentScenes
from spatial_assets.project import Project
from spatial_assets.project.times import duration_text
from spatial_assets.stores.rows import Row

MAX_LISTED_TILES = 3  # tiles named in a row of the table; JSON and GeoJSON name all
DEGREE_DECIMALS = 7  # about a centimetre

STATUS_COLUMNS = ("state", "tiles", "oldest", "reasons", "keys")
FRESHNESS_COLUMNS = ("due after", "tiles", "due now", "next due", "next tile")


@dataclass(frozen=True, kw_only=True)
class StatusReport:
    """Status of a project's tiles at one moment."""

    project: Project
    tiles: Sequence[TileSummary]
    quarantine: Sequence[Row]
    throughput: Throughput | None
    """Throughput of the last runs; None if no run has computed a tile."""

    now: datetime
    not_asked_for: frozenset[str] = frozenset()
    """Scenes in use that [scenes] and [area] no longer ask for."""

    accepted: tuple[AcceptedVersion, ...] = ()
    """Former code versions whose results the user accepted."""

    notes: ItemNotes = field(default_factory=ItemNotes)
    """Items of the catalogue that the last run did not use, or used with a doubt."""

    @cached_property
    def freshness(self) -> tuple[FreshnessSummary, ...]:
        """Summary for each maximum age of [freshness]; empty if none is set."""
        return freshness_by_max_age(self.tiles, self.project, now=self.now)


def status_rows(report: StatusReport) -> Iterator[tuple[str, ...]]:
    """Yield a row per state that occurs: count, oldest age, reasons and the first tile keys."""
    for status in TileStatus:
        found = [tile for tile in report.tiles if tile.status is status]
        if found:
            reasons = Counter(tile.reason or tile.stage for tile in found)
            counts = [f"{reason} {count:,}" for reason, count in reasons.most_common() if reason]
            keys = format_list([tile.tile for tile in found], most=MAX_LISTED_TILES)
            age = oldest_age(found, report.now)
            yield (str(status), f"{len(found):,}", age, ", ".join(counts), keys)


def oldest_age(tiles: Iterable[TileSummary], now: datetime) -> str:
    """Format the age of the oldest tile: since its inputs were checked, or since it is bad."""
    moments = [tile.refreshed_at or tile.since for tile in tiles]
    known = [moment for moment in moments if moment is not None]
    return format_duration((now - min(known)).total_seconds()) if known else ""


def freshness_rows(report: StatusReport) -> Iterator[tuple[str, ...]]:
    """Yield a row per maximum age: tiles, tiles due, and the next tile with its time."""
    for each in report.freshness:
        next_due = ""
        if each.next_due_at is not None:
            left = format_duration((each.next_due_at - report.now).total_seconds())
            next_due = f"in {left}, {each.next_due_at:%Y-%m-%d %H:%M} UTC"
        yield (
            duration_text(each.max_age),
            f"{each.tiles:,}",
            f"{each.due:,}",
            next_due,
            each.next_due,
        )


def format_throughput(report: StatusReport) -> str:
    """Format the throughput of the last runs."""
    found = report.throughput
    if found is None:
        return "Throughput is unknown: no run has computed a tile yet."
    runs = format_count(found.runs, "run")
    return f"Throughput of the last {runs}: {found.tiles_per_hour:,.0f} tiles per hour."


def kept_lines(report: StatusReport) -> Iterator[str]:
    """Yield a line on results that are kept: of scenes not asked for, or of former code."""
    if report.not_asked_for:
        yield from AbsentScenes(not_asked_for=report.not_asked_for).lines()
    yield from (each.line for each in report.accepted)


def document(report: StatusReport) -> dict[str, object]:
    """Return the report as JSON types; times are ISO 8601 in UTC, unknown values null."""
    counts = Counter(str(tile.status) for tile in report.tiles)
    found = report.throughput
    return {
        "project": str(report.project.file),
        "grid_id": report.project.grid_id,
        "counts": {str(status): counts[str(status)] for status in TileStatus},
        "freshness": [
            {
                "due_after_seconds": each.max_age.total_seconds(),
                "tiles": each.tiles,
                "due": each.due,
                "next_due_at": isoformat(each.next_due_at),
                "next_due": each.next_due or None,
            }
            for each in report.freshness
        ],
        "throughput": None
        if found is None
        else {"tiles_per_hour": round(found.tiles_per_hour, 1), "runs": found.runs},
        "scenes_not_asked_for": sorted(report.not_asked_for),
        "items": {"counts": dict(report.notes.counts), "named": dict(report.notes.named)},
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
    """Return one feature per tile and line: its footprint in lon/lat and its status."""
    features = ",\n".join(json.dumps(feature(report.project, tile)) for tile in report.tiles)
    return f'{{"type": "FeatureCollection", "features": [\n{features}\n]}}\n'


def feature(project: Project, tile: TileSummary) -> dict[str, object]:
    """Return one tile as a GeoJSON feature."""
    outline = project.partitioning.tile(tile.tile).footprint(project.pixel_grid)
    rounded = shapely.transform(outline, lambda coordinates: coordinates.round(DEGREE_DECIMALS))
    return {
        "type": "Feature",
        "id": tile.tile,
        "properties": properties(project, tile),
        "geometry": json.loads(shapely.to_geojson(rounded)),
    }


def properties(project: Project, tile: TileSummary) -> dict[str, object]:
    """Return the status of a tile as JSON types."""
    due = None if project.freshness.tiles is None else due_at(tile, project)
    return {
        "tile": tile.tile,
        "state": str(tile.status),
        "stage": tile.stage or None,
        "reason": tile.reason or None,
        "message": tile.message or None,
        "valid_fraction": tile.valid_fraction,
        "since": isoformat(tile.since),
        "refreshed_at": isoformat(tile.refreshed_at),
        "due_at": isoformat(due),
    }


def isoformat(value: object) -> str | None:
    """Format a datetime as ISO 8601; None for anything else."""
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else None
