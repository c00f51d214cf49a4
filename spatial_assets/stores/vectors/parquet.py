"""GeoParquet files, read by pyarrow row by row: GDAL in the wheels has no Parquet driver."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from pyproj import CRS
from pyproj.exceptions import CRSError

from spatial_assets.errors import VectorError
from spatial_assets.geo.lonlat import CRS84
from spatial_assets.geo.vectors.features import RawFeature
from spatial_assets.stores.vectors.encodings import decoded_rows
from spatial_assets.stores.vectors.staging import StagedSource

_DEFAULT_CRS = CRS84  # default of the specification if `crs` is missing


class GeoParquetFile:
    """An opened GeoParquet file with valid metadata."""

    driver = "Parquet"

    notes: tuple[str, ...] = ()

    def __init__(self, source: StagedSource) -> None:
        self._source = source
        try:
            self._file = pq.ParquetFile(source.path)
        except (pa.ArrowException, OSError) as error:
            found = source.public(error)
            raise VectorError(f"{source.uri} is not a readable Parquet file: {found}") from error
        self._geometry, self.crs = self._geo()
        self._fields = [n for n in self._file.schema_arrow.names if n != self._geometry]
        self.columns = [*self._fields, *({"fid"} - set(self._fields))]

    def _geo(self) -> tuple[str, CRS | None]:
        """Name of the geometry column, and its CRS; None if the file declares it unknown."""
        packed = (self._file.schema_arrow.metadata or {}).get(b"geo")
        try:
            geo = json.loads(packed or b"null")
            name = geo["primary_column"]
            column = geo["columns"][name]
            encoding = column["encoding"]
            declared = column.get("crs", _DEFAULT_CRS)
            crs = None if declared is None else CRS.from_user_input(declared)
        except (ValueError, TypeError, KeyError, CRSError) as error:
            raise VectorError(
                f"{self._source.uri} has no usable GeoParquet metadata ({error}): "
                "write it with geopandas, GDAL or DuckDB as GeoParquet"
            ) from error
        if encoding != "WKB" or name not in self._file.schema_arrow.names:
            raise VectorError(
                f"{self._source.uri}: geometry column {name!r} is not WKB ({encoding})"
            )
        return name, crs

    def features(self, columns: Sequence[str]) -> Iterator[RawFeature]:
        """Read features in the order of the file."""
        index = 0
        fields = [name for name in columns if name in self._fields]
        requested = [*dict.fromkeys([*fields, self._geometry])]
        try:
            for batch in self._file.iter_batches(columns=requested):
                for row in decoded_rows(batch, None):
                    wkb = row.pop(self._geometry)
                    numbered = {"fid": index, **row}
                    properties = {name: numbered.get(name) for name in columns}
                    yield RawFeature(index=index, properties=properties, wkb=wkb)  # type: ignore[arg-type]
                    index += 1
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            found = self._source.public(error)
            raise VectorError(f"{self._source.uri}, after row {index}: {found}") from error
