"""The same granule twice: one is used, the others are listed.

What makes two items the same granule: one acquisition of one place, however often processed.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from spatial_assets.catalog.json_object import JsonObject, properties_of
from spatial_assets.catalog.scene import RejectedScene, Scene, SupersededScene
from spatial_assets.catalog.stac.calibration import parse_baseline

_NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)


class Located(Protocol):
    """What was found under an id, at a place."""

    @property
    def id(self) -> str:
        """The item's id."""

    @property
    def href(self) -> str:
        """Where the item was found."""


class Processed(Located, Protocol):
    """One processing of a granule."""

    @property
    def baseline(self) -> str | None:
        """Processing baseline, e.g. "05.09"."""

    @property
    def created(self) -> dt.datetime | None:
        """When the product was made, UTC."""


Item = TypeVar("Item", bound=Located)
Product = TypeVar("Product", bound=Processed)


def without_duplicates(
    scenes: Iterable[Scene],
) -> tuple[tuple[Scene, ...], tuple[SupersededScene, ...]]:
    """Of each granule the highest baseline, then the latest `created`; and what gave way to it.

    Ids are unique in the answer too: two granules under one id would share their files.
    """
    kept, beaten = best_of_each(scenes, lambda scene: scene.granule)
    kept, namesakes = best_of_each(kept, lambda scene: scene.id)
    superseded = [
        SupersededScene(id=scene.id, href=scene.href, by=best.id, granule=scene.granule)
        for scene, best in (*beaten, *namesakes)
    ]
    return (
        tuple(sorted(kept, key=lambda scene: scene.id)),
        tuple(sorted(superseded, key=lambda scene: (scene.id, scene.href))),
    )


def without_namesakes(
    rejected: Iterable[RejectedScene], scenes: Iterable[Scene]
) -> tuple[tuple[RejectedScene, ...], tuple[SupersededScene, ...]]:
    """Bad items whose id is that of a scene that can be used are not missed: it replaces them.

    A rejection is known by its id, so one that shares it with a good scene would condemn that.
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


def best_of_each(
    items: Iterable[Product], identity: Callable[[Product], str]
) -> tuple[list[Product], list[tuple[Product, Product]]]:
    """The best of each group; and each of the others, with what it gave way to."""
    groups: defaultdict[str, list[Product]] = defaultdict(list)
    for item in items:
        groups[identity(item)].append(item)
    kept, beaten = [], []
    for group in groups.values():
        best = max(group, key=_rank)
        kept.append(best)
        beaten += [(item, best) for item in group if item is not best]
    return kept, beaten


def first_of_each_id(items: Iterable[Item]) -> dict[str, Item]:
    """Of items that share an id the first by place, in the order of ids."""
    found = {item.id: item for item in sorted(items, key=lambda item: item.href, reverse=True)}
    return {name: found[name] for name in sorted(found)}


def _rank(item: Processed) -> tuple[tuple[int, int], dt.datetime, str, str]:
    """Greater is better; id and href decide the rest, so that the same items give one answer."""
    return (
        parse_baseline(item.baseline) or (-1, -1),
        item.created or _NEVER,
        item.id,
        item.href,
    )


# S2A_MSIL2A_20230818T100031_N0509_R122_T33TWL_20230818T143300.SAFE
_PRODUCT = re.compile(r"(S2[A-Z])_MSIL\d[A-Z]_(\d{8}T\d{6})_N\d{4}_R\d{3}_T(\w{5})_\d{8}T\d{6}.*")
# S2A_OPER_MSI_L2A_DS_2APS_20230818T143300_S20230818T100032_N05.09
_DATASTRIP = re.compile(r".*_S(\d{8}T\d{6})_N\d\d[.]?\d\d")
_MGRS = re.compile(r"(?:MGRS-)?0?(\d{1,2}[A-Z]{3})")
# LC08_L2SP_028030_20200114_20200824_02_T1
_LANDSAT = re.compile(r"(L[A-Z]\d\d)_\w{4}_(\d{3})(\d{3})_(\d{8})_.*")


def platform_of(properties: JsonObject) -> str:
    """The satellite, spelled one way: "Sentinel-2B" and "LANDSAT_8" are sentinel-2b, landsat-8."""
    for key in ("platform", "eo:platform", "constellation"):
        value = properties.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip().lower().replace("_", "-").replace(" ", "-")
    return "unknown"


def granule_of(item: JsonObject, acquired: dt.datetime) -> str:
    """The identity of an item's granule; the item's id where nothing better is told."""
    properties = properties_of(item)
    platform = platform_of(properties)
    return (
        _sentinel_2(properties, platform, acquired)
        or _landsat(properties, str(item.get("id")), platform=platform, acquired=acquired)
        or f"{item.get('collection') or ''}/{item.get('id')}"
    )


def _sentinel_2(properties: JsonObject, platform: str, acquired: dt.datetime) -> str | None:
    """Tile, datatake and datastrip: two halves of a tile from two datastrips are two granules."""
    product = _PRODUCT.fullmatch(str(properties.get("s2:product_uri", "")))
    strip = _DATASTRIP.fullmatch(str(properties.get("s2:datastrip_id", "")))
    tile = product[3] if product else _mgrs_tile(properties)
    if tile is None:
        return None
    taken = product[2] if product else f"{acquired:%Y%m%dT%H%M%S}"
    return "/".join(("s2", platform, tile.lstrip("0"), taken, strip[1] if strip else ""))


def _mgrs_tile(properties: JsonObject) -> str | None:
    """The MGRS tile of an item that names one."""
    parts = [
        properties.get(f"mgrs:{part}") for part in ("utm_zone", "latitude_band", "grid_square")
    ]
    if all(part is not None for part in parts):
        return "".join(str(part) for part in parts)
    for key in ("s2:mgrs_tile", "grid:code"):
        found = _MGRS.fullmatch(str(properties.get(key, "")))
        if found:
            return found[1]
    return None


def _landsat(
    properties: JsonObject, name: str, *, platform: str, acquired: dt.datetime
) -> str | None:
    """Satellite, path, row and date."""
    path, row = properties.get("landsat:wrs_path"), properties.get("landsat:wrs_row")
    if str(path).isdigit() and str(row).isdigit():
        return f"landsat/{platform}/{int(str(path))}/{int(str(row))}/{acquired:%Y%m%d}"
    product = _LANDSAT.fullmatch(name)
    if product is None:
        return None
    return f"landsat/{platform}/{int(product[2])}/{int(product[3])}/{product[4]}"
