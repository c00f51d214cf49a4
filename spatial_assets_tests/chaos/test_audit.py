"""The audit of the fault campaign finds each type of defect."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest

from chaos import audit
from chaos.audit import Findings, Snapshot
from chaos.fault_injection import FaultInjector
from spatial_assets.pipeline.boundaries import BoundaryPipeline
from spatial_assets.project import Project
from spatial_assets.stores.objects.leases import acquire
from spatial_assets.stores.rows import Replace
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.fixtures.pipeline_runs import NOON, run_tiles, store_of
from spatial_assets_tests.fixtures.ten_village_project import districts
from spatial_assets_tests.fixtures.two_zone_project import (
    TWO_TILES,
    WEST,
    write_granule,
    write_project,
)

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A product of two tiles in a folder and a file."""
    write_granule(tmp_path / "catalog", WEST)
    project = write_project(
        tmp_path / "project",
        tmp_path / "catalog",
        area={"bbox": TWO_TILES},
        boundaries={
            "name": "boundaries",
            "source": str(districts(tmp_path / "districts.gpkg")),
            "key": "region_id",
            "columns": ["name"],
        },
    )
    with open_database(project.database_url) as database:
        steps = BoundaryPipeline(
            project=project,
            settings=project.boundaries[0],
            store=store_of(project),
            clock=lambda: NOON,
        )
        steps.fetch()
        steps.validate()
        steps.load(database)
    run_tiles(project)
    return project


def audited(project: Project, wanted: Snapshot) -> Findings:
    findings = Findings()
    audit.compare(audit.snapshot(project, os.environ), wanted, findings)
    audit.find_half_written(project, os.environ, findings)
    audit.find_held_leases(project, os.environ, findings, clock_offset=dt.timedelta(0))
    return findings


def test_only_the_damaged_objects_are_found(project: Project) -> None:
    store, wanted = store_of(project), audit.snapshot(project, os.environ)
    assert not audited(project, wanted)
    rasters = [path for path in wanted.objects if path.startswith("reprojected_raster/")]
    key = project.partitioning.keys[0]

    store.put("extra.bin", b"x")
    assert audited(project, wanted).counts()["duplicated"] == 1
    store.delete("extra.bin")

    held = acquire(store, "tile/1", owner="dead", ttl=HOUR, clock=lambda: dt.datetime.now(dt.UTC))
    assert audited(project, wanted).left_over == ["leases/tile/1, held by dead"]
    held.release()

    store.put(rasters[0], store.get(rasters[0])[:-1])
    counts = audited(project, wanted).counts()
    assert (counts["wrong"], counts["half_written"]) == (1, 1)

    store.delete(rasters[0])
    counts = audited(project, wanted).counts()
    assert (counts["lost"], counts["half_written"]) == (1, 1)

    with open_database(project.database_url) as database:
        database.ensure_schema(project.boundaries, project.indices.names)
        where = {"grid_id": project.grid_id, "tile": key}
        database.commit([Replace("tile_index", where, [])])
    assert audited(project, wanted).counts()["lost"] > 1


def test_a_file_that_is_no_object_is_found(project: Project) -> None:
    (Path(project.storage_url) / "manifests" / "1.json#1").write_bytes(b"half")
    findings = Findings()

    audit.find_stray_files(project, findings)

    assert "manifests/1.json#1" in findings.left_over


def test_faults_do_not_depend_on_the_order_of_requests() -> None:
    questions = [f"GET {n % 20}" for n in range(400)]
    kinds = {"reset": 2, "stall": 1}

    def struck(settings: list[str]) -> dict[str, list[str]]:
        injector = FaultInjector(seed="7", share=0.2, kinds=kinds)
        found: dict[str, list[str]] = {}
        for question in settings:
            found.setdefault(question, []).append(injector.draw(question))
        return found

    assert struck(questions) == struck(sorted(questions))
    faults = [fault for each in struck(questions).values() for fault in each]
    assert 50 < sum(map(bool, faults)) < 110
