"""What is made in every round: eight tiles of 256 pixels, three scenes, two districts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import boto3

from chaos.ground import PRODUCT, SCENES, Ground
from spatial_assets.project import Project, load_project
from spatial_assets_tests.fixtures.ten_village_project import districts
from spatial_assets_tests.fixtures.two_zone_project import (
    EAST,
    FILES,
    LATER,
    WEST,
    write_country,
    write_project,
)

FINE = {"pixel_zoom": 11, "chunk": 128, "shard": 256, "level": 11}
AREA = [11.72, 46.075, 12.28, 46.3]
SMALL_AREA = [11.9, 46.12, 12.05, 46.15]
"""Two of the tiles."""

GRANULES = (WEST, EAST, LATER)
WORKERS = 2


@dataclass(frozen=True)
class World:
    """Scenes on disk and in a bucket, and a project file for each."""

    folder: Path

    def project_folder(self, *, remote: bool) -> Path:
        """Where the project file is whose scenes are on disk, or in the bucket."""
        return self.folder / ("remote" if remote else "local")

    def forget_scenes(self) -> None:
        """Remove what earlier rounds kept of the scenes that they read from S3."""
        shutil.rmtree(self.project_folder(remote=True) / "cache", ignore_errors=True)


def make_world(folder: Path, ground: Ground, *, small: bool = False) -> World:
    """Write the scenes and the projects."""
    local = write_country(folder / "scenes", GRANULES)
    remote = folder / "items"
    _upload(ground, local, remote)
    district = districts(folder / "districts.gpkg")
    boundaries = {
        "name": "boundaries",
        "source": str(district),
        "key": "region_id",
        "columns": ["name"],
    }
    world = World(folder)
    for is_remote, catalog in ((False, local), (True, remote)):
        scenes = {"catalog": str(catalog)}
        tables: dict[str, Mapping[str, object]] = {
            "area": {"bbox": SMALL_AREA if small else AREA},
            "grid": FINE,
            "scenes": scenes,
            "compute": {"workers": WORKERS},
            "database": {"pool_size": WORKERS},
            "boundaries": boundaries,
        }
        if is_remote:
            endpoint = f"http://127.0.0.1:{ground.s3.port}"
            tables["scenes.source"] = {"endpoint": endpoint, "region": ground.s3_server.region}
        write_project(world.project_folder(remote=is_remote), catalog, **tables)
    return world


def project_of(world: World, ground: Ground, *, name: str, remote: bool, direct: bool) -> Project:
    """The project of a round, for a process that reaches the servers directly or not."""
    return load_project(
        world.project_folder(remote=remote), places(ground, name=name, direct=direct)
    )


def places(ground: Ground, *, name: str, direct: bool = False) -> dict[str, str]:
    """The variables of a round: where its product is."""
    return {
        **ground.environment(direct=direct),
        "SPATIAL_ASSETS_STORAGE_URL": f"s3://{PRODUCT}/{name}",
        "SPATIAL_ASSETS_DATABASE_URL": ground.database_url(name, direct=direct),
    }


def _upload(ground: Ground, local: Path, items: Path) -> None:
    """Copy the files of the scenes into the bucket; their items say so, and stay on disk."""
    server = ground.s3_server
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
