"""One cluster of two workers for all tests that leave it as it was, and one without any."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from spatial_assets.pipeline.engines.dask_engine import ClusterEngine, ClusterTimeouts
from spatial_assets.stores.objects.store import open_store
from spatial_assets_tests.dask.clusters import Scheduler, scheduler, worker
from spatial_assets_tests.pipeline.world import COUNTRY, write_country

SHORT = ClusterTimeouts(scheduler=1.0, workers=1.5, recall=0.5)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Scheduler]:
    """A scheduler with two workers, started again when they die."""
    with ExitStack() as stack:
        started = stack.enter_context(scheduler())
        for _ in range(2):
            stack.enter_context(worker(started.address))
        yield started


@pytest.fixture
def empty_cluster() -> Iterator[Scheduler]:
    """A scheduler without workers."""
    with scheduler() as started:
        yield started


@pytest.fixture
def engine(cluster: Scheduler, tmp_path: Path) -> ClusterEngine:
    """An engine on the cluster, for jobs that use no store."""
    return engine_at(cluster, tmp_path)


def engine_at(
    cluster: Scheduler, folder: Path, patience: ClusterTimeouts | None = None
) -> ClusterEngine:
    """An engine on a cluster, with a store in a folder."""
    return ClusterEngine(
        address=cluster.address,
        store=open_store(str(folder / "store")),
        gdal_cache_mb=77,
        patience=patience or ClusterTimeouts(recall=0.5),
    )


@pytest.fixture(scope="session")
def country(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalogue of the whole country; read only."""
    return write_country(tmp_path_factory.mktemp("country-of-many"), COUNTRY)
