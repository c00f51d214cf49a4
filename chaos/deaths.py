"""`python -m chaos.deaths`: services of Dagster and servers that die under a run, as shipped.

The instance is `deploy/dagster-postgres.yaml` with all its intervals; PostgreSQL and S3 are real,
and are killed. Each scenario ends when a run has made all tiles, and is audited: every tile once a
run, no lease left. The times are those of `docs/operations.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import dagster as dg
from sqlalchemy.engine import make_url

from chaos.servers import PRODUCT, ChaosServers, running_servers
from spatial_assets_tests.fixtures.ten_village_project import ten_tiles, ten_villages
from spatial_assets_tests.servers.process import REPOSITORY
from spatial_assets_tests.stories.dagster.dying_services import DyingServices, wait_for

TILE_SECONDS = 3.0
ABSENCE = 120.0
"""Seconds for which a code server is gone in the scenario of that name."""

Blow = Callable[[DyingServices, ChaosServers], None]


def restart(*names: str, after: float = 0.0) -> Blow:
    """Kill services, and start them again after some seconds."""

    def blow(services: DyingServices, _servers: ChaosServers) -> None:
        for name in names:
            services.kill(name)
        time.sleep(after)
        for name in names:
            services.start(name)

    return blow


def outage(name: str, *, seconds: float) -> Blow:
    """Kill a server, start it again after some seconds, and services that ended meanwhile."""

    def blow(services: DyingServices, servers: ChaosServers) -> None:
        servers.outage(name, seconds)
        servers.wait_until_back()
        time.sleep(5)
        for ended in services.restart_ended():
            services.times[f"{ended} ended and was restarted"] = 0.0

    return blow


SCENARIOS: Mapping[str, Blow] = {
    "code server killed": restart("code"),
    "code server gone": restart("code", after=ABSENCE),
    "run process killed": lambda services, _: services.kill_run_process(),
    "daemon killed": restart("daemon"),
    "both killed": restart("code", "daemon"),
    "PostgreSQL gone 2 s": outage("postgis", seconds=2.0),
    "PostgreSQL gone 45 s": outage("postgis", seconds=45.0),
    "S3 gone 45 s": outage("s3", seconds=45.0),
}


def main() -> int:
    """Run the scenarios and print their times; return 0 if each ended well."""
    parser = argparse.ArgumentParser(prog="python -m chaos.deaths", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(SCENARIOS), help="may be repeated")
    names = parser.parse_args().only or list(SCENARIOS)
    good = True
    with tempfile.TemporaryDirectory() as scratch, running_servers() as servers:
        for number, name in enumerate(names):
            try:
                found = scenario(Path(scratch) / str(number), servers, SCENARIOS[name])
            except AssertionError as error:
                found = {"BAD": str(error)}
            good &= "BAD" not in found
            print(f"{name:22} {json.dumps(found)}", flush=True)
    return 0 if good else 1


def scenario(folder: Path, servers: ChaosServers, blow: Blow) -> dict[str, object]:
    """Kill something under a run of ten tiles; return the seconds from the kill to what followed.

    Raises:
        AssertionError: something is stuck.
    """
    services = prepared(folder, servers)
    try:
        services.start("code")
        services.start("daemon")
        services.launch_backfill()
        services.until_tiles(0, 2)
        killed = time.monotonic()
        blow(services, servers)
        return followed(services, killed)
    finally:
        services.stop()


def followed(services: DyingServices, killed: float) -> dict[str, object]:
    """Wait for the end of the last run, and audit what was made."""
    found: dict[str, object] = dict(services.times)
    ended = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE}

    def all_over() -> bool:
        runs = services.runs()
        seconds = round(time.monotonic() - killed, 1)
        if runs[0].status is dg.DagsterRunStatus.FAILURE:
            found.setdefault("noticed", seconds)
        if runs[-1].status is dg.DagsterRunStatus.STARTED and len(runs) > 1:
            found.setdefault("started again", seconds)
        will_retry = runs[-1].tags.get("dagster/will_retry") == "true"
        return runs[-1].status in ended and not will_retry

    wait_for(all_over, "the last run", seconds=600.0)
    found["finished"] = round(time.monotonic() - killed, 1)
    wait_for(lambda: services.backfill_status() != "REQUESTED", "the end of the backfill")
    found["backfill"] = services.backfill_status()
    runs = services.runs()
    found["runs"] = [run.status.value for run in runs]
    made = [services.tiles_of(number) for number in range(len(runs))]
    problems = {
        "events twice": [tiles for tiles in made if len(tiles) > len(set(tiles))],
        "tiles that nobody made": sorted(
            set(ten_tiles(services.project)) - {tile for tiles in made for tile in tiles}
        ),
        "leases left": services.held_leases(),
    }
    if any(problems.values()):
        found["BAD"] = problems
    return found


def prepared(folder: Path, servers: ChaosServers) -> DyingServices:
    """Return services of a new project on the servers, with the instance that is deployed."""
    folder.mkdir()
    name = f"deaths_{folder.name}"
    for database in (name, f"{name}_dagster"):
        servers.make_database(database)
    url = make_url(servers.database_url(f"{name}_dagster", direct=True))
    dagster = url.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)
    environment = {
        **servers.environment(direct=True),
        "SPATIAL_ASSETS_STORAGE_URL": f"s3://{PRODUCT}/{name}",
        "SPATIAL_ASSETS_DATABASE_URL": servers.database_url(name, direct=True),
        "DAGSTER_POSTGRES_URL": dagster,
        "DAGSTER_LOGS": str(folder / "logs"),
    }
    os.environ.update(environment)
    home = folder / "home"
    home.mkdir()
    text = (REPOSITORY / "deploy" / "dagster-postgres.yaml").read_text()
    (home / "dagster.yaml").write_text(text)
    project = ten_villages(folder / "project", folder / "scenes")
    return DyingServices(project=project, home=home, environment=environment, pause=TILE_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
