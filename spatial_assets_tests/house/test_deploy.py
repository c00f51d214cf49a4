"""The container files agree with each other and with what the code reads."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy.engine import make_url

from spatial_assets.dagster_commands.code_server import GRACE_SECONDS
from spatial_assets.project.loading import OVERRIDES
from spatial_assets_tests.servers.process import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
DAGSTER_SERVICES = ("webserver", "daemon", "code")
PROGRAMS = Path(sys.executable).parent
READ_BY_DAGSTER = {"DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS"}
READ_BY_BOTO = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"}


@cache
def compose() -> Any:  # noqa: ANN401 - YAML
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def environment() -> dict[str, str]:
    """Environment of the three Dagster services."""
    given = [compose()["services"][name]["environment"] for name in DAGSTER_SERVICES]
    assert given[0] == given[1] == given[2]
    return dict(given[0])


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    done = subprocess.run(
        [PROGRAMS / "hadolint", REPOSITORY / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "")


def test_what_the_dockerfile_copies_is_in_the_build_context() -> None:
    sent = {
        line.removeprefix("!")
        for line in (REPOSITORY / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copies = re.findall(
        r"^COPY (?!--from)(.+) \S+$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE
    )
    copied = {name for line in copies for name in line.split()}
    # a file let in again below a folder that is copied goes along with it
    apart = {name for name in sent if not any(name.startswith(f"{each}/") for each in copied)}

    assert copied == apart
    assert [name for name in sorted(sent) if not (REPOSITORY / name).exists()] == []


def test_the_image_installs_by_hash_and_runs_as_a_user() -> None:
    text = (REPOSITORY / "Dockerfile").read_text()

    assert len(re.findall("--require-hashes", text)) == len(
        re.findall(r"pip (install .*-r|sync)", text)
    )
    assert text.rindex("USER 10001") > text.rindex("apt-get")
    assert text.rindex("verify_image.py") > text.rindex("USER 10001")


def test_every_variable_of_the_compose_file_is_in_the_example() -> None:
    used = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    named = set(re.findall(r"^(\w+)=$", (DEPLOY / ".env.example").read_text(), re.MULTILINE))

    assert used == named


def test_every_variable_given_to_dagster_is_read_by_somebody() -> None:
    source = "".join(path.read_text() for path in (REPOSITORY / "spatial_assets").rglob("*.py"))
    instance = (DEPLOY / "dagster-postgres.yaml").read_text()

    unread = [name for name in environment() if name not in source and name not in instance]

    assert set(unread) <= READ_BY_BOTO | READ_BY_DAGSTER
    dagster = Path(str(find_spec("dagster").origin)).parent  # type: ignore[union-attr]
    source = "".join(path.read_text() for path in (dagster / "_grpc").glob("*.py"))
    assert all(name in source for name in READ_BY_DAGSTER)


def test_every_url_names_a_service_of_the_file_and_its_port() -> None:
    given = environment()
    databases = [
        make_url(re.sub(r"\$\{.*?\}", "secret", given[name]))
        for name in ("DAGSTER_POSTGRES_URL", "SPATIAL_ASSETS_DATABASE_URL")
    ]
    (code,) = yaml.safe_load((DEPLOY / "compose-workspace.yaml").read_text())["load_from"]

    assert [url.drivername for url in databases] == ["postgresql+psycopg2", "postgresql+psycopg"]
    assert {(url.host, url.port) for url in databases} == {("postgis", 5432)}
    assert {url.username for url in databases} == {
        compose()["services"]["postgis"]["environment"]["POSTGRES_USER"]
    }
    assert given["SPATIAL_ASSETS_S3_ENDPOINT"] == "http://s3:8333"
    assert "-s3.port=8333" in compose()["services"]["s3"]["command"]
    assert "-bucket=spatial-assets" in compose()["services"]["s3"]["command"]
    assert given["SPATIAL_ASSETS_STORAGE_URL"].startswith("s3://spatial-assets/")
    assert code["grpc_server"]["host"] in compose()["services"]
    assert str(code["grpc_server"]["port"]) in compose()["services"]["code"]["command"]


def test_both_databases_are_made_before_dagster_starts() -> None:
    server = compose()["services"]["postgis"]
    script = (DEPLOY / "create_dagster_database.sql").read_text()

    assert make_url(environment()["DAGSTER_POSTGRES_URL"].split("$")[0] + "x@h/dagster").database
    assert "create database dagster;" in script
    assert server["healthcheck"]["test"][-1] == "dagster"


@pytest.mark.parametrize("name", sorted(compose()["services"]))
def test_a_service_depends_on_healthy_ones_and_mounts_what_exists(name: str) -> None:
    service = compose()["services"][name]

    for other, terms in service.get("depends_on", {}).items():
        assert terms == {"condition": "service_healthy"}
        # the webserver's own check is in the image
        assert "healthcheck" in compose()["services"][other]
    for volume in service["volumes"]:
        source = volume.split(":")[0]
        if source.startswith("./"):
            assert (DEPLOY / source).exists()
        elif not source.startswith("$"):
            assert source in compose()["volumes"]


def test_only_the_webserver_is_reached_and_only_from_this_machine() -> None:
    ports = {
        name: service["ports"]
        for name, service in compose()["services"].items()
        if "ports" in service
    }

    assert ports == {"webserver": ["127.0.0.1:3000:3000"]}


@pytest.mark.parametrize("command", ["run", "health"])
@pytest.mark.parametrize("name", DAGSTER_SERVICES)
def test_the_options_of_a_dagster_service_exist(name: str, command: str) -> None:
    service = compose()["services"][name]
    words = (
        service["command"]
        if command == "run"
        else service.get("healthcheck", {}).get("test", [])[1:]
    )
    verbs = [word for word in words if re.fullmatch(r"[a-z-]+", word) and not word.startswith("-")]
    if not words:
        return
    done = subprocess.run(
        [PROGRAMS / verbs[0], *verbs[1:], "--help"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr[-500:]
    assert [word for word in words if word.startswith("-") and f"{word}," not in done.stdout] == []


@pytest.mark.parametrize("name", ["scheduler", "worker"])
def test_the_cluster_is_started_with_options_that_exist_where_the_example_says(name: str) -> None:
    service = compose()["services"][name]
    words = service["command"]
    done = subprocess.run(
        [PROGRAMS / "dask", words[1], "--help"], capture_output=True, text=True, check=True
    )
    address = re.search(r"tcp://\S+", (DEPLOY / ".env.example").read_text())

    assert service["profiles"] == ["dask"]
    assert [word for word in words if word.startswith("--") and word not in done.stdout] == []
    assert address is not None
    assert address[0] in compose()["services"]["worker"]["command"]
    assert address[0].endswith("scheduler:8786")
    assert "8786" in compose()["services"]["scheduler"]["command"]


def test_a_worker_is_given_the_keys_of_the_store_and_no_others() -> None:
    given = compose()["services"]["worker"]["environment"]

    assert given.items() <= environment().items() | {
        ("AWS_ACCESS_KEY_ID", "${S3_ACCESS_KEY}"),
        ("AWS_SECRET_ACCESS_KEY", "${S3_SECRET_KEY}"),
    }
    assert not [name for name in given if "POSTGRES" in name or "DATABASE" in name]


@pytest.mark.parametrize("name", sorted(compose()["services"]))
def test_a_service_restarts_and_stops_in_time_and_its_log_rotates(name: str) -> None:
    service = compose()["services"][name]

    assert service["restart"] == "unless-stopped"
    assert service["logging"]["driver"] == "json-file"
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    assert service["stop_grace_period"].endswith("s")
    # PostgreSQL collects its own children; the others start processes that end as orphans
    assert service.get("init", name == "postgis")


def test_the_code_server_has_time_to_end_its_runs() -> None:
    service = compose()["services"]["code"]

    assert service["command"][:2] == ["spatial-assets", "code-server"]
    assert int(service["stop_grace_period"].removesuffix("s")) >= GRACE_SECONDS + 20


@pytest.mark.parametrize("name", [*DAGSTER_SERVICES, "worker"])
def test_what_a_run_writes_is_not_in_the_project_folder(name: str) -> None:
    service = compose()["services"][name]
    folder = service["environment"]["SPATIAL_ASSETS_CACHE"]

    assert f"cache:{folder}" in service["volumes"]
    assert [each for each in service["volumes"] if each.endswith(":/project:ro")]
    assert f" {folder} " in (REPOSITORY / "Dockerfile").read_text()
    assert OVERRIDES["SPATIAL_ASSETS_CACHE"] == ("scenes", "cache")
