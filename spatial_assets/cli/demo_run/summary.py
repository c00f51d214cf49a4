"""Summary of the demo: what exists and how bad input was handled; read from the product."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spatial_assets.catalog import find_scenes
from spatial_assets.cli.app.console import format_count, format_list
from spatial_assets.cli.app.open_project import OpenProject
from spatial_assets.cli.mapping.map_data import newest_period, pixel_width_m
from spatial_assets.cli.selection.inventory import Inventory
from spatial_assets.cli.selection.tile_status import TileSummary
from spatial_assets.pipeline.stages import TILE_INDEX, by_boundary
from spatial_assets.stores import layout
from spatial_assets.stores.rows import Row
from spatial_assets.stores.tables.connect import DUCKDB_PREFIX
from spatial_assets.stores.vectors.validated import read_validated

OVERCAST_PERCENT = 99.0  # cloud cover from which a scene has no usable pixel


@dataclass(frozen=True, kw_only=True, eq=False)
class DemoSummary:
    """Result of the demo."""

    tiles: Sequence[TileSummary]
    period: str | None
    """Label of the newest period with valid pixels."""

    products: Sequence[tuple[str, str]]
    """(location, description) of everything that was made."""

    incidents: Sequence[str]
    """One line per bad input, with how it was handled."""


def read_summary(opened: OpenProject) -> DemoSummary:
    """Read the summary from the store, the database and the catalogue."""
    project, inventory = opened.project, Inventory(opened)
    opened.database.ensure_schema(project.boundaries, project.indices.names)
    tiles = inventory.tiles()
    rows = inventory.rows(TILE_INDEX)
    period = newest_period(rows, project.indices.names[0])
    return DemoSummary(
        tiles=tiles,
        period=period,
        products=[*_arrays(opened, rows), *_tables(opened, period), *_files(opened)],
        incidents=[
            *_bad_tiles(tiles),
            *_bad_scenes(inventory.quarantine()),
            *_overcast(opened),
            *_features(opened),
        ],
    )


def _arrays(opened: OpenProject, rows: Iterable[Row]) -> Iterator[tuple[str, str]]:
    """Describe the cubes."""
    project = opened.project
    extent = project.partitioning.extent
    pixels = f"{extent.width:,} x {extent.height:,} pixels of {pixel_width_m(project):.0f} m"
    for index in project.indices.names:
        own_rows = [row for row in rows if row["index_name"] == index]
        labels = sorted({str(row["period"]) for row in own_rows})
        valid = sum(float(str(row["valid_fraction"])) for row in own_rows) / max(len(own_rows), 1)
        description = (
            f"{index.upper()} of {format_list(labels, most=4)}; {pixels}, {valid:.0%} with a value"
        )
        yield display_path(opened.store.uri(layout.cube(index))), description


def _tables(opened: OpenProject, period: str | None) -> Iterator[tuple[str, str]]:
    """Describe the database and its tables."""
    project = opened.project
    merged = [f"{by_boundary(index)}_merged" for index in project.indices.names]
    names = [*(each.name for each in project.boundaries), *merged, TILE_INDEX, "quarantine"]
    counts = {name: len(opened.database.rows(name)) for name in names}
    row_counts = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    lines = [f"rows: {row_counts}", *_extremes(opened, period)]
    yield display_path(opened.database.url), "\n".join(lines)


def _extremes(opened: OpenProject, period: str | None) -> Iterator[str]:
    """Describe the boundaries with the lowest and the highest mean of the newest period."""
    index = opened.project.indices.names[0]
    for boundary in opened.project.boundaries:
        period_of_set = {"period": period, "boundary_table": boundary.name}
        rows = opened.database.rows(f"{by_boundary(index)}_merged", where=period_of_set)
        label = "name" if "name" in boundary.columns else "boundary_key"
        names = {row["boundary_key"]: row[label] for row in opened.database.rows(boundary.name)}
        means = sorted(
            (float(str(row["mean"])), str(names.get(row["boundary_key"])))
            for row in rows
            if row["mean"] is not None
        )
        if means:
            (low, lowest), (high, highest) = means[0], means[-1]
            yield (
                f"mean {index.upper()} of {format_count(len(means), 'boundary')} in {period}: "
                f"from {low:.2f} ({lowest}) to {high:.2f} ({highest})"
            )


def _files(opened: OpenProject) -> Iterator[tuple[str, str]]:
    """Describe the other objects in the store."""
    objects = opened.store.list()
    size = sum(info.size for info in objects) / 1e6
    kinds = Counter(info.path.partition("/")[0] for info in objects)
    others = ", ".join(
        f"{kinds[name]:,} files of {name}"
        for name in (layout.RAW_TILES_FOLDER, layout.REPROJECTED_FOLDER)
    )
    yield (
        display_path(opened.store.url),
        f"{size:,.0f} MB in total, including {others} and one manifest per tile",
    )


def display_path(url: str) -> str:
    """Format a URL as it is, a path below the working directory relative to it."""
    path = Path(url.removeprefix(DUCKDB_PREFIX))
    is_below = path.is_absolute() and path.is_relative_to(Path.cwd())
    return str(path.relative_to(Path.cwd())) if is_below else url


def _bad_tiles(tiles: Iterable[TileSummary]) -> Iterator[str]:
    """Describe the tiles that failed or are in quarantine."""
    for tile in tiles:
        if tile.reason:
            yield f"tile {tile.tile} {tile.status} at {tile.stage}: {tile.reason}"


def _bad_scenes(quarantine: Iterable[Row]) -> Iterator[str]:
    """Describe the scenes in quarantine."""
    for row in quarantine:
        if row["kind"] == "scene":
            yield (
                f"scene {row['subject']} is in quarantine ({row['reason']}): "
                "its tiles were made from the other scenes"
            )


def _overcast(opened: OpenProject) -> Iterator[str]:
    """Describe the days without a usable pixel."""
    scenes = [
        scene
        for scene in find_scenes(opened.project).scenes
        if scene.cloud_cover is not None and scene.cloud_cover >= OVERCAST_PERCENT
    ]
    for day in sorted({scene.solar_day for scene in scenes}):
        yield f"{day} was overcast: the product has no pixel of that day"


def _features(opened: OpenProject) -> Iterator[str]:
    """Describe the boundaries that were repaired or quarantined."""
    for boundary in opened.project.boundaries:
        data = opened.store.find(layout.validated_boundaries(boundary.name))
        report = {} if data is None else read_validated(data).attrs["report"]
        for done, reasons in (("repaired", "repairs"), ("quarantined", "reasons")):
            found: Mapping[str, int] = report.get(reasons, {})
            for reason, count in found.items():
                yield f"{boundary.name}: {format_count(count, 'feature')} {done} ({reason})"
