"""Overpasses of the satellite: dates, weather, swaths and faults of the archive."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from spatial_assets.demo.granules import DemoGranule
from spatial_assets.demo.weather import Weather

GRANULES = (
    DemoGranule(square="33TYL", epsg=32633, bounds=(17.748, 45.763, 18.052, 46.017)),
    DemoGranule(square="34TBR", epsg=32634, bounds=(17.953, 45.763, 18.287, 46.017)),
)
"""Two neighbours across the 18th meridian that overlap by 7 km."""


@dataclass(frozen=True, kw_only=True)
class Overpass:
    """One overflight of both granules."""

    day: dt.date
    platform: str
    weather: Weather

    swath_edge: float | None = None
    """Metres east of the centre at which the swath starts; None if it covers everything."""

    offset_applied: bool = False
    """True if the archive already applied the offset, as Earth Search did for a while."""

    corrupt: str | None = None
    """Square whose near-infrared band is not an image; None if there is none."""

    @property
    def moment(self) -> dt.datetime:
        """Time of the overpass, UTC."""
        return dt.datetime.combine(self.day, dt.time(9, 50, 31, 24000), dt.UTC)

    @property
    def day_of_year(self) -> int:
        """Day of the year, 1 on 1 January."""
        return self.day.timetuple().tm_yday

    def item_id(self, granule: DemoGranule) -> str:
        """Id of the scene, as in Earth Search."""
        satellite = self.platform.removeprefix("sentinel-").upper()
        return f"S{satellite}_{granule.square}_{self.day:%Y%m%d}_0_L2A"


OVERPASSES = (
    Overpass(
        day=dt.date(2023, 6, 5),
        platform="sentinel-2a",
        weather=Weather(seed=41, cover=0.12, scale=190.0),
    ),
    Overpass(
        day=dt.date(2023, 6, 15),
        platform="sentinel-2a",
        weather=Weather(seed=12, cover=1.0, scale=500.0),
    ),
    Overpass(
        day=dt.date(2023, 6, 25),
        platform="sentinel-2a",
        weather=Weather(seed=13, cover=0.06, scale=130.0),
        swath_edge=-12_500.0,
    ),
    Overpass(
        day=dt.date(2023, 7, 10),
        platform="sentinel-2b",
        weather=Weather(seed=34, cover=0.05, scale=260.0),
        offset_applied=True,
    ),
    Overpass(
        day=dt.date(2023, 7, 25),
        platform="sentinel-2a",
        weather=Weather(seed=45, cover=0.14, scale=300.0),
        corrupt="34TBR",
    ),
)

SUN = (151.0, 62.5)
"""Azimuth and elevation in degrees, on a mid-morning in early summer."""

CENTRAL_WAVELENGTH: Mapping[str, float] = {"red": 0.665, "nir": 0.842}
"""Central wavelength by band, in micrometres."""
