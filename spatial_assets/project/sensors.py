"""What the product must know about a sensor: its bands, its class band, how its numbers scale.

A new built-in sensor is one entry of SENSORS; a sensor of one's own is a table in project.toml.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from spatial_assets.geo.clear_sky import ClearBits, ClearClasses, ClearSky
from spatial_assets.project.base import Table, Tuple, refusal

Radiometry = Literal["sentinel-2", "landsat", "declared"]


@dataclass(frozen=True, kw_only=True)
class SensorProfile:
    """How the items of one sensor are read."""

    name: str
    bands: Mapping[str, tuple[str, ...]]
    """Our name of a band -> asset keys and common names that mean it, best first."""

    class_band: str | None
    """Our name of the band that holds classes or flags; None: every pixel counts as clear."""

    class_assets: tuple[str, ...]
    """Asset keys that mean the class band, best first."""

    clear: ClearSky | None
    """Which classes, or flags, are clear sky; None exactly where there is no class band."""

    clear_with_snow: ClearSky | None = None
    """The same with snow kept; None: this sensor does not tell snow."""

    radiometry: Radiometry
    """How an item's scale and offset are resolved."""

    scale: float | None = None
    """Scale of a band whose item declares none; None: such an item is bad."""

    offset: float | None = None
    """Offset of a band whose item declares none."""

    nodata: float | None = None
    """Fill value of a band whose item and file declare none."""

    def keeping_snow(self) -> SensorProfile:
        """This profile with snow counted as clear sky."""
        return replace(self, clear=self.clear_with_snow or self.clear)


def _sentinel_names(common: str, band: str, resolution: int) -> tuple[str, ...]:
    """What the archives call a Sentinel-2 band: Earth Search, Planetary Computer, CDSE."""
    return (common, band, f"{band}_{resolution}m")


_SENTINEL_2_BANDS = {
    "coastal": _sentinel_names("coastal", "B01", 60),
    "blue": _sentinel_names("blue", "B02", 10),
    "green": _sentinel_names("green", "B03", 10),
    "red": _sentinel_names("red", "B04", 10),
    "rededge1": _sentinel_names("rededge1", "B05", 20),
    "rededge2": _sentinel_names("rededge2", "B06", 20),
    "rededge3": _sentinel_names("rededge3", "B07", 20),
    "nir": _sentinel_names("nir", "B08", 10),
    "nir08": _sentinel_names("nir08", "B8A", 20),
    "nir09": _sentinel_names("nir09", "B09", 60),
    "swir16": _sentinel_names("swir16", "B11", 20),
    "swir22": _sentinel_names("swir22", "B12", 20),
}

_LANDSAT_BANDS = {
    "coastal": ("coastal", "SR_B1"),
    "blue": ("blue", "SR_B2"),
    "green": ("green", "SR_B3"),
    "red": ("red", "SR_B4"),
    "nir": ("nir08", "nir", "SR_B5"),
    "nir08": ("nir08", "nir", "SR_B5"),
    "swir16": ("swir16", "SR_B6"),
    "swir22": ("swir22", "SR_B7"),
}

SENSORS: Mapping[str, SensorProfile] = {
    "sentinel-2-l2a": SensorProfile(
        name="sentinel-2-l2a",
        bands=_SENTINEL_2_BANDS,
        class_band="scl",
        class_assets=("scl", "SCL", "SCL_20m"),
        clear=ClearClasses(frozenset({4, 5, 6, 7})),  # vegetation, soil, water, unclassified
        clear_with_snow=ClearClasses(frozenset({4, 5, 6, 7, 11})),
        radiometry="sentinel-2",
        nodata=0,
    ),
    "landsat-c2-l2": SensorProfile(
        name="landsat-c2-l2",
        bands=_LANDSAT_BANDS,
        class_band="qa_pixel",
        class_assets=("qa_pixel", "QA_PIXEL"),
        clear=ClearBits((0, 1, 2, 3, 4, 5)),  # fill, dilated cloud, cirrus, cloud, shadow, snow
        clear_with_snow=ClearBits((0, 1, 2, 3, 4)),
        radiometry="landsat",
        nodata=0,
    ),
}


def _as_array(value: object) -> object:
    """One name stands for an array of one."""
    return [value] if isinstance(value, str) else value


Names = Annotated[Tuple[str], BeforeValidator(_as_array)]
Bit = Annotated[int, Field(ge=0, le=15)]


class SensorTable(Table):
    """A sensor of one's own."""

    name: str = Field(default="own", description="a name for it", examples=["naip"])
    bands: Mapping[str, Names] = Field(
        min_length=1,
        description="asset keys or common names by our name of the band",
        examples=[{"red": ["red", "B04"], "nir": ["nir", "B08"]}],
    )
    class_band: Names = Field(
        default=(),
        description="asset keys of the band of classes or flags; none: every pixel is clear",
        examples=[["scl"]],
    )
    clear_classes: Tuple[int] | None = Field(
        default=None,
        min_length=1,
        description="the classes that are clear sky",
        examples=[[4, 5, 6, 7]],
    )
    cloud_bits: Tuple[Bit] | None = Field(
        default=None,
        min_length=1,
        description="the flags that are not clear sky",
        examples=[[0, 1, 2, 3, 4]],
    )
    radiometry: Radiometry = Field(
        default="declared",
        description="how scale and offset resolve: as the item declares, or as for a known sensor",
        examples=["declared"],
    )
    scale: float | None = Field(
        default=None, gt=0, description="the scale where the item declares none", examples=[0.0001]
    )
    offset: float | None = Field(
        default=None, description="the offset where the item declares none", examples=[-0.1]
    )
    nodata: float | None = Field(
        default=None, description="the fill value where item and file declare none", examples=[0]
    )

    @model_validator(mode="after")
    def _class_band_has_one_rule(self) -> Self:
        """A class band without a rule, or a rule without a band, means something was forgotten."""
        rules = [rule for rule in (self.clear_classes, self.cloud_bits) if rule is not None]
        if self.class_band and len(rules) != 1:
            remedy = "give exactly one of clear_classes and cloud_bits"
            raise refusal(f"has {len(rules)} rules for clear sky", remedy, key="class_band")
        if rules and not self.class_band:
            rule = "clear_classes" if self.clear_classes is not None else "cloud_bits"
            raise refusal("has no band to look at", "name the band in class_band", key=rule)
        return self

    def profile(self) -> SensorProfile:
        """The table as a profile."""
        clear: ClearSky | None = None
        if self.clear_classes is not None:
            clear = ClearClasses(frozenset(self.clear_classes))
        elif self.cloud_bits is not None:
            clear = ClearBits(self.cloud_bits)
        return SensorProfile(
            name=self.name,
            bands=self.bands,
            class_band="classes" if self.class_band else None,
            class_assets=self.class_band,
            clear=clear,
            radiometry=self.radiometry,
            scale=self.scale,
            offset=self.offset,
            nodata=self.nodata,
        )


def _check_name(value: object) -> object:
    """Refuse a sensor that nobody has described."""
    if isinstance(value, str) and value not in SENSORS:
        remedy = f"use {' or '.join(SENSORS)}, or describe it in a table [scenes.sensor]"
        raise refusal("is not a sensor known here", remedy)
    return value


def _form(value: object) -> str:
    """Which of the two forms of `sensor` a value has; tags in <> are left out of messages."""
    return "<table>" if isinstance(value, dict | SensorTable) else "<name>"


Sensor = Annotated[
    Annotated[str, BeforeValidator(_check_name), Tag("<name>")]
    | Annotated[SensorTable, Tag("<table>")],
    Discriminator(_form),
]
