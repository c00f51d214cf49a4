"""A DuckDB file that a run keeps open between its transactions and still shares."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import duckdb
import pytest

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.tables.duckdb import file as duckdb_file
from spatial_assets.stores.tables.duckdb.database import DuckDatabase
from spatial_assets_tests.servers.process import REPOSITORY
from spatial_assets_tests.stores.tables.sample_rows import REGIONS, region, state

WRITE_AS_A_RUN = """
import sys, time
from spatial_assets.stores.tables.duckdb.database import DuckDatabase
from spatial_assets_tests.stores.tables.sample_rows import REGIONS, state
file, me, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
began = time.monotonic()
with DuckDatabase(file) as database, database.keep_open():
    database.ensure_schema([REGIONS])
    longest = time.monotonic() - began
    for n in range(times):
        began = time.monotonic()
        database.set_states([state(f"{me}-{n}")])
        longest = max(longest, time.monotonic() - began)
print(longest)
"""
DIE_WHILE_KEEPING = """
import os, signal, sys
from spatial_assets.stores.tables.duckdb.database import DuckDatabase
from spatial_assets_tests.stores.tables.sample_rows import REGIONS, state
with DuckDatabase(sys.argv[1]) as database, database.keep_open():
    database.ensure_schema([REGIONS])
    for n in range(5):
        database.set_states([state(str(n))])
    os.kill(os.getpid(), signal.SIGKILL)
"""
OPEN_WITHOUT_ASKING = "import duckdb, sys; duckdb.connect(sys.argv[1], read_only=True)"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "spatial.duckdb"


def start(file: Path, body: str, *values: str) -> subprocess.Popen[str]:
    """A process of its own that works on the file."""
    return subprocess.Popen(
        [sys.executable, "-c", body, str(file), *values],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    """Return the output of a program, which must have succeeded."""
    out, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    return out


def opens_elsewhere(file: Path) -> bool:
    """Return True if a program without our locks can read the file now."""
    command = [sys.executable, "-c", OPEN_WITHOUT_ASKING, str(file)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def tiles(database: DuckDatabase) -> Sequence[str]:
    """Tiles that have a state."""
    return [str(row["tile"]) for row in database.rows("tile_state")]


def test_a_run_keeps_the_file_until_it_ends(file: Path) -> None:
    with DuckDatabase(str(file)) as database:
        database.ensure_schema([REGIONS])
        with database.keep_open():
            database.set_states([state("1")])
            database.rows("tile_state")
            assert not opens_elsewhere(file)

        assert opens_elsewhere(file)


def test_a_file_kept_by_an_idle_run_is_released_to_a_waiting_process(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_file, "IDLE_SECONDS", 20)
    with DuckDatabase(str(file)) as database, database.keep_open():
        database.ensure_schema([REGIONS])
        database.set_states([state("mine")])

        longest = float(said(start(file, WRITE_AS_A_RUN, "theirs", "1")))

        assert tiles(database) == ["mine", "theirs-0"]
    assert longest < 5


def test_four_runs_at_once_lose_nothing_and_all_have_their_turn(file: Path) -> None:
    processes = [start(file, WRITE_AS_A_RUN, str(me), "15") for me in range(4)]

    longest = max(float(said(process)) for process in processes)

    with DuckDatabase(str(file)) as database:
        database.ensure_schema([REGIONS])
        assert len(tiles(database)) == 4 * 15
    assert longest < 5


def test_a_run_killed_while_it_keeps_the_file_loses_nothing_and_blocks_no_other(file: Path) -> None:
    process = start(file, DIE_WHILE_KEEPING)
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL

    with DuckDatabase(str(file), lock_timeout=5) as database, database.keep_open():
        database.ensure_schema([REGIONS])
        database.set_states([state("5")])

        assert tiles(database) == ["0", "1", "2", "3", "4", "5"]


def test_a_kept_file_without_users_is_closed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_file, "IDLE_SECONDS", 0.1)
    with DuckDatabase(str(file)) as database, database.keep_open():
        database.ensure_schema([REGIONS])
        time.sleep(0.5)

        assert opens_elsewhere(file)
        database.set_states([state("1")])
        assert tiles(database) == ["1"]


def test_what_failed_is_undone_and_what_was_committed_before_stays(file: Path) -> None:
    with DuckDatabase(str(file)) as database, database.keep_open():
        database.ensure_schema([REGIONS])
        database.set_states([state("good")])

        def begin_and_fail(open_: object) -> None:
            open_.run("DELETE FROM tile_state")  # type: ignore[attr-defined]
            open_.run("SELECT * FROM nothing")  # type: ignore[attr-defined]

        with pytest.raises(DatabaseError, match="Catalog"):
            database.in_transaction(begin_and_fail, write=True)

        assert tiles(database) == ["good"]


def test_several_objects_of_a_process_pass_a_kept_file_on(file: Path) -> None:
    with ExitStack() as stack:
        first, second = (stack.enter_context(DuckDatabase(str(file))) for _ in range(2))
        for database in (first, second):
            stack.enter_context(database.keep_open())
            database.ensure_schema([REGIONS])

        def write(database: DuckDatabase, name: str) -> None:
            for n in range(5):
                database.set_states([state(f"{name}{n}")])

        threads = [
            threading.Thread(target=write, args=(database, name))
            for database, name in ((first, "a"), (second, "b"), (first, "c"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(tiles(first)) == len(tiles(second)) == 15


def test_a_run_that_only_reads_makes_no_file_and_sees_it_when_another_did(file: Path) -> None:
    with DuckDatabase(str(file)) as database, database.keep_open():
        assert not database.has_table("tile_state")
        assert not file.exists()

        with DuckDatabase(str(file)) as other:
            other.ensure_schema([REGIONS])
            other.replace_all("regions", [region("a")])

        assert database.has_table("tile_state")


READ_UNTIL_TOLD = """
import duckdb, sys
with duckdb.connect(sys.argv[1], read_only=True):
    print("open", flush=True)
    sys.stdin.read()
"""
INTERRUPTED_WHILE_WRITING = """
import os, random, signal, sys, threading, time
from spatial_assets.stores.tables.duckdb.database import DuckDatabase
from spatial_assets_tests.stores.tables.sample_rows import REGIONS, state
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run with nohup
database = DuckDatabase(sys.argv[1], lock_timeout=5)
database.ensure_schema([REGIONS])
chance = random.Random(7)
for n in range(20):
    threading.Timer(chance.random() / 10, os.kill, [os.getpid(), signal.SIGINT]).start()
    try:
        while True:
            database.set_states([state(f"before-{n}")])
    except KeyboardInterrupt:
        began = time.monotonic()
        database.set_states([state(f"after-{n}")])
        print(time.monotonic() - began)
"""


def test_a_run_waits_for_a_reader_names_it_and_goes_on(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(duckdb_file, "NOTICE_SECONDS", 0.3)
    with DuckDatabase(str(file), lock_timeout=0.1) as database:
        database.ensure_schema([REGIONS])
        reader = start(file, READ_UNTIL_TOLD)
        assert reader.stdout is not None
        assert reader.stdout.readline() == "open\n"

        with pytest.raises(DatabaseError, match=rf"held by process {reader.pid} \(python"):
            database.set_states([state("impatient")])
        with database.keep_open(), ThreadPoolExecutor(1) as pool:
            patient = pool.submit(database.set_states, [state("patient")])
            until(lambda: f"waiting for process {reader.pid} (" in caplog.text)
            assert not patient.done()
            assert said(reader) == ""  # which closes its input, so that it ends
            patient.result()

        assert tiles(database) == ["patient"]


def until(is_true: Callable[[], bool]) -> None:
    """Wait until something is true; the test fails after a minute."""
    deadline = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_interrupt_waits_for_the_end_of_a_transaction_and_the_file_stays_usable(
    file: Path,
) -> None:
    waits = [float(wait) for wait in said(start(file, INTERRUPTED_WHILE_WRITING)).split()]

    assert len(waits) == 20
    assert max(waits) < 4  # a file that this process still holds is waited for five seconds
    with DuckDatabase(str(file)) as database:
        assert {f"after-{n}" for n in range(20)} < set(tiles(database))


def test_a_file_that_this_process_itself_has_open_is_said_to_be_so(file: Path) -> None:
    with DuckDatabase(str(file), lock_timeout=0.1) as database:
        database.ensure_schema([REGIONS])
        with (
            duckdb.connect(str(file)),
            pytest.raises(DatabaseError, match=r"held by this process \(\d+\)|different config"),
        ):
            database.set_states([state("a")])
