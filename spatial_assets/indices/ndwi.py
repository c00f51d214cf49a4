"""Normalized difference water index: open water, which is dark in near infrared."""

from __future__ import annotations

from spatial_assets.geo.spectral import Band, SpectralIndex


def ndwi(green: Band, nir: Band) -> Band:
    """Contrast of green, which water reflects, and near infrared, which it absorbs."""
    return (green - nir) / (green + nir)


def ndwi_denominator(green: Band, nir: Band) -> Band:
    """Sum of both bands."""
    return green + nir


INDEX = SpectralIndex(
    name="ndwi",
    needs=("green", "nir"),
    formula=ndwi,
    denominator=ndwi_denominator,
    expected_range=(-1.0, 1.0),
    reference="McFeeters 1996, doi:10.1080/01431169608948714",
    description="Normalized difference water index: open water above 0, land and leaves below",
)
