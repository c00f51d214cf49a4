"""Facts found in the files of a scene: decided once per scene, so that no tile decides them again.

The facts can be pickled, and are equal after a round trip through JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from affine import Affine
from pyproj import CRS

from spatial_assets.geo.radiometry import Calibration
from spatial_assets.geo.warp.source_grid import SourceGrid
from spatial_assets.geo.warp.warp import Kernel


@dataclass(frozen=True, kw_only=True)
class BandFacts:
    """Header of one band's file, and what follows from it."""

    grid: SourceGrid
    dtype: str
    """Numpy name of the type of the file's pixels."""

    nodata: float | None
    """Fill value: of the item, else the file, else the sensor."""

    kernel: Kernel
    """Resampling kernel of the band; the class band is always resampled by nearest neighbour."""

    calibration: Calibration | None
    """Calibration; None for classes and for float reflectance."""

    masks: tuple[str, ...] = ()
    """Masks of the band beside its fill value, as `catalog.rasters.masks.masks_of` names them."""

    block: tuple[int, int]
    """(rows, columns) of a block within the file."""

    driver: str
    """GDAL's name of the format, by content."""

    @property
    def deciding(self) -> list[object]:
        """Values that decide the pixels made from the file, as JSON."""
        return [*_layout_record(self).values(), _calibration_record(self)]

    def has_layout_of(self, record: Mapping[str, object]) -> bool:
        """Return True if a band of the JSON that `SceneFacts.to_json` wrote has the same layout.

        Calibration does not count: it changes no pixel of the file.
        """
        layout: dict[str, object] = {"masks": None, **_layout_record(self)}
        return all(record.get(name) == value for name, value in layout.items())


@dataclass(frozen=True, kw_only=True)
class SceneFacts:
    """Facts of a scene that can be used."""

    id: str
    fingerprint: str
    """Fingerprint of the scene."""

    bands: Mapping[str, BandFacts]
    """Facts by our name of the band, the class band included."""

    figures: Mapping[str, float | int | None]
    """Figures that the plausibility was judged by: clear pixels, implausible share, percentiles."""

    warnings: tuple[str, ...] = ()
    """Codes in snake_case, e.g. "offset_maybe_missed"."""

    def to_json(self) -> str:
        """Return JSON text that `from_json` reads back to an equal value."""
        record = {
            "id": self.id,
            "fingerprint": self.fingerprint,
            "bands": {name: _band_record(band) for name, band in self.bands.items()},
            "figures": dict(self.figures),
            "warnings": list(self.warnings),
        }
        return json.dumps(record, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> SceneFacts:
        """Read the text that `to_json` wrote."""
        record = json.loads(text)
        return cls(
            id=record["id"],
            fingerprint=record["fingerprint"],
            bands={name: _band_facts(band) for name, band in record["bands"].items()},
            figures=record["figures"],
            warnings=tuple(record["warnings"]),
        )


def _layout_record(band: BandFacts) -> dict[str, object]:
    """Return the JSON values that say how to read the pixels of one band, without the CRS."""
    # Masks only where there are some, so that the records of other files stay as they were.
    return {
        **({"masks": list(band.masks)} if band.masks else {}),
        "transform": list(band.grid.transform)[:6],
        "width": band.grid.width,
        "height": band.grid.height,
        "dtype": band.dtype,
        # JSON has no NaN, and a fill value may be one
        "nodata": None if band.nodata is None else repr(band.nodata),
        "kernel": band.kernel,
    }


def _calibration_record(band: BandFacts) -> list[float] | None:
    calibration = band.calibration
    return None if calibration is None else [calibration.scale, calibration.offset]


def _band_record(band: BandFacts) -> dict[str, object]:
    """Return the JSON values of one band."""
    return {
        **_layout_record(band),
        "crs": band.grid.crs.to_wkt(),
        "calibration": _calibration_record(band),
        "block": list(band.block),
        "driver": band.driver,
    }


@lru_cache(maxsize=256)
def _crs_of(wkt: str) -> CRS:
    """Return a CRS; making one takes half a millisecond, and thousands of scenes share a few."""
    return CRS.from_wkt(wkt)


def _band_facts(record: Mapping[str, Any]) -> BandFacts:
    """Read one band from the JSON values of `_band_record`."""
    calibration, nodata = record["calibration"], record["nodata"]
    rows, columns = record["block"]
    return BandFacts(
        grid=SourceGrid(
            transform=Affine(*record["transform"]),
            width=record["width"],
            height=record["height"],
            crs=_crs_of(record["crs"]),
        ),
        dtype=record["dtype"],
        nodata=None if nodata is None else float(nodata),
        kernel=record["kernel"],
        calibration=None if calibration is None else Calibration(*calibration),
        masks=tuple(record.get("masks", ())),
        block=(rows, columns),
        driver=record["driver"],
    )
