"""Normalized difference moisture index: water held in leaves."""

from __future__ import annotations

from spatial_assets.geo.spectral import Band, SpectralIndex


def ndmi(nir: Band, swir16: Band) -> Band:
    """Contrast of near infrared and 1.6 micrometres, which leaf water absorbs."""
    return (nir - swir16) / (nir + swir16)


def ndmi_denominator(nir: Band, swir16: Band) -> Band:
    """Sum of both bands."""
    return nir + swir16


INDEX = SpectralIndex(
    name="ndmi",
    needs=("nir", "swir16"),
    formula=ndmi,
    denominator=ndmi_denominator,
    expected_range=(-1.0, 1.0),
    reference="Gao 1996, doi:10.1016/S0034-4257(96)00067-3",
    description="Normalized difference moisture index: well-watered canopies high, dry ones low",
)
