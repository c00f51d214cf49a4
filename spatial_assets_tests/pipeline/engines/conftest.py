"""Fixtures of the engines' tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from spatial_assets.pipeline.engines.dask_engine import ClusterEngine
from spatial_assets_tests.pipeline.engines.cluster_engines import engine_at
from spatial_assets_tests.servers.dask import Scheduler


@pytest.fixture
def engine(cluster: Scheduler, tmp_path: Path) -> ClusterEngine:
    """An engine on the cluster, for jobs that use no store."""
    return engine_at(cluster, tmp_path)
