"""A run whose process dies is started again, and a server that is stopped ends its runs first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from spatial_assets_tests.fixtures.ten_village_project import ten_tiles, ten_villages
from spatial_assets_tests.servers.dagster import make_home
from spatial_assets_tests.stories.dagster.dying_services import DyingServices

pytestmark = pytest.mark.timeout(900)

QUICK = {
    "poll_interval_seconds: 15": "poll_interval_seconds: 1",
    "silence_seconds: 45": "silence_seconds: 5",
}
STARTED, FAILURE = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE


@pytest.fixture
def services(tmp_path: Path) -> Iterator[DyingServices]:
    project = ten_villages(tmp_path / "project", tmp_path / "scenes")
    home = make_home(tmp_path / "home")
    text = (home / "dagster.yaml").read_text()
    for shipped, quick in QUICK.items():
        assert shipped in text
        text = text.replace(shipped, quick)
    (home / "dagster.yaml").write_text(text)
    found = DyingServices(project=project, home=home, environment={}, lease_ttl=6.0, pause=0.7)
    try:
        yield found
    finally:
        found.stop()


def test_a_killed_run_and_a_stopped_one_go_on_until_all_tiles_are_made(
    services: DyingServices,
) -> None:
    services.start("code")
    services.start("daemon")
    services.launch()
    services.until_tiles(0, 2)

    killed = time.monotonic()
    services.kill("code")
    services.start("code")
    services.until(0, FAILURE, since=killed, what="noticed")
    services.until(1, STARTED, since=killed, what="started again")

    services.until_tiles(1, 1)
    stopped = time.monotonic()
    code = services.terminate("code")
    services.times["stopped"] = round(time.monotonic() - stopped, 1)
    held = services.held_leases()
    interrupted = services.runs()[1].status
    services.kill("daemon")
    services.start("code")
    services.start("daemon")
    # a retry that the daemon starts on the server while it stops dies with it, and is retried
    services.until_the_last_succeeds(since=stopped, what="finished")

    assert (code, held, interrupted) == (0, [], FAILURE)
    made = [services.tiles_of(number) for number in range(len(services.runs()))]
    assert len(made) > 2
    assert sorted(made[-1]) == sorted(ten_tiles(services.project))
    for tiles in made:
        assert len(tiles) == len(set(tiles))
    assert services.held_leases() == []
