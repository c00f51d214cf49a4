"""Two bad tiles of ten in one run: eight complete, two are named, nothing is computed twice."""

from __future__ import annotations

import json
from pathlib import Path

from spatial_assets.pipeline.boundaries import BoundaryPipeline
from spatial_assets.pipeline.outcome import State
from spatial_assets.project import Project
from spatial_assets_tests.fixtures.pipeline_runs import (
    NOON,
    changed_objects,
    computed_stages,
    failure_of,
    rows,
    run_fails,
    run_tiles,
    states,
    store_of,
    stored_objects,
)
from spatial_assets_tests.fixtures.ten_village_project import ten_tiles, ten_villages, village_scene
from spatial_assets_tests.fixtures.two_zone_project import AREA, write_granule

DISTRICTS = {"name": "districts", "source": "districts.geojson", "key": "id"}


def with_districts(project: Project) -> Project:
    """Two halves of the area, validated."""
    west, south, east, north = AREA
    features = [
        {
            "type": "Feature",
            "properties": {"id": name},
            "geometry": {
                "type": "Polygon",
                "coordinates": [
                    [[left, south], [right, south], [right, north], [left, north], [left, south]]
                ],
            },
        }
        for name, left, right in (("west", west, 12.0), ("east", 12.0, east))
    ]
    document = {"type": "FeatureCollection", "features": features}
    (project.root / "districts.geojson").write_text(json.dumps(document))
    for settings in project.boundaries:
        steps = BoundaryPipeline(
            project=project, settings=settings, store=store_of(project), clock=lambda: NOON
        )
        steps.fetch()
        steps.validate()
    return project


def test_two_bad_tiles_of_ten_affect_no_other_and_only_they_are_computed_again(
    tmp_path: Path,
) -> None:
    catalog = tmp_path / "catalog"
    project = with_districts(ten_villages(tmp_path / "project", catalog, boundaries=DISTRICTS))
    ten = ten_tiles(project)
    empty_file, cut_file = ten[3], ten[8]
    (catalog / f"v{empty_file}" / "B04.tif").write_bytes(b"")
    shorten(catalog / f"v{cut_file}" / "B08.tif")

    first = run_tiles(project, keys=ten)

    good = set(ten) - {empty_file, cut_file}
    assert {tile for tile in ten if first[tile].state is State.MATERIALIZED} == good
    assert run_fails(first)
    for tile in (empty_file, cut_file):
        assert first[tile].state is State.QUARANTINED
        assert failure_of(first[tile])[0] == "no_usable_scene"
        assert f"v{tile}" in failure_of(first[tile])[1]
    assert {str(row["tile"]) for row in rows(project, "ndvi_by_boundary")} == good
    assert {str(row["tile"]) for row in rows(project, "tile_index")} == good

    stored = stored_objects(project)
    for tile in (empty_file, cut_file):
        write_granule(catalog, village_scene(project, tile))

    second = run_tiles(project, keys=ten)

    assert states(second) == {State.MATERIALIZED, State.UNCHANGED}
    assert set(computed_stages(second)) == {empty_file, cut_file}
    assert not run_fails(second)
    owned = {
        f"{shard.row}/{shard.column}"
        for tile in (empty_file, cut_file)
        for shard in project.partitioning.tile(tile).shards
    }
    extent, size = project.partitioning.extent, project.grid.shard
    for path in changed_objects(stored, project):
        stage, *rest = path.split("/")
        if stage in {"raw_tile", "reprojected_raster"}:
            assert rest[0] in {empty_file, cut_file}
        elif stage == "ndvi.zarr":
            row, column = int(rest[-2]), int(rest[-1])
            absolute = f"{row + extent.row // size}/{column + extent.column // size}"
            assert absolute in owned
        else:
            assert stage in {"manifests", "manifest_parts", "scenes", "quarantine"}
    assert {str(row["tile"]) for row in rows(project, "ndvi_by_boundary")} == set(ten)


def shorten(path: Path) -> None:
    """Cut a file in its pixels: its header still opens."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
