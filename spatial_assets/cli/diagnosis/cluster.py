"""Whether the Dask cluster is there, and each of its workers can do the work."""

from __future__ import annotations

from spatial_assets.cli.diagnosis.finding import Finding, asked
from spatial_assets.project import Project


def cluster(project: Project) -> Finding:
    """Have every worker look at its software and at the store."""
    from spatial_assets.pipeline.dask_engine import ClusterEngine  # noqa: PLC0415  (GDAL)
    from spatial_assets.pipeline.dask_flight import Patience  # noqa: PLC0415
    from spatial_assets.pipeline.engine_choice import local_folders  # noqa: PLC0415
    from spatial_assets.stores.objects import open_store  # noqa: PLC0415  (obstore)

    compute = project.compute
    engine = ClusterEngine(
        address=compute.dask,
        store=open_store(project.storage_url),
        gdal_cache_mb=compute.gdal_cache_mb,
        folders=local_folders(project),
        patience=Patience(scheduler=5.0),
    )
    remedy = "start scheduler and workers from the same image as this, or leave out [compute] dask"
    return asked("Dask cluster", engine.examine, remedy=remedy)
