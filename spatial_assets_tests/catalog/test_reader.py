"""Reading windows: right pixels, and the same verdict on a bad block for every window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spatial_assets.catalog.access import SourceAccess
from spatial_assets.catalog.datasets import close_all, gdal_settings, open_dataset
from spatial_assets.catalog.facts import BandFacts
from spatial_assets.catalog.headers import grid_of
from spatial_assets.catalog.reader import BLOCK, probing_window, read_window
from spatial_assets.catalog.scene import BandSource
from spatial_assets.errors import SceneError, SourceUnavailableError
from spatial_assets.geo.geobox import Window
from spatial_assets_tests.catalog.making import quick_access, source_of, write_raster
from spatial_assets_tests.catalog.web import Web

ROWS, COLUMNS = 1100, 1300
LAYOUTS = {
    "tiled-256": {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"},
    "tiled-512": {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"},
    "tiled-1024": {"tiled": True, "blockxsize": 1024, "blockysize": 1024, "compress": "lerc"},
    "tiled-320": {"tiled": True, "blockxsize": 320, "blockysize": 192, "compress": "zstd"},
    "strips": {"blockysize": 7, "compress": "deflate", "predictor": 2},
}


def noise() -> NDArray[Any]:
    return np.random.default_rng(7).integers(1, 60_000, (ROWS, COLUMNS)).astype(np.uint16)


def facts_of(source: BandSource, access: SourceAccess) -> BandFacts:
    with gdal_settings(access):
        dataset = open_dataset(source, access)
        return BandFacts(
            grid=grid_of(dataset, source, size=None),
            dtype=dataset.dtypes[0],
            nodata=None,
            kernel="bilinear",
            calibration=None,
            block=tuple(dataset.block_shapes[0]),
            driver=dataset.driver,
        )


def read(
    path: Path | str,
    window: Window,
    access: SourceAccess,
    **changes: Any,  # noqa: ANN401
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    source = source_of(path, **changes)
    return read_window(source, facts_of(source, access), window, access)


def damage(path: Path, *, x: int, y: int) -> None:
    """Overwrite one block of the file with bytes that no codec takes."""
    with rasterio.open(path) as file:
        start = int(file.get_tag_item(f"BLOCK_OFFSET_{x}_{y}", "TIFF", bidx=1))
        size = int(file.get_tag_item(f"BLOCK_SIZE_{x}_{y}", "TIFF", bidx=1))
    data = bytearray(path.read_bytes())
    data[start : start + size] = b"\xff" * size
    path.write_bytes(data)


@pytest.fixture(scope="module", params=sorted(LAYOUTS))
def damaged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with one damaged block, near the middle."""
    path = write_raster(
        tmp_path_factory.mktemp("damaged") / f"{request.param}.tif",
        noise(),
        **LAYOUTS[request.param],
    )
    with rasterio.open(path) as file:
        rows, columns = file.block_shapes[0]
    damage(path, x=600 // columns, y=600 // rows)
    return path


def windows() -> st.SearchStrategy[Window]:
    return st.builds(
        lambda x, y, w, h: Window(x, y, min(w, COLUMNS - x), min(h, ROWS - y)),
        st.integers(0, COLUMNS - 1),
        st.integers(0, ROWS - 1),
        st.integers(1, 700),
        st.integers(1, 700),
    )


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(window=windows())
def test_a_block_is_bad_for_every_window_or_for_none(
    damaged: Path, window: Window, tmp_path_factory: pytest.TempPathFactory
) -> None:
    access = quick_access(tmp_path_factory.getbasetemp())
    whole = Window(0, 0, COLUMNS, ROWS)
    all_pixels, all_readable = read(damaged, whole, access)

    pixels, readable = read(damaged, window, access)

    inside = window.slices_in(whole)
    assert np.array_equal(readable, all_readable[inside])
    assert np.array_equal(pixels, all_pixels[inside])
    assert np.array_equal(all_pixels[all_readable], noise()[all_readable])


def test_only_whole_512_blocks_are_unreadable(damaged: Path, access: SourceAccess) -> None:
    _, readable = read(damaged, Window(0, 0, COLUMNS, ROWS), access)

    for row in range(0, ROWS, BLOCK):
        for column in range(0, COLUMNS, BLOCK):
            block = readable[row : row + BLOCK, column : column + BLOCK]
            assert block.all() or not block.any()
    assert not readable.all()
    assert not readable[600, 600]


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_good_file_is_read_as_it_is(tmp_path: Path, access: SourceAccess, layout: str) -> None:
    path = write_raster(tmp_path / "good.tif", noise(), **LAYOUTS[layout])
    window = Window(500, 300, 600, 700)

    pixels, readable = read(path, window, access)

    assert readable.all()
    assert np.array_equal(pixels, noise()[300:1000, 500:1100])


def test_nothing_is_added_to_a_window_where_the_blocks_of_the_file_fit() -> None:
    class Tiled:
        width, height, block_shapes = 10_980, 10_980, ((1024, 1024),)

    class Strips:
        width, height, block_shapes = 7931, 8041, ((16, 7931),)

    window = Window(700, 700, 100, 100)

    assert probing_window(window, Tiled()) == window
    assert probing_window(window, Strips()) == Window(700, 512, 100, 512)


def test_a_truncated_file_gives_what_is_there(tmp_path: Path, access: SourceAccess) -> None:
    path = write_raster(tmp_path / "cut.tif", noise(), **LAYOUTS["tiled-512"])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 55 // 100])

    pixels, readable = read(path, Window(0, 0, COLUMNS, ROWS), access)

    assert readable[:512, :512].all()
    assert not readable[-1, -1]
    assert np.array_equal(pixels[readable], noise()[readable])


def test_a_sparse_block_is_readable_and_empty(tmp_path: Path, access: SourceAccess) -> None:
    pixels = noise()
    pixels[:512, :512] = 0
    path = write_raster(
        tmp_path / "sparse.tif", pixels, **LAYOUTS["tiled-512"], sparse_ok=True, nodata=0
    )

    found, readable = read(path, Window(0, 0, 600, 600), access)

    assert readable.all()
    assert not found[:512, :512].any()


def test_a_file_that_changes_while_it_is_kept_open_is_read_anew(
    tmp_path: Path, access: SourceAccess
) -> None:
    path = write_raster(tmp_path / "b.tif", np.full((64, 64), 1, dtype=np.uint16))
    first, _ = read(path, Window(0, 0, 64, 64), access)
    path.unlink()
    write_raster(path, np.full((64, 64), 2, dtype=np.uint16))

    second, _ = read(path, Window(0, 0, 64, 64), access)

    assert (first[0, 0], second[0, 0]) == (1, 2)


def test_a_file_of_another_shape_than_was_looked_into_is_refused(
    tmp_path: Path, access: SourceAccess
) -> None:
    path = write_raster(tmp_path / "b.tif", np.ones((64, 64), dtype=np.uint16))
    source = source_of(path)
    facts = facts_of(source, access)
    close_all()
    path.unlink()
    write_raster(path, np.ones((32, 32), dtype=np.uint16))

    with pytest.raises(SceneError) as caught:
        read_window(source, facts, Window(0, 0, 8, 8), access)

    assert caught.value.reason == "changed_since_inspection"


@pytest.mark.parametrize("index", [1, 2, 3])
def test_a_band_within_a_file_is_read_by_its_number(
    tmp_path: Path, access: SourceAccess, index: int
) -> None:
    bands = np.stack([np.full((64, 64), n, dtype=np.uint16) for n in (1, 2, 3)])
    path = write_raster(tmp_path / "b.tif", bands, interleave="pixel", compress="deflate")

    pixels, _ = read(path, Window(0, 0, 8, 8), access, index=index)

    assert (pixels == index).all()


def on_the_web(web: Web, layout: str = "tiled-256") -> str:
    write_raster(web.folder / "b.tif", noise(), **LAYOUTS[layout])
    return f"{web.url}/b.tif"


def test_a_window_is_streamed_by_ranges(web: Web, access: SourceAccess) -> None:
    url = on_the_web(web)

    pixels, readable = read(url, Window(0, 0, 200, 200), access)

    assert readable.all()
    assert np.array_equal(pixels, noise()[:200, :200])
    gets = [request for request in web.asked_for("/b.tif") if request.method == "GET"]
    assert all("range" in request.headers for request in gets)
    assert {request.path for request in web.requests} == {"/b.tif"}, "no sidecars, no listing"


@pytest.mark.parametrize(
    "trouble", [[503, 503], ["reset"], ["truncate"], [500, "reset", "truncate", 429]]
)
def test_passing_trouble_does_not_cost_a_pixel(
    web: Web, access: SourceAccess, trouble: list[Any]
) -> None:
    url = on_the_web(web)
    source = source_of(url)
    facts = facts_of(source, access)
    web.faults["/b.tif"] = list(trouble)

    pixels, readable = read_window(source, facts, Window(600, 600, 300, 300), access)

    assert readable.all()
    assert np.array_equal(pixels, noise()[600:900, 600:900])


@pytest.mark.parametrize("trouble", [503, 500, "reset"])
def test_lasting_trouble_is_an_archive_that_is_away_and_no_bad_block(
    web: Web,
    access: SourceAccess,
    trouble: Any,  # noqa: ANN401
) -> None:
    url = on_the_web(web)
    source = source_of(url)
    facts = facts_of(source, access)
    web.always["/b.tif"] = trouble

    with pytest.raises(SourceUnavailableError):
        read_window(source, facts, Window(600, 600, 300, 300), access)


def test_a_503_is_not_remembered_as_a_missing_file(web: Web, access: SourceAccess) -> None:
    url = on_the_web(web)
    web.always["/b.tif"] = 503
    with pytest.raises(SourceUnavailableError):
        read_window(source_of(url), FACTS, Window(0, 0, 8, 8), access)
    del web.always["/b.tif"]

    pixels, _ = read(url, Window(0, 0, 8, 8), access)

    assert np.array_equal(pixels, noise()[:8, :8])


def test_a_damaged_block_behind_a_good_server_is_unreadable(web: Web, access: SourceAccess) -> None:
    url = on_the_web(web, "tiled-512")
    damage(web.folder / "b.tif", x=1, y=1)

    _, readable = read(url, Window(400, 400, 300, 300), access)

    assert readable[:112].all()
    assert not readable[112:, 112:].any()


def test_a_file_cut_short_behind_a_good_server_is_partly_unreadable(
    web: Web, access: SourceAccess
) -> None:
    url = on_the_web(web, "tiled-512")
    path = web.folder / "b.tif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    _, readable = read(url, Window(0, 0, COLUMNS, ROWS), access)

    assert readable[0, 0]
    assert not readable[-1, -1]


@pytest.mark.parametrize(
    ("status", "reason"), [(404, "missing_object"), (403, "forbidden"), (410, "missing_object")]
)
def test_a_file_that_cannot_be_had_is_told_from_one_that_is_away(
    web: Web, access: SourceAccess, status: int, reason: str
) -> None:
    url = on_the_web(web)
    web.always["/b.tif"] = status

    with pytest.raises(SceneError) as caught:
        read_window(source_of(url), FACTS, Window(0, 0, 8, 8), access)

    assert caught.value.reason == reason


FACTS = BandFacts(
    grid=None,  # type: ignore[arg-type]  # the file is never opened
    dtype="uint16",
    nodata=None,
    kernel="bilinear",
    calibration=None,
    block=(256, 256),
    driver="GTiff",
)
