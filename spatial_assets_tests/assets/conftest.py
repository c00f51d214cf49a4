"""Projects and instances of the Dagster tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from spatial_assets.project import Project
from spatial_assets_tests.fixtures.dagster_runs import BOUNDARIES, CHAIN, definitions, materialize
from spatial_assets_tests.fixtures.ten_village_project import (
    first_tiles,
    ten_villages_with_districts,
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Ten villages and two districts, for this test to change."""
    return ten_villages_with_districts(tmp_path)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An empty instance in memory."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture(scope="module")
def made_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Ten villages that no test of the module changes."""
    return ten_villages_with_districts(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def made_instance(made_project: Project) -> Iterator[dg.DagsterInstance]:
    """An instance with the boundaries and two tiles of `made_project` materialized."""
    defs = definitions(made_project)
    with dg.DagsterInstance.ephemeral() as made:
        materialize(defs, made, BOUNDARIES)
        materialize(defs, made, CHAIN, tiles=first_tiles(made_project, 2))
        yield made
