"""Show every setting with its source, the environment variables, and software versions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version

import click
from pydantic import BaseModel

from spatial_assets.cli.app.console import console, table
from spatial_assets.cli.app.open_project import current_project
from spatial_assets.errors import SpatialAssetsError
from spatial_assets.project import Project, mask_secrets
from spatial_assets.project.base import shown_value
from spatial_assets.project.gdal_options import ignored_gdal_variables, is_ignored
from spatial_assets.project.secrets import MASK, is_secret_name

REPORTED_PACKAGES = (
    "spatial-assets",
    "dagster",
    "zarr",
    "xarray",
    "rasterio",
    "pyproj",
    "shapely",
    "numpy",
)
VARIABLE_PREFIXES = ("SPATIAL_ASSETS_", "AWS_", "GDAL_", "PROJ_", "CPL_", "PG", "DAGSTER_")
IGNORED = "(ignored: GDAL opens every file as this project says)"
NOT_IN_THE_FILE = {"root", "file", "origins"}


@click.command("env")
def env() -> None:
    """Show every setting with its source, the environment variables, and software versions.

    Secrets are masked.
    """
    project = current_project()
    out = console()
    out.print(table(("setting", "value", "source"), settings(project), title=str(project.file)))
    variables = list(variables_in_force({**os.environ, **ignored_gdal_variables()}))
    if variables:
        out.print(table(("variable", "value"), variables, title="Environment"))
    out.print(table(("software", "version"), versions(project), title="Versions"))


def settings(project: Project) -> Iterator[tuple[str, str, str]]:
    """Yield (dotted key, value, source) of every setting; source: default, file or $VARIABLE."""
    for name in type(project).model_fields:
        if name not in NOT_IN_THE_FILE:
            value, is_given = getattr(project, name), name in project.model_fields_set
            yield from _leaves(name, value, project.origins, is_given=is_given)


def _leaves(
    key: str, value: object, origins: Mapping[str, str], *, is_given: bool
) -> Iterator[tuple[str, str, str]]:
    """Yield the settings at and below one key."""
    inner = [(name, part, given and is_given) for name, part, given in _parts(value)]
    for name, part, given in inner:
        yield from _leaves(f"{key}.{name}", part, origins, is_given=given)
    if not inner:
        yield key, _shown(key, value), origins.get(key) or ("file" if is_given else "default")


def _parts(value: object) -> list[tuple[str, object, bool]]:
    """List (name, value, True if given) of the entries of a table or an array of tables."""
    if isinstance(value, BaseModel):
        given, fields = value.model_fields_set, type(value).model_fields
        aliases = {name: field.alias for name, field in fields.items()}
        return [(aliases.get(name) or name, part, name in given) for name, part in value]
    if isinstance(value, Mapping):
        return [(str(name), part, True) for name, part in value.items()]
    if isinstance(value, tuple) and any(isinstance(part, BaseModel) for part in value):
        return [(str(number), part, True) for number, part in enumerate(value)]
    return []


def _shown(key: str, value: object) -> str:
    """Format a value with secrets masked; empty if it is not set."""
    if value is None:
        return '"keep"' if key.startswith("retention.") else ""
    return shown_value(key, value)


def variables_in_force(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield (name, value) of variables of this package, GDAL, PROJ, AWS, PostgreSQL and Dagster."""
    for name in sorted(environment):
        if name.startswith(VARIABLE_PREFIXES) or is_ignored(name):
            value = environment[name]
            shown = MASK if is_secret_name(name) else mask_secrets(value)
            yield f"${name}", f"{shown} {IGNORED}" if is_ignored(name) else shown


def versions(project: Project) -> Iterator[tuple[str, str]]:
    """Yield (name, version) of packages, of libraries in their wheels, and of the database."""
    for package in REPORTED_PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            yield package, "not installed"
    yield from wheel_versions()
    yield "database", _database_version(project)
    if project.compute.dask:
        yield "Dask cluster", _cluster(project)


def _cluster(project: Project) -> str:
    """Return the number of workers of the cluster, or why its scheduler is not reachable."""
    from spatial_assets.pipeline.engines.dask_cluster import connected

    try:
        with connected(project.compute.dask, within=3.0) as cluster:
            workers = cluster.workers()
            return cluster.outage(workers) if not workers else f"{len(workers)} workers"
    except SpatialAssetsError as error:
        return f"not reachable: {error}"


def wheel_versions() -> Iterator[tuple[str, str]]:
    """Yield (name, version) of GDAL, GEOS and both copies of PROJ in the wheels."""
    import pyproj
    import rasterio
    import shapely

    yield "GDAL (rasterio)", rasterio.__gdal_version__
    yield "PROJ (rasterio)", rasterio.__proj_version__
    yield "PROJ (pyproj)", pyproj.proj_version_str
    yield "GEOS (shapely)", shapely.geos_version_string


def _database_version(project: Project) -> str:
    """Return the spatial version of the database, or why it is not reachable."""
    from spatial_assets.stores.tables.connect import open_database

    try:
        with open_database(project.database_url, pool_size=1, connect_timeout=3.0) as connected:
            return connected.spatial_version()
    except SpatialAssetsError as error:
        return f"not reachable: {mask_secrets(str(error))}"
