"""Selection of the asset of an item, and the band within it, that holds one of our bands.

Archives name assets differently, so a sensor profile lists the accepted names, best first: common
names, which mean the same on every platform, then what its archives call the band on the item's
platform. A name under which an item has something else is passed over.
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
    stated_calibration,
)
from spatial_assets.catalog.stac.duplicates import platform_of
from spatial_assets.errors import SceneError
from spatial_assets.geo.common_names import contradict
from spatial_assets.geo.sensor_profile import (
    UNKNOWN_PLATFORM,
    AssetBand,
    BandName,
    SensorProfile,
)
from spatial_assets.indices import INDICES
from spatial_assets.project.secrets import mask_secrets

MISSING_BAND = "missing_band"
"""Reason of an item without an asset for a band."""

_PICTURES = frozenset({"visual", "overview", "thumbnail", "metadata"})


@dataclass(frozen=True)
class FoundBand:
    """An asset and the number of a band within it, from 1."""

    key: str
    asset: JsonObject
    index: int
    is_numbered: bool
    """False: nothing says which band of the file it is, so the file must have only one."""


def band_source(item: JsonObject, name: str, *, base: str, profile: SensorProfile) -> BandSource:
    """Return the source of the reflective band that we call `name`.

    Raises:
        SceneError: `unknown_platform`, `missing_band`, `ambiguous_band`, `bad_href`,
            `radiometry_unknown`.
    """
    platform = platform_of(properties_of(item))
    if not profile.knows(platform):
        raise SceneError(
            f"the platform {platform!r} is none of the sensor {profile.name} (it has "
            f"{', '.join(profile.platforms)}), whose band names may mean other bands there; "
            "describe the sensor in a table [scenes.sensor]",
            reason="unknown_platform",
        )
    accepted = profile.names_of(name, platform)
    found = _find_band(item, name, accepted)
    if found is None:
        raise _missing(item, name, accepted, platform=platform, profile=profile)
    metadata = band_metadata(item, found.asset, found.index)
    try:
        stated = stated_calibration(properties_of(item), metadata, profile=profile)
    except SceneError as error:
        raise SceneError(f"asset {found.key!r}: {error}", reason=error.reason) from error
    nodata = declared_number(metadata, "nodata")
    return _source(
        item,
        found,
        name=name,
        base=base,
        calibration=stated.calibration,
        stated_scale=stated.scale,
        stated_offsets=stated.offsets,
        uncalibrated=stated.missing and f"asset {found.key!r}: {stated.missing}",
        nodata=nodata if nodata is not None else profile.nodata,
    )


def class_source(item: JsonObject, *, base: str, profile: SensorProfile) -> BandSource | None:
    """Return the source of the band of classes or flags; None if the sensor has none.

    Raises:
        SceneError: `missing_band`, `ambiguous_band`, `bad_href`.
    """
    if profile.class_band is None:
        return None
    name, accepted = profile.class_band, profile.class_assets
    found = next(filter(None, (_by_key(item, name, one, accepted) for one in accepted)), None)
    if found is None:
        raise _missing(item, name, accepted)
    metadata = band_metadata(item, found.asset, found.index)
    return _source(
        item,
        found,
        name=profile.class_band,
        base=base,
        calibration=None,
        nodata=declared_number(metadata, "nodata"),
    )


def require_distinct(bands: Mapping[str, BandSource]) -> None:
    """Refuse two bands of an index that would be read from one band of one file.

    Raises:
        SceneError: `same_band`.
    """
    for index in INDICES.values():
        if not bands.keys() >= set(index.needs):
            continue
        places: dict[object, str] = {}
        for name in index.needs:
            source = bands[name]
            first = places.setdefault((source.href, source.query, source.index), name)
            if first != name:
                raise SceneError(
                    f"the bands {first!r} and {name!r} of {index.name} would both be read from "
                    f"band {source.index} of {mask_secrets(source.href)}; name the asset or the "
                    f'band of each, e.g. {name} = {{ asset = "...", band = 2 }} in '
                    "[scenes.sensor] bands",
                    reason="same_band",
                )


def _source(
    item: JsonObject, found: FoundBand, *, name: str, base: str, **resolved: object
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
        is_numbered=found.is_numbered,
        checksum=checksum.lower() if isinstance(checksum, str) and checksum else None,
        size=size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
        collection=collection if isinstance(collection, str) else None,
        **resolved,  # type: ignore[arg-type]  # calibration and nodata, typed by both callers
    )


def _find_band(item: JsonObject, name: str, accepted: Sequence[BandName]) -> FoundBand | None:
    """Return the band with the first accepted name that the item has, as key or in a description.

    Raises:
        SceneError: `ambiguous_band`.
    """
    texts = [one for one in accepted if isinstance(one, str)]
    for one in accepted:
        by_key = _by_key(item, name, one, accepted)
        found = [by_key] if by_key is not None else []
        if isinstance(one, str):
            found += _described_as(item, name, one)
        if found:  # the same band at 10, 20 and 60 m: the finest, unless a key is preferred
            return min(found, key=lambda band: _preference(item, band, texts))
    return None


def _by_key(
    item: JsonObject, name: str, wanted: BandName, accepted: Sequence[BandName]
) -> FoundBand | None:
    """Return the band that is named by the key of its asset; None if there is none.

    Raises:
        SceneError: `ambiguous_band`: the asset has several, and nothing says which one.
    """
    assets = assets_of(item)
    if isinstance(wanted, AssetBand):
        asset = assets.get(wanted.asset)
        return None if asset is None else FoundBand(wanted.asset, asset, wanted.band, True)
    asset = assets.get(wanted)
    if asset is None:
        return None
    described = _descriptions(asset)
    if len(described) <= 1:
        is_other = any(_is_other(band, name, wanted) for band in described)
        return None if is_other else FoundBand(wanted, asset, 1, False)
    names = {name, *(one for one in accepted if isinstance(one, str))}
    numbers = [number for number, band in enumerate(described, 1) if names_of(band) & names]
    if len(numbers) == 1:
        return FoundBand(wanted, asset, numbers[0], True)
    raise ambiguous_band(name, wanted, len(described))


def _described_as(item: JsonObject, name: str, wanted: str) -> list[FoundBand]:
    """Return the bands that descriptions give a name to, common or not."""
    return [
        FoundBand(key, asset, number, len(described) > 1)
        for key, asset in sorted(assets_of(item).items())
        if key not in _PICTURES and not _is_picture(asset)
        for described in [_descriptions(asset)]
        for number, band in enumerate(described, start=1)
        if wanted in names_of(band) and not _is_other(band, name, wanted)
    ]


def _is_other(band: JsonObject, name: str, wanted: str) -> bool:
    """Return True if a description states common names, all of which contradict ours."""
    stated = common_names_of(band)
    return bool(stated) and all(one != wanted and contradict(name, one) for one in stated)


def _descriptions(asset: JsonObject) -> list[JsonObject]:
    """Return the descriptions of an asset's bands: the list that names them, else the longest."""
    lists = [
        [each if isinstance(each, Mapping) else {} for each in entries]
        for entries in map(asset.get, ("bands", "eo:bands", "raster:bands"))
        if isinstance(entries, list)
    ]
    named = (each for each in lists if any(map(names_of, each)))
    return next(named, max(lists, key=len, default=[]))


def ambiguous_band(name: str, asset: str, count: int) -> SceneError:
    """Return the error for an asset of several bands of which nothing says which one is meant."""
    return SceneError(
        f"asset {asset!r} has {count} bands, and nothing says which of them is {name!r}: name it "
        f'by number, {name} = {{ asset = "{asset}", band = 1 }} in [scenes.sensor] bands, or give '
        "the bands their common names in the item",
        reason="ambiguous_band",
    )


def common_names_of(band: JsonObject) -> set[str]:
    """Return the common names in a band description of STAC 1.0 or 1.1."""
    keys = ("common_name", "eo:common_name")
    return {str(band[key]) for key in keys if isinstance(band.get(key), str)}


def names_of(band: JsonObject) -> set[str]:
    """Return the names in a band description of STAC 1.0 or 1.1."""
    name = band.get("name")
    return common_names_of(band) | ({name} if isinstance(name, str) else set())


def _is_picture(asset: JsonObject) -> bool:
    """Return True if an asset is for display: its numbers are no measurement."""
    roles = asset.get("roles")
    return isinstance(roles, list) and not _PICTURES.isdisjoint(
        role for role in roles if isinstance(role, str)
    )


def _preference(
    item: JsonObject, found: FoundBand, texts: Sequence[str]
) -> tuple[int, float, bool, str]:
    """Rank bands of one name, least first: by accepted key, finest, alone in its file, key."""
    is_accepted = found.key in texts
    return (
        texts.index(found.key) if is_accepted else len(texts),
        _resolution(item, found),
        len(_descriptions(found.asset)) > 1,
        found.key,
    )


def _resolution(item: JsonObject, found: FoundBand) -> float:
    """Return the stated pixel size, for choosing the finest."""
    metadata = band_metadata(item, found.asset, found.index)
    for value in (metadata.get("spatial_resolution"), found.asset.get("gsd")):
        if isinstance(value, int | float) and math.isfinite(value):
            return float(value)
    return math.inf


def _missing(
    item: JsonObject,
    name: str,
    accepted: Sequence[BandName],
    *,
    platform: str = "",
    profile: SensorProfile | None = None,
) -> SceneError:
    """Return the error for an item without a band."""
    keys = ", ".join(sorted(assets_of(item))) or "none"
    by_platform = {
        one
        for names in (profile.platforms.values() if profile is not None else ())
        for one in names.get(name, ())
    }
    if platform == UNKNOWN_PLATFORM and by_platform - set(accepted):
        return SceneError(
            f"no asset has the common name {', '.join(map(str, accepted))}, and without a "
            f"`platform` the item's keys ({keys[:300]}) may mean different bands; state it",
            reason="unknown_platform",
        )
    return SceneError(
        f"no asset for the band {name!r}: expected the key or common name "
        f"{', '.join(map(str, accepted))}; the item has the assets {keys[:300]}",
        reason=MISSING_BAND,
    )
