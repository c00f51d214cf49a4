"""Choice of the engine that computes tiles: this process, local processes, or a Dask cluster."""

from __future__ import annotations

from pathlib import Path

from spatial_assets.pipeline.engines.engine import Engine, InlineEngine, ProcessEngine
from spatial_assets.project import Project
from spatial_assets.project.urls import is_url
from spatial_assets.stores.objects.store import ObjectStore


def local_folders(project: Project) -> tuple[str, ...]:
    """Return the local folder of the scenes, if any: workers elsewhere must see it too."""
    catalog = project.catalog_url
    return () if is_url(catalog) or not Path(catalog).exists() else (catalog,)


def chosen_engine(
    project: Project, store: ObjectStore, *, workers: int, gdal_cache_mb: int, dask: str
) -> Engine:
    """Return the engine for a run; nothing is started or contacted yet.

    Args:
        project: the project whose scenes are read.
        store: the store of the product.
        workers: local processes; 0: this one.
        gdal_cache_mb: GDAL cache of each process.
        dask: address of a scheduler, whose workers are used instead; empty: local processes.
    """
    if dask:
        # Dask is an optional dependency.
        from spatial_assets.pipeline.engines.dask_engine import ClusterEngine

        return ClusterEngine(
            address=dask,
            store=store,
            gdal_cache_mb=gdal_cache_mb,
            folders=local_folders(project),
        )
    if workers == 0:
        return InlineEngine()
    return ProcessEngine(workers=workers, gdal_cache_mb=gdal_cache_mb)
