"""[checks]: thresholds of the checks, each default with its reason."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from spatial_assets.project.base import Table

Share = Annotated[float, Field(ge=0.0, le=1.0, strict=False)]


class ChecksSettings(Table):
    """Thresholds of the checks, as shares from 0 to 1."""

    most_removed_share: Share = Field(
        default=0.01,
        description="share of index values that may be out of range before `index_range` warns: "
        "haze and bright roofs lose a few pixels, a wrong band or offset many",
        examples=[0.01],
    )
    quarantine_removed_share: Share = Field(
        default=0.5,
        description="share of values out of range above which an index of a tile is quarantined: "
        "the sea rightly loses many to slightly negative reflectance, a wrong band loses most of "
        "the land",
        examples=[0.5],
    )
    most_implausible_share: Share = Field(
        default=0.5,
        description="share of clear pixels that may be negative, brighter than any surface or "
        "beyond any NDVI before the scene is quarantined: a wrong offset gives 0.78 to 0.97, a "
        "correct scene under 0.02",
        examples=[0.5],
    )
    least_readable_share: Share = Field(
        default=1.0,
        description="share of a scene's pixels that must decode, or `source_intact` warns: a lost "
        "block means a damaged file, whatever its size",
        examples=[1.0],
    )
    least_valid_share: Share = Field(
        default=0.0,
        description="share of pixels that must be valid in the best period, or `index_range` "
        "warns: none, because a cloudy month is no error",
        examples=[0.05],
    )
    withdrawn_share: Share = Field(
        default=0.5,
        description="share of its scenes that a catalogue, or of its features that a boundary set "
        "may lose before it is refused: archives withdraw a few, an unmounted folder all; 1.0: all",
        examples=[0.5],
    )
    most_repair_share: Share = Field(
        default=1e-3,
        description="share of a boundary on which two repair methods may differ before it is "
        "quarantined: a bow-tie gives 0, above this a repair would invent a boundary",
        examples=[0.001],
    )
    most_overlap_share: Share = Field(
        default=1e-4,
        description="share of a boundary set's area that may overlap before `topology` warns: "
        "digitizing noise along shared borders stays below",
        examples=[0.0001],
    )
    most_gap_share: Share = Field(
        default=1.0,
        description="share of a boundary set's area that may be gaps before `topology` warns: "
        "all, because fields and lakes leave gaps; districts should not (0.0001)",
        examples=[0.0001],
    )
