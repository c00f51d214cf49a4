"""Launch of a backfill of selected tiles, as the UI does, after a check of the served project.

Dagster makes one run of each contiguous range of tiles, and splits a range that exceeds the limit
of a run, which the backfill policy of the tile chain tells it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spatial_assets.cli.app.console import format_count, format_list
from spatial_assets.cli.launching.webserver_client import WebserverClient
from spatial_assets.errors import LaunchError
from spatial_assets.pipeline.key_ranges import key_ranges
from spatial_assets.pipeline.stages import RAW, by_boundary
from spatial_assets.project import Project
from spatial_assets.project.sections.identity import PROJECT_TAG

SERVED_QUERY = """
query Served($assets: [AssetKeyInput!]!) {
  assetNodes(assetKeys: $assets) { assetKey { path } tags { key value } }
}
"""
TILES_QUERY = """
query Tiles($asset: AssetKeyInput!) {
  assetNodeOrError(assetKey: $asset) { ... on AssetNode { partitionKeys } }
}
"""
LAUNCH_MUTATION = """
mutation Launch($tiles: [String!]!, $assets: [AssetKeyInput!]!, $title: String!) {
  launchPartitionBackfill(
    backfillParams: {partitionNames: $tiles, assetSelection: $assets, title: $title}
  ) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on Error { message }
  }
}
"""
MAX_LISTED_ASSETS = 5


@dataclass(frozen=True)
class Backfill:
    """Backfill that was launched."""

    id: str
    url: str
    tiles: int
    runs: int
    """Number of runs for the tiles."""


def require_same_project(
    webserver: WebserverClient, project: Project, assets: Sequence[str]
) -> None:
    """Refuse a webserver that serves another project.

    Raises:
        LaunchError: the webserver lacks an asset or has other tiles.
    """
    where = f"the Dagster webserver at {webserver.url}"
    keys = [{"path": list(project.asset_path(name))} for name in assets]
    served = webserver.execute(SERVED_QUERY, assets=keys)["assetNodes"]
    found = {tuple(node["assetKey"]["path"]) for node in served}
    missing = ["/".join(key["path"]) for key in keys if tuple(key["path"]) not in found]
    remedy = f"start it with SPATIAL_ASSETS_PROJECT={project.root}, or reload its code location"
    if missing:
        names = format_list(missing, most=MAX_LISTED_ASSETS)
        message = f"{where} has no {names}: it does not serve {project.file}; {remedy}"
        raise LaunchError(message)
    tags = [tag for node in served for tag in node.get("tags") or ()]
    others = {tag["value"] for tag in tags if tag["key"] == PROJECT_TAG} - {project.name}
    if others:
        message = (
            f"{where} serves the project {', '.join(sorted(others))} under these asset keys, not "
            f"{project.name}; {remedy}, or set [project] asset_prefix in one of them"
        )
        raise LaunchError(message)
    node = webserver.execute(TILES_QUERY, asset=keys[0])["assetNodeOrError"]
    theirs, ours = set(node.get("partitionKeys", ())), set(project.partitioning.keys)
    if theirs != ours:
        message = (
            f"{where} has {format_count(len(theirs), 'tile')}, {len(theirs & ours):,} of them "
            f"among the {len(ours):,} of {project.file}: it serves another project, or an older "
            f"version of this one; {remedy}"
        )
        raise LaunchError(message)


def launch(
    webserver: WebserverClient,
    project: Project,
    keys: Iterable[str],
    *,
    assets: Sequence[str],
) -> Backfill:
    """Launch a backfill of these tiles.

    Raises:
        LaunchError: Dagster refused.
    """
    all_keys = project.partitioning.keys
    chosen = set(keys)
    tiles = [key for key in all_keys if key in chosen]
    ranges = key_ranges(all_keys, tiles, longest=project.compute.max_tiles_per_run)
    answer = webserver.execute(
        LAUNCH_MUTATION,
        tiles=tiles,
        assets=[{"path": list(project.asset_path(name))} for name in assets],
        title=f"spatial-assets - {format_count(len(tiles), 'tile')}",
    )["launchPartitionBackfill"]
    if "backfillId" not in answer:
        reason = answer.get("message", answer["__typename"])
        message = f"Dagster at {webserver.url} refused the backfill: {reason}"
        raise LaunchError(message)
    name = str(answer["backfillId"])
    runs = len(ranges) * runs_per_range(assets)
    return Backfill(name, f"{webserver.url}/runs/b/{name}", len(tiles), runs)


def runs_per_range(assets: Sequence[str]) -> int:
    """Return the runs per range: two if the statistics wait for boundaries, else one."""
    waiting = [name for name in assets if name.endswith(by_boundary(""))]
    awaited = [name for name in assets if name.startswith("validated_")]
    return 2 if waiting and awaited and RAW in assets else 1
