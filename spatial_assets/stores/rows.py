"""What is handed to a database: boundary sets, rows, and changes. Plain data, no SQL.

How a table looks belongs in `tables`, how a row becomes columns in `batches`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, ClassVar, Literal, Protocol

from spatial_assets.errors import DatabaseError

ColumnType = Literal["text", "integer", "number", "date", "timestamp", "boolean"]
TILE_STATES = ("materialized", "empty", "quarantined", "failed", "unchanged")
QUARANTINE_KINDS = ("scene", "tile", "feature")


class RowDataclass(Protocol):
    """Any instance of a dataclass: its fields are the columns."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


Row = Mapping[str, object]
"""Column name -> value, as `Database.rows` returns them."""

RowLike = Row | RowDataclass
"""A row to be written."""


class BoundaryDeclaration(Protocol):
    """What a table of boundaries follows from; `[[boundaries]]` of the project file is one."""

    @property
    def name(self) -> str:
        """Name of the set and of its table."""

    @property
    def key(self) -> str | Sequence[str]:
        """The column, or columns, that tell one feature from another."""

    @property
    def columns(self) -> Sequence[str]:
        """Other columns to carry along."""


@dataclass(frozen=True, kw_only=True)
class BoundarySet:
    """A set of boundaries whose columns have types."""

    name: str
    """Name of the set and of its table."""

    key: str | Sequence[str]
    """The column, or columns, that tell one feature from another."""

    columns: Sequence[str] = ()
    """Other columns to carry along."""

    types: Mapping[str, ColumnType] = field(default_factory=dict)
    """Column name -> type; a column without one is text."""


@dataclass(frozen=True, kw_only=True)
class TileState:
    """How a stage of a tile last ended."""

    grid_id: str
    tile: str
    stage: str
    state: Literal["materialized", "empty", "quarantined", "failed", "unchanged"]
    since: datetime
    """When it ended so; the row keeps the first such time while nothing changes. UTC-aware."""

    reason: str | None = None
    evidence: Mapping[str, object] = field(default_factory=dict)
    fingerprint: str | None = None


@dataclass(frozen=True, kw_only=True)
class TileInputs:
    """What a tile was last made from."""

    grid_id: str
    tile: str
    inputs: Mapping[str, Mapping[str, str]]
    """Stage -> kind of input -> hash."""

    looked_at: datetime
    """When the catalogue was last asked about the tile, UTC-aware."""


@dataclass(frozen=True, kw_only=True)
class TileWanted:
    """A change that a tile is to follow."""

    grid_id: str
    tile: str
    stage: str
    """The first stage that it reaches."""

    wanted: str
    """Hash of the inputs as they are now; done when `TileInputs` has the same."""

    why: str
    since: datetime
    """When the change was seen; the row keeps the first such time. UTC-aware."""


@dataclass(frozen=True, kw_only=True)
class QuarantineRecord:
    """An input that is bad in a way that a retry cannot change."""

    grid_id: str
    kind: Literal["scene", "tile", "feature"]
    subject: str
    """Scene id, tile key, or `<boundary set>/<boundary key>`."""

    reason: str
    message: str
    code_version: str
    first_seen: datetime
    last_seen: datetime
    tile: str = ""
    """The tile it was met in; empty where the subject is bad everywhere."""

    evidence: Mapping[str, object] = field(default_factory=dict)
    href: str | None = None
    checksum: str | None = None
    released_at: datetime | None = None


@dataclass(frozen=True, eq=False)
class Columns:
    """Many rows by column, as they come out of a frame."""

    values: Mapping[str, Sequence[object]]
    """Column name -> its values, one for each row."""

    def __post_init__(self) -> None:
        """Refuse columns of different lengths."""
        lengths = {name: len(values) for name, values in self.values.items()}
        if len(set(lengths.values())) != 1:
            raise DatabaseError(f"wanted columns of one length, got {lengths}")

    def __len__(self) -> int:
        """How many rows."""
        return len(next(iter(self.values.values())))


RowsLike = Iterable[RowLike] | Columns


@dataclass(frozen=True)
class Replace:
    """The rows of `table` that have these keys become `rows`: whole, or not at all."""

    table: str
    keys: Mapping[str, object]
    rows: RowsLike


@dataclass(frozen=True)
class ReplaceAll:
    """All rows of `table` become `rows`."""

    table: str
    rows: RowsLike


@dataclass(frozen=True)
class Upsert:
    """RowsLike are added, or merged with the one of the same key as their table says."""

    table: str
    rows: RowsLike


@dataclass(frozen=True)
class Renew:
    """RowsLike of `table` that have these keys get a newer moment; no row is added."""

    table: str
    keys: Mapping[str, object]
    """Column -> the value, or a list of values, it has."""

    column: str
    moment: datetime
    """UTC-aware; rows that have this or a later one are left alone."""


RowChange = Replace | ReplaceAll | Upsert | Renew


def fields_of(row: RowLike) -> Mapping[str, object]:
    """A row as column name -> value."""
    if isinstance(row, Mapping):
        return row
    return {each.name: getattr(row, each.name) for each in dataclasses.fields(row)}


def boundary_key(*parts: object) -> str:
    r"""The key of a feature as text, which statistics refer to.

    One part is its own text; several are joined by `|`, with `\` before a `|` or `\` of their
    own, so that two different keys never read the same.
    """
    texts = [part.isoformat() if isinstance(part, date) else str(part) for part in parts]
    if len(texts) == 1:
        return texts[0]
    return "|".join(text.replace("\\", "\\\\").replace("|", "\\|") for text in texts)
