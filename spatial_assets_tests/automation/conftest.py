"""A project of many small tiles and a Dagster instance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from spatial_assets_tests.automation.frozen_clock import AutomationHarness, windowed_project


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[AutomationHarness]:
    """Fifteen tiles and more that are due after five days, and an empty instance in memory."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield AutomationHarness(project=windowed_project(tmp_path), instance=instance)
