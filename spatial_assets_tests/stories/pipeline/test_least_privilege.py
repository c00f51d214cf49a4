"""The pipeline runs with a role that owns one schema and nothing else, as deploy/ makes it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from spatial_assets.pipeline.outcome import State
from spatial_assets.project import load_project
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.fixtures.pipeline_runs import rows, run_tiles, states
from spatial_assets_tests.fixtures.two_zone_project import (
    TWO_TILES,
    WEST,
    write_catalog,
    write_project,
)
from spatial_assets_tests.servers.process import REPOSITORY

pytestmark = pytest.mark.servers


@dataclass(frozen=True)
class Roles:
    """URLs of the roles that the script makes, as psycopg takes them."""

    writer: str
    reader: str


@pytest.fixture
def roles(postgis_url: str) -> Iterator[Roles]:
    """Role of `deploy/create_product_role.sql`, renamed since roles belong to the whole server."""
    suffix = secrets.token_hex(4)
    writer, reader = f"writer_{suffix}", f"reader_{suffix}"
    script = (REPOSITORY / "deploy" / "create_product_role.sql").read_text()
    script = script.replace("spatial_assets_reader", reader).replace("spatial_assets", writer)
    plain = make_url(postgis_url).set(drivername="postgresql")
    administrator = plain.render_as_string(hide_password=False)
    with psycopg.connect(administrator, autocommit=True) as connection:
        connection.execute(script.encode())
        try:
            yield Roles(
                writer=as_role(plain, writer, "change-me"),
                reader=as_role(plain, reader, "change-me-too"),
            )
        finally:
            for role in (writer, reader):
                name = sql.Identifier(role)
                connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(name))
                connection.execute(sql.SQL("DROP ROLE {}").format(name))


def as_role(url: URL, name: str, password: str) -> str:
    return url.set(username=name, password=password).render_as_string(hide_password=False)


def test_the_pipeline_needs_no_more_than_its_own_schema(roles: Roles, tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "catalog", [WEST])
    write_project(tmp_path / "project", catalog, area={"bbox": TWO_TILES})
    url = roles.writer.replace("postgresql://", "postgresql+psycopg://") + "?schema=product"
    project = load_project(tmp_path / "project", {"SPATIAL_ASSETS_DATABASE_URL": url})

    first, again = run_tiles(project), run_tiles(project)

    assert states(first) == {State.MATERIALIZED}
    assert states(again) == {State.UNCHANGED}
    assert len(rows(project, "tile_index")) == 2
    with open_database(url) as database:
        database.ensure_schema(project.boundaries, project.indices.names)
        assert database.inspect_table("tile_index").is_sound
    with psycopg.connect(roles.reader) as connection:
        found = connection.execute("SELECT count(*) FROM product.tile_index").fetchone()
        assert found == (2,)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE public.mine (a int)",
        "CREATE SCHEMA another",
        "CREATE EXTENSION dblink",  # every server has it, and it is not one for everybody
        "CREATE ROLE friend",
        "CREATE DATABASE mine",
        "ALTER ROLE CURRENT_USER SUPERUSER",
        "DROP TABLE public.spatial_ref_sys",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('/etc/passwd')",
    ],
)
def test_the_role_of_the_pipeline_may_do_nothing_else(roles: Roles, statement: str) -> None:
    with (
        psycopg.connect(roles.writer, autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


def test_the_reader_writes_nothing(roles: Roles) -> None:
    with psycopg.connect(roles.writer, autocommit=True) as connection:
        connection.execute("CREATE TABLE product.told (a int)")
    for statement in ("INSERT INTO product.told VALUES (1)", "CREATE TABLE product.mine (a int)"):
        with (
            psycopg.connect(roles.reader, autocommit=True) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(statement.encode())
