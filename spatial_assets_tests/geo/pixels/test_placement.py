"""Stored pixels lie on the grid's integers, in the tile's shards, and on the files they are of."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.pixels.placement import judge_alignment, judge_extent
from spatial_assets.geo.warp.source_grid import SourceGrid

UTM = CRS("EPSG:32633")
ORIGIN = Affine(100.0, 0.0, 400_000.0, 0.0, -100.0, 5_200_000.0)
BOX = GeoBox(crs=UTM, origin=ORIGIN, window=Window(64, 32, 64, 64))
"""64 x 64 pixels of 100 m: x from 406,400 to 412,800, y from 5,196,800 down to 5,190,400."""

ALL = np.ones((64, 64), dtype=np.bool_)


def file_at(left: float, top: float, *, size: int = 64) -> dict[str, SourceGrid]:
    transform = Affine(100.0, 0.0, left, 0.0, -100.0, top)
    return {"red": SourceGrid(transform=transform, width=size, height=size, crs=UTM)}


EXACTLY = file_at(406_400.0, 5_196_800.0)


def test_pixels_on_their_file_and_in_their_shards_pass() -> None:
    verdict = judge_extent(ALL, owned=ALL, box=BOX, files=EXACTLY)

    assert verdict.passed
    assert verdict.evidence["places_looked_at"] == 64


def test_one_valid_pixel_in_the_shard_of_a_neighbour_fails() -> None:
    owned = ALL.copy()
    owned[10, 11] = False

    verdict = judge_extent(ALL, owned=owned, box=BOX, files=EXACTLY)

    assert not verdict.passed
    assert verdict.evidence["valid_outside_owned_shards"] == 1


@pytest.mark.parametrize(
    ("left", "top"),
    [
        pytest.param(406_400.0 + 900, 5_196_800.0, id="nine-pixels-east"),
        pytest.param(406_400.0, 5_196_800.0 - 900, id="nine-pixels-south"),
        pytest.param(0.0, 0.0, id="elsewhere"),
    ],
)
def test_valid_pixels_off_the_file_fail_and_name_the_band(left: float, top: float) -> None:
    verdict = judge_extent(ALL, owned=ALL, box=BOX, files=file_at(left, top))

    assert not verdict.passed
    assert "red" in str(verdict.evidence["valid_off_a_file"])


def test_a_mirrored_raster_of_half_a_scene_fails() -> None:
    half = ALL.copy()
    half[:, 32:] = False
    on_the_left = file_at(406_400.0 - 3_200.0, 5_196_800.0)

    as_it_is = judge_extent(half, owned=ALL, box=BOX, files=on_the_left)
    mirrored = judge_extent(half[:, ::-1], owned=ALL, box=BOX, files=on_the_left)

    assert as_it_is.passed
    assert not mirrored.passed


def test_nothing_valid_lies_nowhere() -> None:
    assert judge_extent(~ALL, owned=ALL, box=BOX, files=file_at(0.0, 0.0)).passed


@pytest.mark.parametrize(
    ("transform", "shape", "crs", "passed"),
    [
        pytest.param(BOX.transform, (64, 64), UTM, True, id="as-it-should"),
        pytest.param(BOX.transform @ Affine.translation(0.01, 0), (64, 64), UTM, False, id="shift"),
        pytest.param(BOX.transform @ Affine.scale(1.001), (64, 64), UTM, False, id="stretched"),
        pytest.param(BOX.transform, (64, 63), UTM, False, id="a-column-short"),
        pytest.param(BOX.transform, (64, 64), CRS("EPSG:32632"), False, id="other-zone"),
    ],
)
def test_alignment_is_judged_by_transform_shape_and_crs(
    transform: Affine, shape: tuple[int, int], *, crs: CRS, passed: bool
) -> None:
    assert judge_alignment(transform, shape, crs=crs, expected=BOX).passed is passed


def random_mask(seed: int) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random((64, 64)) < 0.5


@pytest.mark.parametrize("seed", range(5))
def test_what_is_valid_only_in_owned_shards_is_within_them(seed: int) -> None:
    valid, owned = random_mask(seed), random_mask(seed + 100)

    kept = judge_extent(valid & owned, owned=owned, box=BOX, files=EXACTLY)
    lost = judge_extent(valid, owned=owned, box=BOX, files=EXACTLY)

    assert kept.passed
    assert lost.evidence["valid_outside_owned_shards"] == int((valid & ~owned).sum())
