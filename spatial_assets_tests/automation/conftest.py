"""A project of many small tiles, and what Dagster knows of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from spatial_assets_tests.automation.frozen_clock import Ageing, windowed_project


@pytest.fixture
def ageing(tmp_path: Path) -> Iterator[Ageing]:
    """Fifteen tiles and more that are due after five days, and an empty instance in memory."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield Ageing(project=windowed_project(tmp_path), instance=instance)
