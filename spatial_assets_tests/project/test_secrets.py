"""Secrets stay out of the project file and out of all output."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_assets.project import Project, mask_secrets

PLANTED = "hunter2"
BOUNDARIES = '[[boundaries]]\nname = "regions"\nkey = "id"\n'

Refusal = Callable[..., str]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:hunter2@host:5432/db", "postgresql://***@host:5432/db"),
        ("postgresql://u:hun/ter2@p@host/db", "postgresql://***@host/db"),
        ("postgresql://u:hunter2'x@host/db", "postgresql://***@host/db"),
        ("postgresql://u:12/hunter2@host/db", "postgresql://***@host/db"),
        ("https://host/a.tif?sig=hunter2&st=1", "https://host/a.tif?***"),
        (
            "could not open https://h/a?t=1, trying s3://b/k",
            "could not open https://h/a?*** trying s3://b/k",
        ),
        ("host=h password='hunter 2' dbname=d", "host=h password=*** dbname=d"),
        ("duckdb:///data/spatial.duckdb", "duckdb:///data/spatial.duckdb"),
        ("https://host:8080/path@v1", "https://host:8080/path@v1"),
        ("no url at all", "no url at all"),
    ],
)
def test_urls_are_shown_without_their_secrets(text: str, shown: str) -> None:
    assert mask_secrets(text) == shown


@given(
    st.text(st.characters(codec="ascii", exclude_categories=["Cc", "Zs"]), min_size=6).filter(
        lambda text: not set(text) & set("<>") and text not in "postgresql://***@database.example/x"
    )
)
def test_no_password_whatever_its_characters_survives_masking(password: str) -> None:
    assert password not in mask_secrets(f"postgresql://me:{password}@database.example/x")


@given(st.text())
def test_masking_twice_is_masking_once(text: str) -> None:
    assert mask_secrets(mask_secrets(text)) == mask_secrets(text)


@pytest.mark.parametrize(
    ("added", "key", "remedy"),
    [
        pytest.param(
            "[database]\nurl = 'postgresql+psycopg://u:hunter2@h/d'\n",
            "database.url",
            "$SPATIAL_ASSETS_DATABASE_URL",
            id="database",
        ),
        pytest.param(
            "[database]\nurl = 'postgresql://h/d?password=hunter2'\n",
            "database.url",
            "$SPATIAL_ASSETS_DATABASE_URL",
            id="query",
        ),
        pytest.param(
            "[storage]\nurl = 's3://key:hunter2@bucket'\n",
            "storage.url",
            "$SPATIAL_ASSETS_STORAGE_URL",
            id="storage",
        ),
        pytest.param(
            f"{BOUNDARIES}source = 'https://h/r.gpkg?X-Amz-Signature=hunter2'\n",
            "boundaries.0.source",
            "keys come from the environment",
            id="boundaries",
        ),
        pytest.param(
            "[scenes.source]\nsecret_access_key = 'hunter2'\n",
            "scenes.source.secret_access_key",
            "secrets come from the environment only",
            id="key",
        ),
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(
    refusal: Refusal, added: str, key: str, remedy: str
) -> None:
    message = refusal(added)

    assert key in message
    assert remedy in message
    assert PLANTED not in message


def test_a_password_may_come_from_the_environment_and_is_not_in_the_repr(
    load: Callable[..., Project],
) -> None:
    project = load(env={"SPATIAL_ASSETS_DATABASE_URL": "postgresql://u:hunter2@h/d"})

    assert project.database_url == "postgresql+psycopg://u:hunter2@h/d"
    assert PLANTED not in repr(project)
    assert PLANTED not in str(project.database)
