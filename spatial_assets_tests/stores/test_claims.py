"""The owner of a store or a database, by its record and by what exists on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from spatial_assets_tests.fixtures.claimants import claimant


def folder_with_project(root: Path, file: str = "project.toml") -> str:
    """Path of a project file in a folder that is made for it."""
    root.mkdir(parents=True, exist_ok=True)
    (root / file).touch()
    return str(root / file)


@pytest.mark.parametrize("place", ["data", "duckdb"])
def test_what_lies_in_a_folder_comes_along_when_it_is_renamed_or_copied(
    tmp_path: Path, place: str
) -> None:
    original = claimant("a", file=folder_with_project(tmp_path / "a"))
    copy = claimant("b", file=folder_with_project(tmp_path / "b"))
    inside = f"{tmp_path}/b/data" if place == "data" else f"duckdb:///{tmp_path}/b/x.duckdb"

    assert copy.objection(original.claim, inside) is None
    assert copy.objection(original.claim, str(tmp_path / "a" / "data")) is not None
    assert copy.objection(original.claim, "s3://bucket/prefix") is not None


def test_a_given_name_is_not_renamed_with_the_folder(tmp_path: Path) -> None:
    inside = str(tmp_path / "b" / "data")
    file = folder_with_project(tmp_path / "b")
    named, unnamed = claimant("a", name_is_set=True), claimant("a")

    assert claimant("b", file=file).objection(named.claim, inside) is not None
    assert claimant("b", file=file, name_is_set=True).objection(unnamed.claim, inside) is not None
    assert claimant("a", file=file, name_is_set=True).objection(named.claim, inside) is None


def test_two_project_files_of_one_folder_are_two_projects(tmp_path: Path) -> None:
    files = [folder_with_project(tmp_path / "p", name) for name in ("a.toml", "b.toml")]
    first, second = (claimant("p", file=file) for file in files)

    assert second.objection(first.claim, str(tmp_path / "p" / "data")) is not None
    assert first.objection(first.claim, str(tmp_path / "p" / "data")) is None


def test_a_copied_folder_describes_its_own_store(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b")]
    files = [folder_with_project(folder) for folder in folders]
    for folder in folders:
        (folder / "data").mkdir()
    original, copy = (
        claimant(name, file=file).with_store(str(folder / "data"), "id")
        for name, file, folder in zip("ab", files, folders, strict=True)
    )

    inside = f"duckdb:///{folders[1]}/data/x.duckdb"
    assert copy.objection_to_store(original.claim, inside) is None
    assert copy.objection_to_store(original.claim, "postgresql://host/db") is not None
