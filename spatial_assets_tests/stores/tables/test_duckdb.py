"""DuckDB only: one file that several processes use in turn."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import pytest
import shapely

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.tables.duckdb.database import DuckDatabase
from spatial_assets.stores.tables.duckdb.file import extension_file
from spatial_assets_tests.stores.tables.sample_rows import REGIONS, region

HOLD = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.readline()
"""

KILLED_AFTER_COMMIT = """
import duckdb, os, sys
file, extension = sys.argv[1:]
connection = duckdb.connect()
connection.execute(f"LOAD '{extension}'")
connection.execute(f"ATTACH '{file}' AS store")
connection.execute("DELETE FROM store.regions WHERE region_id = '7'")
os._exit(9)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "spatial.duckdb"


def holder(file: Path) -> subprocess.Popen[str]:
    """Another process that has the file open."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_held_file_is_waited_for(file: Path) -> None:
    with DuckDatabase(str(file), lock_timeout=30) as database:
        database.ensure_schema([REGIONS])
        with holder(file) as other:
            release = threading.Timer(0.5, lambda: other.communicate("\n"))
            release.start()
            began = time.monotonic()
            database.replace_all("regions", [region("a")])
            release.join()

        assert time.monotonic() - began > 0.3
        assert len(database.rows("regions")) == 1


def test_waiting_for_a_held_file_ends(file: Path) -> None:
    with DuckDatabase(str(file), lock_timeout=0.2) as database:
        database.ensure_schema([REGIONS])
        with holder(file) as other:
            with pytest.raises(DatabaseError, match="the file is held by process"):
                database.rows("regions")
            other.communicate("\n")

        assert database.rows("regions") == []


def test_the_file_is_free_between_transactions(file: Path) -> None:
    with DuckDatabase(str(file)) as database:
        database.ensure_schema([REGIONS])
        database.replace_all("regions", [region("a")])

        other = subprocess.run(
            [sys.executable, "-c", HOLD, str(file)], input="\n", text=True, check=False
        )

    assert other.returncode == 0


def test_a_failed_transaction_does_not_hold_the_file(file: Path) -> None:
    with DuckDatabase(str(file)) as database:
        database.ensure_schema([REGIONS])
        with pytest.raises(DatabaseError):
            database.set_states([{"tile": "1"}])
        with pytest.raises(DatabaseError, match="Catalog"):
            database.in_transaction(lambda open_: open_.run("SELECT * FROM nothing"), write=True)

        with holder(file) as other:
            other.communicate("\n")
        assert database.rows("regions") == []


def test_reading_makes_no_file(file: Path) -> None:
    with DuckDatabase(str(file)) as database, pytest.raises(DatabaseError):
        database.rows("tile_state")

    assert not file.exists()


def test_a_reader_reads_what_a_killed_writer_had_committed(file: Path) -> None:
    with DuckDatabase(str(file)) as database:
        database.ensure_schema([REGIONS])
        database.replace_all("regions", [region(str(n), west=n) for n in range(100)])
    subprocess.run(
        [sys.executable, "-c", KILLED_AFTER_COMMIT, str(file), str(extension_file())], check=False
    )
    assert file.with_name(f"{file.name}.wal").exists()

    with DuckDatabase(str(file)) as database:
        database.ensure_schema([REGIONS])
        found = database.rows("regions", intersecting=shapely.box(5.05, 46, 8.05, 47))
        database.replace_all("regions", [region("a")])

        assert {row["region_id"] for row in found} == {"5", "6", "8"}
        assert len(database.rows("regions")) == 1


def test_a_file_that_is_no_database_is_refused(file: Path) -> None:
    file.write_bytes(b"not a database" * 1000)

    with DuckDatabase(str(file)) as database, pytest.raises(DatabaseError, match="not a valid"):
        database.ensure_schema()


@pytest.mark.parametrize("url", ["duckdb:///", "duckdb:///:memory:"])
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(DatabaseError, match="wanted a file"):
        open_database(url)


def test_a_path_may_hold_a_quote(tmp_path: Path) -> None:
    with DuckDatabase(str(tmp_path / "it's; DROP" / "a.duckdb")) as database:
        database.ensure_schema([REGIONS])
        assert database.rows("regions") == []


def test_the_extension_is_the_one_of_this_very_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb, "__version__", "9.9.9")

    with (
        DuckDatabase("anywhere.duckdb") as database,
        pytest.raises(DatabaseError, match=r"duckdb-extension-spatial==9\.9\.9"),
    ):
        database.spatial_version()
