"""The spectral indices, one file of facts each, discovered in this package.

Each module defines an `INDEX`; nothing else needs to be registered.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from spatial_assets.geo.spectral import SpectralIndex


def _discovered() -> Mapping[str, SpectralIndex]:
    """Collect the `INDEX` of every module of this package, by name in alphabetical order."""
    modules = [
        importlib.import_module(f"{__name__}.{module.name}")
        for module in pkgutil.iter_modules(__path__)
    ]
    indices: list[SpectralIndex] = [module.INDEX for module in modules]
    return MappingProxyType({index.name: index for index in sorted(indices, key=_name)})


def _name(index: SpectralIndex) -> str:
    return index.name


INDICES: Final[Mapping[str, SpectralIndex]] = _discovered()
"""Indices by name."""
