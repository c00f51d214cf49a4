"""Several writers, and writers that die: nothing lost, nothing twice, nothing half."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.tables.database import Database
from spatial_assets_tests.servers.process import REPOSITORY
from spatial_assets_tests.stores.tables.sample_rows import AUGUST, REGIONS, part, region

PRELUDE = """
import os, sys
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.stores.tables.sample_rows import AUGUST, REGIONS, part, region, state
database = open_database(sys.argv[1])
me = sys.argv[2]
"""


def start(url: str, body: str, me: str = "0") -> subprocess.Popen[str]:
    """A process of its own that works on the database."""
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(body), url, me],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def all_succeed(processes: Sequence[subprocess.Popen[str]]) -> None:
    """Wait for each process, and show the output of failed ones."""
    said = [process.communicate(timeout=120)[1] for process in processes]
    assert [(process.returncode, each) for process, each in zip(processes, said, strict=True)] == [
        (0, "") for _ in processes
    ]


def at_once(*calls: Callable[[], None]) -> None:
    """Let threads begin together; raise what any of them raised."""
    barrier = threading.Barrier(len(calls))

    def begin(call: Callable[[], None]) -> None:
        barrier.wait()
        call()

    with ThreadPoolExecutor(len(calls)) as pool:
        list(pool.map(begin, calls))


def test_two_processes_may_make_the_schema_at_once(database_url: str) -> None:
    body = """
    database.ensure_schema([REGIONS], ["ndvi", "evi"])
    database.close()
    """

    all_succeed([start(database_url, body) for _ in range(3)])

    with open_database(database_url) as database:
        database.ensure_schema([REGIONS], ["ndvi"])
        assert database.rows("regions") == []


def test_writers_of_different_tiles_do_not_lose_each_others_rows(
    database: Database, database_url: str
) -> None:
    body = """
    database.ensure_schema([REGIONS], ["ndvi"])
    for n in range(5):
        keys = {**AUGUST, "tile": f"{me}-{n}"}
        database.replace_tile("ndvi_by_boundary", keys, [part("a"), part("b")])
        database.set_states([state(f"{me}-{n}")])
    database.close()
    """

    all_succeed([start(database_url, body, str(n)) for n in range(3)])

    assert len(database.rows("ndvi_by_boundary")) == 3 * 5 * 2
    assert len(database.rows("tile_state")) == 3 * 5


def test_writers_of_the_same_tile_leave_the_rows_of_one(database: Database) -> None:
    def write(name: str) -> Callable[[], None]:
        rows = [part(f"{name}{n}") for n in range(50)]
        return lambda: database.replace_tile("ndvi_by_boundary", AUGUST, rows)

    for _ in range(3):
        at_once(write("x"), write("y"), write("z"))

        found = [str(row["boundary_key"]) for row in database.rows("ndvi_by_boundary")]
        assert len(found) == 50
        assert len({key[0] for key in found}) == 1


def test_all_boundaries_may_be_replaced_by_two_at_once(database: Database) -> None:
    old, new = ([region(f"{name}{n}") for n in range(200)] for name in "ab")

    at_once(
        lambda: database.replace_all("regions", old), lambda: database.replace_all("regions", new)
    )

    assert len({str(row["region_id"])[0] for row in database.rows("regions")}) == 1


def test_a_reader_sees_the_old_rows_or_the_new_never_none(database: Database) -> None:
    database.replace_all("regions", [region(f"a{n}") for n in range(100)])
    seen: list[set[str]] = []

    def write() -> None:
        for name in "bcde":
            database.replace_all("regions", [region(f"{name}{n}") for n in range(100)])

    def read() -> None:
        for _ in range(20):
            rows = database.rows("regions")
            assert len(rows) == 100
            seen.append({str(row["region_id"])[0] for row in rows})

    at_once(write, read)

    assert all(len(names) == 1 for names in seen)


def test_a_writer_killed_in_the_middle_leaves_the_old_rows(
    database: Database, database_url: str
) -> None:
    database.replace_all("regions", [region("old")])
    database.replace_tile("ndvi_by_boundary", AUGUST, [part("old")])
    body = """
    import signal
    from spatial_assets.stores.tables import transactions
    from spatial_assets.stores.rows import Replace, ReplaceAll
    database.ensure_schema([REGIONS], ["ndvi"])
    after_first = transactions.PreparedChange.apply
    def die_at_the_second(change, transaction):
        after_first(change, transaction)
        if change.table.name == "regions":
            os.kill(os.getpid(), signal.SIGKILL)
    transactions.PreparedChange.apply = die_at_the_second
    database.commit([
        Replace("ndvi_by_boundary", AUGUST, [part("new"), part("newer")]),
        ReplaceAll("regions", [region(str(n)) for n in range(2000)]),
    ])
    """
    process = start(database_url, body)
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL

    assert [row["region_id"] for row in database.rows("regions")] == ["old"]
    assert [row["boundary_key"] for row in database.rows("ndvi_by_boundary")] == ["old"]
    database.replace_all("regions", [region("next")])
    assert [row["region_id"] for row in database.rows("regions")] == ["next"]
