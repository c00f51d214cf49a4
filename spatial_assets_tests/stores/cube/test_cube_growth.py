from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rioxarray  # noqa: F401 - registers .rio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spatial_assets.errors import GridError, StoreError
from spatial_assets.geo.grid.geobox import Window
from spatial_assets.geo.grid.pixel_grid import PixelGrid, Shard
from spatial_assets.geo.periods import Periods
from spatial_assets.stores.cube.cube import open_cube, read_window, stored_cube
from spatial_assets.stores.cube.metadata import cube_documents, parsed_spec
from spatial_assets.stores.objects.store import ObjectStore, open_store
from spatial_assets_tests.stores.sample_cubes import (
    ONE,
    YEAR,
    make,
    spec,
    tile_of,
    write,
)


def test_the_axis_grows_and_keeps_what_is_stored(store: ObjectStore) -> None:
    make(store)
    values = write(store, ONE, period=7)

    grown = make(store, spec(periods=YEAR.extended_to(date(2024, 2, 1))))

    assert grown.periods.count == 14
    read, _ = read_window(store, "ndvi", period=7, window=ONE.window)
    np.testing.assert_array_equal(read, values)
    write(store, ONE, period=13)
    with open_cube(store, "ndvi") as dataset:
        assert dataset.sizes["time"] == 14
        assert str(dataset["time"].values[-1])[:10] == "2024-02-01"


def test_the_area_grows_to_the_east_and_south(store: ObjectStore) -> None:
    make(store)
    values = write(store, ONE)

    make(store, spec(columns=5, rows=4))

    far = tile_of(Shard(1104, 703))
    more = write(store, far, seed=2)
    for tile, expected in ((ONE, values), (far, more)):
        read, _ = read_window(store, "ndvi", period=0, window=tile.window)
        np.testing.assert_array_equal(read, expected)
    with open_cube(store, "ndvi") as dataset:
        assert dataset["ndvi"].shape == (12, 512, 640)
        assert dataset.sizes["x"] == len(dataset["x"])


def test_a_smaller_area_and_a_shorter_axis_change_nothing(store: ObjectStore) -> None:
    whole = make(store)
    before = store.list()

    kept = make(
        store,
        spec(
            columns=1,
            rows=1,
            corner=Shard(1101, 701),
            periods=Periods(date(2023, 1, 9), "month", date(2023, 5, 1)),
        ),
    )

    assert kept == whole
    assert store.list() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"corner": Shard(1099, 700)}, "128 pixels further west .* regrid", id="west"),
        pytest.param({"corner": Shard(1100, 698)}, "256 further north .* regrid", id="north"),
        pytest.param(
            {"periods": Periods(date(2022, 12, 1), "month", date(2023, 12, 31))},
            "starts on 2023-01-01, that of the project on 2022-12-01, .* regrid",
            id="earlier",
        ),
        pytest.param(
            {"periods": Periods(date(2023, 2, 1), "month", date(2023, 12, 31))},
            "all stored periods change their places; .* regrid",
            id="later",
        ),
        pytest.param(
            {"periods": Periods(date(2023, 1, 1), "year", date(2023, 12, 31))},
            "counts months, the project years.* new prefix",
            id="another-period",
        ),
    ],
)
def test_what_would_move_stored_pixels_is_refused_with_the_remedy(
    folder_store: ObjectStore, change: dict[str, Any], said: str
) -> None:
    make(folder_store)
    before = folder_store.list()

    with pytest.raises(GridError, match=said):
        make(folder_store, spec(**change))

    assert folder_store.list() == before


def test_another_grid_is_refused(folder_store: ObjectStore) -> None:
    make(folder_store)
    grid = PixelGrid(tile_matrix_set="WebMercatorQuad", pixel_zoom=10, chunk=32, shard=128)

    with pytest.raises(GridError, match=r"chunk=64.*chunk=32.*new prefix"):
        make(folder_store, spec(grid=grid))


def test_an_extent_within_a_shard_is_refused() -> None:
    with pytest.raises(GridError, match="starts within a shard of 128 pixels"):
        spec(extent=Window(140800, 89601, 10, 10))


def test_a_damaged_root_is_an_error_with_its_remedy(folder_store: ObjectStore) -> None:
    whole = make(folder_store)
    values = write(folder_store, ONE)
    folder_store.put("ndvi.zarr/zarr.json", b"{}")
    with pytest.raises(StoreError, match="delete that object"):
        make(folder_store)

    folder_store.delete("ndvi.zarr/zarr.json")

    assert make(folder_store) == whole
    read, _ = read_window(folder_store, "ndvi", period=0, window=ONE.window)
    np.testing.assert_array_equal(read, values)


def test_a_driver_killed_while_it_grows_the_cube_leaves_the_old_one(
    folder_store: ObjectStore,
) -> None:
    old = make(folder_store)
    values = write(folder_store, ONE)
    longer = spec(columns=6, periods=YEAR.extended_to(date(2027, 1, 1)))
    *parts, _ = cube_documents(longer).items()

    for path, data in parts:
        folder_store.put(f"ndvi.zarr/{path}", data)
        assert stored_cube(folder_store, "ndvi") == old
        with open_cube(folder_store, "ndvi") as dataset:
            assert dataset["ndvi"].shape == (12, 256, 384)
            assert not np.isnan(dataset["x"]).any()
            np.testing.assert_allclose(
                dataset["ndvi"][0, :128, 128:256].load(), values * 1e-4, atol=1e-6
            )

    assert make(folder_store, longer).periods.count == 49


extents = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(0, 40))


@given(st.lists(extents, min_size=1, max_size=4))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_growing_is_the_same_in_one_step_as_in_many(
    tmp_path: Path, steps: list[tuple[int, int, int]]
) -> None:
    number = len(list(tmp_path.iterdir()))
    slow, fast = (open_store(str(tmp_path / f"{number}-{name}")) for name in ("slow", "fast"))
    wanted = [
        spec(
            columns=c,
            rows=r,
            periods=Periods(YEAR.start, "month", date(2023 + m // 12, m % 12 + 1, 3)),
        )
        for c, r, m in steps
    ]
    largest = wanted[0]
    for one in wanted:
        largest = largest.grown_to(one)
        make(slow, one)

    make(fast, largest)

    cubes = [
        {info.path: store.get(info.path) for info in store.list("ndvi.zarr")}
        for store in (slow, fast)
    ]
    assert cubes[0] == cubes[1]


def test_a_declaration_survives_the_trip_through_the_root_document() -> None:
    one = spec(long_name="Greenness")

    back = parsed_spec(cube_documents(one)["zarr.json"], index="ndvi")

    assert (back, back.long_name) == (one, "Greenness")


DRIVER = """
import sys
from datetime import UTC, date, datetime
from spatial_assets.geo.grid.pixel_grid import PixelGrid, Shard
from spatial_assets.geo.periods import Periods
from spatial_assets.stores.cube.cube import ensure_cube, open_cube
from spatial_assets.stores.cube.metadata import CubeSpec
from spatial_assets.stores.objects.store import open_store
url, who = sys.argv[1], int(sys.argv[2])
store = open_store(url)
grid = PixelGrid(tile_matrix_set="WebMercatorQuad", pixel_zoom=10, chunk=64, shard=128)
for step in range(8):
    extent = grid.shards_window([Shard(1100, 700), Shard(1100 + step, 700 + who * step)])
    months = 12 + step * (1 + who)
    end = date(2023 + months // 12, months % 12 + 1, 1)
    wanted = CubeSpec(index="ndvi", grid=grid, grid_id="abc", extent=extent,
                      periods=Periods(date(2023, 1, 1), "month", end))
    made = ensure_cube(store, wanted, owner=f"driver {who}", clock=lambda: datetime.now(UTC))
    assert made == made.grown_to(wanted), "shrunk"
    with open_cube(store, "ndvi") as dataset:
        assert dataset["ndvi"].shape == dataset["observations"].shape
        assert dataset.sizes["time"] == len(dataset["time"].load()) >= wanted.periods.count
"""


def test_two_drivers_at_once_lose_nothing(store: ObjectStore) -> None:
    command = [sys.executable, "-W", "error", "-c", DRIVER, store.url]

    drivers = [subprocess.Popen([*command, str(n)]) for n in range(2)]

    assert [driver.wait(200) for driver in drivers] == [0, 0]
    made = stored_cube(store, "ndvi")
    assert made is not None
    assert made.periods.count == 12 + 7 * 2 + 1
    assert made.extent.shape == (8 * 128, 8 * 128)
