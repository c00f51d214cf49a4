"""The tables of a database belong to the project that first wrote to them: on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spatial_assets.errors import ForeignProjectError
from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.tables.database import Database
from spatial_assets.stores.tables.transactions import Transaction
from spatial_assets_tests.fixtures.claimants import claimant
from spatial_assets_tests.fixtures.snapshots import all_rows
from spatial_assets_tests.stores.tables.sample_rows import REGIONS, region

A = claimant("a", file="/srv/a/project.toml").with_store("s3://x/a", "id-a")
B = claimant("b", file="/srv/b/project.toml").with_store("s3://x/b", "id-b")


def test_the_first_project_claims_the_tables_once(empty_database: Database) -> None:
    empty_database.ensure_schema([REGIONS], ["ndvi"], claimant=A)
    before = all_rows(empty_database)
    empty_database.ensure_schema([REGIONS], ["ndvi"], claimant=A)

    assert all_rows(empty_database) == before
    assert empty_database.claims() == (A.claim,)


def test_another_project_is_refused_before_anything_is_written(
    empty_database: Database, database_url: str
) -> None:
    empty_database.ensure_schema([REGIONS], ["ndvi"], claimant=A)
    empty_database.replace_all("regions", [region("a")])
    before = all_rows(empty_database)

    with open_database(database_url) as other:
        with pytest.raises(ForeignProjectError) as refused:
            other.ensure_schema([REGIONS], ["ndvi", "evi"], claimant=B)
        with pytest.raises(ForeignProjectError, match="belongs to project 'a'"):
            other.verify_claim(B)

    assert all_rows(empty_database) == before
    own = "a file of its own" if "duckdb" in empty_database.url else "a schema of its own"
    for told in (
        "'a' (/srv/a/project.toml)",
        "'b', the name of its folder (/srv/b/project.toml)",
        own,
        '[project] name = "a"',
        "spatial-assets claim --yes",
    ):
        assert told in str(refused.value)


def test_another_grid_does_not_let_another_project_in(empty_database: Database) -> None:
    empty_database.ensure_schema(claimant=A)

    with pytest.raises(ForeignProjectError, match="belongs to project 'a'"):
        empty_database.ensure_schema(claimant=claimant("b", grid_id="g2"))
    empty_database.ensure_schema(claimant=claimant("a", grid_id="g2"))
    assert [each.project for each in empty_database.claims()] == ["a", "a"]


def test_of_two_projects_that_start_at_once_one_gets_the_tables(database_url: str) -> None:
    def claimed(name: str) -> str | None:
        with open_database(database_url) as database:
            try:
                database.ensure_schema([REGIONS], ["ndvi"], claimant=claimant(name))
            except ForeignProjectError:
                return None
            return name

    names = [f"p{number}" for number in range(4)]
    with ThreadPoolExecutor(len(names)) as pool:
        winners = [each for each in pool.map(claimed, names) if each]

    with open_database(database_url) as database:
        database.ensure_schema()
        assert [each.project for each in database.claims()] == winners
    assert len(winners) == 1


def test_tables_of_an_earlier_version_go_to_the_first_project_that_writes(
    database: Database,
) -> None:
    database.replace_all("regions", [region("a")])
    _as_version_1(database)

    database.verify_claim(A)  # reading claims nothing
    assert database.claims() == ()
    database.ensure_schema([REGIONS], ["ndvi"], claimant=A)

    assert [row["region_id"] for row in database.rows("regions")] == ["a"]
    assert database.claims() == (A.claim,)
    assert _versions(database) == [1, 2]
    with pytest.raises(ForeignProjectError):
        database.ensure_schema([REGIONS], ["ndvi"], claimant=B)


def test_a_database_without_tables_is_free_to_read(empty_database: Database) -> None:
    empty_database.verify_claim(A)

    assert empty_database.claims() == ()
    assert not empty_database.has_table("project_claim")


def test_tables_are_taken_over_on_purpose(empty_database: Database) -> None:
    empty_database.ensure_schema([REGIONS], ["ndvi"], claimant=A)

    empty_database.take_over(B)

    empty_database.verify_claim(B)
    with pytest.raises(ForeignProjectError, match="belongs to project 'b'"):
        empty_database.verify_claim(A)


def test_the_store_is_recorded_once_it_is_known(empty_database: Database) -> None:
    empty_database.ensure_schema(claimant=claimant("a"))
    empty_database.ensure_schema(claimant=A)
    empty_database.ensure_schema(claimant=claimant("a"))

    assert [each.store for each in empty_database.claims()] == ["s3://x/a"]


@pytest.mark.parametrize(
    ("url", "store_id", "accepted"),
    [
        pytest.param("s3://x/a", "id-new", True, id="emptied-and-made-again"),
        pytest.param("s3://x/moved", "id-a", True, id="moved"),
        pytest.param("s3://x/other", "id-new", False, id="another-store"),
        pytest.param("s3://x/other", "", False, id="another-store-without-a-claim"),
    ],
)
def test_a_project_of_the_same_name_with_another_store_is_refused(
    empty_database: Database, url: str, store_id: str, *, accepted: bool
) -> None:
    empty_database.ensure_schema(claimant=A)
    again = claimant("a").with_store(url, store_id)

    if accepted:
        empty_database.ensure_schema(claimant=again)
        assert [each.store_id for each in empty_database.claims()] == [store_id]
        return
    with pytest.raises(ForeignProjectError, match="describes the store s3://x/a of project 'a'"):
        empty_database.ensure_schema(claimant=again)
    assert empty_database.claims() == (A.claim,)


def test_a_copy_of_a_store_beside_the_original_is_another_store(
    empty_database: Database, tmp_path: Path
) -> None:
    stores = [tmp_path / name for name in ("original", "copy")]
    for folder in stores:
        folder.mkdir()
    original, copy = (claimant("a").with_store(str(folder), "id") for folder in stores)
    empty_database.ensure_schema(claimant=original)

    with pytest.raises(ForeignProjectError, match="describes the store"):
        empty_database.ensure_schema(claimant=copy)
    stores[0].rmdir()  # it was moved after all
    empty_database.ensure_schema(claimant=copy)


def _versions(database: Database) -> list[int]:
    return sorted(int(str(row["version"])) for row in database.rows("schema_version"))


def _as_version_1(database: Database) -> None:
    """Make the tables what version 1 left."""

    def undo(transaction: Transaction) -> None:
        transaction.run("DROP TABLE project_claim")
        transaction.run("UPDATE schema_version SET version = 1")

    database.in_transaction(undo, write=True)
