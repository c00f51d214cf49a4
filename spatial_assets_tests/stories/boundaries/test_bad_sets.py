"""A boundary set that cannot be used stops itself: neither the tiles nor the other sets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import shapely

from spatial_assets_tests.fixtures.field_cases import (
    field_case,
    materialize,
    project_of,
    valid_ndvi,
)
from spatial_assets_tests.fixtures.pipeline_runs import rows

pytestmark = pytest.mark.samples

SETS = """
[[boundaries]]
name = "{first}"
source = "b/{first}.geojson"
key = "id"
[[boundaries]]
name = "{second}"
source = "b/{second}.geojson"
key = "id"
"""


def features() -> str:
    """A square below the scene."""
    square = shapely.geometry.mapping(shapely.box(15.0, 45.98, 15.01, 45.99))
    feature = {"type": "Feature", "properties": {"id": 1}, "geometry": square}
    return json.dumps({"type": "FeatureCollection", "features": [feature]})


def project_with(tmp_path: Path, *, first: str, second: str) -> Path:
    """A project with one tile row and two sets: `good`, and `bad`, whose file is cut short."""
    project = field_case("toml-bom", tmp_path) / "p"
    with (project / "project.toml").open("a", encoding="utf-8") as file:
        file.write(SETS.format(first=first, second=second))
    (project / "b").mkdir()
    (project / "b" / "good.geojson").write_text(features())
    (project / "b" / "bad.geojson").write_text(features()[:100])
    return project


def statistics(project: Path) -> set[tuple[str, str]]:
    """The sets and keys that have statistics with pixels."""
    found = rows(project_of(project), "ndvi_by_boundary_merged")
    return {(str(r["boundary_table"]), str(r["boundary_key"])) for r in found if r["weight"]}


@pytest.mark.parametrize(("first", "second"), [("bad", "good"), ("good", "bad")])
def test_tiles_and_the_other_set_are_made_without_a_bad_one(
    tmp_path: Path, first: str, second: str
) -> None:
    project = project_with(tmp_path, first=first, second=second)

    result = materialize(project)

    assert result.exit_code == 1
    source = project / "b" / "bad.geojson"
    assert f"boundaries 'bad' failed: {source} is not complete GeoJSON" in result.output
    assert "boundary sets bad need attention" in result.output
    assert "failed" not in result.output.split("tiles in")[1]
    assert len(valid_ndvi(project)) > 30_000
    assert statistics(project) == {("good", "1")}

    source.write_text(features())
    again = materialize(project)

    assert again.exit_code == 0, again.output
    assert statistics(project) == {("good", "1"), ("bad", "1")}


def test_a_set_that_turns_bad_keeps_its_rows_and_statistics(tmp_path: Path) -> None:
    project = project_with(tmp_path, first="good", second="bad")
    (project / "b" / "bad.geojson").write_text(features())
    assert materialize(project).exit_code == 0
    before = statistics(project)

    (project / "b" / "bad.geojson").write_text("{}")
    result = materialize(project)

    assert result.exit_code == 1
    assert statistics(project) == before == {("good", "1"), ("bad", "1")}
    assert len(rows(project_of(project), "bad")) == 1


def test_a_set_that_was_never_validated_leaves_the_statistics_of_the_others(
    tmp_path: Path,
) -> None:
    project = project_with(tmp_path, first="bad", second="good")
    assert materialize(project, "--select", "raw_good,validated_good,good").exit_code == 0

    result = materialize(
        project, "--select", "raw_tile,reprojected_raster,ndvi,ndvi_by_boundary,tile_index"
    )

    assert result.exit_code == 1
    assert "missing_input" in result.output
    assert "validated_bad" in result.output
    assert len(valid_ndvi(project)) > 30_000
    assert statistics(project) == {("good", "1")}
