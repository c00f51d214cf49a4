"""Every error this package raises on purpose.

SpatialAssetsError
├── SettingsError            project.toml, or a variable, has an impossible value
├── GridError                a tile key, level or area does not fit the pixel grid
├── RasterError              pixels, shape, CRS or bands are not as promised
├── VectorError              a boundaries file as a whole cannot be used
├── SceneError               a STAC item cannot become a scene, and a retry would not help
├── SourceUnavailableError   the archive or catalogue did not answer; a retry may help
│   └── CatalogueShrunkError the catalogue lacks too many of the scenes in use
├── StoreError               the object store holds or did something unexpected
│   ├── LeaseHeldError       another writer holds this tile or the time axis
│   └── RegridUnderWayError  objects are being moved, or a move was interrupted
├── ForeignProjectError      the store or the database belongs to another project
├── DatabaseError            the database is unreachable, too new, or not spatial
├── ClusterError             the Dask cluster is unreachable, or cannot do the work
└── LaunchError              Dagster's webserver is unreachable, refuses, or serves another project

A message says what was found, what was expected, and what to do.
"""

from __future__ import annotations


class SpatialAssetsError(Exception):
    """Base of every error this package raises on purpose."""


class SettingsError(SpatialAssetsError):
    """The project file, or a variable that overrides it, has an impossible value."""


class GridError(SpatialAssetsError):
    """A tile key, a level or an area does not fit the pixel grid."""


class RasterError(SpatialAssetsError):
    """Pixels, shape, CRS or bands are not as promised.

    Attributes:
        reason: the reason code of a quarantine record, in snake_case.
    """

    def __init__(self, message: str, *, reason: str = "bad_raster") -> None:
        super().__init__(message)
        self.reason = reason


class VectorError(SpatialAssetsError):
    """A boundaries file as a whole cannot be used."""


class SceneError(SpatialAssetsError):
    """A STAC item cannot become a scene, and a retry would not help.

    Attributes:
        reason: the reason code of a quarantine record, in snake_case.
    """

    def __init__(self, message: str, *, reason: str = "bad_item") -> None:
        super().__init__(message)
        self.reason = reason


CHANGED_SINCE_INSPECTION = "changed_since_inspection"
"""Reason of a SceneError that another run may correct: it inspects the changed file again."""

PAGE_INSTEAD_OF_FILE = "page_instead_of_file"
"""Reason of a SceneError: a server answered with HTML, XML or JSON where a raster should be."""

REASONS_OF_THE_MOMENT = frozenset(
    {
        CHANGED_SINCE_INSPECTION,
        PAGE_INSTEAD_OF_FILE,
        *("missing_object", "forbidden", "refused_by_server", "unreadable_file"),
        *("forbidden_host", "forbidden_folder", "larger_than_cache"),
    }
)
"""Reasons of a SceneError that lie in the access to a file, not in its content.

A mount, a login, a server or a setting may be another one at the next run, though the catalogue
stays the same: such a verdict is never stored, and never a reason to leave a tile alone.
"""


class SourceUnavailableError(SpatialAssetsError):
    """The archive or the catalogue did not answer; a retry may help."""


class CatalogueShrunkError(SourceUnavailableError):
    """The catalogue answered, and lacks too many of the scenes that tiles were made from."""


class StoreError(SpatialAssetsError):
    """The object store holds or did something unexpected."""


class LeaseHeldError(StoreError):
    """Another writer holds this tile or the time axis."""


class RegridUnderWayError(StoreError):
    """Objects are being moved under new indices, or such a move was interrupted."""


class ForeignProjectError(SpatialAssetsError):
    """The store or the database belongs to another project; nothing was written."""


class LaunchError(SpatialAssetsError):
    """Dagster's webserver does not answer, refuses, or serves another project."""


class DatabaseError(SpatialAssetsError):
    """The database is unreachable, has a newer schema, or has no spatial extension."""


class ClusterError(SpatialAssetsError):
    """The Dask cluster is unreachable, has no workers, or has workers that cannot do the work."""
