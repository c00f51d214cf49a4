"""The sensor of the check `backlog`: it evaluates the database without a run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import dagster as dg

from spatial_assets.automation.sensors import BACKLOG_SENSOR
from spatial_assets.project.sections.freshness import BacklogSettings
from spatial_assets.resources import project_resources
from spatial_assets.stores.rows import TileInputs, Upsert
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.automation.frozen_clock import WARN, WINDOW, AutomationHarness, freshness

KEY = dg.AssetCheckKey(dg.AssetKey("raw_tile"), "backlog")


def look_at(harness: AutomationHarness, tiles: Sequence[str]) -> None:
    """Record that tiles were checked now."""
    project = harness.project
    rows = [
        TileInputs(grid_id=project.grid_id, tile=tile, inputs={}, looked_at=harness.clock)
        for tile in tiles
    ]
    with open_database(project.database_url) as database:
        database.ensure_schema(project.boundaries, project.indices.names)
        database.commit([Upsert("tile_inputs", rows)])


def judged(harness: AutomationHarness) -> dg.AssetCheckEvaluation:
    """Evaluate the sensor now."""
    defs = harness.definitions()
    repository = defs.get_repository_def()
    context = dg.build_sensor_context(
        harness.instance,
        repository_def=repository,
        resources={"database": project_resources(harness.project)["database"]},
    )
    tick = repository.get_sensor_def(BACKLOG_SENSOR).evaluate_tick(context)
    assert not tick.run_requests
    (evaluation,) = tick.asset_events
    assert isinstance(evaluation, dg.AssetCheckEvaluation)
    assert evaluation.asset_check_key == KEY
    return evaluation


def told(evaluation: dg.AssetCheckEvaluation) -> dict[str, Any]:
    return {name: value.value for name, value in evaluation.metadata.items()}


def test_it_fails_when_nothing_runs_any_more(harness: AutomationHarness) -> None:
    look_at(harness, harness.tiles)
    assert judged(harness).passed

    harness.clock += 2 * WARN + dt.timedelta(seconds=1)
    late = judged(harness)

    assert not late.passed
    assert late.severity is dg.AssetCheckSeverity.ERROR
    assert told(late)["overdue"] == 15
    assert told(late)["never_made"] == len(harness.project.partitioning.keys) - 15


def test_the_longest_standing_are_listed_with_their_reasons(harness: AutomationHarness) -> None:
    tiles = harness.project.partitioning.keys
    look_at(harness, tiles)
    harness.set_state(tiles[1], "quarantined")
    harness.clock += dt.timedelta(minutes=1)
    harness.set_state(tiles[2], "failed", stage="ndvi")
    harness.set_state(tiles[3], "quarantined")
    harness.release(tiles[3])
    harness.clock += 3 * WARN

    evaluation = judged(harness)

    counts = {name: told(evaluation)[name] for name in ("failed", "quarantined", "overdue")}
    assert counts == {"failed": 1, "quarantined": 1, "overdue": len(tiles) - 2}
    worst = evaluation.metadata["worst"]
    assert isinstance(worst, dg.TableMetadataValue)
    assert len(worst.records) == min(20, len(tiles))
    first = [record.data for record in worst.records[:3]]
    assert [record["tile"] for record in first] == [tiles[1], tiles[2], tiles[0]]
    assert [record["trouble"] for record in first] == ["quarantined", "failed", "overdue"]
    assert str(first[1]["reason"]).startswith("ndvi: ")


def test_what_is_allowed_is_a_setting(harness: AutomationHarness) -> None:
    look_at(harness, harness.tiles)
    harness.clock += 3 * WARN
    allowing = freshness(WINDOW, backlog=BacklogSettings(most=15))
    harness.project = harness.project.model_copy(update={"freshness": allowing})

    found = judged(harness)

    assert found.passed
    assert told(found)["allowed"] == 15
