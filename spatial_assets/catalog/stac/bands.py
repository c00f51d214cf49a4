"""Selection of the asset of an item, and the band within it, that holds one of our bands.

Archives name assets differently, so a sensor profile lists the accepted names, best first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spatial_assets.catalog.access.hrefs import resolve_href
from spatial_assets.catalog.json_object import JsonObject, assets_of, properties_of
from spatial_assets.catalog.scene import BandSource
from spatial_assets.catalog.stac.calibration import (
    band_metadata,
    declared_number,
    resolve_calibration,
)
from spatial_assets.errors import SceneError
from spatial_assets.geo.sensor_profile import SensorProfile

_PICTURES = frozenset({"visual", "overview", "thumbnail", "metadata"})


@dataclass(frozen=True)
class AssetBand:
    """An asset and the number of a band within it, from 1."""

    key: str
    asset: JsonObject
    index: int


def band_source(item: JsonObject, name: str, *, base: str, profile: SensorProfile) -> BandSource:
    """Return the source of the reflective band that we call `name`.

    Raises:
        SceneError: `missing_band`, `bad_href`, `radiometry_unknown`.
    """
    found = _find_band(item, profile.bands.get(name, (name,)))
    if found is None:
        raise _missing(item, name, profile.bands.get(name, (name,)))
    metadata = band_metadata(item, found.asset, found.index)
    try:
        calibration = resolve_calibration(properties_of(item), metadata, profile=profile)
    except SceneError as error:
        raise SceneError(f"asset {found.key!r}: {error}", reason=error.reason) from error
    nodata = declared_number(metadata, "nodata")
    return _source(
        item,
        found,
        name=name,
        base=base,
        calibration=calibration,
        nodata=nodata if nodata is not None else profile.nodata,
    )


def class_source(item: JsonObject, *, base: str, profile: SensorProfile) -> BandSource | None:
    """Return the source of the band of classes or flags; None if the sensor has none.

    Raises:
        SceneError: `missing_band`, `bad_href`.
    """
    if profile.class_band is None:
        return None
    assets = assets_of(item)
    key = next((key for key in profile.class_assets if key in assets), None)
    if key is None:
        raise _missing(item, profile.class_band, profile.class_assets)
    found = AssetBand(key, assets[key], 1)
    metadata = band_metadata(item, found.asset, found.index)
    return _source(
        item,
        found,
        name=profile.class_band,
        base=base,
        calibration=None,
        nodata=declared_number(metadata, "nodata"),
    )


def _source(
    item: JsonObject, found: AssetBand, *, name: str, base: str, **resolved: object
) -> BandSource:
    """Return a band source with what the asset states about its file."""
    href = resolve_href(found.asset.get("href"), base)
    size, checksum = found.asset.get("file:size"), found.asset.get("file:checksum")
    collection = item.get("collection")
    return BandSource(
        name=name,
        href=href.place,
        query=href.query,
        index=found.index,
        checksum=checksum.lower() if isinstance(checksum, str) and checksum else None,
        size=size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
        collection=collection if isinstance(collection, str) else None,
        **resolved,  # type: ignore[arg-type]  # calibration and nodata, typed by both callers
    )


def _find_band(item: JsonObject, accepted: Sequence[str]) -> AssetBand | None:
    """Return the first accepted name that is an asset key, else the first that is a common name."""
    assets = assets_of(item)
    for name in accepted:
        if name in assets:
            return AssetBand(name, assets[name], _index_of(assets[name], accepted) or 1)
    for name in accepted:
        found = [
            AssetBand(key, asset, index)
            for key, asset in sorted(assets.items())
            if not _is_picture(asset) and (index := _index_of(asset, (name,))) is not None
        ]
        if found:  # the same band at 10, 20 and 60 m: the finest
            return min(found, key=lambda band: _resolution(item, band))
    return None


def _index_of(asset: JsonObject, names: Sequence[str]) -> int | None:
    """Return the number, from 1, of the first band of an asset that has one of `names`."""
    for key in ("bands", "eo:bands"):
        entries = asset.get(key)
        for number, entry in enumerate(entries if isinstance(entries, list) else [], start=1):
            if isinstance(entry, Mapping) and not names_of(entry).isdisjoint(names):
                return number
    return None


def names_of(band: JsonObject) -> set[str]:
    """Return the names in a band description of STAC 1.0 or 1.1."""
    keys = ("name", "common_name", "eo:common_name")
    return {str(band[key]) for key in keys if isinstance(band.get(key), str)}


def _is_picture(asset: JsonObject) -> bool:
    """Return True if an asset is for display: its numbers are no measurement."""
    roles = asset.get("roles")
    return isinstance(roles, list) and not _PICTURES.isdisjoint(
        role for role in roles if isinstance(role, str)
    )


def _resolution(item: JsonObject, found: AssetBand) -> tuple[float, str]:
    """Return the stated pixel size and the key, for choosing the finest; ties are broken by key."""
    metadata = band_metadata(item, found.asset, found.index)
    for value in (metadata.get("spatial_resolution"), found.asset.get("gsd")):
        if isinstance(value, int | float) and math.isfinite(value):
            return (float(value), found.key)
    return (math.inf, found.key)


def _missing(item: JsonObject, name: str, accepted: Sequence[str]) -> SceneError:
    """Return the error for an item without a band."""
    keys = ", ".join(sorted(assets_of(item))) or "none"
    return SceneError(
        f"no asset for the band {name!r}: expected the key or common name {', '.join(accepted)}; "
        f"the item has the assets {keys[:300]}",
        reason="missing_band",
    )
