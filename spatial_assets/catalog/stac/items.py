"""Parsing of one STAC item into a scene, or into its rejection. No file or network is accessed."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from shapely.geometry.base import BaseGeometry

from spatial_assets.catalog.access.hrefs import resolve_href
from spatial_assets.catalog.item_notes import BESIDE_RASTERS
from spatial_assets.catalog.json_object import JsonObject, assets_of, properties_of
from spatial_assets.catalog.scene import BandSource, RejectedScene, Scene
from spatial_assets.catalog.stac.bands import (
    MISSING_BAND,
    band_source,
    class_source,
    require_distinct,
)
from spatial_assets.catalog.stac.calibration import processing_baseline
from spatial_assets.catalog.stac.duplicates import granule_of, platform_of
from spatial_assets.catalog.stac.footprints import (
    ItemPlace,
    crs_of,
    extent_of,
    footprint_of,
    place_of,
    solar_day,
    wrapped,
)
from spatial_assets.errors import SceneError
from spatial_assets.geo.sensor_profile import SensorProfile

DAY_LONG = dt.timedelta(hours=23)
"""Least length of an interval of whole days: its end may be the last second, and a leap second."""

MAX_ID_LENGTH = 200  # a file name holds 255 bytes, and suffixes are added
_SAFE_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-+=@~,:]*")
_VOLATILE_KEYS = ("updated", "links")


@dataclass(frozen=True)
class RawItem:
    """An item as the catalogue holds it, and its location."""

    document: JsonObject
    href: str
    """Absolute path or URL of the document, to which hrefs are relative."""


def read_scene(
    raw: RawItem,
    profile: SensorProfile,
    *,
    needs: Iterable[str],
    indices: Iterable[Collection[str]] = (),
    alternates: Sequence[str] = (),
) -> Scene:
    """Return the scene of an item, without its fingerprint.

    Args:
        raw: the item.
        profile: of the sensor.
        needs: our names of the reflective bands that the indices need.
        indices: the bands of each index. An item that lacks bands of some serves the others, with
            the bands of these; default: it must have all of `needs`.
        alternates: as for `with_preferred_hrefs`.

    Raises:
        SceneError: the item is bad, for the given reason.
    """
    item = with_preferred_hrefs(raw.document, base=raw.href, alternates=alternates)
    acquired = _require_known(item)
    properties = properties_of(item)
    place = place_of(item)
    bands = _bands(item, raw.href, profile, needs=sorted(set(needs)), indices=indices)
    require_distinct(bands)
    collection = item.get("collection")
    return Scene(
        id=safe_id(item),
        collection=collection if isinstance(collection, str) else None,
        acquired=acquired,
        platform=platform_of(properties),
        footprint=place.footprint,
        solar_day=solar_day_of(item, acquired, place),
        cloud_cover=cloud_cover_of(item),
        bands=bands,
        class_band=class_source(item, base=raw.href, profile=profile),
        granule=granule_of(item, acquired),
        baseline=processing_baseline(properties),
        created=_moment(properties.get("created")),
        crs=crs_of(properties),
        extent=extent_of(item),
        href=raw.href,
        doubts=(BESIDE_RASTERS,) if place.is_beside_rasters else (),
    )


def with_preferred_hrefs(
    item: JsonObject, *, base: str, alternates: Sequence[str] = ()
) -> JsonObject:
    """Return the item with the href of each asset that is to be read.

    An asset may have several, by the alternate assets extension: its own is read unless one of
    `alternates` is there, or its own has a scheme that cannot be read.

    Args:
        item: STAC item.
        base: location of the item, to which hrefs are relative.
        alternates: names of alternates, or schemes, the best first, e.g. "s3".
    """
    assets = assets_of(item)
    if not any(isinstance(asset.get("alternate"), Mapping) for asset in assets.values()):
        return item
    preferred = {
        key: _preferred(asset, base=base, alternates=alternates) for key, asset in assets.items()
    }
    return {**item, "assets": preferred}


def _preferred(asset: JsonObject, *, base: str, alternates: Sequence[str]) -> JsonObject:
    """Return the asset with the href, and what else is stated, of the preferred alternate."""
    stated = asset.get("alternate")
    others = stated.items() if isinstance(stated, Mapping) else ()
    options = [("", asset)]
    options += [(str(n), {**asset, **one}) for n, one in others if isinstance(one, Mapping)]
    readable = [(name, one) for name, one in options if _is_readable(one.get("href"), base)]
    for wanted in alternates:
        for name, option in readable:
            if wanted in (name, str(option["href"]).partition("://")[0]):
                return option
    return readable[0][1] if readable else asset


def _is_readable(href: object, base: str) -> bool:
    """Return True if an href has a form that can be read."""
    try:
        resolve_href(href, base)
    except SceneError:
        return False
    return True


def _bands(
    item: JsonObject,
    base: str,
    profile: SensorProfile,
    *,
    needs: Iterable[str],
    indices: Iterable[Collection[str]],
) -> dict[str, BandSource]:
    """Return the sources of the bands of every index that the item can serve.

    Raises:
        SceneError: it can serve none, or a band is there and cannot be used.
    """
    found: dict[str, BandSource] = {}
    missing: list[SceneError] = []
    for name in needs:
        try:
            found[name] = band_source(item, name, base=base, profile=profile)
        except SceneError as error:
            if error.reason != MISSING_BAND:
                raise
            missing.append(error)
    if not missing:
        return found
    served = {name for bands in indices if found.keys() >= set(bands) for name in bands}
    if not served:
        raise missing[0]
    return {name: source for name, source in found.items() if name in served}


def _require_known(item: JsonObject) -> dt.datetime:
    """Return the acquisition time of an item of a supported STAC version.

    Raises:
        SceneError: `stac_version`, `bad_datetime`.
    """
    version = item.get("stac_version")
    if not isinstance(version, str) or not version.startswith("1."):
        raise SceneError(f"STAC version {version!r}; expected 1.0 or 1.1", reason="stac_version")
    acquired = acquired_of(item)
    if acquired is None:
        raise SceneError("the item has no datetime that can be read", reason="bad_datetime")
    return acquired


def safe_id(item: JsonObject) -> str:
    """Return the item's id.

    Raises:
        SceneError: it cannot be one component of a path.
    """
    name = item.get("id")
    if not isinstance(name, str) or len(name) > MAX_ID_LENGTH or not _SAFE_ID.fullmatch(name):
        raise SceneError(
            f"item id {str(name)[:80]!r} cannot be a folder name; expected 1 to {MAX_ID_LENGTH} of "
            "A-Z a-z 0-9 _ . - + = @ ~ , : that begin with a letter, digit or underscore",
            reason="bad_id",
        )
    return name


def rejected_item(raw: RawItem, error: SceneError) -> RejectedScene:
    """Return the record of an item that could not become a scene."""
    fingerprint = _document_fingerprint(raw.document)
    try:
        name, evidence = safe_id(raw.document), {}
    except SceneError:
        name = f"bad-id-{fingerprint[:12]}"
        evidence = {"id": str(raw.document.get("id"))[:MAX_ID_LENGTH]}
    return RejectedScene(
        id=name,
        href=raw.href,
        reason=error.reason,
        message=str(error),
        evidence=evidence,
        footprint=_known_footprint(raw.document),
        fingerprint=fingerprint,
    )


def rejected_document(href: str, content: bytes, error: SceneError) -> RejectedScene:
    """Return the record of a document that is no JSON object."""
    fingerprint = hashlib.sha256(content or href.encode()).hexdigest()
    stem = href.rpartition("/")[2].removesuffix(".json")
    is_safe = len(stem) <= MAX_ID_LENGTH and _SAFE_ID.fullmatch(stem) is not None
    return RejectedScene(
        id=stem if is_safe else f"bad-id-{fingerprint[:12]}",
        href=href,
        reason=error.reason,
        message=str(error),
        fingerprint=fingerprint,
        unread=True,
    )


def acquired_of(item: JsonObject) -> dt.datetime | None:
    """Return the acquisition time, UTC; the start if only an interval is given."""
    properties = properties_of(item)
    return _moment(properties.get("datetime")) or _moment(properties.get("start_datetime"))


def solar_day_of(item: JsonObject, acquired: dt.datetime, place: ItemPlace) -> dt.date:
    """Return the solar day of an item.

    A date without a time is taken as the local day, and so is the first day of an interval of
    whole days, such as MODIS has: there is no time to shift.

    Raises:
        SceneError: `bad_datetime`: the date is beyond the calendar.
    """
    if _is_of_days(item):
        return acquired.date()
    return solar_day(acquired, place.centred)


def moment_of(item: JsonObject, name: str) -> dt.datetime | None:
    """Return a property of the item that is a time, UTC; None if it has none."""
    return _moment(properties_of(item).get(name))


def cloud_cover_of(item: JsonObject) -> float | None:
    """Return the cloud cover in per cent, or None if it is unknown."""
    value = properties_of(item).get("eo:cloud_cover")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None  # type: ignore[arg-type]


def _moment(value: object) -> dt.datetime | None:
    """Return an RFC 3339 time, or a date, in UTC."""
    try:
        moment = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
        if not isinstance(moment, dt.datetime):
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def _is_of_days(item: JsonObject) -> bool:
    """Return True if the item has a date without a time, or an interval of a day or more."""
    properties = properties_of(item)
    value = properties.get("datetime") or properties.get("start_datetime")
    if isinstance(value, str) and len(value) == len("2023-08-01"):
        return True
    start, end = _moment(properties.get("start_datetime")), _moment(properties.get("end_datetime"))
    return start is not None and end is not None and end - start >= DAY_LONG


def _known_footprint(item: JsonObject) -> BaseGeometry | None:
    """Return the footprint of a bad item, if that can be read."""
    try:
        return wrapped(footprint_of(item))
    except SceneError:
        return None


def _document_fingerprint(item: JsonObject) -> str:
    """Hash an item without the parts that change from one answer to the next."""
    stable = {key: value for key, value in item.items() if key not in _VOLATILE_KEYS}
    stable["properties"] = {
        key: value for key, value in properties_of(item).items() if key not in _VOLATILE_KEYS
    }
    assets = item.get("assets")
    if isinstance(assets, Mapping):
        stable["assets"] = {
            str(key): {**asset, "href": str(asset.get("href")).partition("?")[0]}
            for key, asset in assets.items()
            if isinstance(asset, Mapping)
        }
    text = json.dumps(stable, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
