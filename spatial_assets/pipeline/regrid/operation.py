"""The steps of a `regrid`, each of which may be repeated after a kill.

While `copying`, everything of before is in force and nothing that it uses is changed: shards are
copied, and the manifests as they will be are put into a folder of their own. While `switching`, the
copies come into force: rows, the root documents of the cubes, manifests. While `cleaning`, the
folder is deleted. The journal is created first and deleted last.

The shards under their old keys stay for readers that opened the cube before; `clean` deletes
them, and so does the next `regrid`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

from spatial_assets.catalog import Catalogue, find_scenes
from spatial_assets.errors import LeaseHeldError, SourceUnavailableError
from spatial_assets.geo.grid.partitioning import partition_area
from spatial_assets.geo.grid.pixel_grid import Shard, Tile
from spatial_assets.pipeline.regrid.manifests import ManifestMove
from spatial_assets.pipeline.regrid.needs import (
    RegridPlan,
    moves_from,
    planned_regrid,
    stored_cubes,
)
from spatial_assets.pipeline.regrid.regroup import Regrouping, shards_if_current
from spatial_assets.pipeline.regrid.regrouped_rows import RegroupedRows
from spatial_assets.pipeline.regrid.rows import inputs_on_new_axis, states_of_fewer_units
from spatial_assets.pipeline.stages import TILE_INDEX, by_boundary
from spatial_assets.project import Project
from spatial_assets.retries import Backoff, no_jitter, with_retries
from spatial_assets.stores import layout
from spatial_assets.stores.cube.metadata import CubeSpec
from spatial_assets.stores.cube.regrid import (
    CubeMove,
    copy_chunks,
    former_chunks,
    put_documents,
)
from spatial_assets.stores.objects.batches import in_parallel
from spatial_assets.stores.objects.grid_identity import put_grid
from spatial_assets.stores.objects.leases import REGRID_LEASE, Lease, active_leases, lease
from spatial_assets.stores.objects.manifests import (
    TileManifest,
    commit_manifest,
    read_head,
    read_manifest,
)
from spatial_assets.stores.objects.regrid_journal import (
    RegridJournal,
    RegridPhase,
    begin_regrid,
    end_regrid,
    put_journal,
    refuse_during_regrid,
    stored_journal,
)
from spatial_assets.stores.objects.store import ObjectInfo, ObjectStore
from spatial_assets.stores.rows import Replace, RowChange
from spatial_assets.stores.stage_facts import WHOLE_STAGE
from spatial_assets.stores.tables.database import Database

REGRID_LEASE_TTL = timedelta(minutes=2)
"""Time after which a regrid that died may be completed; renewed after every batch of requests."""

RUNS_WAIT = timedelta(minutes=10)
"""Longest wait for the tiles that runs have in hand; they begin no other."""

RUNS_POLL_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Regrid:
    """A move of the stored product to where the project file has it."""

    project: Project
    store: ObjectStore
    database: Database
    owner: str
    """Holder of the lease, for people: host and process."""

    clock: Callable[[], datetime]
    say: Callable[[str], None]
    """Prints a line."""

    wait: timedelta = RUNS_WAIT
    find: Callable[[Project], Catalogue] = find_scenes
    """Search for the scenes of the project's area."""

    def _catalogue(self) -> Catalogue | None:
        """Return the scenes of the area now; None, which is said, if the catalogue is away."""
        try:
            return self.find(self.project).as_of(self.clock())
        except SourceUnavailableError as error:
            self.say(f"the next run looks at all tiles, as the catalogue did not answer: {error}")
            return None

    def planned(self) -> RegridPlan | None:
        """Return what is to be done; None: nothing, or the completion of an interrupted move."""
        if stored_journal(self.store) is not None:
            return None
        return planned_regrid(self.project, self.store, today=self.clock().date())

    def regroups(self) -> bool:
        """Return True if the tiles become those of another level or scheme."""
        plan = self.planned()
        return plan is not None and plan.former is not None

    def run(self) -> bool:
        """Complete an interrupted move, or do the one that is planned; False if there is none.

        Raises:
            LeaseHeldError: another regrid works, or runs did not end in time.
            GridError: what is stored cannot be moved.
        """
        with lease(
            self.store,
            REGRID_LEASE,
            owner=self.owner,
            ttl=REGRID_LEASE_TTL,
            clock=self.clock,
        ) as held:
            journal = stored_journal(self.store) or self._begun(held)
            if journal is None:
                return False
            self._complete(journal, held)
        return True

    def _begun(self, held: Lease) -> RegridJournal | None:
        """Create the journal of the planned move; None if nothing is to be moved."""
        plan = self.planned()
        if plan is None:
            return None
        if any(move.moves_chunks for move in plan.moves):
            self._remove_former(held)
        journal = RegridJournal(
            owner=self.owner,
            started_at=f"{self.clock():%Y-%m-%d %H:%M:%S} UTC",
            why="; ".join(plan.reasons) or "time axes end with their last data",
            phase="copying",
            operation=plan.operation(),
        )
        begin_regrid(self.store, journal)
        return journal

    def _complete(self, journal: RegridJournal, held: Lease) -> None:
        moves = moves_from(journal.operation)
        self._wait_for_runs(held)
        if journal.phase == "copying":
            self._stage(journal, moves, held)
            journal = self._entered(journal, "switching")
        if journal.phase == "switching":
            self._switch_rows(journal, moves, held)
            for move in moves:
                put_documents(self.store, move.new)
            self._install(held, all_new=bool(journal.operation["former"]))
            grid = self.project.grid
            put_grid(self.store, grid.identity, grid.model_dump(mode="json"))
            journal = self._entered(journal, "cleaning")
        delete_all(self.store, self.store.list(layout.REGRID_FOLDER), alive=held.keep_alive)
        end_regrid(self.store)

    def _entered(self, journal: RegridJournal, phase: RegridPhase) -> RegridJournal:
        entered = replace(journal, phase=phase)
        put_journal(self.store, entered)
        return entered

    def _wait_for_runs(self, held: Lease) -> None:
        """Wait until no run holds a tile or a time axis.

        Raises:
            LeaseHeldError: one did not end in time.
        """

        def require_none() -> None:
            held.keep_alive()
            for kind in ("tile", "cube"):
                found = active_leases(self.store, kind, now=self.clock(), alive=held.keep_alive)
                for name, record in sorted(found.items()):
                    raise LeaseHeldError(
                        f"{name} is held by {record.owner}, and {len(found) - 1} others are held; "
                        "when these runs have ended or were stopped, complete the regrid: "
                        "spatial-assets regrid"
                    )

        with_retries(
            require_none,
            backoff=Backoff(
                first=RUNS_POLL_SECONDS,
                largest=RUNS_POLL_SECONDS,
                time_limit=self.wait.total_seconds(),
                jitter=no_jitter,
            ),
            errors=(LeaseHeldError,),
        )

    def _stage(self, journal: RegridJournal, moves: tuple[CubeMove, ...], held: Lease) -> None:
        """Copy the shards, and put the manifests as they will be into a folder of their own."""
        etags: dict[str, str] = {}
        for move in moves:
            etags |= copy_chunks(self.store, move, alive=held.keep_alive)
        self.say("the shards are copied; rewriting the manifests")
        change = ManifestMove(moves=moves, etags=etags, indices=self.project.indices.names)
        staging = self.store.within(layout.REGRID_FOLDER)

        def moved(key: str) -> TileManifest | None:
            before = read_manifest(self.store, key)
            return None if before is None else change.of(before)

        if journal.operation["former"]:
            self._stage_groups(moves, moved, held)
            return

        def stage(key: str) -> None:
            after = moved(key)
            if after is not None:
                commit_manifest(staging, after, versions=after.versions)

        in_parallel(self.store, stage, sorted(manifest_keys(self.store)), alive=held.keep_alive)

    def _stage_groups(
        self,
        moves: tuple[CubeMove, ...],
        moved: Callable[[str], TileManifest | None],
        held: Lease,
    ) -> None:
        """Put the manifests of the tiles of the project, made of those of the former tiles."""
        cubes = cubes_in_use(self.project, moves)
        staging = self.store.within(layout.REGRID_FOLDER)

        def shards(key: str) -> tuple[Shard, ...]:
            manifest = moved(key)
            return () if manifest is None else shards_if_current(self.project, manifest, cubes)

        keys = sorted(manifest_keys(self.store))
        found = in_parallel(self.store, shards, keys, alive=held.keep_alive)
        former = {key: owned for key, owned in zip(keys, found, strict=True) if owned}
        groups = Regrouping(
            project=self.project,
            store=self.store,
            before={move.old.index: move for move in moves},
            cubes=cubes,
            read=moved,
            shards=former,
        )

        def stage(tile: Tile) -> bool:
            manifest = groups.manifest(tile)
            if manifest is not None:
                commit_manifest(staging, manifest, versions=manifest.versions)
            return manifest is not None

        tiles = list(self.project.partitioning.tiles.values())
        made = sum(in_parallel(self.store, stage, tiles, alive=held.keep_alive))
        self.say(
            f"{made:,} of {len(tiles):,} tiles are made of {len(former):,} of {len(keys):,} former "
            "ones, which are up to date; the next run makes the others"
        )

    def _install(self, held: Lease, *, all_new: bool) -> None:
        """Replace the manifests by the staged ones: parts, then heads; delete the former parts.

        If the tiles are `all_new`, the manifests of the former ones are deleted too: the shards
        that they name are those of others now.
        """
        folder = f"{layout.REGRID_FOLDER}/"
        staged = [info.path for info in self.store.list(layout.REGRID_FOLDER)]
        heads = f"{folder}{layout.MANIFESTS_FOLDER}/"
        for of_heads in (False, True):
            jobs = [path for path in staged if path.startswith(heads) == of_heads]
            in_parallel(
                self.store,
                lambda path: self.store.copy(path, path.removeprefix(folder)),
                jobs,
                alive=held.keep_alive,
            )
        named = {path.removeprefix(folder) for path in staged}
        folders = [layout.MANIFEST_PARTS_FOLDER, *([layout.MANIFESTS_FOLDER] if all_new else [])]
        stored = [info for each in folders for info in self.store.list(each)]
        former = [info for info in stored if info.path not in named]
        delete_all(self.store, former, alive=held.keep_alive)

    def _switch_rows(
        self, journal: RegridJournal, moves: tuple[CubeMove, ...], held: Lease
    ) -> None:
        """Bring the rows to the new axis: those of periods that were given up are deleted."""
        project, database = self.project, self.database
        grid = project.grid_id
        database.ensure_schema(project.boundaries, project.indices.names)
        tables = [by_boundary(index) for index in project.indices.names]
        changes: list[RowChange] = [
            Replace(table, {"grid_id": grid, "period": label}, ())
            for label in journal.operation["removed"]
            for table in (*tables, TILE_INDEX)
        ]
        former = journal.operation["former"]
        if former:
            changes += self._rows_of_groups(former, moves, held)
        else:
            changes += inputs_on_new_axis(project, database, moves[0])
        if journal.operation["removed"] and not former:
            changes += states_of_fewer_units(database, grid, self._whole_stages(held))
        if changes:
            database.commit(changes)

    def _rows_of_groups(
        self, former: Mapping[str, Any], moves: tuple[CubeMove, ...], held: Lease
    ) -> list[RowChange]:
        """Return the rows of the tiles of the project, in place of those of the former grid."""
        staging = self.store.within(layout.REGRID_FOLDER)
        keys = sorted(manifest_keys(staging))
        heads = in_parallel(
            self.store, lambda key: read_manifest(staging, key), keys, alive=held.keep_alive
        )
        rows = RegroupedRows(
            project=self.project,
            database=self.database,
            former=str(former["grid_id"]),
            former_tiles=partition_area(
                self.project.pixel_grid,
                former["grid"]["partitions"],
                former["grid"]["level"],
                area=self.project.area_geometry,
            ),
            now=self.clock(),
            indices=tuple(cubes_in_use(self.project, moves)),
        )
        return rows.changes([head for head in heads if head is not None], self._catalogue)

    def _whole_stages(self, held: Lease) -> dict[tuple[str, str], tuple[str, str]]:
        """Map (tile, stage) to the fingerprint of the whole stage before and after the move."""
        staging = self.store.within(layout.REGRID_FOLDER)
        keys = sorted(manifest_keys(staging))

        def both(key: str) -> tuple[TileManifest | None, TileManifest | None]:
            return read_head(self.store, key), read_head(staging, key)

        heads = zip(keys, in_parallel(self.store, both, keys, alive=held.keep_alive), strict=True)
        return {
            (key, stage): (old.fingerprint, new.fingerprint)
            for key, (before, after) in heads
            if before is not None and after is not None
            for stage in before.stages
            if (old := before.entry(stage, WHOLE_STAGE)) is not None
            and (new := after.entry(stage, WHOLE_STAGE)) is not None
        }

    def clean(self) -> int:
        """Delete the shards under the keys of before the last move; return their number.

        Raises:
            RegridUnderWayError: a move is under way, which may need them.
            LeaseHeldError: another regrid works.
        """
        with lease(
            self.store, REGRID_LEASE, owner=self.owner, ttl=REGRID_LEASE_TTL, clock=self.clock
        ) as held:
            refuse_during_regrid(self.store)
            return self._remove_former(held)

    def _remove_former(self, held: Lease) -> int:
        count = 0
        for spec in stored_cubes(self.project, self.store):
            former = former_chunks(self.store, spec)
            delete_all(self.store, former, alive=held.keep_alive)
            count += len(former)
        return count


def cubes_in_use(project: Project, moves: Iterable[CubeMove]) -> dict[str, CubeSpec]:
    """Map the indices of the project to their cubes after the move."""
    moved = {move.new.index: move.new for move in moves}
    return {name: moved[name] for name in project.indices.names if name in moved}


def delete_all(
    store: ObjectStore, objects: Iterable[ObjectInfo], *, alive: Callable[[], None]
) -> None:
    """Delete objects; missing ones are no error."""
    in_parallel(store, lambda info: store.delete(info.path), objects, alive=alive)


def manifest_keys(store: ObjectStore) -> set[str]:
    """Keys of the tiles that have a manifest."""
    found = (manifest_key(info.path) for info in store.list(layout.MANIFESTS_FOLDER))
    return {key for key in found if key is not None}


def manifest_key(path: str) -> str | None:
    """Return the key of the tile whose manifest is at a path; None for other paths."""
    found = re.fullmatch(rf"{layout.MANIFESTS_FOLDER}/(.+)\.json", path)
    return unquote(found[1]) if found else None
