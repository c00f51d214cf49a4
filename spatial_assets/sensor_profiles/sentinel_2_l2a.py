"""Sentinel-2 Level-2A: surface reflectance of the MSI at 10, 20 and 60 m, by ESA."""

from __future__ import annotations

from spatial_assets.geo.clear_sky import ClearClasses, CloudClasses
from spatial_assets.geo.sensor_profile import (
    BaselineRule,
    GranulePattern,
    GranuleRule,
    RadiometryRule,
    SensorProfile,
)

_CLEAR = frozenset({4, 5, 6, 7})  # vegetation, bare soil, water, unclassified
_SNOW = 11
_CLOUDS = CloudClasses(
    cloud=frozenset({8, 9, 10}),  # medium and high probability, thin cirrus
    shadow=frozenset({3}),
)


# S2A_MSIL2A_20230818T100031_N0509_R122_T33TWL_20230818T143300.SAFE; Planetary Computer leaves out
# the baseline in the id.
_PRODUCT_NAME = (
    r"S2[A-Z]_MSIL\d[A-Z]_(?P<datatake>\d{8}T\d{6})(?:_N\d{4})?_R\d{3}_T(?P<tile>\w{5})"
    r"_\d{8}T\d{6}.*"
)
# S2A_OPER_MSI_L2A_DS_2APS_20230818T143300_S20230818T100032_N05.09: its first sensing time.
_DATASTRIP = r".*_S(?P<datastrip>\d{8}T\d{6})_N\d\d[.]?\d\d"
_TILES = (
    *(
        (
            {
                f"{prefix}:utm_zone": r"(?P<zone>.*)",
                f"{prefix}:latitude_band": r"(?P<band>.*)",
                f"{prefix}:grid_square": r"(?P<square>.*)",
            },
            "{zone}{band}{square}",
        )
        for prefix in ("mgrs", "sentinel")  # Earth Search v1 and v0
    ),
    *(
        ({name: r"(?:MGRS-)?0?(?P<tile>\d{1,2}[A-Z]{3})"}, "{tile}")
        for name in ("s2:mgrs_tile", "grid:code")
    ),
)
"""Spellings of a tile: item properties -> regular expressions, and the identity they give."""


def _names(common: str, band: str, resolution: int) -> tuple[str, ...]:
    """Return the names of a band in Earth Search, Planetary Computer and CDSE."""
    return (common, band, f"{band}_{resolution}m")


PROFILE = SensorProfile(
    name="sentinel-2-l2a",
    bands={
        "coastal": _names("coastal", "B01", 60),
        "blue": _names("blue", "B02", 10),
        "green": _names("green", "B03", 10),
        "red": _names("red", "B04", 10),
        "rededge1": _names("rededge1", "B05", 20),
        "rededge2": _names("rededge2", "B06", 20),
        "rededge3": _names("rededge3", "B07", 20),
        "nir": _names("nir", "B08", 10),
        "nir08": _names("nir08", "B8A", 20),
        "nir09": _names("nir09", "B09", 60),
        "swir16": _names("swir16", "B11", 20),
        "swir22": _names("swir22", "B12", 20),
    },
    platforms={r"(sentinel-?|s)2[a-z]?": {}},
    class_band="scl",
    class_assets=("scl", "SCL", "SCL_20m"),
    clear=ClearClasses(_CLEAR, _CLOUDS),
    clear_with_snow=ClearClasses(_CLEAR | {_SNOW}, _CLOUDS),
    radiometry=RadiometryRule(
        name="sentinel-2",
        scale=1e-4,
        offset=-0.1,
        # From baseline 04.00 on, ESA adds 1000 to every DN.
        baseline=BaselineRule(
            # processing:version is CDSE's name; elsewhere it may be the version of a program.
            item_properties={
                "s2:processing_baseline": r"(?s).*",
                "processing:version": r"\d\d\.\d\d",
            },
            first=(4, 0),
        ),
        needs="s2:processing_baseline",
    ),
    nodata=0,
    granule=GranuleRule(
        patterns=(
            *(
                GranulePattern(
                    item_properties={name: _PRODUCT_NAME},
                    identity="s2/{platform}/{tile}/{datatake}/{datastrip}",
                )
                for name in ("s2:product_uri", "sentinel:product_id", "id")
            ),
            *(
                GranulePattern(
                    item_properties={**tile, datatake: r"GS2[A-Z]_(?P<datatake>\d{8}T\d{6})_.*"},
                    identity=f"s2/{{platform}}/{identity}/{{datatake}}/{{datastrip}}",
                )
                for datatake in ("s2:datatake_id", "eopf:datatake_id")
                for tile, identity in _TILES
            ),
            *(
                GranulePattern(
                    item_properties=tile,
                    identity=f"s2/{{platform}}/{identity}/{{acquired:%Y%m%dT%H%M%S}}/{{datastrip}}",
                )
                for tile, identity in _TILES
            ),
        ),
        # Two halves of a tile from two datastrips are two granules, of the same time in CDSE. Where
        # no datastrip is stated, Earth Search counts the products of a tile and day.
        optional={
            "s2:datastrip_id": _DATASTRIP,
            "eopf:datastrip_id": _DATASTRIP,
            "sentinel:sequence": r"(?P<datastrip>\d+)",
            "s2:sequence": r"(?P<datastrip>\d+)",
        },
        precedence=1,
    ),
    expected_range=(-0.0999, 6.4534),  # DN 1 to 65534; 0 is fill and 65535 saturated
    reference="ESA, Sentinel-2 Products Specification Document, S2-PDGS-TAS-DI-PSD",
)
