"""Soil-adjusted vegetation index: more robust than NDVI where soil shows through."""

from __future__ import annotations

from spatial_assets.geo.spectral import Band, SpectralIndex

SOIL_FACTOR = 0.5  # Huete's L for intermediate cover


def savi(red: Band, nir: Band) -> Band:
    """Greenness corrected for the brightness of bare soil."""
    return (1.0 + SOIL_FACTOR) * (nir - red) / savi_denominator(red, nir)


def savi_denominator(red: Band, nir: Band) -> Band:
    """Sum of both bands plus the soil term."""
    return nir + red + SOIL_FACTOR


INDEX = SpectralIndex(
    name="savi",
    needs=("red", "nir"),
    formula=savi,
    denominator=savi_denominator,
    expected_range=(-1.0, 1.0),
    reference="Huete 1988, doi:10.1016/0034-4257(88)90106-X",
    description="Soil-adjusted vegetation index: steadier than NDVI where the soil shows through",
)
