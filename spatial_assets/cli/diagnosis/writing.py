"""Checks of what a run writes besides the storage: scene cache, tables and Dagster's folders."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from spatial_assets.cli.diagnosis.connections import LOCK_TIMEOUT_SECONDS
from spatial_assets.cli.diagnosis.finding import Finding, failed, passed, run_check, warned
from spatial_assets.cli.diagnosis.identity import DAGSTER_HOME_VARIABLE
from spatial_assets.cli.diagnosis.machine import nearest_folder
from spatial_assets.errors import DatabaseError
from spatial_assets.project import Project

if TYPE_CHECKING:
    from spatial_assets.stores.tables.transactions import Transaction

DAGSTER_LOGS_VARIABLE = "DAGSTER_LOGS"


class _RollBackError(Exception):
    """Ends a transaction without a change."""


def scene_cache(project: Project) -> Finding:
    """Write and delete a file in the cache of scenes."""
    subject, folder = "scene cache", project.cache_folder
    problem = obstacle(folder)
    if problem is None:
        return passed(subject, f"{folder}: writable, up to {project.scenes.cache_mb:,} MB")
    remedy = "make it writable, or name another folder in [scenes] cache or $SPATIAL_ASSETS_CACHE"
    if project.scenes.access == "download":
        return failed(subject, f"{problem}; whole files are copied there", remedy=remedy)
    # Blocks that cannot be kept on disk are kept in memory while they are needed.
    detail = f"{problem}; blocks of remote scenes are read again by each tile that needs them"
    return warned(subject, detail, remedy=remedy)


def tables(project: Project) -> Finding:
    """Create a table with a row, and undo it."""
    from spatial_assets.stores.tables.connect import DUCKDB_PREFIX, open_database

    def check() -> str:
        url = project.database_url
        file = Path(url.removeprefix(DUCKDB_PREFIX))
        if url.startswith(DUCKDB_PREFIX) and not file.exists():
            problem = obstacle(file.parent)
            if problem is not None:
                raise DatabaseError(problem)
            return f"{file} does not exist yet; its folder is writable"
        with open_database(url, pool_size=1, lock_timeout=LOCK_TIMEOUT_SECONDS) as connected:
            try:
                connected.in_transaction(_write_and_undo, write=True)
            except _RollBackError:
                return f"{connected.url}: a table with a row was created, and undone"
        raise DatabaseError(f"{project.database_url}: the transaction was not undone")

    remedy = "give this user the rights of deploy/create_product_role.sql, or another user's URL"
    return run_check("tables", check, remedy=remedy)


def dagster_folders() -> list[Finding]:
    """Write and delete a file in the folders that Dagster's environment names."""
    found = []
    for variable, what in (
        (DAGSTER_HOME_VARIABLE, "records"),
        (DAGSTER_LOGS_VARIABLE, "output of runs"),
    ):
        name = os.environ.get(variable)
        if not name:
            continue
        problem = obstacle(Path(name))
        remedy = f"make it writable for this user, or set ${variable} to another folder"
        found.append(
            passed(f"${variable}", f"{name}: writable, for Dagster's {what}")
            if problem is None
            else failed(f"${variable}", problem, remedy=remedy)
        )
    return found


def obstacle(folder: Path) -> str | None:
    """Return why nothing can be written into a folder, which need not exist; None: it can."""
    existing = nearest_folder(folder)
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".check-") as file:
            file.write(b"check")
            file.flush()
    except OSError as error:
        return f"{folder} is not writable: {error.strerror or error}"
    return None


def _write_and_undo(transaction: Transaction) -> None:
    transaction.run(f"CREATE TABLE written_by_check_{uuid4().hex} AS SELECT 1 AS written")
    raise _RollBackError
