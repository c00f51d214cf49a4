"""Tables of what tiles were made from and of what has changed since, declared as in `tables`."""

from __future__ import annotations

import sqlalchemy as sa

from spatial_assets.stores.columns import column, json, key_column, timestamp

Merge = dict[str, sa.ColumnElement[object]]


def tile_inputs_table(metadata: sa.MetaData) -> sa.Table:
    """What each tile was last made from."""
    table = sa.Table(
        "tile_inputs",
        metadata,
        key_column("grid_id", "Identity of the pixel grid."),
        key_column("tile", "Key of the tile."),
        column(
            "inputs",
            json(),
            "Stage -> hashes of the scenes, settings and boundaries that it followed from.",
        ),
        column("looked_at", timestamp(), "When the catalogue was last asked about the tile."),
        comment="What each tile was last made from, or found to be unchanged by.",
    )
    table.info["merge"] = newest
    return table


def tile_wanted_table(metadata: sa.MetaData) -> sa.Table:
    """What has changed since tiles were made."""
    table = sa.Table(
        "tile_wanted",
        metadata,
        key_column("grid_id", "Identity of the pixel grid."),
        key_column("tile", "Key of the tile."),
        key_column("stage", "The first stage that the change reaches."),
        column("wanted", sa.Text, "Hash of the inputs as they are now."),
        column("why", sa.Text, "What changed, for people."),
        column("since", timestamp(), "When the change was seen."),
        comment="Changed inputs that tiles are to follow; done where tile_inputs says the same.",
    )
    table.info["merge"] = keep_sighting
    return table


def newest(table: sa.Table, incoming: sa.ColumnCollection[str, sa.Column[object]]) -> Merge:
    """What comes last is so."""
    del table, incoming
    return {}


def keep_sighting(table: sa.Table, incoming: sa.ColumnCollection[str, sa.Column[object]]) -> Merge:
    """A change that was seen before keeps when and why."""
    same = table.c.wanted == incoming["wanted"]
    return {name: sa.case((same, table.c[name]), else_=incoming[name]) for name in ("why", "since")}
