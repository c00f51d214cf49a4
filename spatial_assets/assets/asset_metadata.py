"""Metadata of assets and of their events, defined once for all assets."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias
from urllib.parse import quote

import dagster as dg

from spatial_assets.pipeline.outcome import CheckOutcome, StageOutcome, TileOutcome
from spatial_assets.pipeline.stages import CODE_VERSIONS, RAW, REPROJECTED_RASTER, TILE_INDEX
from spatial_assets.stores.public_columns import PublicColumn

OWNERS = ("team:spatial-data",)
PREVIEW = "preview"
LAST_CHANGE = "last_change"
STATE = "state"

MetadataEntry: TypeAlias = dg.MetadataValue | str | int | float


def code_version(stage: str, indices: Sequence[str]) -> str:
    """Return the code version of a stage's asset."""
    if stage in {RAW, REPROJECTED_RASTER, TILE_INDEX}:
        return CODE_VERSIONS[stage]
    return CODE_VERSIONS["index" if stage in indices else "statistics"]


def as_metadata(facts: Mapping[str, object]) -> dict[str, MetadataEntry]:
    """Convert facts to Dagster metadata: numbers and text as they are, all else as JSON."""
    entries: dict[str, MetadataEntry] = {}
    for name, value in facts.items():
        if name == "uri":
            entries["dagster/uri"] = dg.MetadataValue.text(str(value))
        elif name == "rows" and isinstance(value, int):
            entries["dagster/row_count"] = dg.MetadataValue.int(value)
        elif isinstance(value, bool):
            entries[name] = dg.MetadataValue.bool(value)
        elif isinstance(value, str | int | float):
            entries[name] = value
        else:
            entries[name] = dg.MetadataValue.json(json.loads(json.dumps(value, default=str)))
    return entries


def stage_metadata(stage: StageOutcome, outcome: TileOutcome) -> dict[str, MetadataEntry]:
    """Return the facts that every event of a tile has: place, size, valid share and state."""
    entries = as_metadata({**stage.facts, **stage.evidence})
    entries[STATE] = str(stage.state)
    entries["seconds"] = round(outcome.seconds, 3)
    if stage.reason:
        entries["reason"] = stage.reason
        entries["message"] = stage.message
    return entries


def renewed_metadata(stage: StageOutcome) -> dict[str, MetadataEntry]:
    """Return what the event of an unchanged stage says; its facts are in the event that made it."""
    place = {name: value for name, value in stage.facts.items() if name == "uri"}
    return {**as_metadata(place), STATE: str(stage.state)}


def evidence_of(check: CheckOutcome) -> dict[str, MetadataEntry]:
    """Return the figures behind a verdict."""
    return as_metadata(check.verdict.evidence)


def link_to_event(key: dg.AssetKey, timestamp: float, *, says: str) -> dg.MetadataValue:
    """Return a link to the events of an asset up to a time, with the last of them open.

    Args:
        key: key of the asset.
        timestamp: Unix time of the event, in seconds.
        says: what the event has to show.
    """
    path = "/".join(quote(part, safe="") for part in key.path)
    moment = datetime.fromtimestamp(timestamp, UTC)
    shown = f"{moment:%Y-%m-%d %H:%M} UTC: {says}"
    return dg.MetadataValue.md(
        f"[{shown}](/assets/{path}?view=events&asOf={math.floor(1000 * timestamp)})"
    )


def severity(check: CheckOutcome) -> dg.AssetCheckSeverity:
    """Return ERROR if a failed check quarantines the tile, else WARN."""
    return dg.AssetCheckSeverity.ERROR if check.severe else dg.AssetCheckSeverity.WARN


def picture(png: bytes, *, alt: str) -> dg.MetadataValue:
    """Return a small picture that the UI renders: an image in Markdown, a few kB per event."""
    data = base64.b64encode(png).decode()
    return dg.MetadataValue.md(f"![{alt}](data:image/png;base64,{data})")


def column_schema(columns: Iterable[PublicColumn]) -> dg.TableSchema:
    """Return the columns of a table for the UI."""
    return dg.TableSchema(
        columns=[dg.TableColumn(each.name, each.type, description=each.comment) for each in columns]
    )
