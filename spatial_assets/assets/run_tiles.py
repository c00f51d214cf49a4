"""Tiles of a run, and the refusal of a run whose tiles are no longer those of the project."""

# No `from __future__ import annotations`: Dagster reads the annotations of what it decorates.

from collections.abc import Sequence

import dagster as dg

from spatial_assets.project import Project

RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
PARTITION_TAG = "dagster/partition"


def tiles_of_run(context: dg.AssetExecutionContext, project: Project) -> Sequence[str]:
    """Return the tiles of a run of assets, in the order of the partitions.

    Raises:
        Failure: an end of its range is no longer a tile of the project, or the range is reversed.
    """
    tags = context.run.tags
    ends = {tags[name] for name in (RANGE_START_TAG, RANGE_END_TAG, PARTITION_TAG) if name in tags}
    gone = sorted(ends.difference(project.tile_keys))
    if gone:
        refuse_edited_area(context, gone)
    tiles: Sequence[str] = context.partition_keys
    if not tiles:
        first, last = tags.get(RANGE_START_TAG), tags.get(RANGE_END_TAG)
        raise dg.Failure(
            f"the range {first}...{last} is reversed: {last} comes before {first} in the order of "
            f"the tiles, which `spatial-assets tiles` prints; no tile was processed. Launch "
            f"{last}...{first}",
            allow_retries=False,
        )
    return tiles


def refuse_edited_area(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, gone: Sequence[str]
) -> None:
    """Fail a run that was launched for another area, before it processes a tile.

    The run ends as canceled: Dagster would show all its tiles as failed, those too that stand, and
    would start it again, in vain.

    Args:
        context: context of the step.
        gone: partitions of the run that the project no longer has.

    Raises:
        Failure: with what happened and what to do.
    """
    names = ", ".join(gone)
    message = (
        f"the area changed since this run was launched: {names} of its range is no longer in the "
        "project, and no tile was processed. Launch it again, for the tiles as they are now"
    )
    context.instance.report_run_canceling(context.run, message)
    raise dg.Failure(message, metadata={"gone": list(gone)}, allow_retries=False)
