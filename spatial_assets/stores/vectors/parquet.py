"""GeoParquet files, read by pyarrow row by row: GDAL in the wheels has no Parquet driver."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from pyproj import CRS
from pyproj.exceptions import CRSError

from spatial_assets.errors import VectorError
from spatial_assets.geo.lonlat import CRS84
from spatial_assets.geo.vectors.features import RawFeature
from spatial_assets.stores.vectors.source import VectorSource

_DEFAULT_CRS = CRS84  # default of the specification if `crs` is missing


class GeoParquetFile:
    """An opened GeoParquet file with valid metadata."""

    driver = "Parquet"

    def __init__(self, source: VectorSource, data: bytes | None) -> None:
        self._source = source
        try:
            where = source.gdal_path if data is None else io.BytesIO(data)
            self._file = pq.ParquetFile(where)
        except (pa.ArrowException, OSError) as error:
            raise VectorError(f"{source.uri} is not a readable Parquet file: {error}") from error
        self._geometry, self.crs = self._geo()
        self.columns = [n for n in self._file.schema_arrow.names if n != self._geometry]

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
        requested = [*dict.fromkeys([*columns, self._geometry])]
        try:
            for batch in self._file.iter_batches(columns=requested):
                for row in batch.to_pylist():
                    wkb = row.pop(self._geometry)
                    yield RawFeature(index=index, properties=row, wkb=wkb)
                    index += 1
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise VectorError(f"{self._source.uri}, after row {index}: {error}") from error
