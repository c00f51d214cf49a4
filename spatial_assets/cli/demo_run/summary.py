"""What exists after the demo and what became of its bad inputs; read from what was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spatial_assets.catalog import find_scenes
from spatial_assets.cli.app.console import counted, listed
from spatial_assets.cli.app.open_project import OpenProject
from spatial_assets.cli.mapping.map_data import metres_of_a_pixel, newest_period
from spatial_assets.cli.selection.inventory import Inventory
from spatial_assets.cli.selection.tile_status import TileStanding
from spatial_assets.pipeline.stages import TILE_INDEX, by_boundary
from spatial_assets.stores import layout
from spatial_assets.stores.rows import Row
from spatial_assets.stores.tables.database import DUCKDB_PREFIX
from spatial_assets.stores.vectors.validated import read_validated

OVERCAST = 99.0  # per cent of cloud from which a scene has nothing to give


@dataclass(frozen=True, kw_only=True, eq=False)
class Story:
    """What there is to tell."""

    tiles: Sequence[TileStanding]
    period: str | None
    """The newest period with pixels."""

    exists: Sequence[tuple[str, str]]
    """(where, what) of everything that was made."""

    happened: Sequence[str]
    """What became of what was not as it should be."""


def read_story(ground: OpenProject) -> Story:
    """Read it from the store, the database and the catalogue."""
    project, inventory = ground.project, Inventory(ground)
    ground.database.ensure_schema(project.boundaries, project.indices.names)
    tiles = inventory.tiles()
    rows = inventory.rows(TILE_INDEX)
    period = newest_period(rows, project.indices.names[0])
    return Story(
        tiles=tiles,
        period=period,
        exists=[*_arrays(ground, rows), *_tables(ground, period), *_files(ground)],
        happened=[
            *_bad_tiles(tiles),
            *_bad_scenes(inventory.quarantine()),
            *_overcast(ground),
            *_features(ground),
        ],
    )


def _arrays(ground: OpenProject, rows: Iterable[Row]) -> Iterator[tuple[str, str]]:
    """The cubes."""
    project = ground.project
    extent = project.partitioning.extent
    pixels = f"{extent.width:,} x {extent.height:,} pixels of {metres_of_a_pixel(project):.0f} m"
    for index in project.indices.names:
        mine = [row for row in rows if row["index_name"] == index]
        labels = sorted({str(row["period"]) for row in mine})
        valid = sum(float(str(row["valid_fraction"])) for row in mine) / max(len(mine), 1)
        told = f"{index.upper()} of {listed(labels, most=4)}; {pixels}, {valid:.0%} with a value"
        yield shown(ground.store.uri(layout.cube(index))), told


def _tables(ground: OpenProject, period: str | None) -> Iterator[tuple[str, str]]:
    """The database, with its tables."""
    project = ground.project
    merged = [f"{by_boundary(index)}_merged" for index in project.indices.names]
    names = [*(each.name for each in project.boundaries), *merged, TILE_INDEX, "quarantine"]
    counts = {name: len(ground.database.rows(name)) for name in names}
    told = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    lines = [f"rows: {told}", *_extremes(ground, period)]
    yield shown(ground.database.url), "\n".join(lines)


def _extremes(ground: OpenProject, period: str | None) -> Iterator[str]:
    """The boundaries with the highest and the lowest mean of the newest period."""
    index = ground.project.indices.names[0]
    for boundary in ground.project.boundaries:
        wanted = {"period": period, "boundary_table": boundary.name}
        rows = ground.database.rows(f"{by_boundary(index)}_merged", where=wanted)
        label = "name" if "name" in boundary.columns else "boundary_key"
        names = {row["boundary_key"]: row[label] for row in ground.database.rows(boundary.name)}
        means = sorted(
            (float(str(row["mean"])), str(names.get(row["boundary_key"])))
            for row in rows
            if row["mean"] is not None
        )
        if means:
            (low, poorest), (high, richest) = means[0], means[-1]
            yield (
                f"mean {index.upper()} of {counted(len(means), 'boundary')} in {period}: "
                f"from {low:.2f} ({poorest}) to {high:.2f} ({richest})"
            )


def _files(ground: OpenProject) -> Iterator[tuple[str, str]]:
    """Everything else in the store."""
    objects = ground.store.list()
    size = sum(info.size for info in objects) / 1e6
    kinds = Counter(info.path.partition("/")[0] for info in objects)
    told = ", ".join(
        f"{kinds[name]:,} files of {name}"
        for name in (layout.RAW_TILES_FOLDER, layout.REPROJECTED_FOLDER)
    )
    yield shown(ground.store.url), f"{size:,.0f} MB in all: also {told}, and a manifest a tile"


def shown(url: str) -> str:
    """A URL as it is; a path, from where we are if it is below."""
    path = Path(url.removeprefix(DUCKDB_PREFIX))
    is_below = path.is_absolute() and path.is_relative_to(Path.cwd())
    return str(path.relative_to(Path.cwd())) if is_below else url


def _bad_tiles(tiles: Iterable[TileStanding]) -> Iterator[str]:
    """Tiles that were given up."""
    for tile in tiles:
        if tile.reason:
            yield f"tile {tile.tile} {tile.standing} at {tile.stage}: {tile.reason}"


def _bad_scenes(quarantine: Iterable[Row]) -> Iterator[str]:
    """Scenes that were set aside."""
    for row in quarantine:
        if row["kind"] == "scene":
            yield (
                f"scene {row['subject']} is in quarantine ({row['reason']}): "
                "its tiles were made from the others"
            )


def _overcast(ground: OpenProject) -> Iterator[str]:
    """Days that had nothing to give."""
    scenes = [
        scene
        for scene in find_scenes(ground.project).scenes
        if scene.cloud_cover is not None and scene.cloud_cover >= OVERCAST
    ]
    for day in sorted({scene.solar_day for scene in scenes}):
        yield f"{day} was overcast: none of its pixels is in the product"


def _features(ground: OpenProject) -> Iterator[str]:
    """Boundaries that were repaired or set aside."""
    for boundary in ground.project.boundaries:
        data = ground.store.find(layout.validated_boundaries(boundary.name))
        report = {} if data is None else read_validated(data).attrs["report"]
        for done, reasons in (("repaired", "repairs"), ("quarantined", "reasons")):
            found: Mapping[str, int] = report.get(reasons, {})
            for reason, count in found.items():
                yield f"{boundary.name}: {counted(count, 'feature')} {done} ({reason})"
