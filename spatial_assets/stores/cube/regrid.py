"""The move of a cube to another corner or start: its shards copied under their new indices.

Zarr derives the key of a chunk from its place in the array, so a cube that grows to the west, to
the north or to an earlier time needs other keys for all its chunks. Zarr v3 has two encodings of
them: the moved cube uses the other one, in the same arrays. Both lie side by side, and the root
document, which has all the metadata, switches from one to the other: a reader sees the cube as it
was or as it is, and one that had it open goes on reading the chunks of before until they are
deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from spatial_assets.errors import GridError
from spatial_assets.geo.grid.geobox import Window
from spatial_assets.geo.periods import Periods
from spatial_assets.stores import layout
from spatial_assets.stores.cube.cube import shard_of_path, shard_path
from spatial_assets.stores.cube.metadata import (
    OBSERVATIONS,
    ROOT,
    ChunkKeys,
    CubeSpec,
    cube_documents,
)
from spatial_assets.stores.objects.batches import in_parallel
from spatial_assets.stores.objects.store import ObjectInfo, ObjectStore

OTHER_KEYS: dict[ChunkKeys, ChunkKeys] = {"default": "v2", "v2": "default"}

ARRAYS = ("time", "x", "y")
"""Coordinates, which have chunks beside the arrays of pixels."""


@dataclass(frozen=True)
class CubeMove:
    """A cube before and after; both describe the same pixels where they overlap."""

    old: CubeSpec
    new: CubeSpec

    @property
    def shift(self) -> int:
        """Periods by which the axis now starts earlier; negative: later."""
        old, new = self.old.periods, self.new.periods
        if new.start <= old.start:
            return new.index_of(old.start)
        return -old.index_of(new.start)

    @property
    def moves_chunks(self) -> bool:
        """True if chunks have other keys."""
        return self.old.chunk_keys != self.new.chunk_keys

    def path(self, path: str) -> str | None:
        """New path of an object; of others than shards the same; None: it has no place any more.

        A path that is the new one already stays as it is.
        """
        found = shard_of_path(self.old, path) if self.moves_chunks else None
        if found is None:
            return path
        name, period, shard = found
        period += self.shift
        if period < 0:
            return None
        return shard_path(self.new, name, period=period, shard=shard)

    def period(self, period: int) -> int | None:
        """New position of a period on the axis; None if it is before the start."""
        moved = period + self.shift
        return moved if moved >= 0 else None


def moved_spec(stored: CubeSpec, wanted: CubeSpec, *, last: Periods) -> CubeSpec:
    """Return the cube that holds `stored` and `wanted`, whatever has to move.

    Args:
        stored: the cube in the store.
        wanted: the cube of the project.
        last: axis that ends with the last period to keep; it starts where that of `wanted` does.

    Raises:
        GridError: pixels or periods have another size.
    """
    if stored.grid != wanted.grid or stored.periods.length != wanted.periods.length:
        raise GridError(
            f"{stored.index}.zarr has pixels of {stored.grid} by {stored.periods.length}, the "
            f"project has {wanted.grid} by {wanted.periods.length}; pixels of another size are "
            "computed, not moved: give [storage] url a new prefix, or restore the setting"
        )
    ours, theirs = stored.extent, wanted.extent
    column, row = min(ours.column, theirs.column), min(ours.row, theirs.row)
    width = max(ours.column_stop, theirs.column_stop) - column
    height = max(ours.row_stop, theirs.row_stop) - row
    moves = (column, row) != (ours.column, ours.row) or last.first_day(0) != stored.periods.start
    return replace(
        stored,
        grid_id=wanted.grid_id,
        extent=Window(column, row, width, height),
        periods=last,
        chunk_keys=OTHER_KEYS[stored.chunk_keys] if moves else stored.chunk_keys,
    )


def stored_chunks(store: ObjectStore, spec: CubeSpec) -> Iterator[tuple[int, ObjectInfo]]:
    """Yield the shards of the cube that exist, in both arrays, each with its period."""
    for name in (spec.index, OBSERVATIONS):
        for info in store.list(_chunk_folder(spec, name)):
            found = shard_of_path(spec, info.path)
            if found is not None:
                yield found[1], info


def copy_chunks(store: ObjectStore, move: CubeMove, *, alive: Callable[[], None]) -> dict[str, str]:
    """Copy all shards to their new keys, except those that were copied before.

    Returns:
        New path -> etag, of the copies whose etag differs from that of the original.
    """
    if not move.moves_chunks:
        return {}
    changed: dict[str, str] = {}
    for name in (move.old.index, OBSERVATIONS):
        for period in range(move.old.periods.count):
            # Period by period, so that memory does not grow with the product.
            changed |= _copy_period(store, move, f"{name}/{period}", alive=alive)
    return changed


def _copy_period(
    store: ObjectStore, move: CubeMove, array_and_period: str, *, alive: Callable[[], None]
) -> dict[str, str]:
    name, _, number = array_and_period.rpartition("/")
    moved = move.period(int(number))
    if moved is None:
        return {}
    old = store.list(f"{_chunk_folder(move.old, name)}/{number}")
    targets = {info.path: move.path(info.path) or "" for info in old}
    target_folder = f"{_chunk_folder(move.new, name)}/{moved}"
    present = {info.path for info in store.list(target_folder)}
    jobs = [job for job in targets.items() if job[1] not in present]
    in_parallel(store, lambda job: store.copy(*job), jobs, alive=alive)
    etags = {info.path: info.etag for info in store.list(target_folder)}
    return {
        target: etags[target]
        for info in old
        if (target := targets[info.path]) in etags and etags[target] != info.etag
    }


def put_documents(store: ObjectStore, spec: CubeSpec) -> None:
    """Put the metadata and the coordinates of a cube, the root last: it switches to them.

    Chunks come before the metadata of their arrays, for readers of a single array.
    """
    documents = cube_documents(spec)
    for path in sorted(documents, key=lambda path: (path == ROOT, path.endswith(ROOT), path)):
        store.put(f"{layout.cube(spec.index)}/{path}", documents[path])


def former_chunks(store: ObjectStore, spec: CubeSpec) -> list[ObjectInfo]:
    """Chunks that an earlier `regrid` copied from: no metadata name them any more."""
    former = replace(spec, chunk_keys=OTHER_KEYS[spec.chunk_keys])
    return [
        info
        for name in (spec.index, OBSERVATIONS, *ARRAYS)
        for info in store.list(_chunk_folder(former, name))
        if _is_chunk(former, name, info.path)
    ]


def _chunk_folder(spec: CubeSpec, name: str) -> str:
    folder = f"{layout.cube(spec.index)}/{name}"
    return f"{folder}/c" if spec.chunk_keys == "default" else folder


def _is_chunk(spec: CubeSpec, name: str, path: str) -> bool:
    key = path.removeprefix(f"{layout.cube(spec.index)}/{name}/")
    return all(part.isdigit() for part in key.removeprefix("c/").split("/")) and (
        key.startswith("c/") == (spec.chunk_keys == "default")
    )
