"""project.toml as frozen settings: read once, checked as a whole, then only passed on."""

from spatial_assets.project.loading import load_project
from spatial_assets.project.project import Project
from spatial_assets.project.secrets import mask_secrets
from spatial_assets.project.sensors import SENSORS, SensorProfile

__all__ = ["SENSORS", "Project", "SensorProfile", "load_project", "mask_secrets"]
