"""project.toml as frozen settings: read once, checked as a whole, then passed on unchanged."""

from spatial_assets.project.loading import load_project
from spatial_assets.project.project import Project
from spatial_assets.project.secrets import mask_secrets

__all__ = ["Project", "load_project", "mask_secrets"]
