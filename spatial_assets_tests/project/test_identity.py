"""The name of a project, the prefix of its assets, and the schema of its tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from spatial_assets.project import Project, load_project
from spatial_assets.project.sections.identity import IdentitySettings, name_of_folder

Load = Callable[..., Project]

NAME = TypeAdapter(IdentitySettings)
SERVER = "postgresql+psycopg://user@host:5432/products"


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        pytest.param("vipava", "vipava", id="as-it-is"),
        pytest.param("Karst_2023.v2-b", "Karst_2023.v2-b", id="every-allowed-character"),
        pytest.param("my project", "my_project-", id="a-space"),
        pytest.param("Žirovnica", "Zirovnica-", id="an-accent"),
        pytest.param("日本", "project-", id="no-latin-letter"),
        pytest.param("", "project-", id="root-of-the-disk"),
    ],
)
def test_a_project_is_named_after_its_folder(folder: str, name: str) -> None:
    found = name_of_folder(folder)

    assert found == name if not name.endswith("-") else found[:-8] == name


@given(st.sets(st.text(max_size=80), min_size=2, max_size=2))
def test_two_folders_have_two_names_that_dagster_accepts(folders: set[str]) -> None:
    names = {name_of_folder(each) for each in folders}

    assert len(names) == 2
    for name in names:
        NAME.validate_python({"name": name})


def test_a_name_of_the_file_wins_over_the_folder(load: Load, tmp_path: Path) -> None:
    assert load().name == name_of_folder(tmp_path.name)
    assert load('[project]\nname = "vipava"\n').name == "vipava"


@pytest.mark.parametrize("name", ["", "two words", "a/b", "ž", "x" * 64, "-a"])
def test_a_name_that_dagster_would_refuse_is_refused(
    refusal: Callable[..., str], name: str
) -> None:
    assert "project.name" in refusal(f'[project]\nname = "{name}"\n')


@pytest.mark.parametrize(
    ("setting", "path"),
    [("", ()), ('"a"', ("a",)), ('["a", "b"]', ("a", "b")), ("[]", ())],
)
def test_asset_prefix_is_a_text_or_a_list(load: Load, setting: str, path: tuple[str]) -> None:
    project = load(f"[project]\nasset_prefix = {setting}\n" if setting else "")

    assert project.asset_path("ndvi") == (*path, "ndvi")
    assert project.asset_of_path((*path, "ndvi")) == "ndvi"
    assert project.asset_of_path(("ndvi",)) == "ndvi"
    assert project.asset_of_path(("other", "ndvi")) == "other/ndvi"


@pytest.mark.parametrize("prefix", ["a/b", "a b", "", "1a", "a-b"])
def test_a_prefix_that_dagster_would_refuse_is_refused(
    refusal: Callable[..., str], prefix: str
) -> None:
    assert "project.asset_prefix" in refusal(f'[project]\nasset_prefix = "{prefix}"\n')


def test_the_schema_is_part_of_the_url(load: Load) -> None:
    schema = '[database]\nschema = "karst"\n'
    variable = "SPATIAL_ASSETS_DATABASE_URL"

    assert load(f'{schema}url = "{SERVER}"\n').database_url == f"{SERVER}?schema=karst"
    assert load(schema, env={variable: SERVER}).database_url == f"{SERVER}?schema=karst"
    assert (
        load(schema, env={variable: f"{SERVER}?sslmode=require"}).database_url
        == f"{SERVER}?sslmode=require&schema=karst"
    )
    assert load(f'{schema}url = "{SERVER}?schema=karst"\n').database_url == f"{SERVER}?schema=karst"


def test_a_schema_that_contradicts_the_url_is_refused(refusal: Callable[..., str]) -> None:
    schema = '[database]\nschema = "karst"\n'

    assert "database.schema" in refusal(f'{schema}url = "{SERVER}?schema=vipava"\n')
    assert "DuckDB" in refusal(f'{schema}url = "duckdb:///data/x.duckdb"\n')


def test_two_projects_differ_by_their_folders(tmp_path: Path, load: Load) -> None:
    load()
    text = (tmp_path / "project.toml").read_text()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "project.toml").write_text(text)

    names = {load_project(tmp_path / name, {}).name for name in ("a", "b")}

    assert names == {"a", "b"}


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="nmae"):
        NAME.validate_python({"nmae": "a"})
