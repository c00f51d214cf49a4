"""Boundaries files of every format, written and read back in one line each."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyogrio.raw
import shapely

from spatial_assets.geo.vectors.features import ValidatedFeatures
from spatial_assets.geo.vectors.validate import validate_features
from spatial_assets.stores.vectors.read import read_features

SQUARES = [shapely.box(15 + i, 46, 15.5 + i, 46.5) for i in range(3)]
NAMES = ["Čakovec", "Ørsted", None]


def write(
    path: Path,
    driver: str,
    *,
    crs: str | None = "EPSG:4326",
    wkb: list[bytes] | None = None,
    kind: str = "Polygon",
) -> Path:
    geometry = np.array(wkb or [shapely.to_wkb(square) for square in SQUARES], dtype=object)
    pids = np.arange(1, len(geometry) + 1, dtype=np.int32)
    names = np.array((NAMES * len(geometry))[: len(geometry)], dtype=object)
    options = {"FORMAT": "GML3.2"} if driver == "GML" else {}
    pyogrio.raw.write(
        path,
        geometry,
        [pids, names],
        ["pid", "name"],
        geometry_type=kind,
        crs=crs,
        driver=driver,
        encoding="UTF-8",
        **options,
    )
    return path


def read(
    path: Path | str, *, key: str = "pid", columns: tuple[str, ...] = ("name",)
) -> ValidatedFeatures:
    opened = read_features(str(path), columns=[key, *columns])
    return validate_features(opened.features, source_crs=opened.crs, key=key, columns=columns)


def update(geopackage: Path, statement: str) -> None:
    """Change a GeoPackage behind the back of its triggers, which need functions of GDAL's."""
    database = sqlite3.connect(geopackage)
    triggers = database.execute("select name from sqlite_master where type = 'trigger'").fetchall()
    for (name,) in triggers:
        database.execute(f'drop trigger "{name}"')
    database.execute(statement)
    database.commit()
    database.close()


def collection(path: Path, *geometries: object, crs: object = ...) -> Path:
    """A GeoJSON file; a `str` geometry is put there as it is."""
    features = [
        {"type": "Feature", "properties": {"pid": i, "name": "x"}, "geometry": geometry}
        for i, geometry in enumerate(geometries)
    ]
    document: dict[str, object] = {"type": "FeatureCollection", "features": features}
    if crs is not ...:
        document["crs"] = crs
    path.write_text(json.dumps(document))
    return path


def square(x: float = 15.0) -> Mapping[str, object]:
    return dict(shapely.geometry.mapping(shapely.box(x, 46, x + 0.1, 46.1)))
