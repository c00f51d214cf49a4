"""The definition of a spectral index: facts alone, so that listing indices loads no array library.

Evaluation on reflectance belongs in `geo/pixels/evaluate_index.py`, formulas in
`spatial_assets.indices`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from spatial_assets.errors import RasterError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


Band: TypeAlias = "NDArray[np.float32]"
"""Reflectance of one spectral band, NaN where unknown."""


@dataclass(frozen=True, kw_only=True)
class SpectralIndex:
    """A number computed from reflectances, and the conditions under which it has a meaning."""

    name: str
    """Name of the asset, the array and the table column, such as "ndvi"."""

    needs: tuple[str, ...]
    """Common band names, in the order in which `formula` takes them."""

    formula: Callable[..., Band]
    """Bands in the order of `needs` -> index values."""

    denominator: Callable[..., Band]
    """Bands in the order of `needs` -> divisor of `formula`; where it is not positive, no index."""

    expected_range: tuple[float, float]
    """Lowest and highest value on a real surface with reflectances from 0 to 1."""

    reference: str
    """Publication of the formula."""

    description: str
    """One sentence for a reader who does not know the index."""

    def __post_init__(self) -> None:
        """Refuse an index that cannot be named or checked."""
        low, high = self.expected_range
        if not self.name.isidentifier() or not self.needs or not low < high:
            message = (
                f"index {self.name!r} needs an identifier for a name, at least one band "
                f"(has {self.needs}) and a rising range (has {low} to {high})"
            )
            raise RasterError(message, reason="bad_index")
