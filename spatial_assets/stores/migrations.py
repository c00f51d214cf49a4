"""Steps that bring an older schema to today's; forward only, each applied once, in order.

A table or view that is merely new needs no step: it is created from its declaration. A step is
for what exists already and must change. Version 1 is the first schema that was ever made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.dialects.postgresql.base import PGDialect

from spatial_assets.errors import DatabaseError


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One step."""

    version: int
    description: str

    statements: Callable[[PGDialect], Sequence[str]]
    """The statements for a database; empty where it needs none."""


def nothing(_dialect: PGDialect) -> Sequence[str]:
    """No statement."""
    return ()


MIGRATIONS: Sequence[Migration] = (
    Migration(version=1, description="the tables as first declared", statements=nothing),
)


def pending(found: int | None, migrations: Sequence[Migration] = MIGRATIONS) -> list[Migration]:
    """The steps a database still needs.

    Args:
        found: version of its schema; None: it has none yet, and is made as declared today.
        migrations: all steps there are, in order.

    Raises:
        DatabaseError: its schema is newer than this code.
    """
    newest = migrations[-1].version
    if found is None:
        return []
    if found > newest:
        raise DatabaseError(
            f"the database has schema version {found}, this spatial_assets knows {newest}; "
            "upgrade spatial_assets, or use another database"
        )
    return [each for each in migrations if each.version > found]
