"""The sensor of a project: the name of a profile, or a table in project.toml."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from spatial_assets.geo.clear_sky import ClearBits, ClearClasses, ClearSky, CloudClasses
from spatial_assets.geo.sensor_profile import AssetBand, BandName, SensorProfile
from spatial_assets.project.base import Table, Tuple, refusal
from spatial_assets.sensor_profiles import RADIOMETRY_RULES, SENSOR_PROFILES

if TYPE_CHECKING:
    RadiometryName = str
else:
    RadiometryName = Literal[tuple(RADIOMETRY_RULES)]


class BandTable(Table):
    """One band of an asset that has several."""

    asset: str = Field(description="key of the asset", examples=["image"])
    band: int = Field(
        ge=1, description="number of the band in the asset's file, from 1", examples=[4]
    )

    def __str__(self) -> str:
        """Return the text that names it in messages."""
        return f"band {self.band} of {self.asset}"


def _as_array(value: object) -> object:
    """Return an array of one for a single name, or a single table."""
    return [value] if isinstance(value, str | dict | BandTable) else value


def _form(value: object) -> str:
    """Return the tag of the form that a value has; messages leave out tags in <>."""
    return "<table>" if isinstance(value, dict | Table) else "<name>"


NameOrBand = Annotated[
    Annotated[str, Tag("<name>")] | Annotated[BandTable, Tag("<table>")], Discriminator(_form)
]
Names = Annotated[Tuple[NameOrBand], BeforeValidator(_as_array)]
Bit = Annotated[int, Field(ge=0, le=15)]


class SensorTable(Table):
    """Description of a sensor without a profile."""

    name: str = Field(default="own", description="a name for it", examples=["naip"])
    bands: Mapping[str, Names] = Field(
        min_length=1,
        description="asset keys or common names by our name of the band, best first; or an asset "
        "with several bands and the number of one, as {asset, band}",
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
        description="classes that are clear sky",
        examples=[[4, 5, 6, 7]],
    )
    cloud_bits: Tuple[Bit] | None = Field(
        default=None,
        min_length=1,
        description="flags that are not clear sky",
        examples=[[0, 1, 2, 3, 4]],
    )
    clouds: Tuple[int] = Field(
        default=(),
        description="classes or flags that are cloud, for [scenes] cloud_buffer",
        examples=[[8, 9, 10]],
    )
    shadows: Tuple[int] = Field(
        default=(),
        description="classes or flags that are cloud shadow, for [scenes] cloud_buffer",
        examples=[[3]],
    )
    radiometry: RadiometryName = Field(
        default="declared",
        description="rule for scale and offset: as the item declares, or as for a known sensor",
        examples=["declared"],
    )
    scale: float | None = Field(
        default=None, gt=0, description="scale if the item declares none", examples=[0.0001]
    )
    offset: float | None = Field(
        default=None, description="offset if the item declares none", examples=[-0.1]
    )
    nodata: float | None = Field(
        default=None, description="fill value if item and file declare none", examples=[0]
    )

    @model_validator(mode="after")
    def _bands_differ(self) -> Self:
        """Refuse two bands that are read from one band of one file."""
        first_names: dict[object, str] = {}
        for name, accepted in self.bands.items():
            for one in accepted:
                if isinstance(one, BandTable) and first_names.setdefault(one, name) != name:
                    wrong = f"is read from {one}, and so is {first_names[one]}"
                    raise refusal(wrong, "give each its own", key=f"bands.{name}")
        return self

    @model_validator(mode="after")
    def _class_band_has_one_rule(self) -> Self:
        """Refuse a class band without exactly one rule, and a rule without a band."""
        rules = [rule for rule in (self.clear_classes, self.cloud_bits) if rule is not None]
        if self.class_band and len(rules) != 1:
            remedy = "give exactly one of clear_classes and cloud_bits"
            raise refusal(f"has {len(rules)} rules for clear sky", remedy, key="class_band")
        if rules and not self.class_band:
            rule = "clear_classes" if self.clear_classes is not None else "cloud_bits"
            raise refusal("has no band to apply to", "name the band in class_band", key=rule)
        return self

    @model_validator(mode="after")
    def _clouds_are_not_clear(self) -> Self:
        """Refuse clouds that are clear sky, that no flag can be, or that have no band."""
        for key, members in (("clouds", self.clouds), ("shadows", self.shadows)):
            if members and not self.class_band:
                raise refusal("has no band to apply to", "name the band in class_band", key=key)
            clear = set(members) & set(self.clear_classes or ())
            lacking = set(members) - set(self.cloud_bits or members)
            if clear or lacking:
                wrong = f"has {sorted(clear | lacking)}, which would be clear sky"
                remedy = "take them out of clear_classes" if clear else "add them to cloud_bits"
                raise refusal(wrong, remedy, key=key)
        return self

    def profile(self) -> SensorProfile:
        """Return the table as a profile."""
        clear: ClearSky | None = None
        clouds = CloudClasses(cloud=frozenset(self.clouds), shadow=frozenset(self.shadows))
        if self.clear_classes is not None:
            clear = ClearClasses(frozenset(self.clear_classes), clouds)
        elif self.cloud_bits is not None:
            clear = ClearBits(self.cloud_bits, clouds)
        return SensorProfile(
            name=self.name,
            bands={name: _band_names(accepted) for name, accepted in self.bands.items()},
            class_band="classes" if self.class_band else None,
            class_assets=_band_names(self.class_band),
            clear=clear,
            radiometry=RADIOMETRY_RULES[self.radiometry],
            scale=self.scale,
            offset=self.offset,
            nodata=self.nodata,
        )


def _band_names(accepted: Iterable[str | BandTable]) -> tuple[BandName, ...]:
    """Return accepted names as a profile has them."""
    return tuple(
        one if isinstance(one, str) else AssetBand(one.asset, one.band) for one in accepted
    )


def _check_name(value: object) -> object:
    """Refuse an unknown sensor."""
    if isinstance(value, str) and value not in SENSOR_PROFILES:
        remedy = f"use {' or '.join(SENSOR_PROFILES)}, or describe it in a table [scenes.sensor]"
        raise refusal("is not a known sensor", remedy)
    return value


Sensor = Annotated[
    Annotated[str, BeforeValidator(_check_name), Tag("<name>")]
    | Annotated[SensorTable, Tag("<table>")],
    Discriminator(_form),
]
