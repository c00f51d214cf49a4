"""[freshness]: age limits of assets, pauses and the backlog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal, Self, cast

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from spatial_assets.project.base import Table, Tuple, refusal
from spatial_assets.project.sections.pauses import MAX_PAUSE, PausedHours, longest_pause
from spatial_assets.project.times import Duration, duration_text

SHORTEST_WINDOW = timedelta(minutes=1)  # Dagster refuses a shorter freshness window
MAX_WINDOWS = 8  # each is a separate query at every tick
WINDOWED_STAGE = "raw_tile"
"""Asset whose window applies to each tile: all other stages are computed from it."""

WINDOW_EXAMPLE = f'{WINDOWED_STAGE} = {{ warn = "5 days", fail = "10 days" }}'

NeverMade = Literal["last", "first", "leave"]


@dataclass(frozen=True)
class Ages:
    """Age limits of a tile."""

    warn: timedelta
    """Age from which the tile is due."""

    fail: timedelta
    """Age from which the tile is overdue, which indicates an error."""


class FreshnessWindow(Table):
    """Age limits of the newest materialization of an asset, or of one of its tiles."""

    warn: Duration = Field(description="the age from which a tile is due", examples=["5 days"])
    fail: Duration = Field(
        description="the age from which the asset is unhealthy", examples=["10 days"]
    )
    never_made: NeverMade = Field(
        default="last",
        description="the order of tiles that do not exist yet: after the stale ones, before them, "
        "or never requested",
    )

    @model_validator(mode="after")
    def _warn_comes_first(self) -> Self:
        """Refuse what Dagster refuses too: a window that fails before it warns."""
        refuse_disorder(self.warn, self.fail)
        return self

    @property
    def ages(self) -> Ages:
        """Both age limits."""
        return Ages(self.warn, self.fail)


class RegionWindow(Table):
    """Another window of `raw_tile` for the tiles of a region."""

    warn: Duration = Field(
        description="the age from which these tiles are due", examples=["2 days"]
    )
    fail: Duration | None = Field(
        default=None,
        description="the age from which these tiles are overdue; default: warn times the ratio of "
        "fail to warn of raw_tile",
        examples=["4 days"],
    )

    @model_validator(mode="after")
    def _warn_comes_first(self) -> Self:
        """Refuse a window that fails before it warns."""
        if self.fail is not None:
            refuse_disorder(self.warn, self.fail)
        return self

    def ages(self, default: Ages) -> Ages:
        """Return both age limits, given the default ones of other tiles."""
        return Ages(self.warn, self.fail or self.warn * (default.fail / default.warn))


def refuse_disorder(warn: timedelta, fail: timedelta) -> None:
    """Refuse a window that fails before it warns."""
    if warn >= fail:
        wrong = f"fails ({duration_text(fail)}) before it warns ({duration_text(warn)})"
        raise refusal(wrong, "make warn shorter than fail", key="fail")


def _check_by_region(value: object) -> object:
    """Refuse a single window in place of one for each region."""
    parts = value.values() if isinstance(value, Mapping) else ()
    if not all(isinstance(part, Mapping | RegionWindow) for part in parts):
        remedy = 'write coast = { warn = "2 days" } for a region [regions.coast]'
        raise refusal("must be windows of raw_tile by region", remedy)
    return value


def _parse_share_or_count(value: object) -> object:
    """Return the share that "1 %" means; a count unchanged.

    Raises:
        PydanticCustomError: the value is neither.
    """
    remedy = 'write a share of the tiles such as "1 %", or a number of tiles such as 20'
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    text = value.removesuffix("%").strip() if isinstance(value, str) else ""
    if not text.replace(".", "", 1).isdecimal() or text == value or float(text) > 100:  # noqa: PLR2004  (per cent)
        raise refusal("neither a share nor a number of tiles", remedy)
    return float(text) / 100


ShareOrCount = Annotated[int | float, BeforeValidator(_parse_share_or_count)]


class BacklogSettings(Table):
    """Number of tiles that may be overdue, failed or quarantined before `backlog` fails."""

    # Archives alone make about one tile in a hundred fail. A local cause, such as a daemon that
    # has stopped, soon affects all of them.
    most: ShareOrCount = Field(
        default=0.01,
        description="the maximum number of tiles, as a share of all or as a count",
        examples=["1 %"],
    )

    def allowed(self, tiles: int) -> int:
        """Return the number allowed out of `tiles` tiles."""
        return self.most if isinstance(self.most, int) else int(self.most * tiles)


class FreshnessSettings(Table):
    """Freshness windows by asset name, polling, pauses and the backlog check."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, FreshnessWindow] = Field(init=False)

    regions: Annotated[Mapping[str, RegionWindow], BeforeValidator(_check_by_region)] = Field(
        default_factory=dict,
        description="other windows of raw_tile by region of [regions]; the first that contains a "
        "tile applies",
        examples=[{"coast": {"warn": "2 days"}}],
    )
    watch: Duration | None = Field(
        default=None,
        description="the interval at which catalogue and boundaries are polled; without it "
        "changes are found when a tile is computed again",
        examples=["10 minutes"],
    )
    paused: Tuple[PausedHours] = Field(
        default=(),
        description="[[freshness.paused]], hours in which automation requests no runs",
    )
    backlog: BacklogSettings = Field(
        default_factory=BacklogSettings,
        description="the threshold of the check `backlog`",
        examples=[{"most": "1 %"}],
    )

    @property
    def windows(self) -> Mapping[str, FreshnessWindow]:
        """Asset name -> its window."""
        return cast("Mapping[str, FreshnessWindow]", self.model_extra or {})

    @property
    def tiles(self) -> FreshnessWindow | None:
        """Window of `raw_tile`, which applies to each tile; None: no tile is ever due."""
        return self.windows.get(WINDOWED_STAGE)

    @property
    def is_automatic(self) -> bool:
        """True if automation requests tiles."""
        return self.tiles is not None or self.watch is not None

    @property
    def tile_ages(self) -> tuple[Ages, ...]:
        """Age limits of tiles: first the default, then those of each region."""
        if self.tiles is None:
            return ()
        default = self.tiles.ages
        return (default, *(region.ages(default) for region in self.regions.values()))

    @model_validator(mode="after")
    def _regions_need_a_default(self) -> Self:
        """Refuse windows of regions without a default window."""
        if self.regions and self.tiles is None:
            wrong = f"replace the window of {WINDOWED_STAGE}, which has none"
            remedy = f"add {WINDOW_EXAMPLE} to [freshness]"
            raise refusal(wrong, remedy, key="regions")
        return self

    @model_validator(mode="after")
    def _few_windows(self) -> Self:
        """Refuse more windows than a tick can afford."""
        windows = {ages.warn for ages in self.tile_ages}
        if len(windows) > MAX_WINDOWS:
            wrong = f"has {len(windows)} different windows, and at most {MAX_WINDOWS} are allowed"
            raise refusal(wrong, "give several regions the same warn", key="regions")
        return self

    @model_validator(mode="after")
    def _pauses_are_short_enough(self) -> Self:
        """Refuse pauses without end, and pauses so long that due tiles become overdue."""
        pause = longest_pause(self.paused)
        if pause == MAX_PAUSE:
            wrong = "leave no minute of the week, so nothing would ever be requested"
            raise refusal(wrong, f"shorten them, or remove {WINDOWED_STAGE}", key="paused")
        short = [ages for ages in self.tile_ages if ages.fail - ages.warn <= pause]
        if short:
            due, overdue = duration_text(short[0].warn), duration_text(short[0].fail)
            wrong = (
                f"pause for {duration_text(pause)}, but a tile due at {due} is overdue at {overdue}"
            )
            remedy = f"shorten them, or make fail exceed warn by more than {duration_text(pause)}"
            raise refusal(wrong, remedy, key="paused")
        return self
