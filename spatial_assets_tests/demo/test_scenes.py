import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from rasterio.errors import RasterioIOError
from rasterio.transform import AffineTransformer
from rasterio.warp import transform

from spatial_assets.catalog import find_scenes
from spatial_assets.demo import make_demo_inputs
from spatial_assets.project import load_project
from spatial_assets.project.loading import DEMO_FOLDER

CORRUPT = "S2A_34TBR_20230725_0_L2A"
OVERCAST = "20230615"
APPLIED = "20230710"
CLOUDY = (8, 9)


def item_of(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / f"{folder.name}.json").read_text())
    return document


def scenes_of(demo: Path, *, readable: bool = True) -> list[Path]:
    folders = sorted((demo / "scenes").iterdir())
    return [folder for folder in folders if not (readable and folder.name == CORRUPT)]


def pixels_of(path: Path) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    with rasterio.open(path) as source:
        pixels: np.ndarray[tuple[int, int], np.dtype[np.float64]] = source.read(1).astype(float)
    return pixels


def reflectance(folder: Path, band: str) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    offset = 0.0 if APPLIED in folder.name else -0.1
    numbers = pixels_of(folder / f"{band}.tif")
    return np.where(numbers == 0, np.nan, numbers * 1e-4 + offset)


def test_two_runs_write_the_same_bytes(demo: Path, tmp_path: Path) -> None:
    make_demo_inputs(tmp_path)

    def digests(root: Path) -> dict[str, str]:
        files = sorted(path for path in root.rglob("*") if path.is_file())
        return {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
        }

    assert digests(tmp_path) == digests(demo)


def test_the_demo_is_five_days_of_two_granules_in_under_40_megabytes(demo: Path) -> None:
    names = [folder.name for folder in scenes_of(demo, readable=False)]
    size = sum(path.stat().st_size for path in demo.rglob("*") if path.is_file())

    assert len(names) == 10
    assert len({name.split("_")[2] for name in names}) == 5
    assert {name.split("_")[1] for name in names} == {"33TYL", "34TBR"}
    assert size < 40e6


def test_every_item_is_valid_stac_and_describes_its_files(demo: Path) -> None:
    for folder in scenes_of(demo):
        document = item_of(folder)
        item = pystac.Item.from_dict(document)
        assert item.id == folder.name
        for asset in document["assets"].values():
            data = (folder / asset["href"]).read_bytes()
            assert asset["file:size"] == len(data)
            assert asset["file:checksum"] == "1220" + hashlib.sha256(data).hexdigest()
            with rasterio.open(folder / asset["href"]) as source:
                assert asset["proj:shape"] == [source.height, source.width]
                assert asset["proj:transform"] == list(source.transform)[:6]
                assert source.crs.to_epsg() == document["properties"]["proj:epsg"]
                assert source.dtypes[0] == asset["raster:bands"][0]["data_type"]
                assert source.nodata == asset["raster:bands"][0]["nodata"] == 0
                assert source.block_shapes == [(512, 512)]
                assert source.profile["compress"] == "deflate"


def test_the_classification_has_half_the_resolution_of_the_bands(demo: Path) -> None:
    for folder in scenes_of(demo):
        with (
            rasterio.open(folder / "B04.tif") as red,
            rasterio.open(folder / "B08.tif") as nir,
            rasterio.open(folder / "SCL.tif") as scl,
        ):
            assert red.shape == nir.shape == (2 * scl.height, 2 * scl.width)
            assert (red.res[0], scl.res[0]) == (20, 40)
            assert tuple(red.bounds) == tuple(scl.bounds)


def test_digital_number_0_is_only_outside_of_the_swath(demo: Path) -> None:
    partly = []
    for folder in scenes_of(demo):
        red, nir = pixels_of(folder / "B04.tif") == 0, pixels_of(folder / "B08.tif") == 0
        scl = np.kron(pixels_of(folder / "SCL.tif") == 0, np.ones((2, 2), dtype=bool))
        assert (red == nir).all()
        assert (red == scl).all()
        partly += [folder.name] if red.any() else []

    assert partly == ["S2A_33TYL_20230625_0_L2A"]


@pytest.mark.parametrize("folder", ["S2A_33TYL_20230605_0_L2A", "S2B_33TYL_20230710_0_L2A"])
def test_the_offset_that_is_left_in_the_numbers_is_the_one_the_item_means(
    demo: Path, folder: str
) -> None:
    path = demo / "scenes" / folder
    properties = item_of(path)["properties"]
    declared = item_of(path)["assets"]["red"]["raster:bands"][0]
    scl = np.kron(pixels_of(path / "SCL.tif"), np.ones((2, 2)))
    water = np.median(pixels_of(path / "B08.tif")[scl == 6])

    assert properties["s2:processing_baseline"] == "05.09"
    assert (declared["scale"], declared["offset"]) == (0.0001, -0.1)
    if APPLIED in folder:
        assert properties["earthsearch:boa_offset_applied"] is True
        assert 150 < water < 300
    else:
        assert "earthsearch:boa_offset_applied" not in properties
        assert 1150 < water < 1300


def test_clear_land_is_as_green_as_land_is(demo: Path) -> None:
    for folder in scenes_of(demo):
        red, nir = reflectance(folder, "B04"), reflectance(folder, "B08")
        scl = np.kron(pixels_of(folder / "SCL.tif"), np.ones((2, 2)))
        ndvi = (nir - red) / (nir + red)
        if OVERCAST in folder.name:
            continue
        assert 0.70 < np.median(ndvi[scl == 4]) < 0.90
        assert np.median(ndvi[scl == 6]) < -0.2
        assert np.nanmin(red) > 0
        assert np.abs(ndvi[np.isin(scl, (4, 5, 6))]).max() < 1


def test_what_is_called_clear_is_clear_and_what_is_called_cloud_is_bright(demo: Path) -> None:
    for folder in scenes_of(demo):
        red = reflectance(folder, "B04")
        scl = np.kron(pixels_of(folder / "SCL.tif"), np.ones((2, 2)))
        assert np.median(red[scl == 9]) > 0.4
        if OVERCAST not in folder.name:
            assert np.nanmax(red[np.isin(scl, (4, 5, 6))]) < 0.35
            assert np.median(red[scl == 3]) < np.median(red[np.isin(scl, (4, 5))])


def test_one_day_is_all_cloud_and_its_items_say_so(demo: Path) -> None:
    overcast = [folder for folder in scenes_of(demo) if OVERCAST in folder.name]

    assert len(overcast) == 2
    for folder in overcast:
        assert np.isin(pixels_of(folder / "SCL.tif"), CLOUDY).all()
        assert item_of(folder)["properties"]["eo:cloud_cover"] == 100


def test_two_zones_agree_where_they_overlap(demo: Path) -> None:
    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(17.965, 18.045, 4000), rng.uniform(45.78, 46.0, 4000)
    for day in ("S2A_{}_20230605_0_L2A", "S2B_{}_20230710_0_L2A"):
        for band in ("B04", "B08"):
            west, east = (
                _sampled(demo / "scenes" / day.format(square), band, lon=lon, lat=lat)
                for square in ("33TYL", "34TBR")
            )
            difference = np.abs(west - east)
            # Pixels of two zones do not lie on each other: on a border of fields they differ.
            assert np.median(difference) < 0.004
            assert np.quantile(difference, 0.9) < 0.05
            assert np.corrcoef(west, east)[0, 1] > 0.97


def _sampled(
    folder: Path, band: str, *, lon: np.ndarray[Any, Any], lat: np.ndarray[Any, Any]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    with rasterio.open(folder / f"{band}.tif") as source:
        x, y = transform("OGC:CRS84", source.crs, lon, lat)
        rows, columns = AffineTransformer(source.transform).rowcol(x, y)
    sampled: np.ndarray[Any, np.dtype[np.float64]] = reflectance(folder, band)[rows, columns]
    return sampled


def test_the_corrupt_band_cannot_be_opened_and_its_item_has_the_checksum_it_should_have(
    demo: Path,
) -> None:
    path = demo / "scenes" / CORRUPT / "B08.tif"

    with pytest.raises(RasterioIOError):
        rasterio.open(path)
    asset = item_of(path.parent)["assets"]["nir"]
    assert asset["file:size"] > 1_000_000
    assert asset["file:checksum"] != "1220" + hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_granules_cover_every_tile_of_the_demo_project(demo: Path, tmp_path: Path) -> None:
    (tmp_path / "project.toml").write_bytes((DEMO_FOLDER / "project.toml").read_bytes())
    (tmp_path / "scenes").symlink_to(demo / "scenes")
    (tmp_path / "boundaries").symlink_to(demo / "boundaries")
    project = load_project(tmp_path, env={})
    found = find_scenes(project)
    overcast = [scene.footprint for scene in found.scenes if OVERCAST in scene.id]

    assert len(found.scenes) == 10
    assert found.rejected == ()
    assert len(project.partitioning.keys) == 24
    seen = overcast[0].union(overcast[1])
    for tile in project.partitioning.tiles.values():
        assert seen.covers(tile.footprint(project.pixel_grid))
