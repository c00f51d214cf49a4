"""`materialize --launch` retries requests to a webserver, and reports what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from spatial_assets.cli.launching.webserver_client import WebserverClient, webserver_client
from spatial_assets.errors import LaunchError, SettingsError
from spatial_assets_tests.cli.fake_dagster_webserver import FakeWebserver
from spatial_assets_tests.fixtures.web_server import WebServer

Run = Callable[..., Result]

NOBODY = "http://127.0.0.1:9"
"""The discard port."""


STAGES = ("--select", "raw_tile,ndvi,tile_index")


def test_the_chosen_tiles_and_assets_are_launched_and_no_other(
    run: Run, four_tile_project: Path, web: WebServer, dagster: FakeWebserver
) -> None:
    keys = dagster.tiles

    result = run(
        "--project",
        four_tile_project,
        "materialize",
        "--launch",
        web.url,
        *STAGES,
        "--tiles",
        keys[1],
    )

    (launched,) = dagster.launched
    assert result.exit_code == 0, result.output
    assert launched["tiles"] == [keys[1]]
    assert launched["assets"] == [{"path": [name]} for name in ("raw_tile", "ndvi", "tile_index")]
    assert result.stdout == f"backfill b1: 1 tile in 1 run, {web.url}/runs/b/b1\n"
    assert not (four_tile_project / "data" / "raw_tile").exists()  # nothing was made here


@pytest.mark.parametrize("selected", ["ndvi", "team/a/ndvi"])
def test_assets_with_a_prefix_are_launched_by_their_keys(
    run: Run, four_tile_project: Path, web: WebServer, dagster: FakeWebserver, selected: str
) -> None:
    dagster.prefix = ("team", "a")
    file = four_tile_project / "project.toml"
    file.write_text(f'[project]\nasset_prefix = ["team", "a"]\n{file.read_text()}')
    command = ("materialize", "--select", selected, "--tiles", dagster.tiles[0])

    result = run("--project", four_tile_project, *command, "--launch", web.url)

    assert result.exit_code == 0, result.output
    assert [given["assets"] for given in dagster.launched] == [[{"path": ["team", "a", "ndvi"]}]]


def test_a_webserver_that_serves_another_project_under_the_same_keys_is_refused(
    run: Run, four_tile_project: Path, web: WebServer, dagster: FakeWebserver
) -> None:
    dagster.project = "other"

    result = run("--project", four_tile_project, "materialize", *STAGES, "--launch", web.url)

    assert result.exit_code == 1
    assert "serves the project other under these asset keys" in result.stderr
    assert "asset_prefix" in result.stderr
    assert dagster.launched == []


def test_boundaries_go_along_until_they_were_made_once(
    run: Run, four_tile_project: Path, web: WebServer, dagster: FakeWebserver
) -> None:
    command = ("--project", four_tile_project, "materialize", "--launch", web.url)
    sets = ("raw_regions", "validated_regions", "regions")

    first = run(*command)
    run("--project", four_tile_project, "materialize", "--select", ",".join(sets), "--workers", "0")
    second = run(*command)
    named = run(*command, "--select", f"raw_tile,{sets[0]}")

    asked = [[each["path"][0] for each in given["assets"]] for given in dagster.launched]
    tiles = ["raw_tile", "reprojected_raster", "ndvi", "ndvi_by_boundary", "tile_index"]
    assert asked == [[*tiles, *sets], tiles, ["raw_tile", sets[0]]]
    assert "4 tiles in 2 runs, boundaries in another, " in first.stdout  # statistics wait for them
    assert "4 tiles in 1 run, http" in second.stdout
    assert "4 tiles in 1 run, boundaries in another, " in named.stdout


def test_the_address_may_come_from_the_environment(
    run: Run, four_tile_project: Path, web: WebServer, dagster: FakeWebserver
) -> None:
    result = run(
        "--project",
        four_tile_project,
        "materialize",
        *STAGES,
        "--launch",
        DAGSTER_WEBSERVER_URL=web.url,
    )

    assert result.exit_code == 0, result.output
    assert len(dagster.launched) == 1


def test_headers_come_from_the_environment_and_are_never_printed(
    run: Run, four_tile_project: Path, web: WebServer, dagster: FakeWebserver
) -> None:
    assert dagster.tiles
    headers = json.dumps({"Authorization": "Bearer s3cret"})
    command = ("--project", four_tile_project, "materialize", *STAGES, "--launch", web.url)

    good = run(*command, DAGSTER_WEBSERVER_HEADERS=headers)
    sent = {request.headers.get("authorization") for request in web.requests}
    web.always["/graphql"] = 403
    refused = run(*command, DAGSTER_WEBSERVER_HEADERS=headers)
    broken = run(*command, DAGSTER_WEBSERVER_HEADERS="Bearer s3cret")

    assert (good.exit_code, refused.exit_code, broken.exit_code) == (0, 1, 1)
    assert sent == {"Bearer s3cret"}
    assert "requires a login (HTTP 403)" in refused.stderr
    assert "$DAGSTER_WEBSERVER_HEADERS is not JSON" in broken.stderr
    assert "s3cret" not in good.output + refused.output + broken.output


def test_a_login_page_is_not_followed(web: WebServer) -> None:
    web.always["/graphql"] = 302

    with pytest.raises(LaunchError, match="requires a login"):
        WebserverClient(web.url).execute("query { version }")

    assert [request.path for request in web.requests] == ["/graphql"]


def test_an_unreachable_webserver_is_reported_with_what_to_do(
    run: Run, four_tile_project: Path
) -> None:
    result = run("--project", four_tile_project, "materialize", "--launch", NOBODY)

    assert result.exit_code == 1
    assert f"no Dagster webserver answers at {NOBODY}" in result.stderr
    assert "$DAGSTER_WEBSERVER_URL" in result.stderr


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        pytest.param(404, b"<html>", "is not a Dagster webserver: HTTP 404", id="no-json"),
        pytest.param(200, b"[]", "is not a Dagster webserver", id="no-object"),
        pytest.param(200, b'{"hello": 1}', "did not execute the query", id="no-data"),
        pytest.param(
            400, b'{"data": null, "errors": [{"message": "no such field"}]}', "no such", id="error"
        ),
    ],
)
def test_a_server_that_is_not_dagster_is_reported(
    web: WebServer, status: int, body: bytes, told: str
) -> None:
    web.routes["/graphql"] = lambda _: (status, body)

    with pytest.raises(LaunchError, match=told):
        WebserverClient(web.url).execute("query { version }")


def test_a_secret_in_the_address_is_refused() -> None:
    with pytest.raises(SettingsError, match="a password") as caught:
        webserver_client("http://me:s3cret@dagster.example.org", {})

    assert "s3cret" not in str(caught.value)
    with pytest.raises(SettingsError, match="not the address of a webserver"):
        webserver_client("dagster.example.org", {})


def test_without_an_address_it_is_this_machine() -> None:
    assert webserver_client("", {}).url == "http://127.0.0.1:3000"
    assert webserver_client("", {"DAGSTER_WEBSERVER_URL": "https://a/b/"}).url == "https://a/b"
    assert webserver_client("http://c", {"DAGSTER_WEBSERVER_URL": "https://a"}).url == "http://c"


def test_another_project_is_refused_before_anything_is_launched(
    run: Run, four_tile_project: Path, web: WebServer, dagster: FakeWebserver
) -> None:
    dagster.tiles = dagster.tiles[:3]
    tiles = run("--project", four_tile_project, "materialize", *STAGES, "--launch", web.url)
    dagster.assets = ("raw_tile",)
    assets = run("--project", four_tile_project, "materialize", *STAGES, "--launch", web.url)

    assert (tiles.exit_code, assets.exit_code, dagster.launched) == (1, 1, [])
    assert "has 3 tiles, 3 of them among the 4 of " in tiles.stderr
    assert "has no ndvi, tile_index: it does not serve " in assets.stderr


def test_the_refusal_of_dagster_is_reported(
    run: Run, four_tile_project: Path, web: WebServer, dagster: FakeWebserver
) -> None:
    dagster.refusal = "read-only instance"

    result = run("--project", four_tile_project, "materialize", *STAGES, "--launch", web.url)

    assert result.exit_code == 1
    assert "refused the backfill: read-only instance" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--wait"], "waits for a launched backfill; add --launch"),
        (["--launch", NOBODY, "--workers", "2"], "applies to this process only"),
        (["--launch", NOBODY, "--select", "regions"], "only boundary sets are selected"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    run: Run, four_tile_project: Path, arguments: list[str], told: str
) -> None:
    result = run("--project", four_tile_project, "materialize", *arguments)

    assert result.exit_code in {1, 2}
    assert told in result.stderr


def test_nothing_chosen_launches_nothing(run: Run, four_tile_project: Path) -> None:
    result = run("--project", four_tile_project, "materialize", "--failed", "--launch", NOBODY)

    assert result.exit_code == 0
    assert "nothing to do" in result.stdout


def test_the_number_of_runs_follows_the_limit_of_a_run(
    run: Run, four_tile_project: Path, web: WebServer, dagster: FakeWebserver
) -> None:
    file = four_tile_project / "project.toml"
    file.write_text(file.read_text().replace("[compute]", "[compute]\nmax_tiles_per_run = 3"))

    result = run("--project", four_tile_project, "materialize", *STAGES, "--launch", web.url)

    (launched,) = dagster.launched
    assert launched["tiles"] == list(dagster.tiles)
    assert result.stdout == f"backfill b1: 4 tiles in 2 runs, {web.url}/runs/b/b1\n"
