"""How old an asset may grow, when nothing is asked for, and how long inputs are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal, Self, cast

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from spatial_assets.project.base import Table, Tuple, refusal
from spatial_assets.project.sections.pauses import LONGEST, PausedHours, longest_pause
from spatial_assets.project.times import Duration, Keep, duration_text

SHORTEST_WINDOW = timedelta(minutes=1)  # Dagster refuses a shorter freshness window
MOST_WINDOWS = 8  # each is a query of its own at every tick
TILES = "raw_tile"
"""The asset whose window is read tile by tile: what every other stage is made from."""

NeverMade = Literal["last", "first", "leave"]


@dataclass(frozen=True)
class Ages:
    """How old a tile may grow."""

    warn: timedelta
    """From here on it is due."""

    fail: timedelta
    """From here on something is wrong: it should have been renewed long ago."""


class FreshnessWindow(Table):
    """How old the newest materialization of an asset, or of one of its tiles, may be."""

    warn: Duration = Field(description="the age from which a tile is due", examples=["5 days"])
    fail: Duration = Field(
        description="the age from which the asset is unhealthy", examples=["10 days"]
    )
    never_made: NeverMade = Field(
        default="last",
        description="tiles that do not exist yet: asked for after the stale ones, before them, "
        "or left to a person",
    )

    @model_validator(mode="after")
    def _warn_comes_first(self) -> Self:
        """Dagster refuses a window that fails before it warns."""
        refuse_disorder(self.warn, self.fail)
        return self

    @property
    def ages(self) -> Ages:
        """The two ages."""
        return Ages(self.warn, self.fail)


class RegionWindow(Table):
    """Another window of `raw_tile` for the tiles of a region."""

    warn: Duration = Field(
        description="the age from which these tiles are due", examples=["2 days"]
    )
    fail: Duration | None = Field(
        default=None,
        description="the age from which something is wrong; without it as many times warn as that "
        "of raw_tile",
        examples=["4 days"],
    )

    @model_validator(mode="after")
    def _warn_comes_first(self) -> Self:
        """As for the window of an asset."""
        if self.fail is not None:
            refuse_disorder(self.warn, self.fail)
        return self

    def ages(self, usual: Ages) -> Ages:
        """The two ages, where those of other tiles are `usual`."""
        return Ages(self.warn, self.fail or self.warn * (usual.fail / usual.warn))


def refuse_disorder(warn: timedelta, fail: timedelta) -> None:
    """Refuse a window that fails before it warns."""
    if warn >= fail:
        wrong = f"fails ({duration_text(fail)}) before it warns ({duration_text(warn)})"
        raise refusal(wrong, "make warn shorter than fail", key="fail")


def _check_by_region(value: object) -> object:
    """Refuse one window where there should be one for each region."""
    parts = value.values() if isinstance(value, Mapping) else ()
    if not all(isinstance(part, Mapping | RegionWindow) for part in parts):
        remedy = 'write coast = { warn = "2 days" } there for a region [regions.coast]'
        raise refusal("holds other windows of raw_tile, by region", remedy)
    return value


def _parse_most(value: object) -> object:
    """The share that "1 %" means; a count as it is.

    Raises:
        PydanticCustomError: it is neither.
    """
    remedy = 'write a share of the tiles such as "1 %", or a number of tiles such as 20'
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    text = value.removesuffix("%").strip() if isinstance(value, str) else ""
    if not text.replace(".", "", 1).isdecimal() or text == value or float(text) > 100:  # noqa: PLR2004  (per cent)
        raise refusal("neither a share nor a number of tiles", remedy)
    return float(text) / 100


Most = Annotated[int | float, BeforeValidator(_parse_most)]


class BacklogSettings(Table):
    """How many tiles may be overdue, failed or in quarantine before the check `backlog` fails."""

    # One tile in a hundred that cannot be made is the weather of archives. Trouble of one's own,
    # such as a daemon that stands still, soon touches all of them.
    most: Most = Field(
        default=0.01,
        description="the most tiles, as a share of all or as a number",
        examples=["1 %"],
    )

    def allowed(self, tiles: int) -> int:
        """The most of so many tiles."""
        return self.most if isinstance(self.most, int) else int(self.most * tiles)


class FreshnessSettings(Table):
    """[freshness]: a window by asset name, and what else has to do with them."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, FreshnessWindow] = Field(init=False)

    regions: Annotated[Mapping[str, RegionWindow], BeforeValidator(_check_by_region)] = Field(
        default_factory=dict,
        description="other windows of raw_tile by region of [regions]; the first that holds a tile "
        "wins",
        examples=[{"coast": {"warn": "2 days"}}],
    )
    watch: Duration | None = Field(
        default=None,
        description="how often catalogue and boundaries are looked at for changes; without it "
        "changes are found when a tile is made again",
        examples=["10 minutes"],
    )
    paused: Tuple[PausedHours] = Field(
        default=(),
        description="[[freshness.paused]], hours in which automation asks for nothing",
    )
    backlog: BacklogSettings = Field(
        default_factory=BacklogSettings,
        description="when the check `backlog` fails",
        examples=[{"most": "1 %"}],
    )

    @property
    def windows(self) -> Mapping[str, FreshnessWindow]:
        """Asset -> its window."""
        return cast("Mapping[str, FreshnessWindow]", self.model_extra or {})

    @property
    def tiles(self) -> FreshnessWindow | None:
        """The window of `raw_tile`, which is read tile by tile; None: no tile is ever due."""
        return self.windows.get(TILES)

    @property
    def is_automatic(self) -> bool:
        """Whether the project asks for its tiles itself."""
        return self.tiles is not None or self.watch is not None

    @property
    def tile_ages(self) -> tuple[Ages, ...]:
        """How old tiles may grow: first the usual, then that of each region."""
        if self.tiles is None:
            return ()
        usual = self.tiles.ages
        return (usual, *(region.ages(usual) for region in self.regions.values()))

    @model_validator(mode="after")
    def _regions_differ_from_something(self) -> Self:
        """A region's window is another one than that of the other tiles."""
        if self.regions and self.tiles is None:
            wrong = f"are other windows than that of {TILES}, which has none"
            remedy = f'add {TILES} = {{ warn = "5 days", fail = "10 days" }} to [freshness]'
            raise refusal(wrong, remedy, key="regions")
        return self

    @model_validator(mode="after")
    def _few_windows(self) -> Self:
        """Refuse more windows than are affordable at every tick."""
        windows = {ages.warn for ages in self.tile_ages}
        if len(windows) > MOST_WINDOWS:
            wrong = f"has {len(windows)} different windows, and {MOST_WINDOWS} are the most"
            raise refusal(wrong, "give several regions the same warn", key="regions")
        return self

    @model_validator(mode="after")
    def _pauses_are_no_trouble(self) -> Self:
        """Refuse pauses without end, and those in which tiles get overdue though all is well."""
        pause = longest_pause(self.paused)
        if pause == LONGEST:
            wrong = "leave no minute of the week, so nothing would ever be asked for"
            raise refusal(wrong, f"shorten them, or leave out {TILES}", key="paused")
        short = [ages for ages in self.tile_ages if ages.fail - ages.warn <= pause]
        if short:
            due, overdue = duration_text(short[0].warn), duration_text(short[0].fail)
            wrong = (
                f"pause for {duration_text(pause)}, and a tile due at {due} is overdue at {overdue}"
            )
            remedy = (
                f"shorten them, or let fail be later than warn by more than {duration_text(pause)}"
            )
            raise refusal(wrong, remedy, key="paused")
        return self


class RetentionSettings(Table):
    """Whether what can be fetched or made again is kept; it is, so far always."""

    raw_tile: Keep = Field(default=None, description='"keep"', examples=["keep"])
    reprojected_raster: Keep = Field(default=None, description='"keep"', examples=["keep"])
