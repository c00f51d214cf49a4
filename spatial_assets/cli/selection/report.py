"""How tiles stand, as a table, as JSON and as GeoJSON. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import shapely

from spatial_assets.cli.selection.standing import Row, Standing, TileStanding
from spatial_assets.cli.shell.words import duration, listed
from spatial_assets.project import Project

NAMED = 3  # tiles of a row of the table; JSON and GeoJSON name all
DIGITS = 7  # of a degree: a centimetre

COLUMNS = ("state", "tiles", "oldest", "why", "which")


def summary(tiles: Sequence[TileStanding], now: datetime) -> Iterator[tuple[str, ...]]:
    """A row for each state that occurs: how many, how old, why, and the first of them."""
    for standing in Standing:
        found = [tile for tile in tiles if tile.standing is standing]
        if found:
            reasons = Counter(tile.reason or tile.stage for tile in found)
            why = [f"{reason} {count:,}" for reason, count in reasons.most_common() if reason]
            which = listed([tile.tile for tile in found], most=NAMED)
            yield (str(standing), f"{len(found):,}", oldest(found, now), ", ".join(why), which)


def oldest(tiles: Iterable[TileStanding], now: datetime) -> str:
    """The age of the oldest: since its inputs were taken, or since it is bad."""
    moments = [tile.refreshed_at or tile.since for tile in tiles]
    known = [moment for moment in moments if moment is not None]
    return duration((now - min(known)).total_seconds()) if known else ""


def document(
    project: Project, tiles: Sequence[TileStanding], quarantine: Iterable[Row]
) -> dict[str, object]:
    """Everything, for programs; times as ISO 8601 in UTC."""
    counts = Counter(str(tile.standing) for tile in tiles)
    return {
        "project": str(project.file),
        "grid_id": project.grid_id,
        "counts": {str(standing): counts[str(standing)] for standing in Standing},
        "tiles": [properties(tile) for tile in tiles],
        "quarantine": [
            {
                "kind": row["kind"],
                "subject": row["subject"],
                "tile": row["tile"],
                "reason": row["reason"],
                "message": row["message"],
                "evidence": row["evidence"],
                "first_seen": told(row["first_seen"]),
                "last_seen": told(row["last_seen"]),
            }
            for row in quarantine
        ],
    }


def geojson(project: Project, tiles: Iterable[TileStanding]) -> str:
    """A feature for each tile, one a line: what it owns, in lon/lat, and how it stands."""
    features = ",\n".join(json.dumps(feature(project, tile)) for tile in tiles)
    return f'{{"type": "FeatureCollection", "features": [\n{features}\n]}}\n'


def feature(project: Project, tile: TileStanding) -> dict[str, object]:
    """One tile as a GeoJSON feature."""
    outline = project.partitioning.tile(tile.tile).footprint(project.pixel_grid)
    rounded = shapely.transform(outline, lambda places: places.round(DIGITS))
    return {
        "type": "Feature",
        "id": tile.tile,
        "properties": properties(tile),
        "geometry": json.loads(shapely.to_geojson(rounded)),
    }


def properties(tile: TileStanding) -> dict[str, object]:
    """What is known of a tile; JSON types only."""
    return {
        "tile": tile.tile,
        "state": str(tile.standing),
        "stage": tile.stage or None,
        "reason": tile.reason or None,
        "message": tile.message or None,
        "valid_fraction": tile.valid_fraction,
        "since": told(tile.since),
        "refreshed_at": told(tile.refreshed_at),
    }


def told(value: object) -> str | None:
    """A moment as ISO 8601."""
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else None
