"""Scenes of a benchmark in a real S3 server behind a slow network link."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import boto3

from benchmarks.slow_network import NetworkLink, slow_link
from spatial_assets_tests.servers.s3 import S3Server, serve

BUCKET = "scenes"


@contextlib.contextmanager
def serving_remote_scenes(scenes: Path, folder: Path) -> Iterator[NetworkLink]:
    """Serve all scenes during the block, and set the variables that lead all contestants to them.

    Args:
        scenes: folder of the granules.
        folder: folder of the server; its subfolder `items` gets items whose hrefs name the bucket.
    """
    folder.mkdir()
    for server in serve(Path(sys.executable).with_name("weed"), folder):
        _upload(scenes, server)
        _write_items(scenes, folder / "items")
        port = urlsplit(server.endpoint).port or 0
        with slow_link(port, folder / "items") as line, _variables(server, line):
            yield line


def _upload(scenes: Path, server: S3Server) -> None:
    """Copy the files to the bucket, without the slow link."""
    server.make_bucket(BUCKET)
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=server.region,
    )
    for path in sorted(scenes.glob("*/*.tif")):
        client.upload_file(str(path), BUCKET, f"{path.parent.name}/{path.name}")
    client.close()


def _write_items(scenes: Path, folder: Path) -> None:
    folder.mkdir()
    for path in scenes.glob("*/*.json"):
        item = json.loads(path.read_text())
        for asset in item["assets"].values():
            asset["href"] = f"s3://{BUCKET}/{path.stem}/{asset['href']}"
        (folder / path.name).write_text(json.dumps(item))


@contextlib.contextmanager
def _variables(server: S3Server, line: NetworkLink) -> Iterator[None]:
    """Set the variables by which GDAL and the product find the server; none that tune either."""
    before = dict(os.environ)
    os.environ |= {
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_REGION": server.region,
        "AWS_S3_ENDPOINT": line.endpoint.removeprefix("http://"),
        "AWS_HTTPS": "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
        "SPATIAL_ASSETS_SOURCE_ACCESS_KEY_ID": server.access_key,
        "SPATIAL_ASSETS_SOURCE_SECRET_ACCESS_KEY": server.secret_key,
    }
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
