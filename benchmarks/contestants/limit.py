"""The limit: decode, one fused pass a scene, a median, encode; no checks and no bookkeeping.

It stores the same data as the product, with the product's encoders, and is as fast as one process
can be expected to get. It omits masks of unread pixels, hashes, manifests, verdicts, the database
and exact coordinates near a pole: their cost is the difference to the product.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import rasterio
import rasterio.windows
from affine import Affine
from numcodecs import Blosc
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from benchmarks.contestants.task import CLEAR, FILL, Contestant, Task, Tile
from benchmarks.contestants.task import CRS as TARGET
from spatial_assets.stores.objects.geotiff import write_geotiff

STEP = 32
CHUNK = 512
jit: Callable[..., Any] = numba.njit
BLOSC = Blosc(cname="zstd", clevel=1, shuffle=Blosc.BITSHUFFLE)
Window = tuple[NDArray[Any], Affine]


def work(task: Task) -> None:
    """Write the raw windows, reprojected bands, index and observations of each tile."""
    for tile in task.tiles:
        target = task.folder / tile.key
        days = [_scene(tile, scene, Path(f"{target}_{scene.name}")) for scene in task.scenes]
        index, observations = median(np.stack(days))
        for name, pixels in (("ndvi", index), ("observations", observations)):
            Path(f"{target}_{name}.shard").write_bytes(_shard(pixels))


def ndvi(task: Task, tile: Tile) -> NDArray[np.int16]:
    """Read the median index, chunk after chunk, row by row."""
    data = (task.folder / f"{tile.key}_ndvi.shard").read_bytes()
    found = np.empty(tile.shape, dtype=np.int16)
    starts = range(0, tile.size, CHUNK)
    for r in starts:
        for c in starts:
            length = int.from_bytes(
                data[12:16], "little"
            )  # compressed size of a blosc frame, header included
            chunk = np.frombuffer(BLOSC.decode(data[:length]), dtype=np.int16)
            side = min(CHUNK, tile.size)
            found[r : r + CHUNK, c : c + CHUNK] = chunk.reshape(side, side)
            data = data[length:]
    return found


def _scene(tile: Tile, scene: Path, target: Path) -> NDArray[np.float32]:
    """Store the raw windows and reprojected bands of one scene and return its NDVI."""
    with rasterio.open(scene / "red.tif") as file:
        crs = CRS.from_epsg(file.crs.to_epsg())
    nodes = _nodes(tile, crs)
    windows: dict[str, Window] = {}
    for band in ("red", "nir", "scl"):
        pixels, transform = windows[band] = _read(scene / f"{band}.tif", nodes)
        data = write_geotiff(
            pixels[np.newaxis], bands=(band,), transform=transform, crs=crs, nodata=0
        )
        Path(f"{target}_{band}.tif").write_bytes(data)
    stored = np.empty((2, *tile.shape), dtype=np.int16)
    ndvi = np.empty(tile.shape, dtype=np.float32)
    (red, band_at), (nir, _), (classes, class_at) = (windows[b] for b in ("red", "nir", "scl"))
    keep = np.isin(np.arange(256), CLEAR)
    fused(
        _in_pixels(nodes, band_at),
        _in_pixels(nodes, class_at),
        red,
        nir,
        classes,
        keep,
        stored,
        ndvi,
    )
    data = write_geotiff(
        stored,
        bands=("red", "nir"),
        transform=tile.transform,
        crs=CRS.from_user_input(TARGET),
        nodata=FILL,
        scale=1e-4,
    )
    Path(f"{target}.tif").write_bytes(data)
    return ndvi


def _nodes(tile: Tile, crs: CRS) -> NDArray[np.float64]:
    """(x, y) in `crs` of every 32nd pixel corner of the tile, shape (2, rows, columns)."""
    rows, columns = (np.arange(0, size + STEP, STEP) for size in tile.shape)
    x, y = tile.transform @ np.meshgrid(columns.astype(float), rows.astype(float))
    return np.array(Transformer.from_crs(TARGET, crs, always_xy=True).transform(x, y))


def _in_pixels(nodes: NDArray[np.float64], transform: Affine) -> NDArray[np.float64]:
    return np.array(~transform @ (nodes[0], nodes[1]))


def _read(path: Path, nodes: NDArray[np.float64]) -> Window:
    """Read the pixels of a file below the tile, and their transform."""
    with rasterio.open(path) as file:
        column, row = _in_pixels(nodes, file.transform)
        left, top = max(int(column.min()) - 2, 0), max(int(row.min()) - 2, 0)
        right = min(int(column.max()) + 3, file.width)
        bottom = min(int(row.max()) + 3, file.height)
        window = rasterio.windows.Window(left, top, right - left, bottom - top)
        return file.read(1, window=window), file.window_transform(window)


@jit(nogil=True, error_model="numpy", cache=True)  # type: ignore[untyped-decorator]
def fused(at, class_at, red, nir, classes, keep, stored, ndvi) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001, PLR0913, PLR0917
    """Coordinates, bilinear values, cloud mask, reflectance and NDVI of a scene in one pass."""
    height, width = red.shape
    part = np.float64(1.0 / STEP)
    for r in range(ndvi.shape[0]):
        i, v = r // STEP, (r % STEP + 0.5) * part
        for c in range(ndvi.shape[1]):
            j, u = c // STEP, (c % STEP + 0.5) * part
            w0, w1, w2, w3 = (1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v
            stored[0, r, c] = FILL
            stored[1, r, c] = FILL
            ndvi[r, c] = np.nan
            x = class_at[0, i, j] * w0 + class_at[0, i, j + 1] * w1
            x += class_at[0, i + 1, j] * w2 + class_at[0, i + 1, j + 1] * w3
            y = class_at[1, i, j] * w0 + class_at[1, i, j + 1] * w1
            y += class_at[1, i + 1, j] * w2 + class_at[1, i + 1, j + 1] * w3
            row, column = int(y), int(x)
            if row < 0 or column < 0 or row >= classes.shape[0] or column >= classes.shape[1]:
                continue
            if not keep[classes[row, column]]:
                continue
            x = at[0, i, j] * w0 + at[0, i, j + 1] * w1
            x += at[0, i + 1, j] * w2 + at[0, i + 1, j + 1] * w3
            y = at[1, i, j] * w0 + at[1, i, j + 1] * w1
            y += at[1, i + 1, j] * w2 + at[1, i + 1, j + 1] * w3
            column, row = int(np.floor(x - 0.5)), int(np.floor(y - 0.5))
            if row < 0 or column < 0 or row >= height - 1 or column >= width - 1:
                continue
            across, down = np.float32(x - 0.5 - column), np.float32(y - 0.5 - row)
            one = np.float32(1)
            q0, q1 = (one - across) * (one - down), across * (one - down)
            q2, q3 = (one - across) * down, across * down
            a = red[row, column] * q0 + red[row, column + 1] * q1
            a += red[row + 1, column] * q2 + red[row + 1, column + 1] * q3
            b = nir[row, column] * q0 + nir[row, column + 1] * q1
            b += nir[row + 1, column] * q2 + nir[row + 1, column + 1] * q3
            if a > 0 and b > 0:
                stored[0, r, c] = np.int16(np.rint(a))
                stored[1, r, c] = np.int16(np.rint(b))
                ndvi[r, c] = (b - a) / (b + a)


@jit(nogil=True, error_model="numpy", cache=True)
def median(days):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Quantised median of the days that see a pixel, and their number."""
    shape = days.shape[1:]
    index, observations = np.empty(shape, dtype=np.int16), np.empty(shape, dtype=np.uint16)
    found = np.empty(days.shape[0], dtype=np.float32)
    for r in range(shape[0]):
        for c in range(shape[1]):
            count = 0
            for day in range(days.shape[0]):
                value = days[day, r, c]
                if not np.isnan(value):
                    at = count
                    while at > 0 and found[at - 1] > value:
                        found[at] = found[at - 1]
                        at -= 1
                    found[at] = value
                    count += 1
            index[r, c] = FILL
            observations[r, c] = count
            if count:
                middle = (found[(count - 1) // 2] + found[count // 2]) * np.float32(0.5)
                index[r, c] = np.int16(np.rint(middle * np.float32(10000)))
    return index, observations


def _shard(pixels: NDArray[Any]) -> bytes:
    """Encode chunks as the cube does."""
    starts = range(0, pixels.shape[0], CHUNK)
    chunks = (
        np.ascontiguousarray(pixels[r : r + CHUNK, c : c + CHUNK]) for r in starts for c in starts
    )
    return b"".join(BLOSC.encode(chunk) for chunk in chunks)


CONTESTANT = Contestant(
    name="the limit",
    work=work,
    ndvi=ndvi,
    stores="raw windows, reflectance, NDVI and observations",
    settings="No user writes this: it is what is left if all but the pixels is taken away.",
    packages=("numba", "rasterio", "numcodecs"),
    most=1.5,
)
