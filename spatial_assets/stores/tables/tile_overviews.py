"""Queries that return one short row for each tile of a grid: no JSON, no geometry.

Commands that count tiles need no more, and a hundred thousand tiles have half a million states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa

from spatial_assets.stores.tables.declarations import Tables
from spatial_assets.stores.tables.transactions import Transaction, execute

BAD = ("failed", "quarantined")
UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECONDS = 1_000_000


class StateOverview(NamedTuple):
    """States of the counted stages of one tile."""

    good: int
    """Bit n is set if the stage of number n ended well."""

    bad: int
    """Number of stages that failed or are in quarantine."""

    is_empty: bool
    """True if a stage ended as empty."""

    since_us: int
    """Time of the latest change of a state, microseconds since 1970."""

    @property
    def since(self) -> datetime:
        """Time of the latest change of a state, UTC."""
        return _moment(self.since_us)


class InputsOverview(NamedTuple):
    """Inputs that one tile was last made from."""

    looked_at_us: int
    """Time of the last catalogue query for the tile, microseconds since 1970."""

    scenes: str
    """Hash of the scenes over it; empty if unknown."""

    @property
    def looked_at(self) -> datetime:
        """Time of the last catalogue query for the tile, UTC."""
        return _moment(self.looked_at_us)


class PixelsOverview(NamedTuple):
    """Pixels of one index of one tile."""

    refreshed_at_us: int
    """Time when its oldest period was made, microseconds since 1970."""

    valid_fraction: float
    """Fraction of valid pixels in its newest period."""

    @property
    def refreshed_at(self) -> datetime:
        """Time when its oldest period was made, UTC."""
        return _moment(self.refreshed_at_us)


def state_overviews(
    transaction: Transaction, tables: Tables, grid_id: str, stages: Sequence[str]
) -> Mapping[str, StateOverview]:
    """Map each tile with a state of one of these stages to its overview."""
    table = tables.table("tile_state")
    is_bad = table.c.state.in_(BAD)
    bits = [(table.c.stage == stage, 1 << number) for number, stage in enumerate(stages)]
    query = (
        sa.select(
            table.c.tile,
            _whole(sa.func.sum(sa.case((is_bad, 0), *bits, else_=0))),
            _whole(sa.func.sum(sa.case((is_bad, 1), else_=0))),
            _whole(sa.func.max(sa.case((table.c.state == "empty", 1), else_=0))),
            _microseconds(sa.func.max(table.c.since)),
        )
        .where(table.c.grid_id == grid_id, table.c.stage.in_(stages))
        .group_by(table.c.tile)
    )
    return {
        str(tile): StateOverview(_int(good), _int(bad), bool(empty), _int(since))
        for tile, good, bad, empty, since in execute(transaction, query)
    }


def input_overviews(
    transaction: Transaction, tables: Tables, grid_id: str, stage: str
) -> Mapping[str, InputsOverview]:
    """Map each tile that was ever made to its inputs; the scenes are those of `stage`."""
    table = tables.table("tile_inputs")
    scenes = table.c.inputs[stage]["scenes"].as_string()
    query = sa.select(table.c.tile, _microseconds(table.c.looked_at), scenes).where(
        table.c.grid_id == grid_id
    )
    return {
        str(tile): InputsOverview(_int(at), str(scenes or ""))
        for tile, at, scenes in execute(transaction, query)
    }


def pixel_overviews(
    transaction: Transaction, tables: Tables, grid_id: str, index: str
) -> Mapping[str, PixelsOverview]:
    """Map each tile of an index to its oldest and its newest period."""
    table = tables.table("tile_index")
    chosen = sa.and_(table.c.grid_id == grid_id, table.c.index_name == index)
    oldest = (
        sa.select(
            table.c.tile,
            sa.func.min(table.c.refreshed_at).label("refreshed_at"),
            sa.func.max(table.c.period_start).label("newest"),
        )
        .where(chosen)
        .group_by(table.c.tile)
        .subquery()
    )
    query = (
        sa.select(table.c.tile, _microseconds(oldest.c.refreshed_at), table.c.valid_fraction)
        .join(
            oldest,
            sa.and_(oldest.c.tile == table.c.tile, oldest.c.newest == table.c.period_start),
        )
        .where(chosen)
    )
    return {
        str(tile): PixelsOverview(_int(at), float(str(fraction)))
        for tile, at, fraction in execute(transaction, query)
    }


def _whole(value: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """Cast to 64 bits: sums are decimal numbers in PostgreSQL and 128 bits long in DuckDB."""
    return sa.cast(value, sa.BigInteger)


def _microseconds(moment: sa.ColumnElement[object]) -> sa.ColumnElement[int]:
    """Return a time as microseconds since 1970, which is read ten times as fast as a timestamp."""
    seconds = sa.cast(sa.extract("epoch", moment), sa.Numeric(20, 6))
    return sa.cast(seconds * MICROSECONDS, sa.BigInteger)


def _moment(microseconds: int) -> datetime:
    return UNIX_EPOCH + timedelta(microseconds=microseconds)


def _int(value: object) -> int:
    return value if isinstance(value, int) else int(str(value))
