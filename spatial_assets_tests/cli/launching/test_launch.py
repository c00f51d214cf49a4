"""Progress and end of a backfill in `materialize --launch --wait`."""

from __future__ import annotations

import pytest
from click import ClickException

from spatial_assets.cli.launching.backfill import Backfill
from spatial_assets.cli.launching.launch import BackfillFollower, BackfillProgress, report_end
from spatial_assets.cli.launching.webserver_client import WebserverClient
from spatial_assets.cli.local_run.progress import LineDisplay
from spatial_assets.cli.selection.tile_status import TileStatus, TileSummary
from spatial_assets.errors import LaunchError
from spatial_assets_tests.cli.fake_dagster_webserver import FakeWebserver, backfill_status
from spatial_assets_tests.fixtures.web_server import WebServer


def following(web: WebServer, said: list[str], *, waits: float = 0.0) -> BackfillFollower:
    time = iter(range(0, 10_000, int(waits) or 1))
    return BackfillFollower(
        webserver=WebserverClient(web.url),
        stage="tile_index",
        progress=LineDisplay(said.append, clock=lambda: 0.0),
        sleep=lambda _: None,
        clock=lambda: float(next(time)),
    )


def test_progress_is_printed_until_the_end(web: WebServer, dagster: FakeWebserver) -> None:
    dagster.seen = [
        backfill_status("REQUESTED"),
        backfill_status("REQUESTED", 1),
        backfill_status("REQUESTED", 3, 1),
        backfill_status("COMPLETED_FAILED", 3, 1),
    ]
    said: list[str] = []

    ended = following(web, said).to_the_end(Backfill("b1", "", 4, 1))

    assert ended == BackfillProgress("COMPLETED_FAILED", materialized=3, failed=1)
    assert [line.split(",")[0].strip() for line in said] == [
        "tile_index in Dagster ...",
        *(f"{number} of 4" for number in (1, 2, 3, 4)),
    ]


def test_a_webserver_that_is_away_for_a_moment_is_waited_for(
    web: WebServer, dagster: FakeWebserver
) -> None:
    dagster.seen = [backfill_status("COMPLETED_SUCCESS", 4)]
    web.faults["/graphql"] = [502, "reset", 502]

    ended = following(web, []).to_the_end(Backfill("b1", "", 4, 1))

    assert ended.materialized == 4


def test_waiting_ends_when_it_stays_away(web: WebServer) -> None:
    web.always["/graphql"] = 502

    with pytest.raises(LaunchError, match="HTTP 502"):
        following(web, [], waits=50).to_the_end(Backfill("b1", "", 4, 1))


def tile(key: str, status: TileStatus = TileStatus.QUARANTINED) -> TileSummary:
    return TileSummary(tile=key, status=status, stage="ndvi", reason="why", message="told")


def test_tiles_that_were_bad_before_are_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    bad = {"0": tile("0")}
    ended = BackfillProgress("COMPLETED_FAILED", materialized=3, failed=1)

    report_end(ended, before=bad, after=bad, url="u")

    assert capsys.readouterr().out.splitlines() == [
        "3 tiles materialized, 1 not.",
        "1 were bad before and still are.",
    ]


@pytest.mark.parametrize(
    ("ended", "after", "told"),
    [
        pytest.param(
            BackfillProgress("COMPLETED_FAILED", 3, 1), {"1": tile("1")}, "1 tile newly", id="new"
        ),
        pytest.param(
            BackfillProgress("COMPLETED_FAILED", 3, 1),
            {"0": tile("0", TileStatus.FAILED)},
            "1 tile newly bad",
            id="bad-otherwise",
        ),
        pytest.param(
            BackfillProgress("COMPLETED_FAILED", 2, 2),
            {"0": tile("0")},
            "COMPLETED_FAILED: u",
            id="run-died",
        ),
        pytest.param(
            BackfillProgress("CANCELED", 2, 0), {}, "no tile is newly bad; .* CANCELED", id="cancel"
        ),
        pytest.param(
            BackfillProgress("FAILED", 0, 0, "gone"), {}, "Dagster reports gone", id="daemon"
        ),
    ],
)
def test_what_went_wrong_meanwhile_is_exit_code_1(
    ended: BackfillProgress, after: dict[str, TileSummary], told: str
) -> None:
    with pytest.raises(ClickException, match=told):
        report_end(ended, before={"0": tile("0")}, after=after, url="u")
