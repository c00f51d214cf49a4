"""Whether the innermost loops run compiled or in numpy. The bits are the same either way."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Final

MIN_COMPILED_PIXELS: Final = 1 << 20
"""Loading the compiler takes about a second and 100 MB: more than it saves on smaller targets."""

_COMPILED: Final = "spatial_assets.geo.numba_loops"
_loaded: dict[str, ModuleType | None] = {}


def load_for(pixels: int) -> None:
    """Load the compiled loops if a target of `pixels` makes that pay, and this machine has them."""
    if pixels >= MIN_COMPILED_PIXELS and _COMPILED not in _loaded:
        try:
            _loaded[_COMPILED] = importlib.import_module(_COMPILED)
        except ImportError:  # no compiler for this Python, numpy or processor: slower, not wrong
            _loaded[_COMPILED] = None


def loaded() -> ModuleType | None:
    """`spatial_assets.geo.numba_loops` if this process has loaded it; use numpy otherwise."""
    return _loaded.get(_COMPILED)
