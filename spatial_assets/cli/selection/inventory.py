"""What exists of a project's tiles: read from database and store, and nothing is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from spatial_assets.cli.app.open_project import OpenProject
from spatial_assets.cli.selection.tile_options import TileSelectors
from spatial_assets.cli.selection.tile_status import (
    TileStatus,
    TileSummary,
    moment,
    summarize_tile,
)
from spatial_assets.pipeline.stages import chain_of
from spatial_assets.pipeline.tile.manifest_builder import lost_units
from spatial_assets.project import Project
from spatial_assets.stores import layout
from spatial_assets.stores.objects.manifests import read_manifest
from spatial_assets.stores.rows import Row

if TYPE_CHECKING:
    from spatial_assets.catalog import Catalogue
    from spatial_assets.cli.selection.changes import ChangedTiles


COMPLETE_STATUSES = frozenset({TileStatus.EMPTY, TileStatus.MATERIALIZED})
MANIFEST_READ_THREADS = 16  # of manifests: small objects, each a round trip where the store is far


@dataclass(frozen=True)
class SelectedTiles:
    """Tiles that were asked for."""

    keys: tuple[str, ...]
    """In their order."""

    why: ChangedTiles = field(default_factory=dict)
    """Of those that --changed found: tile -> what changed."""


@dataclass(frozen=True, eq=False)
class Inventory:
    """What is known of a project's tiles."""

    opened: OpenProject

    @property
    def project(self) -> Project:
        """Whose tiles."""
        return self.opened.project

    @cached_property
    def catalogue(self) -> Catalogue:
        """What the project's catalogue has, asked once.

        Raises:
            SourceUnavailableError: it did not answer.
        """
        from spatial_assets.catalog import find_scenes

        return find_scenes(self.project)

    def chosen(
        self, selectors: TileSelectors, stages: Iterable[str], *, now: datetime
    ) -> SelectedTiles:
        """The tiles that were asked for.

        Raises:
            GridError: a key is of no tile, or there is no tile in those places.
            SettingsError: --stale, and the project does not say when a tile is.
            SourceUnavailableError: --changed, and the catalogue did not answer.
        """
        keys = selectors.places(self.project.partitioning)
        if not selectors.asks_for_states:
            return SelectedTiles(keys)
        counted = chain_of(self.project).in_order(stages) or chain_of(self.project).stages
        verify = TileStatus.MISSING in selectors.standings
        tiles = self.tiles(counted, keys=keys, verify=verify)
        changed = self._changes(keys, counted) if selectors.changed else {}
        among = selectors.among(tiles, self.project, now=now, changed=changed)
        return SelectedTiles(among, {key: changed[key] for key in among if key in changed})

    def _changes(self, keys: Sequence[str], stages: Sequence[str]) -> ChangedTiles:
        from spatial_assets.cli.selection.changes import changed_tiles

        inputs = self.rows("tile_inputs")
        return changed_tiles(self.opened, self.catalogue, inputs, keys=keys, stages=stages)

    def tiles(
        self,
        stages: Iterable[str] = (),
        *,
        keys: Sequence[str] | None = None,
        verify: bool = False,
    ) -> tuple[TileSummary, ...]:
        """How tiles stand.

        Args:
            stages: those that count; default: all of the chain.
            keys: of which tiles; default: all, in the order of the partitions.
            verify: also see that each object of the manifests is still the one committed; a tile
                that lost one is missing.
        """
        chain = chain_of(self.project)
        counted = chain.in_order(stages) or chain.stages
        states = _by_tile(self.rows("tile_state"))
        pixels = _by_tile(
            row
            for row in self.rows("tile_index")
            if row["index_name"] == self.project.indices.names[0]
        )
        looked = {
            str(row["tile"]): moment(row["looked_at"])
            for row in self.rows("tile_inputs", columns=("tile", "looked_at"))
        }
        held = {str(row["subject"]) for row in self.quarantine() if row["kind"] == "tile"}
        found = [
            summarize_tile(
                key,
                states[key],
                stages=counted,
                pixels=pixels[key],
                looked_at=looked.get(key),
                quarantined=key in held,
            )
            for key in (self.project.partitioning.keys if keys is None else keys)
        ]
        return tuple(self._seen_in_the_store(found, counted, verify=verify))

    def quarantine(self) -> tuple[Row, ...]:
        """What is in quarantine: scenes, tiles and features that nobody released."""
        return tuple(row for row in self.rows("quarantine") if row["released_at"] is None)

    def rows(self, table: str, *, columns: Sequence[str] | None = None) -> list[dict[str, object]]:
        """Rows of this grid; none where there is no such table yet."""
        where = {"grid_id": self.project.grid_id}
        return self.opened.database.rows_if_any(table, where, columns=columns)

    def _seen_in_the_store(
        self, tiles: Sequence[TileSummary], stages: Sequence[str], *, verify: bool
    ) -> Iterator[TileSummary]:
        """The tiles; what the database calls good and the store has not is missing."""
        listed = self.opened.store.list(layout.MANIFESTS_FOLDER) if self.opened.has_store else ()
        manifests = {info.path for info in listed}
        lost = {tile.tile: "" for tile in tiles if layout.manifest(tile.tile) not in manifests}
        if verify:
            asked = [
                t.tile for t in tiles if t.standing in COMPLETE_STATUSES and t.tile not in lost
            ]
            with ThreadPoolExecutor(MANIFEST_READ_THREADS) as pool:
                first = pool.map(lambda key: self._first_lost(key, stages), asked)
                lost |= {key: stage for key, stage in zip(asked, first, strict=True) if stage}
        for tile in tiles:
            if tile.standing in COMPLETE_STATUSES and tile.tile in lost:
                stage = lost[tile.tile] or stages[0]
                message = f"objects of {stage} are gone from the store, or are others"
                yield TileSummary(
                    tile=tile.tile,
                    standing=TileStatus.MISSING,
                    stage=stage,
                    reason="objects_gone",
                    message=message,
                )
            else:
                yield tile

    def _first_lost(self, key: str, stages: Sequence[str]) -> str:
        """The first stage of a tile that has lost an object; empty where none has."""
        manifest = read_manifest(self.opened.store, key)
        if manifest is None:
            return stages[0]
        lost = {stage for stage, _ in lost_units(self.opened.store, manifest)}
        return next((stage for stage in stages if stage in lost), "")


def _by_tile(rows: Iterable[Row]) -> defaultdict[str, list[Row]]:
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[str(row["tile"])].append(row)
    return found
