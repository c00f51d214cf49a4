"""A private PostGIS server for the session, and a fresh spatial database for each test.

As root the server runs as another user, since PostgreSQL refuses root.
"""

from __future__ import annotations

import itertools
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from spatial_assets_tests.servers.debs import (
    PackageSource,
    library_environment,
    one_at_a_time,
    prefix_folder,
)
from spatial_assets_tests.servers.process import (
    ServerCommand,
    ServerError,
    free_port,
    primary_group,
    running,
)

USER = "spatial"
TEMPLATE = "gis"
START_SECONDS = 60.0  # 1.2 s on an idle machine
START_TRIES = 3  # between choosing a port and using it, somebody else may take it
SERVER_USERS = ("postgres", "nobody")  # the first that exists, when we are root

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # Nothing here outlives the session, so nothing waits for the disk.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    # A relocated server finds no JIT library, and containers give little /dev/shm.
    "jit": "off",
    "dynamic_shared_memory_type": "mmap",
    "max_connections": "100",
}


@dataclass(frozen=True, kw_only=True)
class PostgresPrograms:
    """An installed PostgreSQL with PostGIS."""

    folder: Path
    """Holds initdb and postgres."""

    environment: Mapping[str, str] = field(default_factory=dict)
    """Environment that leads these programs to their libraries and PROJ data."""


@dataclass(frozen=True, kw_only=True)
class PostgisServer:
    """A running cluster."""

    port: int
    password: str

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of a database of this cluster, for psycopg 3."""
        return f"postgresql+psycopg://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        """A connection in autocommit mode, as databases are made and dropped in."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            password=self.password,
            dbname=database,
            autocommit=True,
        )


def postgres_programs() -> PostgresPrograms:
    """The system's PostgreSQL with PostGIS, else one unpacked into the tools folder.

    Raises:
        ServerError: the system has none, and none could be fetched.
    """
    return installed_programs() or unpacked_programs()


def unpacked_programs() -> PostgresPrograms:
    """PostgreSQL with PostGIS in a prefix of ours, fetched the first time."""
    prefix = prefix_folder("postgis")
    with one_at_a_time(prefix.parent):
        if not prefix.exists():
            source = PackageSource(prefix.parent / "apt")
            source.refresh()
            source.unpack(newest_packages(source), prefix, finish=link_extension)
    found = installed_programs(prefix)
    if found is None:
        raise ServerError(f"no initdb or PostGIS below {prefix}; remove that folder and run again")
    proj, data = prefix / "usr/share/proj", library_environment(prefix)
    return replace(found, environment={**data, "PROJ_DATA": str(proj)} if proj.exists() else data)


def newest_packages(source: PackageSource) -> list[str]:
    """The packages of the newest PostgreSQL that has PostGIS 3 here."""
    names = source.names("postgresql-")
    versions = [int(m[1]) for n in names if (m := re.fullmatch(r"postgresql-(\d+)-postgis-3", n))]
    if not versions:
        raise ServerError(
            "apt knows no postgresql-NN-postgis-3; enable Debian main or Ubuntu universe"
        )
    server = f"postgresql-{max(versions)}"
    return [server, f"{server}-postgis-3", f"{server}-postgis-3-scripts"]


def link_extension(prefix: Path) -> None:
    """Do what the package's postinst does: let CREATE EXTENSION postgis find version 3."""
    for control in prefix.glob("usr/share/postgresql/*/extension/postgis-3.control"):
        control.with_name("postgis.control").symlink_to(control.name)


def installed_programs(root: Path = Path("/")) -> PostgresPrograms | None:
    """The newest PostgreSQL below `root` that has PostGIS, or None."""
    found = [
        control.parents[1].name
        for control in root.glob("usr/share/postgresql/*/extension/postgis*.control")
        if (root / "usr/lib/postgresql" / control.parents[1].name / "bin/initdb").exists()
    ]
    if not found:
        return None
    return PostgresPrograms(folder=root / "usr/lib/postgresql" / max(found, key=int) / "bin")


@pytest.fixture(scope="session")
def postgis_server() -> Iterator[PostgisServer]:
    """One PostGIS cluster for the whole session."""
    programs = postgres_programs()
    user = server_user()
    folder = Path(tempfile.mkdtemp(prefix="spatial-assets-postgis-"))
    if user is not None:
        shutil.chown(folder, user, primary_group(user))
    try:
        yield from serve(programs, folder / "cluster", user=user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def server_user() -> str | None:
    """The user to run the server as, or None for ourselves."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    for user in SERVER_USERS:
        if user in known:
            return user
    raise ServerError(f"PostgreSQL refuses root, and none of the users {SERVER_USERS} exists")


def serve(
    programs: PostgresPrograms, cluster: Path, *, user: str | None
) -> Iterator[PostgisServer]:
    """Make a cluster, run it, and give it a template database with PostGIS."""
    password = secrets.token_urlsafe(12)
    make_cluster(programs, cluster, user=user, password=password)
    for attempt in itertools.count(1):
        server = PostgisServer(port=free_port(), password=password)
        command = server_command(programs, cluster, user=user, port=server.port)
        try:
            with running(command, lambda s=server: answers(s), timeout=START_SECONDS):  # type: ignore[misc]
                make_template(server)
                yield server
                return
        except ServerError:
            if attempt == START_TRIES:
                raise


def make_cluster(
    programs: PostgresPrograms, cluster: Path, *, user: str | None, password: str
) -> None:
    """Run initdb; the password travels in a file, since others can read a command line."""
    password_file = cluster.parent / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    if user is not None:
        shutil.chown(password_file, user)
    done = subprocess.run(
        [
            programs.folder / "initdb",
            *("-D", cluster, "-U", USER, "--auth=scram-sha-256", "--pwfile", password_file),
            *("--encoding=UTF8", "--no-locale", "--no-sync"),
        ],
        capture_output=True,
        env={**os.environ, **programs.environment},
        user=user,
        group=None if user is None else primary_group(user),
        extra_groups=None if user is None else [],
        cwd=cluster.parent,
        check=False,
    )
    if done.returncode != 0:
        raise ServerError(f"initdb failed: {done.stderr.decode(errors='replace')}")


def server_command(
    programs: PostgresPrograms, cluster: Path, *, user: str | None, port: int
) -> ServerCommand:
    """The postgres command with the settings of the tests."""
    settings = [f"--{name}={value}" for name, value in {**SETTINGS, "port": str(port)}.items()]
    return ServerCommand(
        name="postgis",
        arguments=[programs.folder / "postgres", "-D", cluster, *settings],
        environment=programs.environment,
        user=user,
        folder=cluster,
        stop_signal=signal.SIGQUIT,  # at once: the cluster is thrown away
    )


def answers(server: PostgisServer) -> bool:
    """Return True if the server accepts a connection."""
    try:
        server.connect("postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def make_template(server: PostgisServer) -> None:
    """A database with PostGIS to copy: 50 ms a copy, where CREATE EXTENSION takes a second."""
    with server.connect("postgres") as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
    with server.connect(TEMPLATE) as connection:
        connection.execute("CREATE EXTENSION postgis")


@pytest.fixture
def postgis_url(postgis_server: PostgisServer) -> Iterator[str]:
    """The URL (postgresql+psycopg://...) of a database of this test alone, with PostGIS."""
    name = f"t_{secrets.token_hex(6)}"
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
    with postgis_server.connect("postgres") as connection:
        connection.execute(create.format(sql.Identifier(name), sql.Identifier(TEMPLATE)))
        yield postgis_server.url(name)
        connection.execute(drop.format(sql.Identifier(name)))
