"""Sixteen runs at once over ranges that overlap, on PostGIS and S3: as if one had run alone."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from spatial_assets.pipeline.outcome import State
from spatial_assets.project import load_project
from spatial_assets_tests.fixtures.pipeline_runs import pixels, rows, run_tiles, states
from spatial_assets_tests.fixtures.ten_village_project import ten_tiles, ten_villages
from spatial_assets_tests.servers.process import REPOSITORY
from spatial_assets_tests.stories.pipeline.concurrent_runs import APPLICATION_NAME

RUNS, SHARE, POOL = 16, 6, 2


class Watch:
    """Connections counted in the database while the runs work."""

    def __init__(self, url: str) -> None:
        self._url = url.replace("+psycopg", "")
        self._end = threading.Event()
        self.most: Counter[str] = Counter()
        """Name of a run -> the most connections that it had at a time."""

        self.at_once = 0
        """The most runs that were connected at a time."""

    def look(self) -> None:
        """Ask every few hundredths of a second until the end."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self._end.is_set():
                found = connection.execute(
                    "SELECT application_name, count(*) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND application_name LIKE %s GROUP BY 1",
                    (f"{APPLICATION_NAME}%",),
                ).fetchall()
                self.at_once = max(self.at_once, len(found))
                for name, count in found:
                    self.most[str(name)] = max(self.most[str(name)], int(count))
                time.sleep(0.03)

    def deadlocks(self) -> int:
        """Deadlocks in this database since it was made."""
        with psycopg.connect(self._url) as connection:
            row = connection.execute(
                "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
            ).fetchone()
        assert row is not None
        return int(row[0])

    @contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self.look)
        thread.start()
        try:
            yield
        finally:
            self._end.set()
            thread.join()


@pytest.mark.servers
@pytest.mark.timeout(240)
def test_sixteen_runs_at_once_make_what_one_makes(
    tmp_path: Path,
    postgis_url: str,
    s3_bucket: str,
    s3_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalog = tmp_path / "catalog"
    alone = ten_villages(tmp_path / "alone", catalog)
    bad = ten_tiles(alone)[4]
    (catalog / f"v{bad}" / "B08.tif").write_bytes(b"<html>503</html>")
    run_tiles(alone)
    ten_villages(tmp_path / "project", catalog, database={"pool_size": POOL})
    (catalog / f"v{bad}" / "B08.tif").write_bytes(b"<html>503</html>")
    urls = {
        "SPATIAL_ASSETS_STORAGE_URL": f"s3://{s3_bucket}/product",
        "SPATIAL_ASSETS_DATABASE_URL": postgis_url,
    }
    for name, value in urls.items():
        monkeypatch.setenv(name, value)
    project = load_project(tmp_path / "project", {**s3_environment, **urls})
    watch = Watch(postgis_url)

    with watch.watching():
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "spatial_assets_tests.stories.pipeline.concurrent_runs",
                str(project.root),
                str(RUNS),
                str(SHARE),
            ],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )

    assert done.returncode == 0, done.stderr[-3000:]
    answers = json.loads(done.stdout)
    assert len(answers) == RUNS
    assert {len(answer) for answer in answers} == {SHARE}
    assert {tile for answer in answers for tile in answer} == set(project.partitioning.keys)
    assert {state for answer in answers for state in answer.values()} <= {
        "materialized",
        "unchanged",
        "empty",
        "quarantined",
    }
    assert watch.deadlocks() == 0
    assert max(watch.most.values()) <= POOL
    assert watch.at_once > RUNS // 2
    assert pixels(project) == pixels(alone)
    for table, names in COMPARED.items():
        assert facts(rows(project, table), names) == facts(rows(alone, table), names)
    assert states(run_tiles(project)) == {State.UNCHANGED, State.QUARANTINED}


COMPARED = {
    "tile_index": ("tile", "index_name", "period", "valid_fraction", "observations", "scenes"),
    "tile_state": ("tile", "stage", "state", "reason"),
    "quarantine": ("kind", "subject", "tile", "reason", "released_at"),
}
"""Table -> columns that are neither times nor places."""


def facts(found: list[dict[str, object]], names: tuple[str, ...]) -> list[tuple[object, ...]]:
    return [tuple(row[name] for name in names) for row in found]
