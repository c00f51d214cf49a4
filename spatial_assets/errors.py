"""Every error this package raises on purpose.

SpatialAssetsError
├── SettingsError            project.toml, or a variable, says something impossible
├── GridError                a tile key, level or area does not fit the pixel grid
├── RasterError              pixels, shape, CRS or bands are not what was promised
├── VectorError              a boundaries file as a whole cannot be used
├── SceneError               a STAC item cannot become a scene: it is bad, not away
├── SourceUnavailableError   the archive or catalogue did not answer; trying again may help
├── StoreError               the object store holds, or did, something it should not have
│   └── LeaseHeldError       another writer holds this tile or the time axis
├── DatabaseError            the database is away, too new, or not spatial
├── ClusterError             the Dask cluster is away, or cannot do the work
└── LaunchError              Dagster's webserver is away, refuses, or serves another project

A message says what we got, what was wanted, and what to do.
"""

from __future__ import annotations


class SpatialAssetsError(Exception):
    """Base of every error this package raises on purpose."""


class SettingsError(SpatialAssetsError):
    """The project file, or a variable that overrides it, says something impossible."""


class GridError(SpatialAssetsError):
    """A tile key, a level or an area does not fit the pixel grid."""


class RasterError(SpatialAssetsError):
    """Pixels, shape, CRS or bands are not what was promised.

    Attributes:
        reason: the reason code of a quarantine record, in snake_case.
    """

    def __init__(self, message: str, *, reason: str = "bad_raster") -> None:
        super().__init__(message)
        self.reason = reason


class VectorError(SpatialAssetsError):
    """A boundaries file as a whole cannot be used."""


class SceneError(SpatialAssetsError):
    """A STAC item cannot become a scene, in a way that a retry cannot change.

    Attributes:
        reason: the reason code of a quarantine record, in snake_case.
    """

    def __init__(self, message: str, *, reason: str = "bad_item") -> None:
        super().__init__(message)
        self.reason = reason


class SourceUnavailableError(SpatialAssetsError):
    """The archive or the catalogue did not answer; trying again may help."""


class StoreError(SpatialAssetsError):
    """The object store holds, or did, something it should not have."""


class LeaseHeldError(StoreError):
    """Another writer holds this tile or the time axis."""


class LaunchError(SpatialAssetsError):
    """Dagster's webserver does not answer, refuses, or serves another project."""


class DatabaseError(SpatialAssetsError):
    """The database is away, has a newer schema, or has no spatial extension."""


class ClusterError(SpatialAssetsError):
    """The Dask cluster is away, has no workers, or has some that cannot do the work."""
