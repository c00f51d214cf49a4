"""A schema is made once, grows, and is never guessed at: on both databases."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import PGDialect

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.rows import BoundarySet
from spatial_assets.stores.tables.database import Database
from spatial_assets.stores.tables.duckdb.database import DuckDatabase
from spatial_assets.stores.tables.postgis.database import PostgisDatabase
from spatial_assets.stores.tables.schema import MIGRATIONS, Migration, pending
from spatial_assets_tests.stores.tables.sample_rows import AUGUST, REGIONS, part, region, state

NEWEST = MIGRATIONS[-1].version

HOSTILE = [
    pytest.param('"; DROP TABLE tile_state; --', id="statement"),
    pytest.param("two words", id="space"),
    pytest.param("select", id="reserved"),
    pytest.param("qualify", id="reserved-in-duckdb"),
    pytest.param("Občine ☃", id="unicode"),
    pytest.param("50 %s of $1 :x {}", id="placeholder"),
    pytest.param("it's\\", id="quote-and-backslash"),
    pytest.param("rows to load", id="name-of-our-own"),
    pytest.param("x" * 63, id="longest"),
    pytest.param("ž" * 31, id="longest-in-bytes"),
]


def opened(url: str, migrations: Sequence[Migration] = MIGRATIONS) -> Database:
    """The same database, opened by other code."""
    if url.startswith("duckdb"):
        return DuckDatabase(url.removeprefix("duckdb:///"), migrations=migrations)
    return PostgisDatabase(url, migrations=migrations)


def execute(database: Database, *statements: str) -> list[tuple[object, ...]]:
    """Execute statements as another client would, and return the rows of the last."""
    return database.in_transaction(
        lambda open_: [open_.run(each) for each in statements][-1], write=True
    )


def test_making_the_schema_twice_changes_nothing(database: Database) -> None:
    database.replace_all("regions", [region("a")])

    database.ensure_schema([REGIONS], ["ndvi"])
    database.ensure_schema()

    assert len(database.rows("regions")) == 1
    assert len(execute(database, "SELECT * FROM schema_version")) == 1


def test_reading_before_the_schema_exists_explains_what_to_do(empty_database: Database) -> None:
    with pytest.raises(DatabaseError, match="ensure_schema"):
        empty_database.rows("tile_state")


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_only_a_name(empty_database: Database, name: str) -> None:
    hostile = BoundarySet(name=name, key=name, columns=("grid_id",))
    empty_database.ensure_schema([hostile], ["ndvi"])
    base = {each: region("a")[each] for each in ("geometry", "area_m2", "source")}

    empty_database.replace_all(name, [{**base, name: "a", "feature_fingerprint": "f"}])
    empty_database.replace_tile("ndvi_by_boundary", AUGUST, [part("a", boundary_table=name)])

    assert [row[name] for row in empty_database.rows(name, {name: "a"})] == ["a"]
    (merged,) = empty_database.rows("ndvi_by_boundary_merged", {"boundary_table": name})
    assert merged["covered_fraction"] == pytest.approx(0.4)
    assert empty_database.rows("tile_state") == []


@pytest.mark.parametrize(
    ("boundaries", "told"),
    [
        pytest.param([BoundarySet(name="", key="a")], "0 bytes", id="empty"),
        pytest.param([BoundarySet(name="x" * 64, key="a")], "64 bytes", id="too-long"),
        pytest.param([BoundarySet(name="a\0", key="a")], "NUL", id="nul"),
        pytest.param([BoundarySet(name="a", key="\ud800")], "column", id="half-a-pair"),
        pytest.param([BoundarySet(name="Tile_State", key="a")], "share its table", id="ours"),
        pytest.param(
            [BoundarySet(name="NDVI_by_boundary_merged", key="a")], "share", id="our-view"
        ),
        pytest.param(
            [BoundarySet(name="a", key="b"), BoundarySet(name="A", key="b")], "share", id="case"
        ),
        pytest.param([BoundarySet(name="a", key="Geometry")], "rename it", id="our-column"),
        pytest.param([BoundarySet(name="a", key="b", columns=("B",))], "rename", id="same-column"),
        pytest.param([BoundarySet(name="a", key=())], "no key", id="no-key"),
    ],
)
def test_names_that_cannot_be_are_refused(
    empty_database: Database, boundaries: list[BoundarySet], told: str
) -> None:
    with pytest.raises(DatabaseError, match=told):
        empty_database.ensure_schema(boundaries, ["ndvi"])


def test_a_newer_schema_is_refused(database: Database, database_url: str) -> None:
    execute(database, "UPDATE schema_version SET version = 7")

    with (
        opened(database_url) as other,
        pytest.raises(DatabaseError, match=f"schema version 7, this spatial_assets knows {NEWEST}"),
    ):
        other.ensure_schema()


def test_an_older_schema_is_brought_forward_once(database: Database, database_url: str) -> None:
    def note(dialect: PGDialect) -> Sequence[str]:
        assert dialect.name in {"duckdb", "postgresql"}
        return ["CREATE TABLE note (text TEXT)", "INSERT INTO note VALUES ('taken')"]

    step = Migration(version=NEWEST + 1, description="take notes", statements=note)
    database.replace_all("regions", [region("a")])

    with opened(database_url, [*MIGRATIONS, step]) as newer:
        newer.ensure_schema([REGIONS], ["ndvi"])
        newer.ensure_schema([REGIONS], ["ndvi"])
        kept = len(newer.rows("regions"))

    assert kept == 1
    assert len(execute(database, "SELECT * FROM note")) == 1
    versions = execute(database, "SELECT version FROM schema_version ORDER BY version")
    assert versions == [(NEWEST,), (NEWEST + 1,)]
    with opened(database_url) as other, pytest.raises(DatabaseError, match="upgrade"):
        other.ensure_schema()


def test_a_migration_that_fails_leaves_the_old_schema(
    database: Database, database_url: str
) -> None:
    def fail(_dialect: PGDialect) -> Sequence[str]:
        return ["CREATE TABLE half (a TEXT)", "CREATE TABLE half (a TEXT)"]

    step = Migration(version=NEWEST + 1, description="fail", statements=fail)

    with opened(database_url, [*MIGRATIONS, step]) as newer, pytest.raises(DatabaseError):
        newer.ensure_schema()

    assert execute(database, "SELECT version FROM schema_version") == [(NEWEST,)]
    with pytest.raises(DatabaseError):
        execute(database, "SELECT * FROM half")


def test_steps_are_taken_in_order_and_none_for_a_new_database() -> None:
    steps = [
        Migration(version=n, description="", statements=lambda _dialect: ()) for n in (1, 2, 3)
    ]

    assert [each.version for each in pending(1, steps)] == [2, 3]
    assert pending(3, steps) == pending(None, steps) == []
    assert [each.version for each in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))


def test_a_set_may_carry_more_columns_than_it_did(database: Database) -> None:
    database.replace_all("regions", [region("a")])
    wider = BoundarySet(
        name=REGIONS.name,
        key=REGIONS.key,
        columns=[*REGIONS.columns, "New one"],
        types={**REGIONS.types, "New one": "number"},
    )

    database.ensure_schema([wider])
    database.replace_all("regions", [{**region("a"), "New one": 1.5}, region("b")])

    assert [row["New one"] for row in database.rows("regions")] == [1.5, None]


def test_another_index_gets_its_tables_later(database: Database) -> None:
    database.ensure_schema(indices=["evi"])

    database.replace_tile("evi_by_boundary", AUGUST, [part()])

    assert len(database.rows("evi_by_boundary_merged")) == 1
    assert database.rows("ndvi_by_boundary_merged") == []


@pytest.mark.usefixtures("database")
def test_a_column_that_changed_its_type_is_refused_with_the_remedy(database_url: str) -> None:
    changed = BoundarySet(name=REGIONS.name, key=REGIONS.key, columns=REGIONS.columns)

    with (
        opened(database_url) as other,
        pytest.raises(DatabaseError, match=r"(?i)people is bigint, wanted.*drop it"),
    ):
        other.ensure_schema([changed], ["ndvi"])


def test_a_table_of_somebody_else_is_never_touched(empty_database: Database) -> None:
    execute(
        empty_database,
        "CREATE TABLE regions (region_id TEXT PRIMARY KEY, name TEXT)",
        "INSERT INTO regions VALUES ('mine', 'precious')",
    )

    with pytest.raises(DatabaseError, match=r"'regions' is not as declared.*did not create it"):
        empty_database.ensure_schema([REGIONS])

    assert execute(empty_database, "SELECT * FROM regions") == [("mine", "precious")]


def test_columns_say_what_they_hold_in_the_database_too(database: Database) -> None:
    source = (
        "SELECT comment FROM duckdb_columns() WHERE table_name = 'tile_state' "
        "AND column_name = 'since'"
        if isinstance(database, DuckDatabase)
        else "SELECT col_description('tile_state'::regclass, attnum) FROM pg_attribute "
        "WHERE attrelid = 'tile_state'::regclass AND attname = 'since'"
    )

    assert execute(database, source) == [("Since when state, reason and fingerprint are these.",)]


def test_the_reference_system_is_that_of_the_column(database: Database) -> None:
    database.replace_all("regions", [region("a")])
    asked = (
        "SELECT ST_CRS(geometry) FROM regions"
        if isinstance(database, DuckDatabase)
        else "SELECT 'EPSG:' || ST_SRID(geometry) FROM regions"
    )

    assert execute(database, asked) == [("EPSG:4326",)]


def test_only_states_that_exist_are_stored(database: Database) -> None:
    with pytest.raises(DatabaseError, match="tile_state"):
        database.set_states([{**vars(state()), "state": "melted"}])


def test_the_versions_of_the_database_and_its_extensions_are_reported(database: Database) -> None:
    told = database.spatial_version()

    assert "DuckDB 1." in told or ("PostgreSQL" in told and "GEOS" in told and "PROJ" in told)


def test_the_same_tables_are_what_sqlalchemy_would_create(postgis_url: str) -> None:
    engine = sa.create_engine(postgis_url)
    with PostgisDatabase(postgis_url) as database:
        database.ensure_schema([REGIONS], ["ndvi"])
        made = structure(engine)
        execute(database, *(f'DROP TABLE "{name}" CASCADE' for name in made))

        database.tables.metadata.create_all(engine)

        assert structure(engine) == made
    engine.dispose()


def structure(engine: sa.Engine) -> dict[str, object]:
    """Columns and indexes of our tables, as SQLAlchemy finds them."""
    inspector = sa.inspect(engine)
    return {
        table: (
            [(each["name"], str(each["type"]), each["comment"]) for each in columns],
            sorted(str(each["name"]) for each in inspector.get_indexes(table)),
        )
        for table in inspector.get_table_names()
        if table != "spatial_ref_sys"
        for columns in [inspector.get_columns(table)]
    }
