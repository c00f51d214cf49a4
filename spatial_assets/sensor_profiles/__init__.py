"""The satellite products that are known here: one file of facts each, discovered by import.

A module of this package states a `PROFILE`; no other file lists it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from spatial_assets.geo.sensor_profile import DECLARED, RadiometryRule, SensorProfile


def discover_profiles() -> Mapping[str, SensorProfile]:
    """Return every `PROFILE` of this package's modules, by name in alphabetical order."""
    profiles: list[SensorProfile] = [
        importlib.import_module(f"{__name__}.{module.name}").PROFILE
        for module in pkgutil.iter_modules(__path__)
    ]
    return MappingProxyType(
        {profile.name: profile for profile in sorted(profiles, key=lambda each: each.name)}
    )


SENSOR_PROFILES: Final[Mapping[str, SensorProfile]] = discover_profiles()
"""Profile by name."""

RADIOMETRY_RULES: Final[Mapping[str, RadiometryRule]] = MappingProxyType(
    {each.radiometry.name: each.radiometry for each in SENSOR_PROFILES.values()}
    | {DECLARED.name: DECLARED}
)
"""Radiometry rule by name: those of the profiles, and `DECLARED`."""
