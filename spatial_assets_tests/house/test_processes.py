"""Starting the tests' servers reports failures and leaves no process behind."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from spatial_assets_tests.servers.debs import (
    TOOLS_VARIABLE,
    PackageSource,
    library_environment,
    tools_folder,
)
from spatial_assets_tests.servers.postgis import installed_programs, newest_packages
from spatial_assets_tests.servers.process import (
    ServerCommand,
    ServerError,
    accepts_connections,
    free_port,
    running,
)

WITH_A_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def python(script: str, *, name: str) -> ServerCommand:
    return ServerCommand(name=f"test-{name}", arguments=[sys.executable, "-c", script])


def is_alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_server_that_ends_is_an_error_with_the_end_of_its_log() -> None:
    command = python("raise SystemExit('no disk left')", name="ends")

    with (
        pytest.raises(ServerError, match=r"ended with code 1.*\n.*no disk left"),
        running(command, lambda: False, timeout=30.0),
    ):
        pass


def test_a_server_that_is_never_ready_is_an_error_and_is_stopped() -> None:
    command = python(
        "import os, time; print(os.getpid(), flush=True); time.sleep(600)", name="slow"
    )

    with (
        pytest.raises(ServerError, match="not ready in 1 s"),
        running(command, lambda: False, timeout=1.0),
    ):
        pass

    assert not is_alive(int(command.log.read_text()))


def test_the_children_of_a_server_end_with_it() -> None:
    command = python(WITH_A_CHILD, name="children")
    log = command.log

    with running(command, lambda: "\n" in log.read_text(), timeout=30.0):
        child = int(log.read_text())
        assert is_alive(child)

    deadline = time.monotonic() + 5.0
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(child)


def test_a_free_port_is_free_and_so_is_the_one_above() -> None:
    port = free_port(also_plus=10_000)

    assert not accepts_connections(port)
    assert not accepts_connections(port + 10_000)


def postgresql(root: Path, version: int, *, postgis: bool) -> None:
    initdb = root / f"usr/lib/postgresql/{version}/bin/initdb"
    extensions = root / f"usr/share/postgresql/{version}/extension"
    initdb.parent.mkdir(parents=True)
    initdb.touch()
    extensions.mkdir(parents=True)
    if postgis:
        (extensions / "postgis.control").touch()


def test_the_newest_postgresql_with_postgis_is_taken(tmp_path: Path) -> None:
    for version, postgis in ((9, True), (15, True), (17, False)):
        postgresql(tmp_path, version, postgis=postgis)

    found = installed_programs(tmp_path)

    assert found is not None
    assert found.folder == tmp_path / "usr/lib/postgresql/15/bin"


def test_a_postgresql_without_postgis_does_not_count(tmp_path: Path) -> None:
    postgresql(tmp_path, 15, postgis=False)

    assert installed_programs(tmp_path) is None


class Names(PackageSource):
    """Package sources with these names in them."""

    def __init__(self, *names: str) -> None:
        self._names = list(names)

    def names(self, prefix: str) -> list[str]:
        return [name for name in self._names if name.startswith(prefix)]


def test_the_newest_packaged_postgresql_with_postgis_is_fetched() -> None:
    ubuntu = Names("postgresql-9-postgis-3", "postgresql-16-postgis-3", "postgresql-17")

    assert newest_packages(ubuntu)[:2] == ["postgresql-16", "postgresql-16-postgis-3"]


def test_sources_without_postgis_are_an_error_with_the_remedy() -> None:
    with pytest.raises(ServerError, match="enable Debian main or Ubuntu universe"):
        newest_packages(Names("postgresql-17"))


def test_a_system_without_apt_gets_a_list_of_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ServerError, match="install PostgreSQL with PostGIS, and Chromium"):
        PackageSource(tmp_path)


def test_unpacked_programs_find_their_libraries_before_the_inherited_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    triplet = tmp_path / "usr/lib/x86_64-linux-gnu"
    (triplet / "blas").mkdir(parents=True)
    (triplet / "blas" / "libblas.so.3").touch()
    (triplet / "locale").mkdir()
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/lib")

    assert library_environment(tmp_path) == {
        "LD_LIBRARY_PATH": f"{triplet}:{triplet / 'blas'}:/opt/lib"
    }


def test_the_tools_folder_is_the_one_that_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOOLS_VARIABLE, str(tmp_path / "tools"))

    assert tools_folder() == tmp_path / "tools"
    assert (tmp_path / "tools").stat().st_uid == os.geteuid()
