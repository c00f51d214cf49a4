"""Facts about a satellite product: bands, clear sky, radiometry and the identity of its granules.

Facts alone, so that listing profiles loads no array library. The profiles are stated in
`spatial_assets.sensor_profiles`, one file a product; `catalog/stac` applies them to items.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from spatial_assets.errors import RasterError
from spatial_assets.geo.clear_sky import ClearSky


@dataclass(frozen=True, kw_only=True)
class BaselineRule:
    """Processing baseline from which a producer adds a constant to every digital number."""

    item_properties: Mapping[str, str]
    """Item property that may hold the baseline, e.g. "s2:processing_baseline" -> regular
    expression for its whole value; the first that matches counts."""

    first: tuple[int, int]
    """First baseline with the constant; the offset of earlier ones is 0."""


@dataclass(frozen=True, kw_only=True)
class RadiometryRule:
    """Scale and offset of a band whose item does not declare them."""

    name: str
    """Value of `[scenes.sensor] radiometry` that selects the rule. Hashed: never rename it."""

    scale: float | None = None
    """Reflectance of one DN step; None: `scale` and `offset` of the profile count."""

    offset: float | None = None
    """Reflectance of DN 0."""

    baseline: BaselineRule | None = None
    """None: `offset` applies to every item."""

    item_properties: Mapping[str, str] = field(default_factory=dict)
    """Item property -> regular expression for its whole value. The rule does not apply to an
    item in which one of them is present and does not match."""

    is_tied_to_scale: bool = False
    """True if the rule does not apply to a band that declares another scale."""

    needs: str
    """Metadata that an item must have for the rule to apply, as error messages name it."""

    @property
    def deciding_properties(self) -> tuple[str, ...]:
        """Item properties that decide whether, and how, the rule applies."""
        baseline = () if self.baseline is None else tuple(self.baseline.item_properties)
        return (*baseline, *self.item_properties)


UNKNOWN_PLATFORM = "unknown"
"""Platform of an item that states none."""

DECLARED = RadiometryRule(name="declared", needs="[scenes.sensor] scale and offset in project.toml")
"""Rule of a sensor whose items declare scale and offset themselves."""


@dataclass(frozen=True)
class AssetBand:
    """One band of an asset that has several."""

    asset: str
    """Key of the asset."""

    band: int
    """Number of the band within the asset's file, from 1."""

    def __str__(self) -> str:
        """Return the text that names it in messages."""
        return f"band {self.band} of {self.asset}"


BandName: TypeAlias = str | AssetBand
"""Common name, key of an asset, or name of a band within an asset; or an asset's band by number."""

PlatformBands: TypeAlias = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Regular expression for a whole platform -> our name of a band -> asset keys and band names."""


@dataclass(frozen=True, kw_only=True)
class GranulePattern:
    """Item properties that identify a granule together; the pattern applies if all match."""

    item_properties: Mapping[str, str]
    """Item property, or "id", -> regular expression for its whole value, with named groups.

    Leading zeros of a group are dropped, so that tile 01ABC and tile 1ABC are the same.
    """

    identity: str
    """Format string with the named groups, `platform` and `acquired` (a datetime in UTC).

    If its last part may be empty, see `GranuleRule.optional`, it is what follows the last slash.
    """


@dataclass(frozen=True, kw_only=True)
class GranuleRule:
    """Identity of a granule: the same for every processing of one acquisition of one place.

    Items with one identity are duplicates. If the last part of the identity is empty, they may
    also be two parts of the place: only those of an older baseline, which lie within the footprint
    of the best item, are duplicates then.
    """

    patterns: tuple[GranulePattern, ...]
    """Patterns to try, best first."""

    optional: Mapping[str, str] = field(default_factory=dict)
    """Further item properties -> regular expression with named groups, the best first.

    Several may state one group. A group that no property states is empty.
    """

    precedence: int = 0
    """Rules of a higher precedence are tried first: a tile of a grid before a whole frame."""


@dataclass(frozen=True, kw_only=True)
class SensorProfile:
    """Everything that the product must know to read the items of one sensor."""

    name: str
    """Value of `[scenes] sensor` in project.toml, e.g. "sentinel-2-l2a"."""

    bands: Mapping[str, tuple[BandName, ...]]
    """Our name of a band -> common names, and names that mean it on every platform, best first."""

    platforms: PlatformBands = field(default_factory=dict)
    """The platforms of the sensor, in lower case with hyphens, e.g. "landsat-[89]"; with the names
    that mean a band on them only. Empty: items of every platform are read."""

    class_band: str | None
    """Our name of the band with classes or flags; None: every pixel counts as clear."""

    class_assets: tuple[BandName, ...]
    """Asset keys that mean the class band, best first."""

    clear: ClearSky | None
    """Classes, or flags, that are clear sky; None exactly if there is no class band."""

    clear_with_snow: ClearSky | None = None
    """The same rule with snow kept; None: the class band does not distinguish snow."""

    radiometry: RadiometryRule
    """Rule for scale and offset that an item does not declare."""

    scale: float | None = None
    """Scale under the rule "declared" if an item declares none; None: such an item is bad."""

    offset: float | None = None
    """Offset under the rule "declared" if an item declares none."""

    nodata: float | None = None
    """Fill value of a band if neither item nor file declares one."""

    granule: GranuleRule | None = None
    """None: granules are identified by collection and id."""

    expected_range: tuple[float, float] | None = None
    """Reflectance of the smallest and the largest valid DN; None: unknown."""

    reference: str = ""
    """Product specification that the facts are taken from."""

    def __post_init__(self) -> None:
        """Refuse a profile whose parts contradict each other."""
        low, high = self.expected_range or (0.0, 1.0)
        if (self.class_band is None) != (self.clear is None) or not self.bands or not low < high:
            message = (
                f"sensor {self.name!r} needs bands, a clear-sky rule exactly if it has a class "
                f"band (has {self.class_band} and {self.clear}) and a rising range "
                f"(has {low} to {high})"
            )
            raise RasterError(message, reason="bad_sensor_profile")

    def knows(self, platform: str) -> bool:
        """Return True if items of a platform are this sensor's; "unknown" may be."""
        return not self.platforms or platform == UNKNOWN_PLATFORM or bool(self._bands_on(platform))

    def names_of(self, band: str, platform: str) -> tuple[BandName, ...]:
        """Return what may mean a band in an item of `platform`, best first.

        Without a platform, only names that mean the band on every platform of the sensor do.
        """
        found = self._bands_on(platform) or list(self.platforms.values())
        given = [names.get(band, ()) for names in found]
        is_same = all(names == given[0] for names in given)
        return (*self.bands.get(band, (band,)), *(given[0] if given and is_same else ()))

    def _bands_on(self, platform: str) -> list[Mapping[str, tuple[str, ...]]]:
        """Return the names by band on a platform; an empty list: it is not known."""
        return [
            names for pattern, names in self.platforms.items() if re.fullmatch(pattern, platform)
        ]

    def keeping_snow(self) -> SensorProfile:
        """Return this profile with snow counted as clear sky."""
        return replace(self, clear=self.clear_with_snow or self.clear)
