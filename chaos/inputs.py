"""Inputs of every round: eight tiles of 256 pixels, three scenes, two districts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import boto3

from chaos.servers import PRODUCT, SCENES, ChaosServers
from spatial_assets.project import Project, load_project
from spatial_assets_tests.fixtures.ten_village_project import districts
from spatial_assets_tests.fixtures.two_zone_project import (
    EAST,
    FILES,
    LATER,
    WEST,
    write_catalog,
    write_project,
)

FINE_GRID = {"pixel_zoom": 11, "chunk": 128, "shard": 256, "level": 11}
AREA = [11.72, 46.075, 12.28, 46.3]
SMALL_AREA = [11.9, 46.12, 12.05, 46.15]
"""An area of two of the tiles."""

GRANULES = (WEST, EAST, LATER)
WORKERS = 2


@dataclass(frozen=True)
class RoundInputs:
    """Scenes on disk and in a bucket, and a project file for each."""

    folder: Path

    def project_folder(self, *, remote: bool) -> Path:
        """Folder of the project whose scenes are on disk, or in the bucket."""
        return self.folder / ("remote" if remote else "local")

    def clear_scene_cache(self) -> None:
        """Delete the local copies of scenes that earlier rounds read from S3."""
        shutil.rmtree(self.project_folder(remote=True) / "cache", ignore_errors=True)


def write_inputs(folder: Path, servers: ChaosServers, *, small: bool = False) -> RoundInputs:
    """Write the scenes and the projects."""
    local = write_catalog(folder / "scenes", GRANULES)
    remote = folder / "items"
    _upload(servers, local, remote)
    district = districts(folder / "districts.gpkg")
    boundaries = {
        "name": "boundaries",
        "source": str(district),
        "key": "region_id",
        "columns": ["name"],
    }
    inputs = RoundInputs(folder)
    for is_remote, catalog in ((False, local), (True, remote)):
        scenes = {"catalog": str(catalog)}
        tables: dict[str, Mapping[str, object]] = {
            "area": {"bbox": SMALL_AREA if small else AREA},
            "grid": FINE_GRID,
            "scenes": scenes,
            "compute": {"workers": WORKERS},
            "database": {"pool_size": WORKERS},
            "boundaries": boundaries,
        }
        if is_remote:
            endpoint = f"http://127.0.0.1:{servers.s3.port}"
            tables["scenes.source"] = {"endpoint": endpoint, "region": servers.s3_server.region}
        write_project(inputs.project_folder(remote=is_remote), catalog, **tables)
    return inputs


def project_of(
    inputs: RoundInputs, servers: ChaosServers, *, name: str, remote: bool, direct: bool
) -> Project:
    """Load the project of a round, for a process that uses the relays or connects directly."""
    return load_project(
        inputs.project_folder(remote=remote), location_variables(servers, name=name, direct=direct)
    )


def location_variables(servers: ChaosServers, *, name: str, direct: bool = False) -> dict[str, str]:
    """Environment variables of a round: the URLs of its storage and its database."""
    return {
        **servers.environment(direct=direct),
        "SPATIAL_ASSETS_STORAGE_URL": f"s3://{PRODUCT}/{name}",
        "SPATIAL_ASSETS_DATABASE_URL": servers.database_url(name, direct=direct),
    }


def _upload(servers: ChaosServers, local: Path, items: Path) -> None:
    """Copy the scene files to the bucket; their items stay on disk and refer to the bucket."""
    server = servers.s3_server
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=server.region,
    )
    shutil.copytree(local, items, ignore=shutil.ignore_patterns("*.tif"))
    for path in sorted(local.rglob("*.tif")):
        client.upload_file(str(path), SCENES, path.relative_to(local).as_posix())
    client.close()
    for path in items.rglob("*.json"):
        document = json.loads(path.read_text())
        for band, name in FILES.items():
            document["assets"][band]["href"] = f"s3://{SCENES}/{path.parent.name}/{name}"
        path.write_text(json.dumps(document))
