"""A pgbouncer in front of the PostGIS server: each transaction may get another session.

As Supabase, Neon and RDS Proxy pool. It refuses to run as root, so then it runs as another user.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from spatial_assets_tests.servers.debs import (
    PackageSource,
    library_environment,
    one_at_a_time,
    prefix_folder,
)
from spatial_assets_tests.servers.postgis import USER, PostgisServer, server_user
from spatial_assets_tests.servers.process import (
    ServerCommand,
    ServerError,
    accepts_connections,
    free_port,
    primary_group,
    running,
)

SESSIONS = 3
"""Sessions of a database that all clients share; few, so that they meet."""

CONFIGURATION = """\
[databases]
* = host=127.0.0.1 port={server_port} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
"""


@dataclass(frozen=True, kw_only=True)
class PgbouncerProgram:
    """An installed pgbouncer."""

    executable: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    """Environment that leads it to its libraries."""


def pgbouncer_program() -> PgbouncerProgram:
    """The system's pgbouncer, else one unpacked into the tools folder.

    Raises:
        ServerError: the system has none, and none could be fetched.
    """
    installed = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if installed:
        return PgbouncerProgram(executable=Path(installed))
    prefix = prefix_folder("pgbouncer")
    with one_at_a_time(prefix.parent):
        if not prefix.exists():
            source = PackageSource(prefix.parent / "apt")
            source.refresh()
            source.unpack(["pgbouncer"], prefix)
    executable = prefix / "usr/sbin/pgbouncer"
    if not executable.exists():
        raise ServerError(f"no pgbouncer below {prefix}; remove that folder and run again")
    return PgbouncerProgram(executable=executable, environment=library_environment(prefix))


@pytest.fixture(scope="session")
def pooled_server(postgis_server: PostgisServer) -> Iterator[PostgisServer]:
    """The PostGIS server of the session as seen through a pool of transactions."""
    program, user, port = pgbouncer_program(), server_user(), free_port()
    folder = Path(tempfile.mkdtemp(prefix="spatial-assets-pgbouncer-"))
    configuration = folder / "pgbouncer.ini"
    configuration.touch(mode=0o600)
    configuration.write_text(
        CONFIGURATION.format(
            server_port=postgis_server.port,
            user=USER,
            password=postgis_server.password,
            port=port,
            sessions=SESSIONS,
        )
    )
    if user is not None:
        for path in (folder, configuration):
            shutil.chown(path, user, primary_group(user))
    command = ServerCommand(
        name="pgbouncer",
        arguments=[program.executable, configuration],
        environment=program.environment,
        user=user,
        folder=folder,
    )
    try:
        with running(command, lambda: accepts_connections(port), timeout=30.0):
            yield replace(postgis_server, port=port)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def pooled_url(pooled_server: PostgisServer, postgis_url: str) -> str:
    """The URL of this test's database behind the pool."""
    return pooled_server.url(postgis_url.rpartition("/")[2])
