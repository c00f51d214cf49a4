"""Messages of the backfill daemon stay short, however many tiles they name."""

from __future__ import annotations

import logging
from pathlib import Path

import dagster as dg
import pytest
from dagster._daemon.daemon import BackfillDaemon

from spatial_assets.instance.daemon_messages import BACKFILL_LOGGER, MAX_CHARACTERS
from spatial_assets_tests.fixtures.event_logs import OPEN_SQLITE


def test_a_list_of_all_tiles_is_cut_to_a_line_for_each_asset(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n" + OPEN_SQLITE)
    keys = ", ".join(f"{number:016}" for number in range(100_000))
    logger = logging.getLogger(BACKFILL_LOGGER)

    with (
        dg.DagsterInstance.from_config(str(tmp_path)),
        caplog.at_level(logging.INFO, logger=BACKFILL_LOGGER),
    ):
        logger.info("requested:\n- ndvi: {%s}\n- tile_index: {%s}", keys, keys)
        logger.info("Asset backfill %s completed iteration", "abc")

    long, short = (record.getMessage() for record in caplog.records)
    assert len(long) < MAX_CHARACTERS + 100
    assert "\n- tile_index: {0000000000000000, " in long
    assert long.endswith("(shortened from 3,600,034 characters)")
    assert short == "Asset backfill abc completed iteration"


def test_the_daemon_uses_this_logger() -> None:
    assert BackfillDaemon(settings={})._logger.name == BACKFILL_LOGGER  # noqa: SLF001
