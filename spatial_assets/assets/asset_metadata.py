"""What Dagster is told of an asset and of its events, written once for all assets."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import dagster as dg

from spatial_assets.pipeline.outcome import CheckOutcome, StageOutcome, TileOutcome
from spatial_assets.pipeline.stages import CODE_VERSIONS, RAW, REPROJECTED_RASTER, TILE_INDEX
from spatial_assets.stores.public_columns import PublicColumn

OWNERS = ("team:spatial-data",)
PREVIEW = "preview"

Told: TypeAlias = dg.MetadataValue | str | int | float


def code_version(stage: str, indices: Sequence[str]) -> str:
    """The code version of a stage's asset."""
    if stage in {RAW, REPROJECTED_RASTER, TILE_INDEX}:
        return CODE_VERSIONS[stage]
    return CODE_VERSIONS["index" if stage in indices else "statistics"]


def metadata(facts: Mapping[str, object]) -> dict[str, Told]:
    """Facts as Dagster metadata: figures as figures, the rest as JSON."""
    told: dict[str, Told] = {}
    for name, value in facts.items():
        if name == "uri":
            told["dagster/uri"] = dg.MetadataValue.text(str(value))
        elif name == "rows" and isinstance(value, int):
            told["dagster/row_count"] = dg.MetadataValue.int(value)
        elif isinstance(value, bool):
            told[name] = dg.MetadataValue.bool(value)
        elif isinstance(value, str | int | float):
            told[name] = value
        else:
            told[name] = dg.MetadataValue.json(json.loads(json.dumps(value, default=str)))
    return told


def stage_metadata(stage: StageOutcome, outcome: TileOutcome) -> dict[str, Told]:
    """The same facts for every event of a tile: where, how big, how much is real, how it ended."""
    told = metadata({**stage.facts, **stage.evidence})
    told["state"] = str(stage.state)
    told["seconds"] = round(outcome.seconds, 3)
    if stage.reason:
        told["reason"] = stage.reason
        told["message"] = stage.message
    return told


def evidence_of(check: CheckOutcome) -> dict[str, Told]:
    """The figures behind a verdict."""
    return metadata(check.verdict.evidence)


def severity(check: CheckOutcome) -> dg.AssetCheckSeverity:
    """ERROR where failing it quarantined the tile, else WARN."""
    return dg.AssetCheckSeverity.ERROR if check.severe else dg.AssetCheckSeverity.WARN


def picture(png: bytes, *, alt: str) -> dg.MetadataValue:
    """A small picture that the UI renders: an image in Markdown, a few kB in the event."""
    data = base64.b64encode(png).decode()
    return dg.MetadataValue.md(f"![{alt}](data:image/png;base64,{data})")


def column_schema(columns: Iterable[PublicColumn]) -> dg.TableSchema:
    """The columns of a table for the UI."""
    return dg.TableSchema(
        columns=[dg.TableColumn(each.name, each.type, description=each.comment) for each in columns]
    )
