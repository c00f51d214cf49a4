from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry.base import BaseGeometry

from spatial_assets.cli import main
from spatial_assets.errors import GridError, StoreError
from spatial_assets.geo.grid.geobox import Window
from spatial_assets.geo.grid.pixel_grid import Shard
from spatial_assets.geo.radiometry import FILL
from spatial_assets.stores.cube.export import export_cog, parts
from spatial_assets.stores.objects.store import ObjectStore, open_store
from spatial_assets_tests.stores.sample_cubes import GRID, ONE, make, spec, tile_of, write


def lonlat(window: Window) -> BaseGeometry:
    return GRID.unproject(shapely.box(*GRID.geobox(window).bounds))


def test_a_cog_holds_the_pixels_and_their_description(store: ObjectStore, tmp_path: Path) -> None:
    cube = make(store)
    values = write(store, ONE, period=7)

    made = export_cog(store, tmp_path / "out.tif", index="ndvi", period="2023-08")

    with rasterio.open(tmp_path / "out.tif") as dataset:
        pixels = dataset.read(1)
        np.testing.assert_array_equal(pixels[:128, 128:256], values)
        assert (pixels == FILL).sum() == pixels.size - values.size
        assert (dataset.dtypes, dataset.nodata) == (("int16",), FILL)
        assert (dataset.scales, dataset.offsets) == ((1e-4,), (0.0,))
        assert dataset.descriptions == ("ndvi",)
        assert dataset.crs.to_epsg() == 3857
        assert dataset.transform == cube.geobox.transform
        assert dataset.tags()["period"] == "2023-08"
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    assert made.valid_fraction == pytest.approx(1 / 6)
    assert [path.name for path in tmp_path.iterdir() if path.name != "store"] == ["out.tif"]


def test_a_large_cog_has_overviews_of_the_valid_pixels(
    folder_store: ObjectStore, tmp_path: Path
) -> None:
    make(folder_store, spec(columns=12, rows=9))
    write(folder_store, ONE)

    export_cog(folder_store, tmp_path / "out.tif", index="ndvi", period="2023-01")

    with rasterio.open(tmp_path / "out.tif") as dataset:
        assert dataset.overviews(1) == [2, 4]
        small = dataset.read(1, out_shape=(dataset.height // 2, dataset.width // 2))
        assert (small == FILL).mean() > 0.9
        assert (small != FILL).any()


windows = st.builds(
    Window,
    st.integers(1100 * 128, 1102 * 128),
    st.integers(700 * 128, 701 * 128),
    st.integers(1, 100),
    st.integers(1, 100),
)


@pytest.fixture(scope="module")
def mosaic(tmp_path_factory: pytest.TempPathFactory) -> ObjectStore:
    store = open_store(str(tmp_path_factory.mktemp("mosaic")))
    make(store)
    shards = [Shard(column, row) for row in (700, 701) for column in (1100, 1101, 1102)]
    write(store, tile_of(*shards))
    return store


@given(windows)
def test_a_box_takes_exactly_the_pixels_it_covers(mosaic: ObjectStore, window: Window) -> None:
    destination = Path(mosaic.url).parent / "box.tif"

    made = export_cog(mosaic, destination, index="ndvi", period="2023-01", area=lonlat(window))

    assert made.window == window
    with rasterio.open(destination) as dataset:
        assert dataset.transform == GRID.geobox(window).transform
        assert dataset.shape == window.shape
        assert made.valid_fraction == (dataset.read(1) != FILL).mean() == 1.0


@given(windows, st.integers(1, 300))
def test_the_parts_of_a_window_are_disjoint_and_whole(window: Window, size: int) -> None:
    seen = np.zeros(window.shape, dtype=int)
    for part in parts(window, size=size):
        seen[part.slices_in(window)] += 1

    assert (seen == 1).all()


def test_a_box_that_leaves_the_cube_is_cut(mosaic: ObjectStore, tmp_path: Path) -> None:
    beyond = Window(1099 * 128, 699 * 128, 200, 200)

    made = export_cog(
        mosaic, tmp_path / "o.tif", index="ndvi", period="2023-01", area=lonlat(beyond)
    )

    assert made.window == Window(1100 * 128, 700 * 128, 72, 72)


def test_what_is_not_there_is_refused_with_what_is(mosaic: ObjectStore, tmp_path: Path) -> None:
    out = tmp_path / "out.tif"
    with pytest.raises(
        GridError, match=r"no period '2022-08'; it has the months 2023-01 to 2023-12"
    ):
        export_cog(mosaic, out, index="ndvi", period="2022-08")
    with pytest.raises(StoreError, match="materialize evi first"):
        export_cog(mosaic, out, index="evi", period="2023-08")
    with pytest.raises(GridError, match=r"does not touch ndvi\.zarr, which reaches from"):
        export_cog(mosaic, out, index="ndvi", period="2023-08", area=shapely.box(0, 0, 1, 1))
    with pytest.raises(StoreError, match="could not write"):
        export_cog(mosaic, tmp_path / "absent" / "out.tif", index="ndvi", period="2023-08")

    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_the_file_and_prints_its_path(
    mosaic: ObjectStore, tmp_path: Path
) -> None:
    (tmp_path / "project.toml").write_text(
        '[area]\nbbox = [15.0, 45.1, 16.4, 46.9]\n[scenes]\ncatalog = "scenes"\n'
        'sensor = "sentinel-2-l2a"\n[time]\nstart = 2023-01-01\n'
    )
    environment = {"SPATIAL_ASSETS_STORAGE_URL": mosaic.url}
    out = tmp_path / "out.tif"

    done = CliRunner().invoke(
        main,
        ["--project", str(tmp_path), "export", "--period", "2023-01", str(out)],
        env=environment,
    )

    assert done.exit_code == 0, done.output
    assert "384 x 256 pixels, 100.0% with a value" in done.output
    assert out.stat().st_size > 100_000
