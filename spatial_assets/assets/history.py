"""What Dagster's event log has of an asset, and the version tags that hand-made events need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg

from spatial_assets.assets.internals import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    DEFAULT_DATA_VERSION,
    NULL_EVENT_POINTER,
    CheckTarget,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)


@dataclass(frozen=True, kw_only=True)
class Made:
    """A materialization as the event log has it."""

    target: CheckTarget
    """It, as a check names what it speaks of."""

    data_version: str
    metadata: Mapping[str, dg.MetadataValue]


def newest(instance: dg.DagsterInstance, asset: str, *, tile: str | None) -> Made | None:
    """The newest materialization of an asset, or of one of its tiles; None: never made."""
    tiles = None if tile is None else [tile]
    wanted = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=tiles)
    for record in instance.fetch_materializations(wanted, limit=1).records:
        event = record.asset_materialization
        if event is not None:
            return Made(
                target=CheckTarget(
                    storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
                ),
                data_version=(event.tags or {}).get(DATA_VERSION_TAG, DEFAULT_DATA_VERSION.value),
                metadata=event.metadata,
            )
    return None


def version_tags(
    code_version: str | None, data_version: str, *, inputs: Mapping[str, Made | None]
) -> dict[str, str]:
    """The tags that Dagster writes itself where it makes the event: without them it goes stale.

    Args:
        code_version: of the asset.
        data_version: of what was made.
        inputs: what each upstream asset was when this was made from it; None: never made.
    """
    tags = {
        CODE_VERSION_TAG: code_version or "",
        DATA_VERSION_TAG: data_version,
        DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
    }
    for name, made in inputs.items():
        key = dg.AssetKey(name)
        version = made.data_version if made else DEFAULT_DATA_VERSION.value
        pointer = str(made.target.storage_id) if made else NULL_EVENT_POINTER
        tags[get_input_data_version_tag(key)] = version
        tags[get_input_event_pointer_tag(key)] = pointer
    return tags
