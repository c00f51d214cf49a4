"""Input of a database: boundary sets, rows, and changes. Plain data, no SQL.

Tables are declared in `tables.declarations`; rows become columns in `tables.batches`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, ClassVar, Literal, Protocol

from spatial_assets.errors import DatabaseError

ColumnType = Literal["text", "integer", "number", "date", "timestamp", "local_timestamp", "boolean"]
"""Types of columns: a `timestamp` has a time zone, a `local_timestamp` has none."""

TILE_STATES = ("materialized", "empty", "quarantined", "failed", "unchanged")
QUARANTINE_KINDS = ("scene", "tile", "feature")


class RowDataclass(Protocol):
    """Any dataclass instance; its fields are the columns."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


Row = Mapping[str, object]
"""Column name -> value, as `Database.rows` returns them."""

RowLike = Row | RowDataclass
"""A row to be written."""


class BoundaryDeclaration(Protocol):
    """Description of a boundary table, such as a `[[boundaries]]` of the project file."""

    @property
    def name(self) -> str:
        """Name of the set and of its table."""

    @property
    def key(self) -> str | Sequence[str]:
        """Column, or columns, that identify a feature."""

    @property
    def columns(self) -> Sequence[str]:
        """Other columns to keep."""


@dataclass(frozen=True, kw_only=True)
class BoundarySet:
    """A boundary set with typed columns."""

    name: str
    """Name of the set and of its table."""

    key: str | Sequence[str]
    """Column, or columns, that identify a feature."""

    columns: Sequence[str] = ()
    """Other columns to keep."""

    types: Mapping[str, ColumnType] = field(default_factory=dict)
    """Column name -> type; other columns are text."""


@dataclass(frozen=True, kw_only=True)
class TileState:
    """Latest outcome of one stage of one tile."""

    grid_id: str
    tile: str
    stage: str
    state: Literal["materialized", "empty", "quarantined", "failed", "unchanged"]
    since: datetime
    """Time of the outcome, UTC-aware; the row keeps the first while nothing changes."""

    reason: str | None = None
    evidence: Mapping[str, object] = field(default_factory=dict)
    fingerprint: str | None = None


@dataclass(frozen=True, kw_only=True)
class TileInputs:
    """Inputs that a tile was last computed from."""

    grid_id: str
    tile: str
    inputs: Mapping[str, Mapping[str, str]]
    """Stage -> kind of input -> hash."""

    looked_at: datetime
    """Time of the last catalogue query for the tile, UTC-aware."""


@dataclass(frozen=True, kw_only=True)
class TileWanted:
    """Changed inputs that a tile does not reflect yet."""

    grid_id: str
    tile: str
    stage: str
    """First stage that the change affects."""

    wanted: str
    """Hash of the current inputs; done when `TileInputs` has the same."""

    why: str
    since: datetime
    """Time the change was detected, UTC-aware; the row keeps the first."""


@dataclass(frozen=True, kw_only=True)
class QuarantineRecord:
    """A bad input that no retry can fix."""

    grid_id: str
    kind: Literal["scene", "tile", "feature"]
    subject: str
    """Scene id, tile key, `<tile key>/<stage>`, or `<boundary set>/<boundary key>`."""

    reason: str
    message: str
    code_version: str
    first_seen: datetime
    last_seen: datetime
    tile: str = ""
    """Tile in which it was found; empty if the subject is bad everywhere."""

    evidence: Mapping[str, object] = field(default_factory=dict)
    href: str | None = None
    checksum: str | None = None
    released_at: datetime | None = None


@dataclass(frozen=True, eq=False)
class Columns:
    """Rows by column, as in a data frame."""

    values: Mapping[str, Sequence[object]]
    """Column name -> values, one for each row."""

    def __post_init__(self) -> None:
        """Refuse columns of different lengths."""
        lengths = {name: len(values) for name, values in self.values.items()}
        if len(set(lengths.values())) != 1:
            raise DatabaseError(f"wanted columns of one length, got {lengths}")

    def __len__(self) -> int:
        """Number of rows."""
        return len(next(iter(self.values.values())))


RowsLike = Iterable[RowLike] | Columns


@dataclass(frozen=True)
class Replace:
    """Replace the rows of `table` that have these keys by `rows`, all or none."""

    table: str
    keys: Mapping[str, object]
    rows: RowsLike


@dataclass(frozen=True)
class ReplaceAll:
    """Replace all rows of `table` by `rows`."""

    table: str
    rows: RowsLike


@dataclass(frozen=True)
class Upsert:
    """Insert rows, or merge each with the row of the same key by the rule of its table."""

    table: str
    rows: RowsLike


@dataclass(frozen=True)
class Renew:
    """Set a later time in the rows of `table` that have these keys; add no row."""

    table: str
    keys: Mapping[str, object]
    """Column -> value, or list of values."""

    column: str
    time: datetime
    """New value, UTC-aware; rows with this or a later time stay unchanged."""


@dataclass(frozen=True)
class Remove:
    """Remove the rows of `table` that match, in this transaction."""

    table: str
    where: Mapping[str, object]
    """Column -> value, or list of values; at least one."""


RowChange = Replace | ReplaceAll | Upsert | Renew | Remove


def fields_of(row: RowLike) -> Mapping[str, object]:
    """Return a row as column name -> value."""
    if isinstance(row, Mapping):
        return row
    return {each.name: getattr(row, each.name) for each in dataclasses.fields(row)}


def boundary_key(*parts: object) -> str:
    r"""Key of a feature as text, which statistics refer to.

    A single part is its own text; several are joined by `|`, and each `|` or `\` within a part is
    escaped by `\`, so that different keys have different texts.
    """
    texts = [part.isoformat() if isinstance(part, date) else str(part) for part in parts]
    if len(texts) == 1:
        return texts[0]
    return "|".join(text.replace("\\", "\\\\").replace("|", "\\|") for text in texts)
