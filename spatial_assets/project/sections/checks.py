"""[checks]: from where on something is wrong. Each default says why it is what it is."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from spatial_assets.project.base import Table

Share = Annotated[float, Field(ge=0.0, le=1.0, strict=False)]


class ChecksSettings(Table):
    """Thresholds of the checks, as shares from 0 to 1. Those that quarantine are said to."""

    most_removed_share: Share = Field(
        default=0.01,
        description="values of an index that may be out of its range before `index_range` warns: "
        "haze and bright roofs lose a few pixels, a wrong band or offset many",
        examples=[0.01],
    )
    quarantine_removed_share: Share = Field(
        default=0.5,
        description="values out of range beyond which an index of a tile is quarantined: the sea "
        "loses many to slightly negative reflectance and is right, a wrong band most of the land",
        examples=[0.5],
    )
    most_implausible_share: Share = Field(
        default=0.5,
        description="clear pixels of a scene that may be negative or beyond any NDVI before the "
        "scene is quarantined: a wrong offset gives 0.78 to 0.97, a right scene under 0.02",
        examples=[0.5],
    )
    least_readable_share: Share = Field(
        default=1.0,
        description="pixels of a scene that must decode before `source_intact` warns: a lost "
        "block is a damaged file, whatever its size",
        examples=[1.0],
    )
    least_valid_share: Share = Field(
        default=0.0,
        description="pixels of a tile that must be valid in its best period before `index_range` "
        "warns: nothing, as a cloudy month is no fault",
        examples=[0.05],
    )
    most_repair_share: Share = Field(
        default=1e-3,
        description="area of a boundary on which two ways to repair it may differ before it is "
        "quarantined: a bow-tie gives 0, beyond this a repair would invent a boundary",
        examples=[0.001],
    )
    most_overlap_share: Share = Field(
        default=1e-4,
        description="area of a boundary set that may be claimed twice before `topology` warns: "
        "digitizing noise along shared borders stays below",
        examples=[0.0001],
    )
    most_gap_share: Share = Field(
        default=1.0,
        description="area of a boundary set that gaps within it may have before `topology` warns: "
        "everything, as fields and lakes leave gaps; districts should not (0.0001)",
        examples=[0.0001],
    )
