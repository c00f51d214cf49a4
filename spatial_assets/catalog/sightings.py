"""A scene as its catalogue has it now: what a tile was made from is compared with it."""

from __future__ import annotations

from dataclasses import dataclass

from shapely.geometry.base import BaseGeometry


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """One scene as its catalogue has it: no image was opened, no server asked for its files."""

    id: str
    """The item's id, or the made-up one of an item that was refused."""

    version: str
    """Changes when the item, or a local file of it, changes in a way that may reach a pixel.

    Never with `updated`, `links` or a signature; 64 hexadecimal digits.
    """

    reach: BaseGeometry | None
    """Lon/lat: the footprint that the item tells, without any margin.

    None: unknown, which counts as nowhere.
    """
