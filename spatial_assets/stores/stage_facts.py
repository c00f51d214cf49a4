"""Facts that a manifest holds of each unit of a stage: a class for each kind of stage.

Later stages and reports read them instead of the objects. `facts_from` reads them from JSON once,
and `to_document` writes the same JSON. An optional field that is None is absent from the JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from spatial_assets.stores import layout

WHOLE_STAGE = ""
"""The unit that stands for a whole stage: it is there if the stage has run."""

BY_BOUNDARY = "_by_boundary"
"""Ending of the name of a stage of statistics."""

TILE_INDEX_STAGE = "tile_index"

Figures = Mapping[str, float | int | str]
"""Evidence of a verdict, by name."""


@dataclass(frozen=True, kw_only=True)
class UnitFacts:
    """Facts of one unit."""

    def to_document(self) -> dict[str, object]:
        """Return the facts as JSON values."""
        return {name: value for name, value in asdict(self).items() if value is not None}


FactsT = TypeVar("FactsT", bound=UnitFacts)


@dataclass(frozen=True, kw_only=True)
class StoredScene:
    """A scene as a manifest describes it, without the addresses of its files."""

    id: str
    fingerprint: str
    """Hash of item, files and radiometry."""

    solar_day: str
    """ISO date."""

    platform: str
    granule: str
    facts: Mapping[str, object]
    """JSON of the catalogue's `SceneFacts`."""

    bands: tuple[str, ...]
    """Names of the reflectance bands, in the order in which they are stored."""

    class_band: str | None

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> StoredScene:
        """Read what `asdict` wrote; raises as `facts_from` does."""
        fields = {name: document[name] for name in cls.__dataclass_fields__}
        return cls(**{**fields, "bands": tuple(document["bands"])})


@dataclass(frozen=True, kw_only=True)
class SceneUnitFacts(UnitFacts):
    """Facts of one scene."""

    scene: StoredScene


@dataclass(frozen=True, kw_only=True)
class RawTileFacts(SceneUnitFacts):
    """Facts of one scene in `raw_tile`."""

    windows: Mapping[str, tuple[int, ...]]
    """Band -> (column, row, width, height) in pixels of the band's file."""

    unreadable: Mapping[str, int]
    """Band -> number of pixels that could not be read; only bands that have some."""

    readable_fraction: float
    """Share of the pixels that could be read, of the worst band."""

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> RawTileFacts:
        """Read what `to_document` wrote; raises as `facts_from` does."""
        return cls(
            scene=StoredScene.from_document(document["scene"]),
            windows={name: tuple(window) for name, window in document["windows"].items()},
            unreadable=_object(document["unreadable"]),
            readable_fraction=_number(document["readable_fraction"]),
        )


@dataclass(frozen=True, kw_only=True)
class ReprojectedRasterFacts(SceneUnitFacts):
    """Facts of one scene in `reprojected_raster`."""

    alignment: Figures | None
    """Placement on the pixel grid as measured; None in the first manifests."""

    valid_fraction: float
    """Share of the tile's own pixels that are valid."""

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> ReprojectedRasterFacts:
        """Read what `to_document` wrote; raises as `facts_from` does."""
        return cls(
            scene=StoredScene.from_document(document["scene"]),
            alignment=_object_if_any(document, "alignment"),
            valid_fraction=_number(document["valid_fraction"]),
        )


@dataclass(frozen=True, kw_only=True)
class IndexFacts(UnitFacts):
    """Facts of one period of a spectral index."""

    period: int
    """Position on the time axis, from 0."""

    valid_fraction: float
    """Share of the tile's own pixels that are valid."""

    observations: float
    """Clear observations of a pixel, on average."""

    scenes: int
    """Number of scenes of the period."""

    range: Figures | None
    """Values outside the range of the index; None in the first manifests."""

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> IndexFacts:
        """Read what `to_document` wrote; raises as `facts_from` does."""
        return cls(
            period=int(document["period"]),
            valid_fraction=_number(document["valid_fraction"]),
            observations=_number(document["observations"]),
            scenes=int(document["scenes"]),
            range=_object_if_any(document, "range"),
        )


@dataclass(frozen=True, kw_only=True)
class StatisticsFacts(UnitFacts):
    """Facts of one period and boundary set of the statistics of an index."""

    period: int
    """Position on the time axis, from 0."""

    rows: int
    """Number of rows of the statistics table."""

    boundaries: int
    """Number of boundaries that touch the tile."""

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> StatisticsFacts:
        """Read what `to_document` wrote; raises as `facts_from` does."""
        return cls(
            period=int(document["period"]),
            rows=int(document["rows"]),
            boundaries=int(document["boundaries"]),
        )


@dataclass(frozen=True, kw_only=True)
class WholeStageFacts(UnitFacts):
    """Facts of a stage that has run; one without facts has no object of this class."""

    periods: tuple[int, ...] | None = None
    """Periods of the product when `raw_tile` was last run."""

    features: Mapping[str, str] | None = None
    """Boundary set -> hash of its features that touch the tile, of a stage of statistics."""

    versions: Mapping[str, str] | None = None
    """Boundary set -> version of its object, of a stage of statistics; None in the first
    manifests."""

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> WholeStageFacts:
        """Read what `to_document` wrote; raises as `facts_from` does."""
        periods = document.get("periods")
        return cls(
            periods=None if periods is None else tuple(periods),
            features=_object_if_any(document, "features"),
            versions=_object_if_any(document, "versions"),
        )


def facts_from(document: object, *, stage: str, unit: str) -> UnitFacts | None:
    """Read the facts of a unit from JSON; None where the unit has none.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: they are not facts of such a stage.
    """
    facts = _object(document)
    if unit == WHOLE_STAGE:
        return WholeStageFacts.from_document(facts) if facts else None
    if stage == layout.RAW_TILES_FOLDER:
        return RawTileFacts.from_document(facts)
    if stage == layout.REPROJECTED_FOLDER:
        return ReprojectedRasterFacts.from_document(facts)
    if stage == TILE_INDEX_STAGE:
        return None
    if stage.endswith(BY_BOUNDARY):
        return StatisticsFacts.from_document(facts)
    return IndexFacts.from_document(facts)


def _object(value: object) -> dict[str, Any]:
    """Return `value`, refused with TypeError unless it is a JSON object."""
    if not isinstance(value, dict):
        message = f"wanted a JSON object, got {value!r}"
        raise TypeError(message)
    return value


def _object_if_any(document: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    return None if document.get(name) is None else _object(document[name])


def _number(value: object) -> float:
    """Return `value`, refused with TypeError unless it is a JSON number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"wanted a number, got {value!r}"
        raise TypeError(message)
    return value
