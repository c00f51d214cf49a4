"""Declaration of a cube, and its metadata documents and coordinates as bytes.

Pure: a `CubeSpec` in, documents by path out, and back. The pixel grid follows CF for xarray, and
the conventions `proj:` and `spatial:` for zarr readers. Pixels and I/O belong in `cube`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import zarr
from numpy.typing import NDArray
from pyproj import CRS
from zarr.abc.buffer import Buffer
from zarr.codecs import BloscCodec
from zarr.core.chunk_key_encodings import ChunkKeyEncodingParams
from zarr.storage import MemoryStore

from spatial_assets.errors import GridError, StoreError
from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.grid.pixel_grid import PixelGrid
from spatial_assets.geo.periods import Periods
from spatial_assets.geo.radiometry import FILL, INDEX_SCALE

ChunkKeys = Literal["default", "v2"]
"""Names of the chunk key encodings of Zarr v3: the chunk 0, 1, 2 is `c/0/1/2`, or `0/1/2`."""

CUBE_SCHEMAS: Mapping[ChunkKeys, int] = {"default": 1, "v2": 2}
"""Encoding -> schema of the declaration: versions that know only the first refuse the second."""

SPEC_ATTRIBUTE = "spatial_assets"
"""Group attribute that contains the declaration."""

OBSERVATIONS = "observations"
ROOT = "zarr.json"
EPOCH = date(1970, 1, 1)

# Constant, so that a longer axis adds chunks and changes none: open readers stay valid.
TIME_CHUNK = 1024
SPACE_CHUNK = 16384


@dataclass(frozen=True, kw_only=True)
class CubeSpec:
    """Declaration of the cube of one index: its pixels and its periods."""

    index: str
    """Name of the index and of its array."""

    grid: PixelGrid
    grid_id: str
    extent: Window
    """Absolute pixels of the arrays, starting at the corner of a shard."""

    periods: Periods
    """Time axis."""

    chunk_keys: ChunkKeys = "default"
    """Encoding of the chunk keys of all arrays; `regrid` writes the other one beside."""

    long_name: str = field(default="", compare=False)
    """Description of the values, for the legend of a map."""

    def __post_init__(self) -> None:
        """Refuse an extent that cuts shards; normalize the time axis."""
        shard = self.grid.shard
        if self.extent.column % shard or self.extent.row % shard:
            raise GridError(
                f"the extent {self.extent} starts within a shard of {shard} pixels; "
                "take the bounding window of whole shards"
            )
        first, last = self.periods.first_day(0), self.periods.last_day(self.periods.count - 1)
        object.__setattr__(self, "periods", Periods(first, self.periods.length, last))

    @property
    def geobox(self) -> GeoBox:
        """GeoBox of the extent."""
        return self.grid.geobox(self.extent)

    def grown_to(self, other: CubeSpec) -> CubeSpec:
        """Return the cube that contains this one and `other`, without moving a stored shard.

        Raises:
            GridError: pixels or periods would have to move, or change their size.
        """
        self._refuse_another(other)
        ours, theirs = self.extent, other.extent
        width = max(ours.column_stop, theirs.column_stop) - ours.column
        height = max(ours.row_stop, theirs.row_stop) - ours.row
        return replace(
            other,
            extent=Window(ours.column, ours.row, width, height),
            periods=self.periods.extended_to(other.periods.end),
            chunk_keys=self.chunk_keys,
        )

    def _refuse_another(self, other: CubeSpec) -> None:
        regrid = "`spatial-assets regrid` moves them and computes nothing"
        if self.grid != other.grid:
            raise GridError(
                f"{self.index}.zarr has pixels of {self.grid}, the project has {other.grid}; "
                "give [storage] url a new prefix, or restore the setting"
            )
        ours, theirs = self.periods, other.periods
        if ours.length != theirs.length:
            raise GridError(
                f"the time axis of {self.index}.zarr counts {ours.length}s, the project "
                f"{theirs.length}s: [time] period changed; give [storage] url a new prefix, or "
                "restore the setting"
            )
        if ours.start != theirs.start:
            raise GridError(
                f"the time axis of {self.index}.zarr starts on {ours.start}, that of the project "
                f"on {theirs.start}, so all stored periods change their places; {regrid}, or "
                "restore [time] start"
            )
        if other.extent.column < self.extent.column or other.extent.row < self.extent.row:
            columns = max(self.extent.column - other.extent.column, 0)
            rows = max(self.extent.row - other.extent.row, 0)
            raise GridError(
                f"the area starts {columns} pixels further west and {rows} further north than "
                f"{self.index}.zarr, so all stored shards change their places; {regrid}, or "
                "restore [area]"
            )

    def chunk_path(self, *position: int) -> str:
        """Path of a chunk below its array, by its position on each axis."""
        numbers = "/".join(str(number) for number in position)
        return f"c/{numbers}" if self.chunk_keys == "default" else numbers


def cube_documents(spec: CubeSpec) -> dict[str, bytes]:
    """All objects of a cube except its pixels, by path; the root comes last.

    The root has all the metadata (consolidated), so putting the documents in this order commits
    them all with the last.
    """
    memory: dict[str, Buffer] = {}
    group = zarr.create_group(MemoryStore(memory), attributes=group_attributes(spec))
    shape = (spec.periods.count, *spec.extent.shape)
    _add_pixels(group, spec, shape=shape)
    _add_coordinates(group, spec)
    documents = {path: value.to_bytes() for path, value in sorted(memory.items())}
    root = json.loads(documents.pop(ROOT))
    arrays = {
        path.removesuffix("/" + ROOT): json.loads(data)
        for path, data in documents.items()
        if path.endswith("/" + ROOT)
    }
    root["consolidated_metadata"] = {
        "kind": "inline",
        "must_understand": False,
        "metadata": arrays,
    }
    return {**documents, ROOT: json.dumps(root, indent=1).encode()}


@lru_cache(maxsize=16)
def parsed_spec(root: bytes, *, index: str) -> CubeSpec:
    """Parse the declaration in a stored root document.

    Raises:
        StoreError: it is damaged, or written by a newer version.
    """
    try:
        own = json.loads(root)["attributes"][SPEC_ATTRIBUTE]
        if own["schema"] in CUBE_SCHEMAS.values():
            return spec_from_document(own, index=index)
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{index}.zarr/{ROOT} is damaged ({error!r}); delete that object: the next run "
            "writes it again and no pixel is lost"
        ) from error
    raise StoreError(
        f"{index}.zarr has schema {own['schema']!r}, this version reads "
        f"{' and '.join(str(schema) for schema in CUBE_SCHEMAS.values())}; "
        "use the version of spatial_assets that wrote it, or a newer one"
    )


def group_attributes(spec: CubeSpec) -> dict[str, Any]:
    """Group attributes: CF, the geo conventions of zarr, and the declaration."""
    return {
        "Conventions": "CF-1.11",
        "title": f"{spec.long_name or spec.index} by {spec.periods.length}",
        **spatial_attributes(spec.geobox),
        "grid_id": spec.grid_id,
        SPEC_ATTRIBUTE: spec_document(spec),
    }


def spec_document(spec: CubeSpec) -> dict[str, Any]:
    """Return the declaration as JSON values."""
    grid, periods = spec.grid, spec.periods
    document: dict[str, Any] = {
        "schema": CUBE_SCHEMAS[spec.chunk_keys],
        "grid_id": spec.grid_id,
        "grid": {
            "tile_matrix_set": grid.tile_matrix_set,
            "pixel_zoom": grid.pixel_zoom,
            "chunk": grid.chunk,
            "shard": grid.shard,
        },
        "extent": [spec.extent.column, spec.extent.row, spec.extent.width, spec.extent.height],
        "periods": {
            "length": periods.length,
            "first": periods.start.isoformat(),
            "last": periods.end.isoformat(),
        },
        "long_name": spec.long_name,
    }
    return document if spec.chunk_keys == "default" else {**document, "chunk_keys": "v2"}


def spec_from_document(document: Mapping[str, Any], *, index: str) -> CubeSpec:
    """Read what `spec_document` wrote; raises ValueError, KeyError or TypeError otherwise."""
    column, row, width, height = document["extent"]
    periods = document["periods"]
    first, last = (date.fromisoformat(periods[name]) for name in ("first", "last"))
    return CubeSpec(
        index=index,
        grid=PixelGrid(**document["grid"]),
        grid_id=document["grid_id"],
        extent=Window(column, row, width, height),
        periods=Periods(first, periods["length"], last),
        chunk_keys="v2" if document.get("chunk_keys") == "v2" else "default",
        long_name=document["long_name"],
    )


def _add_pixels(group: zarr.Group, spec: CubeSpec, *, shape: tuple[int, ...]) -> None:
    shared: dict[str, Any] = {
        "shape": shape,
        "chunks": (1, spec.grid.chunk, spec.grid.chunk),
        "shards": (1, spec.grid.shard, spec.grid.shard),
        "compressors": BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle"),
        "dimension_names": ("time", "y", "x"),
        "chunk_key_encoding": chunk_key_encoding(spec),
    }
    located = {"grid_mapping": "spatial_ref", "coordinates": "spatial_ref"}
    group.create_array(
        spec.index,
        dtype="int16",
        fill_value=FILL,
        attributes={
            "long_name": spec.long_name or spec.index,
            "units": "1",
            "scale_factor": INDEX_SCALE,
            "add_offset": 0.0,
            "_FillValue": FILL,  # without it xarray reads fill as a number
            "ancillary_variables": OBSERVATIONS,
            **located,
        },
        **shared,
    )
    group.create_array(
        OBSERVATIONS,
        dtype="uint16",
        fill_value=0,
        attributes={
            "long_name": "clear observations in the period",
            "standard_name": "number_of_observations",
            "units": "1",
            **located,
        },
        **shared,
    )


def _add_coordinates(group: zarr.Group, spec: CubeSpec) -> None:
    periods, extent, origin = spec.periods, spec.extent, spec.grid.origin
    crs = crs_attributes(spec.geobox)
    days = [(periods.first_day(index) - EPOCH).days for index in range(periods.count)]
    time = {
        "standard_name": "time",
        "long_name": f"first day of the {periods.length}",
        "axis": "T",
        "units": f"days since {EPOCH}",
        "calendar": "proleptic_gregorian",
    }
    columns = np.arange(extent.column, extent.column_stop) + 0.5
    rows = np.arange(extent.row, extent.row_stop) + 0.5
    for name, values, attributes in (
        ("time", np.array(days, dtype="int32"), time),
        ("x", origin.c + origin.a * columns, crs.x),
        ("y", origin.f + origin.e * rows, crs.y),
    ):
        _add_axis(group, name, spec=spec, values=values, attributes=attributes)
    # A grid mapping variable has only attributes; its value has no meaning.
    group.create_array("spatial_ref", shape=(), dtype="int64", attributes=dict(crs.grid_mapping))


def chunk_key_encoding(spec: CubeSpec) -> ChunkKeyEncodingParams:
    """Chunk key encoding of the arrays, as zarr takes it."""
    return ChunkKeyEncodingParams(name=spec.chunk_keys, separator="/")


def _add_axis(
    group: zarr.Group,
    name: str,
    *,
    spec: CubeSpec,
    values: NDArray[Any],
    attributes: Mapping[str, Any],
) -> None:
    chunk = TIME_CHUNK if name == "time" else SPACE_CHUNK
    array = group.create_array(
        name,
        shape=values.shape,
        chunks=(chunk,),
        dtype=values.dtype,
        dimension_names=(name,),
        chunk_key_encoding=chunk_key_encoding(spec),
        attributes=dict(attributes),
        config={"write_empty_chunks": True},
    )
    array[:] = values


REGISTRATIONS = tuple(
    {
        "name": name,
        "uuid": uuid,
        "schema_url": f"https://raw.githubusercontent.com/zarr-conventions/{name}/refs/tags/v0.1/schema.json",
        "spec_url": f"https://github.com/zarr-conventions/{name}/blob/v0.1/README.md",
        "description": description,
    }
    for name, uuid, description in (
        (
            "proj",
            "f17cb550-5864-4468-aeb7-f3180cfb622f",
            "Coordinate reference system information for geospatial data",
        ),
        ("spatial", "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4", "Spatial coordinate information"),
    )
)


@dataclass(frozen=True)
class CrsAttributes:
    """CF attributes of the variables that define the CRS."""

    grid_mapping: Mapping[str, Any]
    x: Mapping[str, Any]
    y: Mapping[str, Any]


def spatial_attributes(geobox: GeoBox) -> dict[str, Any]:
    """`proj:` and `spatial:` attributes of a group whose arrays have dimensions y and x."""
    code = geobox.crs.to_authority()
    attributes: dict[str, Any] = {
        "zarr_conventions": [dict(registration) for registration in REGISTRATIONS],
        "proj:wkt2": geobox.crs.to_wkt(),
        "spatial:dimensions": ["y", "x"],
        "spatial:transform": list(geobox.transform)[:6],
        "spatial:bbox": list(geobox.bounds),
        "spatial:shape": list(geobox.window.shape),
        "spatial:registration": "pixel",
    }
    return attributes if code is None else {**attributes, "proj:code": ":".join(code)}


def crs_attributes(geobox: GeoBox) -> CrsAttributes:
    """CF attributes, with the GeoTransform that rioxarray and GDAL read."""
    crs, transform = geobox.crs, geobox.transform
    numbers = " ".join(repr(float(number)) for number in transform.to_gdal())
    mapping = {**crs.to_cf(), "spatial_ref": crs.to_wkt(), "GeoTransform": numbers}
    axes = {axis["axis"]: axis for axis in crs.cs_to_cf() if "axis" in axis}
    return CrsAttributes(mapping, axes.get("X", plain("x", crs)), axes.get("Y", plain("y", crs)))


def plain(name: str, crs: CRS) -> dict[str, Any]:
    """Attributes of an axis without a CF standard name."""
    unit = crs.axis_info[0].unit_name if crs.axis_info else "1"
    return {"axis": name.upper(), "long_name": f"{name} of {crs.name}", "units": unit}
