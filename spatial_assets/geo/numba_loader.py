"""Loader of the compiled loops. Compiled or in numpy, the results have the same bits."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Final

MIN_COMPILED_PIXELS: Final = 1 << 20
"""Smallest target worth the compiler, which takes about a second and 100 MB to load."""

_COMPILED: Final = "spatial_assets.geo.numba_loops"
_loaded: dict[str, ModuleType | None] = {}


def load_for(pixels: int) -> None:
    """Load the compiled loops if a target of `pixels` is worth it and this machine has them."""
    if pixels >= MIN_COMPILED_PIXELS and _COMPILED not in _loaded:
        try:
            _loaded[_COMPILED] = importlib.import_module(_COMPILED)
        except ImportError:  # no compiler for this Python, numpy or processor: slower, not wrong
            _loaded[_COMPILED] = None


def loaded() -> ModuleType | None:
    """Return `spatial_assets.geo.numba_loops` if it is loaded; None means to use numpy."""
    return _loaded.get(_COMPILED)
