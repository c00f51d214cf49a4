"""Boundary files from the field, by the commands of a user: `check` agrees with the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.fixtures.field_cases import (
    field_case,
    materialize,
    project_of,
    run_command,
)

pytestmark = pytest.mark.samples

SELECTION = ("--select", "raw_regions,validated_regions,regions")


@pytest.fixture
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The project of the case that the test names."""
    make: Callable[[Path], Path] = request.param
    return make(tmp_path) / "p"


def rows_of(project: Path) -> list[dict[str, object]]:
    settings = project_of(project)
    with open_database(settings.database_url) as database:
        database.ensure_schema(settings.boundaries, settings.indices.names)
        return database.rows("regions")


def check_line(project: Path) -> str:
    """The line of `check` about the boundary set."""
    result = run_command(project, "check")
    return next(line for line in result.output.splitlines() if "boundaries 'regions'" in line)


def loaded(project: Path) -> Result:
    result = materialize(project, *SELECTION)
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.parametrize(
    ("case", "keys"),
    [
        pytest.param(lambda tmp: field_case("zip-boundaries", tmp), 2, id="zip-boundaries"),
        pytest.param(lambda tmp: field_case("json-suffix", tmp), 1, id="json-suffix"),
        pytest.param(
            lambda tmp: field_case("shapefile-dotted-sibling", tmp), 2, id="dotted-sibling"
        ),
        pytest.param(lambda tmp: field_case("mapinfo-tab", tmp), 2, id="mapinfo-tab"),
        pytest.param(lambda tmp: field_case("crs-named-unknown", tmp), 2, id="crs-named-unknown"),
    ],
    indirect=["case"],
)
def test_a_boundary_set_is_loaded_as_check_says(case: Path, keys: int) -> None:
    assert " ok " in check_line(case)

    loaded(case)
    again = loaded(case)

    assert len(rows_of(case)) == keys
    assert again.output.count("unchanged") == 2


def test_lists_and_objects_of_a_column_are_json_text(tmp_path: Path) -> None:
    project = field_case("nested-attribute", tmp_path) / "p"

    loaded(project)

    assert {row["name"] for row in rows_of(project)} == {
        '["park", "landmark"]',
        '{"de": "Feld"}',
    }


def test_a_ballpark_shift_of_the_datum_is_a_warning_with_its_accuracy(tmp_path: Path) -> None:
    project = field_case("ballpark-datum", tmp_path) / "p"

    output = loaded(project).output

    warning = "warning: accuracy of the transformation to WGS 84 is unknown"
    assert f"validated_regions: {warning}" in output
    assert "Ballpark geographic offset from NAD27(CGQ77) to WGS 84" in output
    assert "lacks its grid" in output
    assert warning in check_line(project)


def test_a_ballpark_shift_of_the_datum_is_refused_by_setting(tmp_path: Path) -> None:
    project = field_case("ballpark-datum", tmp_path) / "p"
    with (project / "project.toml").open("a", encoding="utf-8") as file:
        file.write('on_inaccurate_crs = "refuse"\n')

    result = materialize(project, *SELECTION)

    assert result.exit_code == 1
    assert "on_inaccurate_crs is 'refuse'" in result.output
    assert "FAILED" in check_line(project)
