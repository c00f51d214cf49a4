"""`map` draws the states of tiles over an index: an offline page, or a picture."""

from __future__ import annotations

import datetime as dt
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from rich.console import Console

from spatial_assets.cli.mapping.html import MAX_PLAIN_TEXT, map_page
from spatial_assets.cli.mapping.map_data import MapData, TileOnMap
from spatial_assets.cli.mapping.png import round_length
from spatial_assets.cli.mapping.terminal import can_show, half_blocks
from spatial_assets.cli.selection.tile_status import TileStatus, TileSummary
from spatial_assets.geo.grid.quadkeys import quadkey
from spatial_assets.geo.pixels.colour_ramp import UNKNOWN_COLOUR, colours_of
from spatial_assets.project import load_project
from spatial_assets_tests.fixtures import two_zone_project
from spatial_assets_tests.servers.chromium import Chromium

Run = Callable[..., Result]


@pytest.fixture
def half_bad(run: Run, four_tile_project: Path) -> Path:
    """The project with two good tiles and two in quarantine."""
    (four_tile_project / "scenes" / two_zone_project.WEST.id / "B08.tif").write_bytes(
        b"<html>503</html>"
    )
    run("--project", four_tile_project, "materialize", "--workers", "0")
    return four_tile_project


def data_of(page: Path) -> dict[str, Any]:
    (text,) = re.findall(r'<script id="data"[^>]*>(.*?)</script>', page.read_text(), re.DOTALL)
    found: dict[str, Any] = json.loads(text)
    return found


def test_the_picture_has_the_index_its_tiles_and_a_legend(run: Run, half_bad: Path) -> None:
    result = run("--project", half_bad, "map", half_bad / "map.png")

    assert result.exit_code == 0, result.output
    assert "NDVI, 2023-08, 4 tiles" in result.output
    picture = Image.open(half_bad / "map.png")
    colours = {colour for _, colour in picture.convert("RGB").getcolors(2**24) or ()}
    assert len(colours) > 30
    assert (232, 146, 22) in colours  # the frame of a tile in quarantine
    assert UNKNOWN_COLOUR in colours


def test_a_project_of_which_nothing_was_made_has_a_map_too(
    run: Run, four_tile_project: Path
) -> None:
    result = run("--project", four_tile_project, "map", four_tile_project / "map.html")

    assert "nothing made yet" in result.output
    assert data_of(four_tile_project / "map.html")["states"] == {
        "missing": {"colour": "#787878", "count": 4}
    }


def test_the_page_knows_every_tile_and_needs_nothing_else(run: Run, half_bad: Path) -> None:
    run("--project", half_bad, "map", half_bad / "map.html")

    text = (half_bad / "map.html").read_text()
    data = data_of(half_bad / "map.html")
    assert [tile["tile"] for tile in data["tiles"]] == list(
        load_project(half_bad, {}).partitioning.keys
    )
    assert {state: each["count"] for state, each in data["states"].items()} == {
        "quarantined": 2,
        "materialized": 2,
    }
    assert re.findall(r'(?:src|href)="|@import|url\(', text) == []
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text


def test_text_of_a_file_is_shown_and_not_executed(run: Run, half_bad: Path) -> None:
    (half_bad / "scenes" / two_zone_project.WEST.id / "B08.tif").write_bytes(b"</script><b>")
    run("--project", half_bad, "materialize", "--workers", "0")

    run("--project", half_bad, "map", half_bad / "map.html")

    assert (half_bad / "map.html").read_text().count("</script>") == 2


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("map.pdf", [], "ends in .html or .png"),
        ("map.png", ["--period", "1999-01"], "no period '1999-01'"),
        ("map.png", ["--index", "evi", "--period", "2023-08"], "no evi.zarr"),
        ("nowhere/map.png", [], "cannot be written"),
    ],
)
def test_what_cannot_be_drawn_is_an_error_of_one_line(
    run: Run, half_bad: Path, name: str, *, options: list[str], told: str
) -> None:
    result = run("--project", half_bad, "map", half_bad / name, *options)

    assert result.exit_code in {1, 2}
    assert told in result.stderr


@pytest.mark.servers
@pytest.mark.parametrize("largest", [MAX_PLAIN_TEXT, 0], ids=["plain", "compressed"])
def test_a_browser_shows_a_tile_that_is_pointed_at(
    run: Run, half_bad: Path, chromium: Chromium, monkeypatch: pytest.MonkeyPatch, largest: int
) -> None:
    run("--project", half_bad, "map", half_bad / "plain.html")
    monkeypatch.setattr("spatial_assets.cli.mapping.html.MAX_PLAIN_TEXT", largest)
    run("--project", half_bad, "map", half_bad / "map.html")
    bad = next(
        tile for tile in data_of(half_bad / "plain.html")["tiles"] if tile["state"] == "quarantined"
    )
    assert ('"quarantined"' in (half_bad / "map.html").read_text()) == (largest > 0)
    asked: list[str] = []

    page = chromium.page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: asked.append(str(error)))
    page.goto((half_bad / "map.html").as_uri())
    page.locator(f'path[data-tile="{bad["tile"]}"]').hover()
    details = page.locator("#details").inner_text()
    page.get_by_label("quarantined").uncheck()
    hidden = page.locator(f'path[data-tile="{bad["tile"]}"]').is_hidden()
    page.get_by_label("quarantined").check()
    chromium.screenshot(page, "map")

    assert "no_usable_scene" in details
    assert f"spatial-assets materialize --tiles {bad['tile']}" in details
    assert hidden
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def test_a_terminal_shows_two_cells_in_each_character() -> None:
    console = Console(file=io.StringIO(), width=40, color_system="truecolor", force_terminal=True)
    values = np.array([[0.8, np.nan], [-0.2, 0.8]])

    console.print(half_blocks(values, console))

    upper, lower = colours_of(values)
    written = console.file.getvalue()  # type: ignore[attr-defined]
    for above, below in zip(upper.tolist(), lower.tolist(), strict=True):
        assert f"38;2;{';'.join(map(str, above))};48;2;{';'.join(map(str, below))}m▀" in written


@pytest.mark.parametrize(("colours", "expected"), [("truecolor", True), (None, False)])
def test_a_terminal_without_colours_is_left_in_peace(colours: Any, *, expected: bool) -> None:  # noqa: ANN401 - rich's own literal
    console = Console(file=io.StringIO(), color_system=colours, force_terminal=True)

    assert can_show(console) is (expected and console.encoding.startswith("utf"))


@pytest.mark.parametrize(("longest", "expected"), [(999, 500), (1000, 1000), (7.2, 5), (0.3, 0.2)])
def test_a_scale_has_a_round_length(longest: float, expected: float) -> None:
    assert round_length(longest) == pytest.approx(expected)


def test_the_page_of_100_000_tiles_is_small() -> None:
    across, size = 316, 3.24
    corners = np.array([[1, 0], [1, 1], [0, 1], [0, 0], [1, 0]]) * size
    when = dt.datetime(2023, 9, 1, tzinfo=dt.UTC)
    tiles = tuple(
        TileOnMap(
            summary=TileSummary(
                tile=quadkey(14, 8800 + column, 5700 + row),
                status=TileStatus.MATERIALIZED,
                refreshed_at=when + dt.timedelta(seconds=row),
                valid_fraction=(column * row % 1000) / 1000,
            ),
            rings=(corners + np.array([column, row]) * size,),
        )
        for row in range(across)
        for column in range(across)
    )
    drawn = MapData(
        index="ndvi",
        period="2023-08",
        values=np.zeros((16, 16)),
        metres_of_a_cell=1000.0,
        tiles=tiles,
    )

    assert len(map_page(drawn, subtitle="").encode()) < 2_000_000
