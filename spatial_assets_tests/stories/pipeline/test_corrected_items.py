"""A corrected item is followed: the store becomes the one that the corrected items would make.

Every property of an item that the code reads is changed once, after a run; then a run, whole or in
parts, must leave the same pixels and rows as a first run over the changed items.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spatial_assets.pipeline.outcome import State
from spatial_assets.project import Project
from spatial_assets.stores.cube.cube import stored_cube
from spatial_assets.stores.objects.manifests import read_manifest
from spatial_assets_tests.fixtures import two_zone_project
from spatial_assets_tests.fixtures.pipeline_runs import (
    changed_objects,
    read_cube,
    rows,
    run_tiles,
    states,
    store_of,
    stored_objects,
)
from spatial_assets_tests.fixtures.two_zone_project import (
    Granule,
    write_granule,
    write_project,
)

Item = dict[str, Any]
Edit = Callable[[Item], object]


def coarse(granule: Granule) -> Granule:
    """The granule with a fourth of its pixels: quick to read."""
    return replace(granule, pixel=160.0, columns=300, rows=300, wedge=30)


WEST, EAST, LATER = map(
    coarse, (two_zone_project.WEST, two_zone_project.EAST, two_zone_project.LATER)
)
AGAIN = replace(EAST, id="east_0810_again", seed=6)
"""Another processing of the granule EAST, as its grid:code and datetime say."""

ONE_TILE: Mapping[str, Any] = {
    "area": {"bbox": [12.0, 46.1, 12.1, 46.2]},
    "time": {"composite": "latest"},
    "checks": {"withdrawn_share": 1.0},
}
LATEST_DAY = "2023-08-25T10:08:08.248000Z"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two copies of a catalogue and a project that was run over it: the place, and a backup.

    Absolute paths are part of what a scene is, so every test works at the one place.
    """
    folder = tmp_path_factory.mktemp("corrected")
    place, backup = folder / "place", folder / "backup"
    for granule in (WEST, EAST, LATER, AGAIN):
        write_granule(place / "catalog", granule, item=item_of(granule))
    assert states(run_tiles(project_in(place))) == {State.MATERIALIZED}
    shutil.copytree(place, backup)
    return place, backup


@pytest.fixture
def place(saved: tuple[Path, Path]) -> Path:
    """Folder of a catalogue and of a project that was run over it, for a test to change."""
    shutil.rmtree(saved[0])
    return Path(shutil.copytree(saved[1], saved[0]))


def item_of(granule: Granule) -> Item:
    """The item; EAST and AGAIN are two processings of one granule, of which AGAIN is used."""
    if granule not in (EAST, AGAIN):
        return granule.item()
    created = "2023-08-12T00:00:00Z" if granule is AGAIN else "2023-08-11T00:00:00Z"
    item: Item = granule.item(**{"grid:code": "MGRS-33TUM", "created": created})
    return item


def project_in(folder: Path) -> Project:
    return write_project(folder / "project", folder / "catalog", **ONE_TILE)


def edited(folder: Path, scene: str, edit: Edit) -> Project:
    """The project, after one item of its catalogue was edited."""
    change_item(folder, scene, edit)
    return project_in(folder)


def change_item(folder: Path, scene: str, edit: Edit) -> None:
    path = folder / "catalog" / scene / f"{scene}.json"
    item = json.loads(path.read_text())
    edit(item)
    path.write_text(json.dumps(item))


def fresh(project: Project) -> Project:
    """The same project without a store, after its first run."""
    folder = Path(project.storage_url).parent.parent / "fresh"
    again = write_project(folder, Path(project.catalog_url), **ONE_TILE)
    run_tiles(again)
    return again


def periods_with_pixels(project: Project) -> Iterator[tuple[int, tuple[str, str]]]:
    """Yield the number and the hashes of each period of which a pixel was observed.

    An axis that an item of a later day made longer stays.
    """
    spec = stored_cube(store_of(project), "ndvi")
    assert spec is not None
    for period in range(spec.periods.count):
        values, counts = read_cube(project, period=period)
        if counts.any():
            yield period, (digest(values.tobytes()), digest(counts.tobytes()))


def product(project: Project) -> Mapping[str, object]:
    """All that a run makes of items: cubes, rows, and rasters, the bytes as hashes."""
    store = store_of(project)
    return {
        "cube": dict(periods_with_pixels(project)),
        "rasters": {
            info.path: digest(store.get(info.path))
            for folder in ("raw_tile", "reprojected_raster")
            for info in store.list(folder)
        },
        "scenes": {
            tile: {stage: manifest.scenes(stage) for stage in ("raw_tile", "reprojected_raster")}
            for tile in project.partitioning.keys
            if (manifest := read_manifest(store, tile)) is not None
        },
        "tile_index": [
            {name: row[name] for name in ("tile", "period", "valid_fraction", "scenes")}
            for row in rows(project, "tile_index")
            if row["scenes"]
        ],
    }


def digest(data: bytes) -> str:
    """A hash, whose difference is quicker shown than that of the bytes."""
    return hashlib.sha256(data).hexdigest()


def set_property(name: str, value: object) -> Edit:
    def edit(item: Item) -> None:
        item["properties"][name] = value

    return edit


def set_band(band: str, **values: object) -> Edit:
    def edit(item: Item) -> None:
        item["assets"][band]["raster:bands"][0].update(values)

    return edit


def set_asset(band: str, **values: object) -> Edit:
    def edit(item: Item) -> None:
        item["assets"][band].update(values)

    return edit


def set_member(name: str, value: object) -> Edit:
    def edit(item: Item) -> None:
        item[name] = value

    return edit


def remove_property(name: str) -> Edit:
    def edit(item: Item) -> None:
        del item["properties"][name]

    return edit


def shifted_geometry(item: Item) -> None:
    """Move the footprint so far to the east that the centroid has another solar day."""
    item["properties"]["datetime"] = "2023-08-10T23:05:00Z"
    ring = item["geometry"]["coordinates"][0]
    item["geometry"]["coordinates"] = [[[lon + 2.0, lat] for lon, lat in ring]]


def baseline_of_calibration(item: Item) -> None:
    """Leave it to the baseline that no offset is to be subtracted."""
    item["properties"].pop("earthsearch:boa_offset_applied")
    item["properties"]["s2:processing_baseline"] = "03.01"
    for asset in item["assets"].values():
        asset.pop("raster:bands")


EDITS: Mapping[str, tuple[str, Edit]] = {
    "datetime, another day of the period": (WEST.id, set_property("datetime", LATEST_DAY)),
    "datetime, another period": (
        WEST.id,
        set_property("datetime", "2023-09-03T10:08:08.248000Z"),
    ),
    "datetime, onto the day of another scene": (
        LATER.id,
        set_property("datetime", "2023-08-10T10:08:08.248000Z"),
    ),
    "start_datetime": (
        LATER.id,
        lambda item: item["properties"].update(
            datetime=None,
            start_datetime="2023-08-05T10:08:08Z",
            end_datetime="2023-08-05T10:09:08Z",
        ),
    ),
    "platform": (WEST.id, set_property("platform", "sentinel-2b")),
    "no platform": (WEST.id, remove_property("platform")),
    "geometry, another solar day": (WEST.id, shifted_geometry),
    "created, which chooses the duplicate": (
        EAST.id,
        set_property("created", "2023-08-13T00:00:00Z"),
    ),
    "baseline, which chooses the duplicate": (
        EAST.id,
        set_property("s2:processing_baseline", "05.10"),
    ),
    "grid:code, no longer a duplicate": (EAST.id, set_property("grid:code", "MGRS-33TUL")),
    "id": (WEST.id, set_member("id", "west_corrected")),
    "collection": (WEST.id, set_member("collection", "sentinel-2-c1-l2a")),
    "cloud cover": (WEST.id, set_property("eo:cloud_cover", 21.5)),
    "boa_offset_applied": (
        WEST.id,
        set_property("earthsearch:boa_offset_applied", value=False),
    ),
    "offset": (
        WEST.id,
        lambda item: [
            item["properties"].pop("earthsearch:boa_offset_applied"),
            set_band("red", offset=-0.01)(item),
        ],
    ),
    "scale": (WEST.id, set_band("nir", scale=0.00011)),
    "baseline of the calibration": (WEST.id, baseline_of_calibration),
    "nodata": (WEST.id, set_band("red", nodata=400)),
    "href": (WEST.id, set_asset("red", href="../east_0810_again/B04.tif")),
    "class band": (WEST.id, set_asset("scl", href="../east_0820/SCL.tif")),
}


@pytest.mark.parametrize("name", EDITS)
def test_after_an_edit_the_store_is_the_one_that_the_edited_items_make(
    place: Path, name: str
) -> None:
    scene, edit = EDITS[name]
    project = edited(place, scene, edit)

    run_tiles(project)

    assert product(project) == product(fresh(project))


MOVED = (WEST.id, set_property("datetime", "2023-09-03T10:08:08.248000Z"))
RENAMED = (WEST.id, set_property("platform", "sentinel-2b"))


@pytest.mark.parametrize("change", [MOVED, RENAMED], ids=["period", "platform"])
@pytest.mark.parametrize(
    "runs",
    [
        pytest.param([None, ["ndvi"]], id="an index alone, afterwards"),
        pytest.param([["raw_tile"], ["reprojected_raster"], ["ndvi", "tile_index"]], id="by stage"),
        pytest.param([["raw_tile", "ndvi"], None], id="raw and index without what is between"),
    ],
)
def test_parts_of_the_chain_do_not_move_a_composite_back(
    place: Path, change: tuple[str, Edit], runs: list[list[str] | None]
) -> None:
    project = edited(place, *change)

    for stages in runs:
        run_tiles(project, stages=stages)

    assert product(project) == product(fresh(project))


def test_a_correction_that_reaches_no_pixel_recomputes_none(place: Path) -> None:
    project = edited(place, WEST.id, set_property("eo:cloud_cover", 21.5))
    stored = stored_objects(project)

    assert states(run_tiles(project)) == {State.UNCHANGED}
    assert changed_objects(stored, project) <= {"scenes/scenes.register"}
