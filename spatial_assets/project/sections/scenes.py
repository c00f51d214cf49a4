"""[scenes]: the catalogue, the filter, the sensor, and the access to pixels."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from spatial_assets.geo.clear_sky import CloudBuffer
from spatial_assets.geo.sensor_profile import SensorProfile
from spatial_assets.project.base import Table, Tuple, refusal
from spatial_assets.project.sensors import Sensor
from spatial_assets.sensor_profiles import SENSOR_PROFILES

_INTERVAL_REMEDY = (
    'write a day or a range of days or RFC 3339 times, for example "2023-08-01/2023-08-31", '
    'with ".." for an open end'
)


@dataclass(frozen=True)
class Interval:
    """A span of time that includes both ends; None is an open end.

    A start at midnight, and an end in the last second of a day, mean solar days at the scene. Any
    other time is one of UTC.
    """

    start: dt.datetime | None
    end: dt.datetime | None

    def contains(self, acquired: dt.datetime, *, solar_day: dt.date) -> bool:
        """Return True for a scene within the span, which includes the whole of its last second."""
        start, end = self.start, self.end
        if start is not None:
            starts_a_day = start.time() == dt.time()
            if solar_day < start.date() if starts_a_day else acquired < start:
                return False
        if end is None:
            return True
        if end.time().replace(microsecond=0) == LAST_SECOND:
            return solar_day <= end.date()
        return acquired.replace(microsecond=0) <= end

    def widened(self, margin: dt.timedelta) -> Interval:
        """Return the span with a margin at each end; an end beyond the calendar is open."""
        return Interval(_shifted(self.start, -margin), _shifted(self.end, margin))


LAST_SECOND = dt.time(23, 59, 59)


def _shifted(moment: dt.datetime | None, by: dt.timedelta) -> dt.datetime | None:
    """Return a moment moved by `by`; None: it is None, or beyond the calendar then."""
    try:
        return None if moment is None else moment + by
    except OverflowError:
        return None


def parse_interval(text: str) -> Interval:
    """Return the span that a STAC `datetime` such as "2023-08-01/2023-08-31" means, in UTC.

    Raises:
        PydanticCustomError: the text is not a span of time.
    """
    first, slash, last = text.partition("/")
    interval = Interval(_moment(first), _moment(last if slash else first, is_end=True))
    if interval.start is None and interval.end is None:
        raise refusal("has two open ends", _INTERVAL_REMEDY)
    if interval.start and interval.end and interval.start > interval.end:
        raise refusal("ends before it begins", _INTERVAL_REMEDY)
    return interval


def _moment(text: str, *, is_end: bool = False) -> dt.datetime | None:
    """Return one end of an interval; a day means its first or, as an end, its last second."""
    if text in ("", ".."):
        return None
    try:
        if len(text) == len("2023-08-01"):
            time = LAST_SECOND if is_end else dt.time()
            return dt.datetime.combine(dt.date.fromisoformat(text), time, tzinfo=dt.UTC)
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise refusal(f"not a day or time: {text!r}", _INTERVAL_REMEDY) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)


def _check_interval(text: str) -> str:
    """Refuse text that is not an interval; it is kept unchanged."""
    parse_interval(text)
    return text


def _check_endpoint(text: str) -> str:
    """Refuse an endpoint that is not a URL."""
    if text and not text.startswith(("http://", "https://")):
        raise refusal("is not a URL", 'begin it with https://, or leave it "" for AWS')
    return text


_DISTANCE = re.compile(r"(\d+(?:\.\d+)?) ?m")
_DISTANCE_REMEDY = 'write metres on the ground, for example "120 m", or "0 m" for none'
MAX_BUFFER_METRES = 10_000.0
"""Widest margin: a tile must read as far beyond its edge."""


def _check_distance(text: str) -> str:
    """Refuse text that is not a distance; it is kept unchanged."""
    metres(text)
    return text


def metres(text: str) -> float:
    """Return the distance that text such as "120 m" means.

    Raises:
        PydanticCustomError: the text is not a distance, or too large.
    """
    match = _DISTANCE.fullmatch(text.strip())
    if match is None:
        raise refusal("is not a distance", _DISTANCE_REMEDY)
    distance = float(match[1])
    if distance > MAX_BUFFER_METRES:
        raise refusal(f"is more than {MAX_BUFFER_METRES:,.0f} m", _DISTANCE_REMEDY)
    return distance


Distance = Annotated[str, AfterValidator(_check_distance)]


class CloudBufferTable(Table):
    """Margins round clouds and round their shadows, each in metres on the ground."""

    cloud: Distance = Field(
        default="0 m", description="the margin round clouds", examples=["120 m"]
    )
    shadow: Distance = Field(
        default="0 m", description="the margin round shadows of clouds", examples=["60 m"]
    )


DEFAULT_CLOUD_BUFFER = CloudBufferTable(cloud="240 m", shadow="0 m")
"""Margins with the best exchange of error against pixels on real scenes: docs/cloud_buffer.md."""


def _buffer_form(value: object) -> str:
    """Return the tag of the form that `cloud_buffer` has; messages leave out tags in <>."""
    return "<table>" if isinstance(value, dict | CloudBufferTable) else "<distance>"


CloudBufferSetting = Annotated[
    Annotated[Distance, Tag("<distance>")] | Annotated[CloudBufferTable, Tag("<table>")],
    Discriminator(_buffer_form),
]


class SourceSettings(Table):
    """Access to the pixels in an S3 store; its keys are in $SPATIAL_ASSETS_SOURCE_*."""

    endpoint: Annotated[str, AfterValidator(_check_endpoint)] = Field(
        default="", description="an S3 endpoint", examples=["https://s3.example.org"]
    )
    region: str = Field(default="", description="an S3 region", examples=["us-west-2"])
    requester_pays: bool = Field(
        default=False, description="true if reading may be billed to you", examples=[True]
    )
    sign: Literal["none", "s3-presign", "planetary-computer"] = Field(
        default="none", description="the method that signs hrefs at read time", examples=["none"]
    )
    token_hosts: Tuple[str] = Field(
        default=(),
        description="hosts that get the bearer token $SPATIAL_ASSETS_SOURCE_TOKEN, as patterns; "
        "empty: those of the catalogue and the endpoint",
        examples=[["data.example.org"]],
    )
    alternates: Tuple[str] = Field(
        default=(),
        description="names or schemes of the alternate hrefs to read instead of an asset's own, "
        "the best first; empty: its own, unless its scheme cannot be read",
        examples=[["s3"]],
    )


class ScenesSettings(Table):
    """The catalogue, the filter of its items, and the access to their files."""

    catalog: str = Field(
        min_length=1,
        description=(
            "a folder of STAC items (here or s3://), a catalog.json, a stac-geoparquet file "
            "or a STAC API"
        ),
        examples=["https://earth-search.aws.element84.com/v1"],
    )
    collections: Tuple[str] = Field(
        default=(), description="collections whose items are used", examples=[["sentinel-2-l2a"]]
    )
    datetime: Annotated[str, AfterValidator(_check_interval)] | None = Field(
        default=None,
        description="the acquisition time of the scenes, as a STAC datetime: days are solar days "
        "at the scene, a time of day is one of UTC",
        examples=["2023-08-01/2023-08-31"],
    )
    max_cloud_cover: float = Field(
        default=100,
        ge=0,
        le=100,
        description="the maximum cloud cover of a scene in per cent",
        examples=[90],
    )
    sensor: Sensor = Field(
        description=f"{' or '.join(SENSOR_PROFILES)}, or a table that describes a sensor",
        examples=["sentinel-2-l2a"],
    )
    keep_snow: bool = Field(
        default=False, description="true if snow counts as clear sky", examples=[False]
    )
    cloud_buffer: CloudBufferSetting = Field(
        default=DEFAULT_CLOUD_BUFFER,
        description="the margin round clouds and shadows in which no pixel counts, in metres on "
        "the ground, or a table with one for each",
        examples=["120 m", {"cloud": "120 m", "shadow": "60 m"}],
    )
    access: Literal["stream", "download"] = Field(
        default="stream",
        description='"stream" (ranges) or "download" (whole files to a bounded cache)',
        examples=["stream"],
    )
    cache: str = Field(
        default="cache",
        description="the folder for copies of remote files: whole files, or the ranges read",
        examples=["cache"],
    )
    cache_mb: int = Field(
        default=4096, ge=1, description="megabytes the cache may hold", examples=[4096]
    )
    hosts: Tuple[str] = Field(
        default=(),
        description="the only hosts that hrefs may name, as patterns; s3://bucket is a bucket; "
        "empty: any host that is no closer to this machine than the catalogue",
        examples=[["*.example.org", "s3://scenes"]],
    )
    folders: Tuple[str] = Field(
        default=(),
        description="folders besides its own in which hrefs of a local catalogue may name files",
        examples=[["/archive/sentinel-2"]],
    )
    source: SourceSettings = Field(
        default_factory=SourceSettings, description="the S3 store of the pixels"
    )

    @property
    def interval(self) -> Interval:
        """`datetime` as an interval; both ends are open if it is absent."""
        return parse_interval(self.datetime) if self.datetime else Interval(None, None)

    @property
    def buffer(self) -> CloudBuffer:
        """`cloud_buffer` in metres."""
        setting = self.cloud_buffer
        if isinstance(setting, str):
            return CloudBuffer(metres(setting), metres(setting))
        return CloudBuffer(metres(setting.cloud), metres(setting.shadow))

    @property
    def profile(self) -> SensorProfile:
        """Profile of the sensor, with snow dropped or kept, and with the margins round clouds."""
        sensor = self.sensor
        profile = SENSOR_PROFILES[sensor] if isinstance(sensor, str) else sensor.profile()
        profile = profile.keeping_snow() if self.keep_snow else profile
        clear = profile.clear
        return profile if clear is None else replace(profile, clear=clear.with_buffer(self.buffer))
