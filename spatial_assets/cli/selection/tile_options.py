"""The options that choose tiles, and the choice: what `plan` and `materialize` have in common.

Places (--bbox, --area, --region, --tiles) add up. So do states, age and changes (--missing,
--failed, --quarantined, --stale, --changed), which choose among the tiles of those places. Nothing
given: all tiles.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from functools import wraps
from typing import TypeVar

import click
from shapely.geometry.base import BaseGeometry

from spatial_assets.cli.app.options import area_option, bbox_option, region_option, selected_area
from spatial_assets.cli.selection.stale_tiles import is_stale
from spatial_assets.cli.selection.tile_status import TileStatus, TileSummary
from spatial_assets.errors import GridError
from spatial_assets.geo.grid.partitioning import Partitioning
from spatial_assets.project import Project

Result = TypeVar("Result")

FROM_STANDARD_INPUT = "-"
WILDCARDS = frozenset("*?[")

STATE_OPTIONS = {
    "missing": "Tiles of which something was never made, or is gone from the store.",
    "failed": "Tiles that failed: trouble that may have passed.",
    "quarantined": "Tiles in quarantine; they are computed again where their input changed.",
    "stale": "Tiles whose inputs were not looked at for longer than [freshness] allows.",
    "changed": "Tiles whose scenes, settings or boundaries are not those they were made from.",
}


@dataclass(frozen=True, kw_only=True)
class TileSelectors:
    """What was asked for."""

    area: BaseGeometry | None = None
    """--bbox and --area together, lon/lat."""

    keys: tuple[str, ...] = ()
    """--tiles: keys and patterns; and the keys of --region."""

    standings: frozenset[TileStatus] = frozenset()
    """--missing, --failed, --quarantined."""

    stale: bool = False
    changed: bool = False

    @property
    def asks_for_states(self) -> bool:
        """Whether it must be known how tiles stand."""
        return bool(self.standings) or self.stale or self.changed

    def places(self, partitioning: Partitioning) -> tuple[str, ...]:
        """The tiles of the places, in their order.

        Raises:
            GridError: a key is of no tile, or nothing is in the places.
        """
        if self.area is None and not self.keys:
            return partitioning.keys
        chosen = set() if self.area is None else set(partitioning.touching(self.area))
        for key in self.keys:
            chosen.update(_matching(partitioning, key))
        if not chosen:
            message = "no tile of [area] is there; `spatial-assets tiles` lists them all"
            raise GridError(message)
        return tuple(key for key in partitioning.keys if key in chosen)

    def among(
        self,
        tiles: Iterable[TileSummary],
        project: Project,
        *,
        now: datetime,
        changed: Collection[str] = (),
    ) -> tuple[str, ...]:
        """Those of `tiles` that stand as asked for, in their order; `changed` ones among them.

        Raises:
            SettingsError: --stale, and the project does not say when a tile is.
        """
        if not self.asks_for_states:
            return tuple(tile.tile for tile in tiles)
        return tuple(
            tile.tile
            for tile in tiles
            if tile.standing in self.standings
            or tile.tile in changed
            or (self.stale and is_stale(tile, project, now=now))
        )


def tile_selection_options(command: Callable[..., Result]) -> Callable[..., Result]:
    """Give a command the options, folded into its argument `selectors`."""

    @wraps(command)
    def folded(
        *,
        bbox: BaseGeometry | None,
        area: BaseGeometry | None,
        regions: tuple[str, ...],
        tiles: tuple[str, ...],
        stale: bool,
        changed: bool,
        **others: object,
    ) -> Result:
        asked = frozenset(
            standing for standing in TileStatus if others.pop(str(standing), False) is True
        )
        selectors = TileSelectors(
            area=selected_area(bbox, area),
            keys=(*tiles, *regions),
            standings=asked,
            stale=stale,
            changed=changed,
        )
        return command(selectors=selectors, **others)

    options = [
        bbox_option,
        area_option,
        region_option,
        tiles_option,
        *(
            click.option(f"--{name}", is_flag=True, help=told)
            for name, told in STATE_OPTIONS.items()
        ),
    ]
    for option in reversed(options):
        folded = option(folded)
    return folded


def _parse_keys(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[str, ...]:
    """Keys and patterns, by comma or one a line."""
    if value is None:
        return ()
    text = sys.stdin.read() if value == FROM_STANDARD_INPUT else value
    keys = tuple(text.replace(",", " ").split())
    if not keys:
        message = "names no tile; give keys with commas between them, or none at all"
        raise click.BadParameter(message)
    return keys


tiles_option = click.option(
    "--tiles",
    metavar="KEY,KEY",
    callback=_parse_keys,
    help="Only these tiles: keys and patterns such as 12022*; - reads standard input.",
)


def _matching(partitioning: Partitioning, key: str) -> Sequence[str]:
    """The tile of a key, or those that a pattern fits."""
    if not WILDCARDS & set(key):
        return (partitioning.tile(key).key,)
    found = [each for each in partitioning.keys if fnmatchcase(each, key)]
    if not found:
        message = f"no tile fits {key!r}; `spatial-assets tiles` lists them all"
        raise GridError(message)
    return found
