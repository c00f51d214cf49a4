"""The Zarr cube of an index: the driver creates and extends it, workers write whole shards.

`metadata` defines the documents of the cube. Only the driver writes metadata. A shard is encoded in
memory and put as one object, so a reader sees it old or new, never partial, and its size, etag and
hash are known for the manifest of the tile.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.buffer import Buffer
from zarr.buffer import cpu
from zarr.storage import MemoryStore

from spatial_assets.errors import RasterError, StoreError
from spatial_assets.geo.grid.geobox import Window
from spatial_assets.geo.grid.pixel_grid import Shard, Tile
from spatial_assets.geo.radiometry import FILL
from spatial_assets.stores import layout
from spatial_assets.stores.cube.metadata import (
    OBSERVATIONS,
    ROOT,
    CubeSpec,
    cube_documents,
    parsed_spec,
)
from spatial_assets.stores.cube.zarr_store import ReadOnlyZarrStore
from spatial_assets.stores.objects.leases import lease
from spatial_assets.stores.objects.store import ObjectInfo, ObjectStore

if TYPE_CHECKING:
    import xarray as xr

SHARD = "c/0/0/0"
LOCK_TTL = timedelta(minutes=2)  # a dozen small objects, with all retries
LOCK_WAIT = timedelta(minutes=3)  # longer than the lease of a driver that died


def stored_cube(store: ObjectStore, index: str) -> CubeSpec | None:
    """Read the declaration of the stored cube; None if there is none."""
    root = store.find(f"{layout.cube(index)}/{ROOT}")
    return None if root is None else parsed_spec(root, index=index)


def ensure_cube(
    store: ObjectStore, spec: CubeSpec, *, owner: str, clock: Callable[[], datetime]
) -> CubeSpec:
    """Create the cube, or extend it in time, to the east and to the south; for the driver only.

    Safe for concurrent drivers: metadata changes under an exclusive lease, for all arrays
    together, and no stored shard changes. A smaller area or a shorter axis changes nothing:
    `prune` deletes tiles that left the area.

    Returns:
        The stored cube, which contains `spec`.

    Raises:
        GridError: stored pixels or periods would have to move; the message has the remedy.
        LeaseHeldError: another driver did not finish in time.
    """
    found = stored_cube(store, spec.index)
    if found is not None and found.grown_to(spec) == found:
        return found
    with lease(
        store,
        f"cube/{spec.index}",
        owner=owner,
        ttl=LOCK_TTL,
        clock=clock,
        wait=LOCK_WAIT,
    ) as held:
        found = stored_cube(store, spec.index)
        grown = spec if found is None else found.grown_to(spec)
        if grown != found:
            for path, data in cube_documents(grown).items():
                held.keep_alive()
                store.put(f"{layout.cube(grown.index)}/{path}", data)
        return grown


def write_tile(
    store: ObjectStore,
    index: str,
    *,
    period: int,
    tile: Tile,
    values: NDArray[np.int16],
    observations: NDArray[np.uint16],
) -> tuple[ObjectInfo, ...]:
    """Write one period of the shards of the tile, each as one whole object.

    `values` (stored integers, fill included) and `observations` have the shape of `tile.window`;
    pixels between the shards of the tile belong to other tiles and are not written. A shard of
    fill only is written too: it records that the tile was computed.

    Returns:
        The objects, two per shard.

    Raises:
        StoreError: there is no cube, or its time axis ends before `period`.
        GridError: a shard lies outside the cube.
    """
    root, spec = _root(store, index)
    _refuse_period(spec, period)
    written = []
    for name, pixels in ((index, values), (OBSERVATIONS, observations)):
        if pixels.shape != tile.window.shape:
            raise RasterError(
                f"{name} of tile {tile.key} has shape {pixels.shape}, "
                f"its window needs {tile.window.shape}"
            )
        for shard in tile.shards:
            part = pixels[spec.grid.shard_window(shard).slices_in(tile.window)]
            path = shard_path(spec, name, period=period, shard=shard)
            written.append(store.put(path, _encoded(root, name, part=part)))
    return tuple(written)


def read_window(
    store: ObjectStore, index: str, *, period: int, window: Window
) -> tuple[NDArray[np.int16], NDArray[np.uint16]]:
    """Read stored integers and observations of one period; fill and 0 where nothing was written.

    Raises:
        StoreError: there is no cube, its time axis ends before `period`, or a shard is damaged.
        GridError: the window extends beyond the cube.
    """
    root, spec = _root(store, index)
    _refuse_period(spec, period)
    window.slices_in(spec.extent)
    values = np.full(window.shape, FILL, dtype=np.int16)
    observations = np.zeros(window.shape, dtype=np.uint16)
    for shard in _shards_of(window, size=spec.grid.shard):
        whole = spec.grid.shard_window(shard)
        common = whole.intersection(window) or whole
        for name, pixels in ((index, values), (OBSERVATIONS, observations)):
            path = shard_path(spec, name, period=period, shard=shard)
            data = store.find(path)
            if data is not None:
                part = _decoded(root, name, data=data, uri=store.uri(path))
                pixels[common.slices_in(window)] = part[common.slices_in(whole)]
    return values, observations


def open_cube(store: ObjectStore, index: str) -> xr.Dataset:
    """Open the cube for users: scaled values, NaN for fill, CRS for rioxarray; read lazily.

    Raises:
        StoreError: there is no cube.
    """
    import xarray as xr

    _root(store, index)
    with store.translated_errors("read", layout.cube(index)):
        dataset: xr.Dataset = xr.open_zarr(
            ReadOnlyZarrStore(store, layout.cube(index)),
            chunks=None,
            consolidated=True,
            decode_coords="all",
        )
    return dataset


def tile_paths(spec: CubeSpec, tile: Tile) -> tuple[str, ...]:
    """Paths of all shards the tile may have in the cube, written or not; for `prune`."""
    return tuple(
        shard_path(spec, name, period=period, shard=shard)
        for name in (spec.index, OBSERVATIONS)
        for period in range(spec.periods.count)
        for shard in tile.shards
    )


def shard_path(spec: CubeSpec, name: str, *, period: int, shard: Shard) -> str:
    """Path of one shard of one array.

    Raises:
        GridError: it lies outside the cube.
    """
    spec.grid.shard_window(shard).slices_in(spec.extent)
    row = shard.row - spec.extent.row // spec.grid.shard
    column = shard.column - spec.extent.column // spec.grid.shard
    return f"{layout.cube(spec.index)}/{name}/{spec.chunk_path(period, row, column)}"


def shard_of_path(spec: CubeSpec, path: str) -> tuple[str, int, Shard] | None:
    """Return the array, period and shard of a path that `shard_path` made; None for others."""
    folder, _, rest = path.partition("/")
    name, _, position = rest.partition("/")
    if folder != layout.cube(spec.index) or name not in {spec.index, OBSERVATIONS}:
        return None
    pattern = r"(\d+)/(\d+)/(\d+)" if spec.chunk_keys == "v2" else r"c/(\d+)/(\d+)/(\d+)"
    found = re.fullmatch(pattern, position)
    if found is None:
        return None
    period, row, column = (int(number) for number in found.groups())
    size = spec.grid.shard
    return name, period, Shard(spec.extent.column // size + column, spec.extent.row // size + row)


def _root(store: ObjectStore, index: str) -> tuple[bytes, CubeSpec]:
    path = f"{layout.cube(index)}/{ROOT}"
    root = store.find(path)
    if root is None:
        raise StoreError(
            f"there is no cube at {store.uri(layout.cube(index))}; "
            f"materialize {index} first: its driver creates the cube"
        )
    return root, parsed_spec(root, index=index)


def _refuse_period(spec: CubeSpec, period: int) -> None:
    if not 0 <= period < spec.periods.count:
        raise StoreError(
            f"{spec.index}.zarr has periods 0 to {spec.periods.count - 1} "
            f"({spec.periods.label(0)} to {spec.periods.label(spec.periods.count - 1)}), "
            f"not {period}; the driver extends it to the last period with data before workers start"
        )


def _shards_of(window: Window, *, size: int) -> Iterator[Shard]:
    for row in range(window.row // size, (window.row_stop - 1) // size + 1):
        for column in range(window.column // size, (window.column_stop - 1) // size + 1):
            yield Shard(column, row)


def _encoded(root: bytes, name: str, *, part: NDArray[Any]) -> bytes:
    """Encode one shard; `part` may be smaller at the edge of the tile matrix."""
    memory = _in_memory(root, name)
    array = zarr.open_array(MemoryStore(memory), mode="r+")
    whole = np.full(array.shape, array.fill_value, dtype=array.dtype)
    whole[0, : part.shape[0], : part.shape[1]] = part
    array.with_config({"write_empty_chunks": True})[...] = whole
    return memory[SHARD].to_bytes()


def _decoded(root: bytes, name: str, *, data: bytes, uri: str) -> NDArray[Any]:
    """Decode one shard; shape (row, column) of a whole shard."""
    remedy = "materialize its tile again"
    if not data:  # zarr would read it as fill
        raise StoreError(f"the shard {uri} is damaged (it has no bytes); {remedy}")
    memory = {**_in_memory(root, name), SHARD: cpu.Buffer.from_bytes(data)}
    try:
        return np.asarray(zarr.open_array(MemoryStore(memory), mode="r")[0])
    except (ValueError, RuntimeError) as error:
        raise StoreError(f"the shard {uri} is damaged ({error}); {remedy}") from error


def _in_memory(root: bytes, name: str) -> dict[str, Buffer]:
    """Metadata of an array of one shard: zarr encodes and decodes, the store does the I/O."""
    document = json.loads(root)["consolidated_metadata"]["metadata"][name]
    alone = {
        **document,
        "shape": document["chunk_grid"]["configuration"]["chunk_shape"],
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
    }
    return {ROOT: cpu.Buffer.from_bytes(json.dumps(alone).encode())}
