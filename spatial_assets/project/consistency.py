"""Rules between the tables of project.toml, which no single table can check."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from difflib import get_close_matches

from spatial_assets.geo.clear_sky import CloudBuffer
from spatial_assets.geo.periods import PeriodLength, Periods
from spatial_assets.indices import INDICES
from spatial_assets.project.base import Problem
from spatial_assets.project.project import Project
from spatial_assets.project.urls import (
    DATABASE_REMEDY,
    SCHEMA_REMEDY,
    STORAGE_REMEDY,
    resolved_database_url,
    schema_problem,
    storage_problem,
)

RESERVED_TABLES = frozenset(
    {
        *("tile_index", "tile_state", "tile_inputs", "tile_wanted", "quarantine"),
        *("schema_version", "project_claim", "run_log", "meta"),
        *("spatial_ref_sys", "geometry_columns", "geography_columns"),  # of PostGIS
        *("raster_columns", "raster_overviews"),
    }
)
"""Tables that are not a boundary set's: ours, and those of the spatial extension."""

SYSTEM_PREFIXES = ("pg_", "sqlite_", "duckdb_", "pragma_")
"""Beginnings of names that a database finds among its own tables first."""


def problems_between(project: Project) -> Iterator[Problem]:
    """Yield every contradiction between the settings of a project."""
    yield from _indices(project)
    yield from _cloud_buffer(project)
    yield from _boundaries(project)
    yield from _freshness(project)
    yield from _time(project)
    yield from _urls(project)


def _indices(project: Project) -> Iterator[Problem]:
    """Yield indices that are unknown, given twice, or need bands that the sensor lacks."""
    names = project.indices.names
    for number, name in enumerate(names):
        if name in names[:number]:
            remedy = "name each index once"
            yield Problem(key="indices.names", value=name, wrong="is given twice", remedy=remedy)
        elif name not in INDICES:
            remedy = _suggestion(name, sorted(INDICES))
            yield Problem(
                key="indices.names", value=name, wrong="is not a known index", remedy=remedy
            )
        else:
            yield from _missing_bands(project, name)


def _cloud_buffer(project: Project) -> Iterator[Problem]:
    """Yield a margin that was asked for round clouds that the sensor does not tell apart."""
    scenes, clear = project.scenes, project.sensor.clear
    if "cloud_buffer" not in scenes.model_fields_set:
        return
    asked_for = scenes.buffer
    given = CloudBuffer() if clear is None else clear.clouds.buffer
    unknown = [
        kind
        for kind, lacks in (
            ("clouds", given.cloud < asked_for.cloud),
            ("shadows", given.shadow < asked_for.shadow),
        )
        if lacks
    ]
    if unknown:
        wrong = f"sensor {project.sensor.name!r} has no classes of {' and '.join(unknown)}"
        remedy = f'name {" and ".join(unknown)} in [scenes.sensor], or write "0 m"'
        shown = scenes.model_dump(mode="json")["cloud_buffer"]
        yield Problem(key="scenes.cloud_buffer", value=shown, wrong=wrong, remedy=remedy)


def _missing_bands(project: Project, name: str) -> Iterator[Problem]:
    """Yield an index that needs bands which the sensor does not have."""
    needs, sensor = INDICES[name].needs, project.sensor
    missing = [band for band in needs if band not in sensor.bands]
    if missing:
        wrong = (
            f"needs the bands {', '.join(needs)}, but sensor {sensor.name!r} has no "
            f"{', '.join(missing)} (it has {', '.join(sensor.bands)})"
        )
        remedy = f"add {', '.join(missing)} to scenes.sensor.bands, or remove {name!r}"
        yield Problem(key="indices.names", value=name, wrong=wrong, remedy=remedy)


def _boundaries(project: Project) -> Iterator[Problem]:
    """Yield boundary sets whose assets or tables would have the name of others."""
    # Of all indices, not only those of the project: one may be added later.
    statistics = {f"{index}_by_boundary{end}" for index in INDICES for end in ("", "_merged")}
    taken = {"raw_tile", "reprojected_raster", *INDICES, *statistics, *RESERVED_TABLES}
    for number, boundary in enumerate(project.boundaries):
        key, remedy = f"boundaries.{number}.name", "choose another name"
        names = {boundary.name, f"raw_{boundary.name}", f"validated_{boundary.name}"}
        if names & taken:
            wrong = f"would create a second asset or table: {', '.join(sorted(names & taken))}"
            yield Problem(key=key, value=boundary.name, wrong=wrong, remedy=remedy)
        elif boundary.name.startswith(SYSTEM_PREFIXES):
            wrong = "begins like a table of the database system"
            yield Problem(key=key, value=boundary.name, wrong=wrong, remedy=remedy)
        taken |= names


def _freshness(project: Project) -> Iterator[Problem]:
    """Yield windows for assets or regions that this project does not have."""
    assets, regions = project.asset_names, tuple(project.regions)
    windows = [
        *((f"freshness.{name}", name, assets) for name in project.freshness.windows),
        *((f"freshness.regions.{name}", name, regions) for name in project.freshness.regions),
    ]
    for key, name, known in windows:
        if name not in known:
            kind = "an asset of this project" if known is assets else "a region of [regions]"
            remedy = _suggestion(name, list(known)) if known else f"add [regions.{name}]"
            yield Problem(key=key, value=None, wrong=f"is not {kind}", remedy=remedy)


def _time(project: Project) -> Iterator[Problem]:
    """Yield a time axis that ends before it starts, or starts after the scenes do."""
    start, end = project.time.start, project.time.end
    if start and end and end < start:
        wrong = f"the time axis would end before it starts, on {start}"
        yield Problem(key="time.end", value=end, wrong=wrong, remedy="make it later than start")
    first = project.scenes.interval.start
    if start and first and first.date() < _first_day(start, project.time.period):
        wrong = f"scenes.datetime begins before it, on {first.date()}"
        remedy = "make it earlier, or begin scenes.datetime later"
        yield Problem(key="time.start", value=start, wrong=wrong, remedy=remedy)


def _first_day(start: date, length: PeriodLength) -> date:
    """Return the first day of the period that the time axis starts with."""
    return Periods(start, length, start).first_day(0)


def _urls(project: Project) -> Iterator[Problem]:
    """Yield URLs of an unsupported kind."""
    storage, database = project.storage.url, project.database.url
    wrong = storage_problem(storage)
    if wrong is not None:
        source = project.origins.get("storage.url")
        yield Problem(
            key="storage.url", value=storage, wrong=wrong, remedy=STORAGE_REMEDY, source=source
        )
    if resolved_database_url(database, project.root) is None:
        wrong, source = "is neither DuckDB nor PostGIS", project.origins.get("database.url")
        yield Problem(
            key="database.url", value=database, wrong=wrong, remedy=DATABASE_REMEDY, source=source
        )
    schema = project.database.schema_name
    wrong = schema_problem(database, schema)
    if wrong is not None:
        yield Problem(key="database.schema", value=schema, wrong=wrong, remedy=SCHEMA_REMEDY)


def _suggestion(name: str, known: list[str]) -> str:
    """Suggest the most similar known name, or list all known names."""
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known names: {', '.join(known)}"
