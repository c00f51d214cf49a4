"""Advice on the event log of an instance, for the log of a run and for `check`.

Apart from the event logs, because it needs no SQLAlchemy.
"""

from __future__ import annotations

import dagster as dg

MANY_TILES = 500
"""Tiles of a run up to which a row of all keys for each of them is small: some 20 MB."""

BYTES_BESIDE_A_KEY = 4
"""Quotation marks, comma and space beside a key in the JSON text of an event."""


def event_log_advice(
    instance: dg.DagsterInstance, *, tiles: int, checks: int, key_length: int
) -> str | None:
    """Return a warning if runs of this size write rows that grow with the square of the tiles.

    Args:
        instance: the instance, whose event log may be Dagster's own.
        tiles: tiles of a run.
        checks: partitioned checks of a tile.
        key_length: characters of a tile's key.
    """
    log = instance.event_log_storage
    is_linear = log.supports_partition_subset_in_asset_materialization_planned_events
    if is_linear or tiles <= MANY_TILES or not checks:
        return None
    megabytes = checks * tiles**2 * (key_length + BYTES_BESIDE_A_KEY) / 1e6
    return (
        f"planning a run of {tiles:,} tiles writes about {megabytes:,.0f} MB into the event log "
        f"({type(log).__name__}): each row of a planned check repeats the keys of all tiles; name "
        "the event_log_storage of the project's dagster.yaml or deploy/dagster-postgres.yaml in "
        "the dagster.yaml of this instance"
    )
