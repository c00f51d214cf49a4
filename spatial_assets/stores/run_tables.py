"""The table of runs: what each did, for people and for forecasts."""

from __future__ import annotations

import sqlalchemy as sa

from spatial_assets.stores.columns import column, json, key_column, timestamp

RUN_LOG = "run_log"


def run_log_table(metadata: sa.MetaData) -> sa.Table:
    """One row for each run over tiles, the newest thousand of them."""
    return sa.Table(
        RUN_LOG,
        metadata,
        key_column("grid_id", "Identity of the pixel grid."),
        key_column("run", "Made up for the run when it began."),
        column("owner", sa.Text, "Whose run it was, for people: host, process, Dagster's run."),
        column("started_at", timestamp(), "When it began."),
        column("written_at", timestamp(), "When this row was last written."),
        column("ended_at", timestamp(), "When it ended; null: under way, or killed.", null=True),
        column("stages", json(), "Stages it took tiles through, upstream first."),
        column("workers", sa.BigInteger, "Tiles computed at a time."),
        column("tiles", json(), "State -> tiles that ended so by then."),
        column("computed", sa.BigInteger, "Tiles of which something was computed."),
        column("seconds", sa.Double, "Time that workers took for those, all together."),
        column("bytes_read", sa.BigInteger, "Size of the pixels read of scenes, as stored."),
        comment="What each run over tiles did; one without an end is under way or was killed.",
    )
