"""A store belongs to the project that first wrote to it: in a folder and on S3."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spatial_assets.errors import ForeignProjectError, StoreError
from spatial_assets.stores import layout
from spatial_assets.stores.objects.store import ObjectStore
from spatial_assets.stores.objects.store_claim import (
    claim_store,
    stored_claim,
    take_store,
    verify_store,
)
from spatial_assets_tests.fixtures.claimants import claimant


def test_the_first_project_claims_the_store_once(store: ObjectStore) -> None:
    first = claim_store(store, claimant("a"))
    before = store.get(layout.PROJECT)

    assert claim_store(store, claimant("a")) == first == stored_claim(store)
    assert store.get(layout.PROJECT) == before
    assert first.project == "a"
    assert len(first.store_id) == 32


def test_another_project_is_refused_with_both_names_and_the_remedies(store: ObjectStore) -> None:
    claim_store(store, claimant("a", file="/srv/a/project.toml"))
    before = store.get(layout.PROJECT)

    with pytest.raises(ForeignProjectError) as refused:
        claim_store(store, claimant("b", file="/srv/b/project.toml"))

    message = str(refused.value)
    for told in (
        store.url,
        "'a' (/srv/a/project.toml)",
        "'b', the name of its folder (/srv/b/project.toml)",
        "Nothing was written",
        "[storage] url",
        '[project] name = "a"',
        "spatial-assets claim --yes",
    ):
        assert told in message
    assert store.get(layout.PROJECT) == before


def test_of_many_projects_that_start_at_once_one_gets_the_store(store: ObjectStore) -> None:
    def claimed(name: str) -> str | None:
        try:
            return claim_store(store, claimant(name)).project
        except ForeignProjectError:
            return None

    names = [f"p{number}" for number in range(8)]
    with ThreadPoolExecutor(len(names)) as pool:
        winners = [each for each in pool.map(claimed, names) if each]

    owner = stored_claim(store)
    assert owner is not None
    assert winners == [owner.project]


def test_verifying_an_unclaimed_store_writes_nothing(store: ObjectStore) -> None:
    assert verify_store(store, claimant("a")) is None
    assert store.list() == ()


def test_a_store_is_taken_over_on_purpose(store: ObjectStore) -> None:
    claim_store(store, claimant("a"))

    take_store(store, claimant("b"))

    assert claim_store(store, claimant("b")).project == "b"
    with pytest.raises(ForeignProjectError, match="belongs to project 'b'"):
        verify_store(store, claimant("a"))


def test_two_folders_of_one_name_are_two_projects_while_both_exist(
    folder_store: ObjectStore, tmp_path: Path
) -> None:
    files = [tmp_path / parent / "p" / "project.toml" for parent in ("one", "two")]
    for file in files:
        file.parent.mkdir(parents=True)
        file.touch()
    first, second = (claimant("p", file=str(file)) for file in files)
    claim_store(folder_store, first)

    with pytest.raises(ForeignProjectError, match="another project 'p', that of"):
        claim_store(folder_store, second)
    named = claimant("p", file=str(files[1]), name_is_set=True)
    assert claim_store(folder_store, named).file == str(files[0])
    files[0].unlink()  # the folder was moved
    assert claim_store(folder_store, second).file == str(files[0])


def test_a_damaged_claim_is_an_error_and_not_a_free_store(store: ObjectStore) -> None:
    store.put(layout.PROJECT, b"{")

    with pytest.raises(StoreError, match=r"project\.json is damaged"):
        claim_store(store, claimant("a"))


def test_a_claim_of_a_newer_version_is_refused(store: ObjectStore) -> None:
    store.put(layout.PROJECT, b'{"schema": 2, "project": "a"}')

    with pytest.raises(StoreError, match="newer"):
        claim_store(store, claimant("a"))
