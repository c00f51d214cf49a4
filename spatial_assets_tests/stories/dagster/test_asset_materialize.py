"""`dagster asset materialize`: results of good and bad tiles, and exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from spatial_assets_tests.fixtures.dagster_runs import (
    BOUNDARIES,
    CHAIN,
    materialization_count,
    newest_metadata,
    newest_observation,
    versions,
)
from spatial_assets_tests.fixtures.pipeline_runs import rows, stored_objects
from spatial_assets_tests.fixtures.ten_village_project import (
    first_tiles,
    make_unreadable,
    rewrite_scene,
    ten_villages_with_districts,
)
from spatial_assets_tests.servers.dagster import make_home
from spatial_assets_tests.stories.dagster.asset_materialize_command import Command, DagsterProject

pytestmark = pytest.mark.servers


@dataclass(frozen=True)
class BadTilesScenario:
    """Ten tiles: two are bad, are tried again, and are repaired. One fixture a phase."""

    site: DagsterProject

    @property
    def tiles(self) -> tuple[str, ...]:
        return first_tiles(self.site.project, 10)

    @property
    def bad(self) -> tuple[str, str]:
        return self.tiles[3], self.tiles[7]

    @property
    def good(self) -> list[str]:
        return [tile for tile in self.tiles if tile not in self.bad]


@dataclass(frozen=True)
class FinishedCommand:
    """A finished command, and what was known when it ended."""

    done: Command
    versions: dict[str, dict[str, str]]
    objects: dict[str, tuple[int, str, int]]
    states: dict[tuple[str, str], object]
    """(asset, tile) -> state in the newest materialization."""


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> BadTilesScenario:
    folder = tmp_path_factory.mktemp("land")
    scenario = BadTilesScenario(
        DagsterProject(ten_villages_with_districts(folder), make_home(folder / "dagster_home"))
    )
    for tile in scenario.bad:
        make_unreadable(scenario.site.project, tile)
    return scenario


@pytest.fixture(scope="module")
def with_bad_tiles(scenario: BadTilesScenario) -> FinishedCommand:
    """Everything is materialized in one run; two tiles are bad."""
    return finished(scenario, scenario.site.materialize([*BOUNDARIES, *CHAIN], *scenario.tiles))


@pytest.fixture(scope="module")
def repeated(scenario: BadTilesScenario, with_bad_tiles: FinishedCommand) -> FinishedCommand:  # noqa: ARG001 - it comes after it
    """One of the bad tiles is materialized again, as it was."""
    return finished(scenario, scenario.site.materialize(CHAIN, scenario.bad[0]))


@pytest.fixture(scope="module")
def repaired(scenario: BadTilesScenario, repeated: FinishedCommand) -> FinishedCommand:  # noqa: ARG001 - it comes after it
    """The inputs are good now, and everything is materialized again."""
    for tile in scenario.bad:
        rewrite_scene(scenario.site.project, tile)
    return finished(scenario, scenario.site.materialize(CHAIN, *scenario.tiles))


@pytest.fixture
def instance(scenario: BadTilesScenario) -> Iterator[dg.DagsterInstance]:
    with scenario.site.instance() as opened:
        yield opened


def finished(scenario: BadTilesScenario, done: Command) -> FinishedCommand:
    with scenario.site.instance() as instance:
        made = {asset: versions(instance, asset, scenario.tiles) for asset in CHAIN}
        states = {
            (asset, tile): newest_metadata(instance, asset, tile)["state"]
            for asset, tiles in made.items()
            for tile in tiles
        }
    return FinishedCommand(done, made, stored_objects(scenario.site.project), states)


def test_two_bad_tiles_of_ten_cost_only_themselves(
    scenario: BadTilesScenario, with_bad_tiles: FinishedCommand
) -> None:
    assert with_bad_tiles.done.code == 1, with_bad_tiles.done.output
    assert "2 of 10 tiles need attention; the others are good" in with_bad_tiles.done.output
    assert {asset: set(made) for asset, made in with_bad_tiles.versions.items()} == {
        asset: set(scenario.good) for asset in CHAIN
    }
    assert set(with_bad_tiles.states.values()) == {"materialized"}


def test_a_bad_tile_shows_the_reason_on_its_own_page(
    scenario: BadTilesScenario, with_bad_tiles: FinishedCommand, instance: dg.DagsterInstance
) -> None:
    for tile in scenario.bad:
        seen = newest_observation(instance, "raw_tile", tile)
        assert (seen["state"], seen["reason"]) == ("quarantined", "no_usable_scene")
        assert f"v{tile}" in seen["message"]
        assert newest_observation(instance, "ndvi", tile)["reason"] == "upstream_quarantined"
        assert f"{tile}: quarantined at raw_tile: no_usable_scene" in with_bad_tiles.done.output
    assert not newest_observation(instance, "raw_tile", scenario.good[0])


def test_boundaries_are_made_in_the_same_run(
    scenario: BadTilesScenario, with_bad_tiles: FinishedCommand, instance: dg.DagsterInstance
) -> None:
    assert with_bad_tiles.done.code == 1
    assert newest_metadata(instance, "boundaries")["dagster/row_count"] == 2
    assert {row["boundary_key"] for row in rows(scenario.site.project, "boundaries")} == {
        "west",
        "east",
    }


def test_a_known_quarantine_is_reported_again_and_fails_no_run(
    scenario: BadTilesScenario, repeated: FinishedCommand, instance: dg.DagsterInstance
) -> None:
    tile = scenario.bad[0]

    assert repeated.done.code == 0, repeated.done.output
    assert tile not in repeated.versions["raw_tile"]
    wanted = dg.AssetRecordsFilter(dg.AssetKey("raw_tile"), asset_partitions=[tile])
    records = instance.fetch_observations(wanted, limit=9).records
    assert len(records) == 2


def test_once_the_input_is_repaired_only_the_bad_tiles_change(
    scenario: BadTilesScenario, with_bad_tiles: FinishedCommand, repaired: FinishedCommand
) -> None:
    assert repaired.done.code == 0, repaired.done.output
    for asset in CHAIN:
        assert {repaired.states[asset, tile] for tile in scenario.good} == {"unchanged"}
        assert {repaired.states[asset, tile] for tile in scenario.bad} == {"materialized"}
        kept = {tile: repaired.versions[asset][tile] for tile in scenario.good}
        assert kept == with_bad_tiles.versions[asset]
    same = with_bad_tiles.objects.keys() & repaired.objects.keys()
    touched = {path for path in same if with_bad_tiles.objects[path] != repaired.objects[path]}
    assert not any(tile in path for tile in scenario.good for path in touched)
    assert not any(path.startswith("ndvi.zarr/ndvi/c/") for path in touched)


def test_a_single_tile_is_one_event_a_stage(
    scenario: BadTilesScenario, repaired: FinishedCommand, instance: dg.DagsterInstance
) -> None:
    tile = scenario.tiles[0]
    rewrite_scene(scenario.site.project, tile, seed=9)
    before = {asset: materialization_count(instance, asset, tile) for asset in CHAIN}

    done = scenario.site.materialize(CHAIN, tile)

    assert done.code == 0, done.output
    after = {asset: materialization_count(instance, asset, tile) for asset in CHAIN}
    assert after == {asset: count + 1 for asset, count in before.items()}
    assert versions(instance, "ndvi", [tile]) != {tile: repaired.versions["ndvi"][tile]}


def test_the_index_alone_is_made_again_from_stored_inputs_bit_for_bit(
    scenario: BadTilesScenario, repaired: FinishedCommand
) -> None:
    before = scenario.site.pixels()
    for path in before:
        Path(path).unlink()

    done = scenario.site.materialize(["ndvi"], *scenario.tiles)

    assert repaired.done.code == 0
    assert done.code == 0, done.output
    assert len(before) >= len(scenario.tiles)
    assert scenario.site.pixels() == before


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        pytest.param(("--select", "ndvi", "--partition", "nowhere"), 1, "nowhere", id="tile"),
        pytest.param(("--select", "ndvj"), 1, "ndvj", id="asset"),
        pytest.param(("--nonsense",), 2, "No such option", id="option"),
    ],
)
def test_an_invalid_command_explains_why(
    scenario: BadTilesScenario, arguments: tuple[str, ...], code: int, says: str
) -> None:
    done = scenario.site.dagster(*arguments)

    assert done.code == code
    assert says in done.output
