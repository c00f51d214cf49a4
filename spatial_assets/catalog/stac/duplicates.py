"""Duplicates: several items of one granule, of which one is used and the others are listed.

A granule is one acquisition of one place, however often it was processed.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

import shapely
from shapely.geometry.base import BaseGeometry

from spatial_assets.catalog.json_object import JsonObject, properties_of
from spatial_assets.catalog.scene import RejectedScene, Scene, SupersededScene
from spatial_assets.catalog.stac.calibration import parse_baseline
from spatial_assets.geo.sensor_profile import UNKNOWN_PLATFORM, GranuleRule
from spatial_assets.sensor_profiles import SENSOR_PROFILES

_NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)
_GRANULE_RULES = sorted(
    (profile.granule for profile in SENSOR_PROFILES.values() if profile.granule is not None),
    key=lambda rule: -rule.precedence,
)
"""Rules of all products: a catalogue may mix them, whatever sensor the project names."""


class Located(Protocol):
    """Something found under an id, at a place."""

    @property
    def id(self) -> str:
        """Id of the item."""

    @property
    def href(self) -> str:
        """Location of the item."""


class Processed(Located, Protocol):
    """One processing of a granule."""

    @property
    def baseline(self) -> str | None:
        """Processing baseline, e.g. "05.09"."""

    @property
    def created(self) -> dt.datetime | None:
        """Creation time of the product, UTC."""

    @property
    def footprint(self) -> BaseGeometry | None:
        """Footprint in lon/lat; None: unknown."""


Item = TypeVar("Item", bound=Located)
Product = TypeVar("Product", bound=Processed)


def without_duplicates(
    scenes: Iterable[Scene],
) -> tuple[tuple[Scene, ...], tuple[SupersededScene, ...]]:
    """Return the highest baseline of each granule, then the latest `created`; and the others.

    In doubt, items are no duplicates: pixels of one day are mosaicked, and count once anyway.

    Ids are unique in the result too: two granules with one id would share their files.
    """
    kept, worse = best_of_each(scenes, lambda scene: scene.granule)
    kept, namesakes = best_of_each(kept, lambda scene: scene.id)
    superseded = [
        SupersededScene(id=scene.id, href=scene.href, by=best.id, granule=scene.granule)
        for scene, best in (*worse, *namesakes)
    ]
    return (
        tuple(sorted(kept, key=lambda scene: scene.id)),
        tuple(sorted(superseded, key=lambda scene: (scene.id, scene.href))),
    )


def without_namesakes(
    rejected: Iterable[RejectedScene], scenes: Iterable[Scene]
) -> tuple[tuple[RejectedScene, ...], tuple[SupersededScene, ...]]:
    """Drop rejected items whose id is that of a usable scene, which supersedes them.

    A rejection is identified by its id, so one that shares it with a good scene would reject that.
    """
    good = {scene.id: scene for scene in scenes}
    by_id = first_of_each_id(rejected)
    bad = tuple(item for name, item in by_id.items() if name not in good)
    replaced = tuple(
        SupersededScene(id=name, href=item.href, by=name, granule=good[name].granule)
        for name, item in by_id.items()
        if name in good
    )
    return bad, replaced


def doubtful_duplicates(scenes: Iterable[Scene]) -> list[str]:
    """Return the ids of the scenes that share an identity, which does not tell parts apart."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for scene in scenes:
        groups[scene.granule].append(scene.id)
    return sorted(name for group in groups.values() if len(group) > 1 for name in group)


def best_of_each(
    items: Iterable[Product], identity: Callable[[Product], str]
) -> tuple[list[Product], list[tuple[Product, Product]]]:
    """Return the best of each group; and each of the others, with the one that supersedes it.

    Items that share an uncertain identity, and may be parts of one place, are all kept.
    """
    groups: defaultdict[str, list[Product]] = defaultdict(list)
    for item in items:
        groups[identity(item)].append(item)
    kept, worse = [], []
    for name, group in groups.items():
        best = max(group, key=_rank)
        for item in group:
            if item is best or (not is_certain(name) and _may_be_another_part(item, best)):
                kept.append(item)
            else:
                worse.append((item, best))
    return kept, worse


def is_certain(identity: str) -> bool:
    """Return False if an identity lacks its last part, so that parts of a place may share it."""
    return not identity.endswith("/")


MOST_COVERED = 0.9
"""Share of an older processing's footprint that the newer one covers, as borders are drawn anew."""


def _may_be_another_part(item: Processed, best: Processed) -> bool:
    """Return True unless an item is surely an older processing of the place of the best one."""
    if _rank(item)[0] == _rank(best)[0]:
        return True
    if item.footprint is None or best.footprint is None:
        return False
    shared = shapely.intersection(item.footprint, best.footprint)
    return bool(shapely.area(shared) < MOST_COVERED * shapely.area(item.footprint))


def first_of_each_id(items: Iterable[Item]) -> dict[str, Item]:
    """Return, of items that share an id, the first by place, in the order of ids."""
    found = {item.id: item for item in sorted(items, key=lambda item: item.href, reverse=True)}
    return {name: found[name] for name in sorted(found)}


def _rank(item: Processed) -> tuple[tuple[int, int], dt.datetime, str, str]:
    """Rank an item, greater is better; id and href break ties, so that the result is stable."""
    return (
        parse_baseline(item.baseline) or (-1, -1),
        item.created or _NEVER,
        item.id,
        item.href,
    )


def platform_of(properties: JsonObject) -> str:
    """Return the satellite in one spelling: "LANDSAT_8" is "landsat-8", unknown is "unknown"."""
    for key in ("platform", "eo:platform", "constellation"):
        value = properties.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip().lower().replace("_", "-").replace(" ", "-")
    return UNKNOWN_PLATFORM


def granule_of(item: JsonObject, acquired: dt.datetime) -> str:
    """Return the identity of the item's granule; its collection and id if no rule matches."""
    properties = properties_of(item)
    stated = {**properties, "id": item.get("id")}
    for rule in _GRANULE_RULES:
        identity = _identity(rule, stated, platform=platform_of(properties), acquired=acquired)
        if identity is not None:
            return identity
    return f"{item.get('collection') or ''}/{item.get('id')}"


def _identity(
    rule: GranuleRule, stated: JsonObject, *, platform: str, acquired: dt.datetime
) -> str | None:
    """Return the identity by the first pattern that matches; None if none does."""
    for pattern in rule.patterns:
        needed = [_groups(stated.get(key), regex) for key, regex in pattern.item_properties.items()]
        if None in needed:
            continue
        parts = _optional_parts(rule, stated)
        parts |= {name: text for part in needed for name, text in (part or {}).items()}
        return pattern.identity.format(**parts, platform=platform, acquired=acquired)
    return None


def _optional_parts(rule: GranuleRule, stated: JsonObject) -> dict[str, str]:
    """Return the optional groups as the best property states them; empty: none states it."""
    parts: dict[str, str] = {}
    for key, regex in reversed(list(rule.optional.items())):
        found = _groups(stated.get(key), regex)
        parts |= found or {name: parts.get(name, "") for name in re.compile(regex).groupindex}
    return parts


def _groups(value: object, regex: str) -> dict[str, str] | None:
    """Return the named groups without leading zeros; None if `value` is absent or differs."""
    found = None if value is None else re.fullmatch(regex, str(value))
    if found is None:
        return None
    return {name: text.lstrip("0") or text[-1:] for name, text in found.groupdict().items()}
