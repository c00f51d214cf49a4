"""Inventory of a project's tiles, read from the database and the store; writes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from spatial_assets.cli.app.clock import now
from spatial_assets.cli.app.open_project import OpenProject
from spatial_assets.cli.selection.tile_options import TileSelectors
from spatial_assets.cli.selection.tile_status import (
    TileStatus,
    TileSummary,
    summarize_good_tile,
    summarize_tile,
)
from spatial_assets.errors import LeaseHeldError
from spatial_assets.pipeline.quarantine_subjects import stage_of_subject, subjects_by_tile
from spatial_assets.pipeline.run.settled_months import unsettle
from spatial_assets.pipeline.stages import RAW, chain_of
from spatial_assets.pipeline.tile.manifest_builder import lost_units
from spatial_assets.project import Project
from spatial_assets.stores import layout
from spatial_assets.stores.objects.leases import lease
from spatial_assets.stores.objects.manifests import read_manifest
from spatial_assets.stores.objects.store import ObjectStore
from spatial_assets.stores.rows import Row
from spatial_assets.stores.tables.tile_overviews import InputsOverview, PixelsOverview

if TYPE_CHECKING:
    from spatial_assets.catalog import Catalogue
    from spatial_assets.cli.selection.changes import ChangedTiles
    from spatial_assets.pipeline.freshness.scene_register import AbsentScenes


COMPLETE_STATUSES = frozenset({TileStatus.EMPTY, TileStatus.MATERIALIZED})
MANIFEST_READ_THREADS = 16  # a manifest is a small object, but one round trip to a remote store


@dataclass(frozen=True)
class SelectedTiles:
    """Tiles that match the selectors."""

    keys: tuple[str, ...]
    """Tile keys in partition order."""

    changes: ChangedTiles = field(default_factory=dict)
    """Tiles among them that --changed found, with the causes."""

    lost: tuple[str, ...] = ()
    """Tiles among them of which objects are missing from the store or were replaced."""

    def let_runs_find_lost(self, store: ObjectStore) -> None:
        """Let the next run of each tile that lost objects walk all its months.

        A tile that a run is working on is skipped.
        """
        for key in self.lost:
            held = lease(
                store, f"tile/{key}", owner="lost objects", ttl=UNSETTLE_LEASE_TTL, clock=now
            )
            with suppress(LeaseHeldError), held:
                unsettle(store, key)


OBJECTS_GONE = "objects_gone"
"""Reason of a tile that is missing because the store lost objects of it."""

UNSETTLE_LEASE_TTL = timedelta(minutes=2)  # one small object, with all retries


@dataclass(frozen=True, eq=False)
class Inventory:
    """Tiles, rows and scenes of an open project."""

    opened: OpenProject

    @property
    def project(self) -> Project:
        """Project that the tiles belong to."""
        return self.opened.project

    @cached_property
    def catalogue(self) -> Catalogue:
        """Scenes in the project's catalogue, searched once.

        Raises:
            SourceUnavailableError: the catalogue did not answer.
        """
        from spatial_assets.catalog import find_scenes

        return find_scenes(self.project)

    @cached_property
    def absent(self) -> AbsentScenes:
        """Scenes that tiles were made from and the catalogue does not list.

        Raises:
            SourceUnavailableError: the catalogue did not answer.
        """
        from spatial_assets.pipeline.freshness.scene_register import AbsentScenes, absent_scenes

        if not self.opened.has_store:
            return AbsentScenes()
        return absent_scenes(self.project, self.opened.store, self.catalogue)

    def not_asked_for(self) -> frozenset[str]:
        """Return the scenes in use that [scenes] and [area] no longer ask for."""
        from spatial_assets.catalog.stac.item_filter import item_filter_of
        from spatial_assets.pipeline.freshness.scene_register import SceneRegister

        if not self.opened.has_store:
            return frozenset()
        return SceneRegister.load(self.opened.store).not_asked_for(item_filter_of(self.project))

    def select(
        self, selectors: TileSelectors, stages: Iterable[str], *, now: datetime
    ) -> SelectedTiles:
        """Select the tiles that match.

        Raises:
            GridError: a key is not a tile of the area, or no tile is at the location.
            SettingsError: --stale, but the project sets no maximum age.
            SourceUnavailableError: --changed, but the catalogue did not answer.
        """
        keys = selectors.located(self.project.partitioning)
        if not selectors.needs_statuses:
            return SelectedTiles(keys)
        counted = chain_of(self.project).in_order(stages) or chain_of(self.project).stages
        verify = TileStatus.MISSING in selectors.statuses
        tiles = self.tiles(counted, keys=keys, verify=verify, pixels=False)
        changed = self._changes(keys, counted) if selectors.changed else {}
        matching = selectors.matching(tiles, self.project, now=now, changed=changed)
        gone = {tile.tile for tile in tiles if tile.reason == OBJECTS_GONE}
        return SelectedTiles(
            matching,
            changes={key: changed[key] for key in matching if key in changed},
            lost=tuple(key for key in matching if key in gone),
        )

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
        pixels: bool = True,
    ) -> tuple[TileSummary, ...]:
        """Summarize the status of tiles, from queries whose number does not depend on theirs.

        Args:
            stages: stages that count; default: all of the chain.
            keys: tiles to summarize; default: all, in partition order.
            verify: also verify that every object named in the manifests is the one committed; a
                tile that lost an object is missing.
            pixels: also read the fraction of valid pixels.
        """
        chain = chain_of(self.project)
        counted = chain.in_order(stages) or chain.stages
        database, grid = self.opened.database, self.project.grid_id
        states = database.state_overviews(grid, counted)
        inputs = self.inputs
        fractions: Mapping[str, PixelsOverview] = {}
        if pixels or not states.keys() <= inputs.keys():  # earlier versions recorded no inputs
            fractions = database.pixel_overviews(grid, self.project.indices.names[0])
        bad = self._rows_of([tile for tile, found in states.items() if found.bad])
        held = subjects_by_tile(self.quarantine()) if bad else {}
        found = []
        for key in self.project.partitioning.keys if keys is None else keys:
            checked_at = inputs[key].looked_at if key in inputs else None
            fraction = fractions.get(key)
            if key in bad:
                summary = summarize_tile(
                    key,
                    bad[key],
                    stages=counted,
                    pixels=fraction,
                    checked_at=checked_at,
                    held=held.get(key, ()),
                )
            else:
                summary = summarize_good_tile(
                    key, states.get(key), stages=counted, pixels=fraction, checked_at=checked_at
                )
            found.append(summary)
        return tuple(self._compared_with_store(found, counted, verify=verify))

    @cached_property
    def inputs(self) -> Mapping[str, InputsOverview]:
        """Inputs that each tile was last made from, in short; a tile never made has none."""
        return self.opened.database.input_overviews(self.project.grid_id, RAW)

    @cached_property
    def keys_with_manifest(self) -> frozenset[str]:
        """Tiles of the area that have a manifest in the store, which is listed once."""
        if not self.opened.has_store:
            return frozenset()
        listed = self.opened.store.paths(layout.MANIFESTS_FOLDER)
        keys = self.project.partitioning.keys if listed else ()
        return frozenset(key for key in keys if layout.manifest(key) in listed)

    def _rows_of(self, tiles: Sequence[str]) -> dict[str, list[Row]]:
        """Return the rows of `tile_state` of some tiles, by tile."""
        where = {"grid_id": self.project.grid_id, "tile": tiles}
        rows = self.opened.database.rows("tile_state", where) if tiles else []
        return _by_tile(rows)

    def quarantine(self) -> tuple[Row, ...]:
        """Rows of the scenes, tiles and features in quarantine that were not released.

        A stage that left the project is in quarantine no longer.
        """
        known = {"", *chain_of(self.project).stages}
        return tuple(
            row
            for row in self.rows("quarantine")
            if row["released_at"] is None
            and (row["kind"] != "tile" or stage_of_subject(str(row["subject"])) in known)
        )

    def rows(self, table: str, *, columns: Sequence[str] | None = None) -> list[dict[str, object]]:
        """Read the rows of this grid; none if the table does not exist yet."""
        where = {"grid_id": self.project.grid_id}
        return self.opened.database.rows_if_any(table, where, columns=columns)

    def _compared_with_store(
        self, tiles: Sequence[TileSummary], stages: Sequence[str], *, verify: bool
    ) -> Iterator[TileSummary]:
        """Yield the tiles; one that is complete in the database but not in the store is missing."""
        made = self.keys_with_manifest
        lost = {tile.tile: "" for tile in tiles if tile.tile not in made}
        if verify:
            complete = [
                t.tile for t in tiles if t.status in COMPLETE_STATUSES and t.tile not in lost
            ]
            with ThreadPoolExecutor(MANIFEST_READ_THREADS) as pool:
                first = pool.map(lambda key: self._first_lost(key, stages), complete)
                lost |= {key: stage for key, stage in zip(complete, first, strict=True) if stage}
        for tile in tiles:
            if tile.status in COMPLETE_STATUSES and tile.tile in lost:
                stage = lost[tile.tile] or stages[0]
                message = f"objects of {stage} are missing from the store or were replaced"
                yield TileSummary(
                    tile=tile.tile,
                    status=TileStatus.MISSING,
                    stage=stage,
                    reason=OBJECTS_GONE,
                    message=message,
                )
            else:
                yield tile

    def _first_lost(self, key: str, stages: Sequence[str]) -> str:
        """Return the first stage of a tile that lost an object; empty if none did."""
        manifest = read_manifest(self.opened.store, key)
        if manifest is None:
            return stages[0]
        lost = {stage for stage, _ in lost_units(self.opened.store, manifest)}
        return next((stage for stage in stages if stage in lost), "")


def _by_tile(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[str(row["tile"])].append(row)
    return dict(found)
