"""Secrets planted at every origin are in nothing that a run wrote or printed."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from psycopg import sql

from spatial_assets.catalog import find_scenes
from spatial_assets.catalog.access.signing import source_credentials
from spatial_assets.catalog.access.source_access import source_access
from spatial_assets.errors import SpatialAssetsError
from spatial_assets.project import load_project
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.fixtures.two_zone_project import (
    ALL_GRANULES,
    FILES,
    TWO_TILES,
    write_catalog,
    write_project,
)
from spatial_assets_tests.fixtures.web_server import WebServer, serving
from spatial_assets_tests.servers.postgis import PostgisServer

pytestmark = pytest.mark.servers

PLANTED = {
    "SPATIAL_ASSETS_SOURCE_SECRET_ACCESS_KEY": "planted-source-key",
    "SPATIAL_ASSETS_SOURCE_SESSION_TOKEN": "planted-session-token",
    "SPATIAL_ASSETS_SOURCE_TOKEN": "planted-bearer-token",
    "AWS_SECRET_ACCESS_KEY": "planted-aws-key",
    "AWS_SESSION_TOKEN": "planted-aws-token",
}
SIGNATURE, API_TOKEN = "planted-signature", "planted-api-token"
PASSWORD = "planted-netrc-password"  # noqa: S105 - made up
PROGRAMS = Path(sys.executable).parent


@dataclass(frozen=True)
class Told:
    """All that a project's runs left for anybody to read: where -> bytes."""

    texts: Mapping[str, bytes]
    secrets: tuple[str, ...]

    def leaks(self) -> list[str]:
        """Locations of a secret."""
        return [
            f"{secret} in {where}"
            for where, text in self.texts.items()
            for secret in self.secrets
            if secret.encode() in text
        ]


def sign_hrefs(catalog: Path, url: str) -> None:
    """Let items name their files over HTTP, with a signature, as signing catalogues answer."""
    for path in catalog.glob("*/*.json"):
        item = json.loads(path.read_text())
        for asset in item["assets"].values():
            query = f"?X-Amz-Signature={SIGNATURE}&api_token={API_TOKEN}"
            is_signed = asset["href"] != FILES["scl"]  # the others get the bearer token
            asset["href"] = f"{url}/{path.parent.name}/{asset['href']}{query if is_signed else ''}"
        item["links"] = [{"rel": "self", "href": f"{url}/item?token={API_TOKEN}"}]
        path.write_text(json.dumps(item))


@contextmanager
def troubled_web(folder: Path) -> Iterator[WebServer]:
    """A server of the files that refuses, has lost, or ruined some of them."""
    first, second, third, _ = (granule.id for granule in ALL_GRANULES)
    with serving(folder) as web:
        web.always[f"/{first}/{FILES['red']}"] = 401
        web.always[f"/{second}/{FILES['nir']}"] = 404
        (folder / third / FILES["scl"]).write_bytes(b"<html>login</html>")
        yield web


@pytest.fixture(scope="module")
def told(postgis_server: PostgisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("planted")
    database = f"planted_{os.getpid()}"
    with postgis_server.connect("postgres") as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    files = write_catalog(folder / "files")
    catalog = write_catalog(folder / "catalog")
    write_project(folder / "project", catalog, area={"bbox": TWO_TILES})
    with (folder / "project" / "project.toml").open("a") as settings:
        settings.write('\n[scenes.source]\ntoken_hosts = ["127.0.0.1"]\n')
    netrc = folder / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login jane password {PASSWORD}\n")
    home = folder / "home"
    home.mkdir()
    environment = {
        **os.environ,
        **PLANTED,
        "SPATIAL_ASSETS_SOURCE_ACCESS_KEY_ID": "public-name",
        "AWS_ACCESS_KEY_ID": "public-name",
        "SPATIAL_ASSETS_PROJECT": str(folder / "project"),
        "SPATIAL_ASSETS_DATABASE_URL": postgis_server.url(database),
        "DAGSTER_HOME": str(home),
        "NETRC": str(netrc),
    }
    texts: dict[str, bytes] = {}
    with troubled_web(files) as web:
        sign_hrefs(catalog, web.url)
        for name, command in commands().items():
            done = subprocess.run(command, env=environment, capture_output=True, check=False)
            texts[f"output of {name}"] = done.stdout + done.stderr
        sent = {each.headers.get("authorization", "").partition(" ")[0] for each in web.requests}
        assert sent >= {"Bearer", "Basic"}
        wrong = {**environment, "SPATIAL_ASSETS_DATABASE_URL": _wrong(environment)}
        done = subprocess.run(commands()["status"], env=wrong, capture_output=True, check=False)
        texts["output of a refused login"] = done.stdout + done.stderr
    for path in [*home.rglob("*"), *(folder / "project").rglob("*")]:
        if path.is_file():
            texts[str(path.relative_to(folder))] = path.read_bytes()
    texts |= rows_of(postgis_server, database)
    yield Told(
        texts=texts,
        secrets=(
            *(*PLANTED.values(), SIGNATURE, API_TOKEN, PASSWORD),
            *(postgis_server.password, "planted-login"),
        ),
    )
    with postgis_server.connect("postgres") as connection:
        connection.execute(
            sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database))
        )


def commands() -> dict[str, list[str]]:
    """Runs that succeed in part, and commands that report on them."""
    ours, dagster = str(PROGRAMS / "spatial-assets"), str(PROGRAMS / "dagster")
    chain = "raw_tile,reprojected_raster,ndvi,tile_index"
    arguments = ["-m", "spatial_assets.definitions", "--select", chain]
    return {
        "dagster": [
            *(dagster, "asset", "materialize", *arguments),
            *("--partition-range", "1202302023...1202302032"),
        ],
        "materialize": [ours, "materialize", "--workers", "1"],
        "status": [ours, "status", "--json"],
        "quarantine": [ours, "quarantine", "list", "--json"],
        "check": [ours, "check"],
    }


def _wrong(environment: Mapping[str, str]) -> str:
    return re.sub(r":[^:@/]+@", ":planted-login@", environment["SPATIAL_ASSETS_DATABASE_URL"])


def rows_of(server: PostgisServer, database: str) -> dict[str, bytes]:
    """Every row of every table."""
    with server.connect(database) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' "
            "AND table_type = 'BASE TABLE' AND table_name <> 'spatial_ref_sys'"
        ).fetchall()
        found = {}
        for (table,) in tables:
            select = sql.SQL("SELECT {0}::text FROM {0}").format(sql.Identifier(str(table)))
            rows = connection.execute(select).fetchall()
            found[f"table {table}"] = "\n".join(str(row[0]) for row in rows).encode()
    return found


def test_what_was_searched_is_what_a_run_writes(told: Told) -> None:
    places = set(told.texts)

    assert {"table quarantine", "table tile_state", "table run_log", "output of dagster"} <= places
    assert any(place.startswith("project/data/manifests/") for place in places)
    assert any(place.startswith("project/data/quarantine/") for place in places)
    assert any(place.endswith(".db") for place in places)
    quarantined = told.texts["table quarantine"]
    assert b"forbidden" in quarantined
    assert b"missing_object" in quarantined
    assert b"page_instead_of_file" in quarantined
    assert b"authentication failed" in told.texts["output of a refused login"]


def test_no_planted_secret_is_in_anything_a_run_left(told: Told) -> None:
    assert told.leaks() == []


def test_the_search_would_have_found_one(told: Told) -> None:
    leaking = replace(told, texts={**told.texts, "a log": f"x={SIGNATURE}".encode()})

    assert leaking.leaks() == [f"{SIGNATURE} in a log"]


def test_no_representation_reveals_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SPATIAL_ASSETS_SOURCE_ACCESS_KEY_ID", "public-name")
    catalog = write_catalog(tmp_path / "catalog", ALL_GRANULES[:1])
    sign_hrefs(catalog, "http://127.0.0.1:9")
    url = "postgresql+psycopg://me:planted-login@127.0.0.1:9/database"
    write_project(tmp_path, catalog, area={"bbox": TWO_TILES})
    project = load_project(tmp_path, {"SPATIAL_ASSETS_DATABASE_URL": url})
    scenes = find_scenes(project)
    with open_database(url, connect_timeout=1.0) as database:
        with pytest.raises(SpatialAssetsError) as refused:
            database.ensure_schema()
        known = [database, database.url, refused.value, scenes, source_access(project), project]
        shown = repr([*known, source_credentials(), scenes.scenes, scenes.rejected])

    assert not [secret for secret in (*PLANTED.values(), "planted-login") if secret in shown]
    assert SIGNATURE not in shown
    access = pickle.dumps(source_access(project))
    assert not [secret for secret in PLANTED.values() if secret.encode() in access]
