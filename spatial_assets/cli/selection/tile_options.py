"""Options of `plan` and `materialize` that select tiles, and the selection.

Locations (--bbox, --area, --region, --tiles) add up. States (--missing, --failed, --quarantined,
--stale, --changed) also add up, and select among the tiles at those locations. Default: all tiles.
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
NO_MATCHING_TILE = "No tile matches the selection; nothing to do."

STATE_OPTIONS = {
    "missing": "Tiles with an output that was never made or is gone from the store.",
    "failed": "Tiles that failed with an error that may have been temporary.",
    "quarantined": "Tiles in quarantine; recomputed only if their input changed.",
    "stale": "Tiles whose inputs were last checked longer ago than [freshness] allows.",
    "changed": "Tiles whose scenes, settings or boundaries changed since they were made.",
}


@dataclass(frozen=True, kw_only=True)
class TileSelectors:
    """Tiles that the options select."""

    area: BaseGeometry | None = None
    """Union of --bbox and --area, lon/lat."""

    keys: tuple[str, ...] = ()
    """Keys and patterns of --tiles, and the keys of --region."""

    statuses: frozenset[TileStatus] = frozenset()
    """Statuses of --missing, --failed and --quarantined."""

    stale: bool = False
    changed: bool = False

    @property
    def needs_statuses(self) -> bool:
        """True if the selection depends on the status of tiles."""
        return bool(self.statuses) or self.stale or self.changed

    def located(self, partitioning: Partitioning) -> tuple[str, ...]:
        """Return the tiles at the selected locations, in partition order.

        Raises:
            GridError: a key is not a tile of the area, or no tile is at the locations.
        """
        if self.area is None and not self.keys:
            return partitioning.keys
        chosen = set() if self.area is None else set(partitioning.touching(self.area))
        for key in self.keys:
            chosen.update(_matching(partitioning, key))
        if not chosen:
            message = "no tile of [area] is there; list all tiles with `spatial-assets tiles`"
            raise GridError(message)
        return tuple(key for key in partitioning.keys if key in chosen)

    def matching(
        self,
        tiles: Iterable[TileSummary],
        project: Project,
        *,
        now: datetime,
        changed: Collection[str] = (),
    ) -> tuple[str, ...]:
        """Return the tiles with a selected state, in their order; `changed` are already known.

        Raises:
            SettingsError: --stale, but the project sets no maximum age.
        """
        if not self.needs_statuses:
            return tuple(tile.tile for tile in tiles)
        return tuple(
            tile.tile
            for tile in tiles
            if tile.status in self.statuses
            or tile.tile in changed
            or (self.stale and is_stale(tile, project, now=now))
        )


def tile_selection_options(command: Callable[..., Result]) -> Callable[..., Result]:
    """Add the options to a command, which receives them as its argument `selectors`."""

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
        statuses = frozenset(
            status for status in TileStatus if others.pop(str(status), False) is True
        )
        selectors = TileSelectors(
            area=selected_area(bbox, area),
            keys=(*tiles, *regions),
            statuses=statuses,
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
            click.option(f"--{name}", is_flag=True, help=text)
            for name, text in STATE_OPTIONS.items()
        ),
    ]
    for option in reversed(options):
        folded = option(folded)
    return folded


def _parse_keys(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[str, ...]:
    """Parse keys and patterns, separated by commas or whitespace."""
    if value is None:
        return ()
    text = sys.stdin.read() if value == FROM_STANDARD_INPUT else value
    keys = tuple(text.replace(",", " ").split())
    if not keys:
        message = "names no tile; give keys separated by commas, or omit the option"
        raise click.BadParameter(message)
    return keys


tiles_option = click.option(
    "--tiles",
    metavar="KEY,KEY",
    callback=_parse_keys,
    help="Only these tiles: keys or patterns such as 12022*; - reads them from standard input.",
)


def _matching(partitioning: Partitioning, key: str) -> Sequence[str]:
    """Return the tile of a key, or the tiles that match a pattern."""
    if not WILDCARDS & set(key):
        return (partitioning.tile(key).key,)
    found = [each for each in partitioning.keys if fnmatchcase(each, key)]
    if not found:
        message = f"no tile matches {key!r}; list all tiles with `spatial-assets tiles`"
        raise GridError(message)
    return found
