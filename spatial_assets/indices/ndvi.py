"""Normalized difference vegetation index: the greenness of the surface."""

from __future__ import annotations

from spatial_assets.geo.spectral import Band, SpectralIndex


def ndvi(red: Band, nir: Band) -> Band:
    """Contrast of red, which leaves absorb, and near infrared, which they reflect."""
    return (nir - red) / (nir + red)


def ndvi_denominator(red: Band, nir: Band) -> Band:
    """Sum of both bands."""
    return nir + red


INDEX = SpectralIndex(
    name="ndvi",
    needs=("red", "nir"),
    formula=ndvi,
    denominator=ndvi_denominator,
    expected_range=(-1.0, 1.0),
    reference="Tucker 1979, doi:10.1016/0034-4257(79)90013-0",
    description="Normalized difference vegetation index: dense leaves near 0.9, bare soil near 0.1",
)
