"""How old an asset may grow, and how long inputs are kept."""

from __future__ import annotations

from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Literal, Self

from pydantic import Field, model_validator

from spatial_assets.project.base import Table, Tuple, refusal
from spatial_assets.project.durations import Duration, Keep

SHORTEST_WINDOW = timedelta(minutes=1)  # Dagster refuses a shorter freshness window
MOST_WINDOWS = 8  # each is a query of its own at every tick

NeverMade = Literal["last", "first", "leave"]


class RegionWindow(Table):
    """Another window for some tiles of an asset."""

    tiles: Tuple[str] = Field(
        min_length=1, description="the tiles it holds for, as patterns", examples=[["12022*"]]
    )
    warn: Duration = Field(
        description="the age from which these tiles are due", examples=["2 days"]
    )


class FreshnessWindow(Table):
    """How old the newest materialization of an asset, or of one of its tiles, may be."""

    warn: Duration = Field(description="the age from which a tile is due", examples=["5 days"])
    fail: Duration = Field(
        description="the age from which the asset is unhealthy", examples=["10 days"]
    )
    regions: Tuple[RegionWindow] = Field(
        default=(), description="other windows for some tiles, the first match wins"
    )
    never_made: NeverMade = Field(
        default="last",
        description="tiles that do not exist yet: asked for after the stale ones, before them, "
        "or left to a person",
    )

    @model_validator(mode="after")
    def _warn_comes_first(self) -> Self:
        """Dagster refuses a window that fails before it warns."""
        if self.warn >= self.fail:
            wrong = f"fails ({self.fail}) before it warns ({self.warn})"
            raise refusal(wrong, "make warn shorter than fail", key="fail")
        return self

    @model_validator(mode="after")
    def _few_windows(self) -> Self:
        """Refuse more windows than are affordable at every tick."""
        windows = {self.warn, *(region.warn for region in self.regions)}
        if len(windows) > MOST_WINDOWS:
            wrong = f"has {len(windows)} different windows, and {MOST_WINDOWS} are the most"
            raise refusal(wrong, "give several regions the same warn", key="regions")
        return self

    def warn_for(self, tile: str) -> timedelta:
        """The age from which `tile` is due: that of the first region whose pattern fits."""
        for region in self.regions:
            if any(fnmatchcase(tile, pattern) for pattern in region.tiles):
                return region.warn
        return self.warn


class RetentionSettings(Table):
    """Whether what can be fetched or made again is kept; it is, so far always."""

    raw_tile: Keep = Field(default=None, description='"keep"', examples=["keep"])
    reprojected_raster: Keep = Field(default=None, description='"keep"', examples=["keep"])
