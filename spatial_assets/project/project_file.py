"""All tables of project.toml in one model; each table is defined in `sections`."""

from __future__ import annotations

from pydantic import Field

from spatial_assets.project.base import Table, Tuple
from spatial_assets.project.sections.area import AreaSettings
from spatial_assets.project.sections.checks import ChecksSettings
from spatial_assets.project.sections.compute import ComputeSettings
from spatial_assets.project.sections.freshness import FreshnessSettings
from spatial_assets.project.sections.grid import GridSettings
from spatial_assets.project.sections.identity import IdentitySettings
from spatial_assets.project.sections.products import BoundarySettings, IndexSettings, TimeSettings
from spatial_assets.project.sections.regions import Regions
from spatial_assets.project.sections.retention import RetentionSettings
from spatial_assets.project.sections.scenes import ScenesSettings
from spatial_assets.project.sections.storage import DatabaseSettings, StorageSettings


class ProjectFile(Table):
    """All tables of project.toml."""

    project: IdentitySettings = Field(
        default_factory=IdentitySettings, description="the name of the project"
    )
    area: AreaSettings = Field(
        description="the area", examples=[{"bbox": [15.0, 45.06, 16.44, 46.95]}]
    )
    grid: GridSettings = Field(default_factory=GridSettings, description="the pixel grid")
    scenes: ScenesSettings = Field(
        description="the scenes",
        examples=[{"catalog": "https://...", "sensor": "sentinel-2-l2a"}],
    )
    time: TimeSettings = Field(default_factory=TimeSettings, description="the time axis")
    indices: IndexSettings = Field(default_factory=IndexSettings, description="the indices")
    boundaries: Tuple[BoundarySettings] = Field(
        default=(), description="[[boundaries]], a table per set"
    )
    regions: Regions = Field(
        default_factory=dict,
        description="named parts of the area",
        examples=[{"coast": {"area": "coast.geojson"}}],
    )
    checks: ChecksSettings = Field(
        default_factory=ChecksSettings, description="the thresholds of the checks"
    )
    freshness: FreshnessSettings = Field(
        default=FreshnessSettings(),
        description="the freshness windows, by asset name",
        examples=[{"raw_tile": {"warn": "5 days", "fail": "10 days"}}],
    )
    retention: RetentionSettings = Field(
        default_factory=RetentionSettings, description="how long inputs and old periods are kept"
    )
    storage: StorageSettings = Field(
        default_factory=StorageSettings, description="the object store"
    )
    database: DatabaseSettings = Field(default_factory=DatabaseSettings, description="the database")
    compute: ComputeSettings = Field(
        default_factory=ComputeSettings, description="workers and their limits"
    )
