"""Engines on a test's cluster."""

from __future__ import annotations

from pathlib import Path

from spatial_assets.pipeline.engines.dask_engine import ClusterEngine, ClusterTimeouts
from spatial_assets.stores.objects.store import open_store
from spatial_assets_tests.servers.dask import Scheduler

SHORT = ClusterTimeouts(connect=1.0, workers=1.5, cancel=0.5)


def engine_at(
    cluster: Scheduler, folder: Path, timeouts: ClusterTimeouts | None = None
) -> ClusterEngine:
    """An engine on a cluster, with a store in a folder."""
    return ClusterEngine(
        address=cluster.address,
        store=open_store(str(folder / "store")),
        gdal_cache_mb=77,
        timeouts=timeouts or ClusterTimeouts(cancel=0.5),
    )
