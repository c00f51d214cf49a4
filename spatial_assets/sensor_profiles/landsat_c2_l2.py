"""Landsat Collection 2 Level-2: surface reflectance of Landsat 4 to 9 at 30 m, by USGS."""

from __future__ import annotations

from spatial_assets.geo.clear_sky import ClearBits, CloudClasses
from spatial_assets.geo.sensor_profile import (
    GranulePattern,
    GranuleRule,
    RadiometryRule,
    SensorProfile,
)

_NOT_CLEAR = (0, 1, 2, 3, 4)  # fill, dilated cloud, cirrus, cloud, cloud shadow
_SNOW = 5
# Not the dilated cloud of bit 1, which is the producer's own margin.
_CLOUDS = CloudClasses(cloud=frozenset({2, 3}), shadow=frozenset({4}))

_TM = {
    "blue": ("SR_B1",),
    "green": ("SR_B2",),
    "red": ("SR_B3",),
    "nir": ("SR_B4",),
    "nir08": ("SR_B4",),
    "swir16": ("SR_B5",),
    "swir22": ("SR_B7",),
}
"""Names of the bands of TM and ETM+."""

_OLI = {
    "coastal": ("SR_B1",),
    "blue": ("SR_B2",),
    "green": ("SR_B3",),
    "red": ("SR_B4",),
    "nir": ("SR_B5",),
    "nir08": ("SR_B5",),
    "swir16": ("SR_B6",),
    "swir22": ("SR_B7",),
}

PROFILE = SensorProfile(
    name="landsat-c2-l2",
    bands={
        "coastal": ("coastal",),
        "blue": ("blue",),
        "green": ("green",),
        "red": ("red",),
        "nir": ("nir08", "nir"),
        "nir08": ("nir08", "nir"),
        "swir16": ("swir16",),
        "swir22": ("swir22",),
    },
    platforms={r"landsat-[457]": _TM, r"landsat-[89]": _OLI},
    class_band="qa_pixel",
    class_assets=("qa_pixel", "QA_PIXEL"),
    clear=ClearBits((*_NOT_CLEAR, _SNOW), _CLOUDS),
    clear_with_snow=ClearBits(_NOT_CLEAR, _CLOUDS),
    radiometry=RadiometryRule(
        name="landsat",
        scale=2.75e-5,
        offset=-0.2,
        item_properties={
            "landsat:collection_number": r"0*2",
            "landsat:correction": r"(?is)L2.*",
        },
        is_tied_to_scale=True,
        needs="landsat:collection_number 02 and landsat:correction L2*",
    ),
    nodata=0,
    granule=GranuleRule(
        patterns=(
            GranulePattern(
                item_properties={
                    "landsat:wrs_path": r"(?P<path>\d+)",
                    "landsat:wrs_row": r"(?P<row>\d+)",
                },
                identity="landsat/{platform}/{path}/{row}/{acquired:%Y%m%d}",
            ),
            # LC08_L2SP_028030_20200114_20200824_02_T1
            GranulePattern(
                item_properties={
                    "id": r"L[A-Z]\d\d_\w{4}_(?P<path>\d{3})(?P<row>\d{3})_(?P<day>\d{8})_.*"
                },
                identity="landsat/{platform}/{path}/{row}/{day}",
            ),
        ),
    ),
    expected_range=(-0.1999725, 1.6000125),  # DN 1 to 65455
    reference="USGS, Collection 2 Level 2 Science Product Guides: Landsat 8-9, LSDS-1619, and "
    "Landsat 4-7, LSDS-1618",
)
