"""The days the satellite came by, what it saw, and what became of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from spatial_assets.demo.granules import MadeGranule
from spatial_assets.demo.weather import Weather

GRANULES = (
    MadeGranule(square="33TYL", epsg=32633, bounds=(17.748, 45.763, 18.052, 46.017)),
    MadeGranule(square="34TBR", epsg=32634, bounds=(17.953, 45.763, 18.287, 46.017)),
)
"""Two neighbours across the 18th meridian, which see the same 7 km between them."""


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One overflight of both granules."""

    day: dt.date
    platform: str
    weather: Weather

    swath_edge: float | None = None
    """Metres east of the middle where the swath begins; None: it saw all."""

    offset_applied: bool = False
    """Whether the archive took the offset off the numbers, as Earth Search did for a while."""

    corrupt: str | None = None
    """Square whose near-infrared band is no image; None: all are well."""

    @property
    def moment(self) -> dt.datetime:
        """When the satellite was overhead, UTC."""
        return dt.datetime.combine(self.day, dt.time(9, 50, 31, 24000), dt.UTC)

    @property
    def day_of_year(self) -> int:
        """1 on New Year's Day."""
        return self.day.timetuple().tm_yday

    def item_id(self, granule: MadeGranule) -> str:
        """Name of the scene, as Earth Search gives it."""
        satellite = self.platform.removeprefix("sentinel-").upper()
        return f"S{satellite}_{granule.square}_{self.day:%Y%m%d}_0_L2A"


PASSES = (
    Pass(
        day=dt.date(2023, 6, 5),
        platform="sentinel-2a",
        weather=Weather(seed=41, cover=0.12, scale=190.0),
    ),
    Pass(
        day=dt.date(2023, 6, 15),
        platform="sentinel-2a",
        weather=Weather(seed=12, cover=1.0, scale=500.0),
    ),
    Pass(
        day=dt.date(2023, 6, 25),
        platform="sentinel-2a",
        weather=Weather(seed=13, cover=0.06, scale=130.0),
        swath_edge=-12_500.0,
    ),
    Pass(
        day=dt.date(2023, 7, 10),
        platform="sentinel-2b",
        weather=Weather(seed=34, cover=0.05, scale=260.0),
        offset_applied=True,
    ),
    Pass(
        day=dt.date(2023, 7, 25),
        platform="sentinel-2a",
        weather=Weather(seed=45, cover=0.14, scale=300.0),
        corrupt="34TBR",
    ),
)

SUN = (151.0, 62.5)
"""(azimuth, elevation) in degrees of a mid-morning in early summer."""

CENTRAL_WAVELENGTH: Mapping[str, float] = {"red": 0.665, "nir": 0.842}
"""Micrometres."""
