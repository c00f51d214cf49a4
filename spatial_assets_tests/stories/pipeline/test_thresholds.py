"""Thresholds are settings of the project file, and changing one changes the verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from spatial_assets.catalog import find_scenes
from spatial_assets.catalog.rasters.inspect import inspect_scene
from spatial_assets.catalog.scene_facts import SceneFacts
from spatial_assets.pipeline.outcome import CheckOutcome, State, TileOutcome
from spatial_assets.pipeline.tile.reprojected_raster import MisplacedError, store_reprojected
from spatial_assets.pipeline.tile.scene_record import SceneRecord
from spatial_assets.project import Project
from spatial_assets_tests.fixtures.pipeline_runs import (
    changed_objects,
    rows,
    run_tiles,
    states,
    store_of,
    stored_objects,
)
from spatial_assets_tests.fixtures.two_zone_project import (
    FILES,
    TWO_TILES,
    WEST,
    damage_block,
    write_catalog,
    write_granule,
    write_project,
    write_scene_out_of_range,
)


def over(folder: Path, catalog: Path, **checks: float) -> Project:
    return write_project(folder, catalog, area={"bbox": TWO_TILES}, checks=checks)


def said(outcome: TileOutcome, name: str) -> CheckOutcome:
    (found,) = [check for check in outcome.checks if check.check == name]
    return found


@pytest.fixture
def coast(tmp_path: Path) -> Path:
    """A scene of which the western tile loses more than half of its NDVI as out of range."""
    write_scene_out_of_range(tmp_path / "catalog")
    return tmp_path / "catalog"


def test_a_quarantine_ends_when_its_threshold_is_raised_and_no_input_changed(
    coast: Path, tmp_path: Path
) -> None:
    strict = over(tmp_path / "project", coast)
    west, _ = strict.partitioning.keys
    assert run_tiles(strict)[west].state is State.QUARANTINED
    assert run_tiles(strict)[west].already_quarantined

    outcome = run_tiles(over(tmp_path / "project", coast, quarantine_removed_share=1.0))[west]

    assert outcome.state is State.EMPTY  # every value of it was out of range
    check = said(outcome, "index_range")
    assert not check.verdict.passed  # still a warning
    assert not check.severe


def test_a_lower_threshold_quarantines_what_is_stored_without_computing_it_again(
    coast: Path, tmp_path: Path
) -> None:
    lenient = over(tmp_path / "project", coast, quarantine_removed_share=1.0)
    west, east = lenient.partitioning.keys
    run_tiles(lenient)
    before = stored_objects(lenient)

    outcomes = run_tiles(over(tmp_path / "project", coast, quarantine_removed_share=0.3))

    assert outcomes[west].state is State.QUARANTINED
    assert outcomes[east].state is not State.QUARANTINED
    assert said(outcomes[west], "index_range").severe
    assert {path.split("/")[0] for path in changed_objects(before, lenient)} <= {
        "quarantine",
        "manifests",
        "manifest_parts",
    }


def test_a_warning_follows_its_threshold_and_nothing_is_made_again(
    catalog: Path, tmp_path: Path
) -> None:
    project = over(tmp_path / "project", catalog)
    run_tiles(project)
    before = stored_objects(project)

    strict = run_tiles(over(tmp_path / "project", catalog, least_valid_share=0.99))

    assert states(strict) == {State.UNCHANGED}
    assert changed_objects(before, project) == set()
    checks = [said(outcome, "index_range") for outcome in strict.values()]
    assert not any(check.verdict.passed for check in checks)
    assert not any(check.severe for check in checks)
    assert all(0 < float(check.verdict.evidence["valid_share"]) < 0.99 for check in checks)


def test_a_scene_is_judged_again_when_what_is_plausible_changes(tmp_path: Path) -> None:
    granule = replace(WEST, cloud=0.0)
    catalog, pixels = write_catalog(tmp_path / "catalog", []), granule.pixels()
    wrong = slice(0, granule.columns // 4)
    pixels["red"][:, wrong], pixels["nir"][:, wrong] = 300, 3000
    item = granule.item(**{"earthsearch:boa_offset_applied": False})
    write_granule(catalog, granule, pixels=pixels, item=item)
    run_tiles(over(tmp_path / "project", catalog, quarantine_removed_share=1.0))

    run_tiles(over(tmp_path / "project", catalog, most_implausible_share=0.1))

    reasons = {row["reason"] for row in rows(over(tmp_path / "project", catalog), "quarantine")}
    assert "radiometry_implausible" in reasons


def test_a_lost_block_is_a_warning_below_the_share_in_the_project_file(
    catalog: Path, tmp_path: Path
) -> None:
    damage_block(catalog / "east_0810" / FILES["nir"], 1, 2)
    strict = write_project(tmp_path / "project", catalog)
    walked = run_tiles(strict)
    shares = {
        tile: float(said(outcome, "source_intact").verdict.evidence["readable_share"])
        for tile, outcome in walked.items()
    }
    tile, share = next((tile, share) for tile, share in shares.items() if 0.0 < share < 1.0)

    checks = {"least_readable_share": share}
    lenient = run_tiles(write_project(tmp_path / "project", catalog, checks=checks))

    assert not said(walked[tile], "source_intact").verdict.passed
    assert said(lenient[tile], "source_intact").verdict.passed


def test_a_sparse_file_is_intact_and_empty_where_it_holds_nothing(
    catalog: Path, tmp_path: Path
) -> None:
    pixels = WEST.pixels()
    for band in pixels.values():
        band[:256] = 0  # two rows of blocks
    write_granule(catalog, WEST, pixels=pixels, sparse_ok=True)
    project = over(tmp_path / "project", catalog)

    outcomes = run_tiles(project)

    assert all(said(outcome, "source_intact").verdict.passed for outcome in outcomes.values())


def test_pixels_of_another_place_are_refused_before_they_are_written(
    catalog: Path, tmp_path: Path
) -> None:
    project = over(tmp_path / "project", catalog)
    key = project.partitioning.keys[0]
    window = project.partitioning.tile(key).window
    scene = next(each for each in find_scenes(project).scenes if each.id == WEST.id)
    facts = inspect_scene(scene, project)
    assert isinstance(facts, SceneFacts)
    far_away = Affine.translation(100_000.0, 0.0)
    moved = {
        name: replace(band, grid=replace(band.grid, transform=far_away @ band.grid.transform))
        for name, band in facts.bands.items()
    }

    with pytest.raises(MisplacedError, match="do not belong") as caught:
        store_reprojected(
            store_of(project),
            key,
            scene=SceneRecord.of(scene, replace(facts, bands=moved)),
            pixels=np.full((2, *window.shape), 1000, dtype=np.int16),
            box=project.pixel_grid.geobox(window),
            owned=np.ones(window.shape, dtype=np.bool_),
            fingerprint="f",
        )

    assert caught.value.reason == "misplaced_pixels"
    assert store_of(project).list("reprojected_raster") == ()
