"""Enhanced vegetation index: does not saturate like NDVI where the canopy is dense."""

from __future__ import annotations

from spatial_assets.geo.spectral import Band, SpectralIndex


def evi(blue: Band, red: Band, nir: Band) -> Band:
    """Greenness corrected for soil brightness and aerosol (MODIS coefficients)."""
    greenness: Band = 2.5 * (nir - red) / evi_denominator(blue, red, nir)
    return greenness


def evi_denominator(blue: Band, red: Band, nir: Band) -> Band:
    """Brightness with the aerosol and canopy terms; negative over bright cloud remnants."""
    brightness: Band = nir + 6.0 * red - 7.5 * blue + 1.0
    return brightness


INDEX = SpectralIndex(
    name="evi",
    needs=("blue", "red", "nir"),
    formula=evi,
    denominator=evi_denominator,
    expected_range=(-1.0, 1.0),
    reference="Huete et al. 2002, doi:10.1016/S0034-4257(02)00096-2",
    description="Enhanced vegetation index: keeps rising in dense canopies where NDVI saturates",
)
