"""The check `backlog` of `raw_tile`: too many tiles are overdue, failed or quarantined.

Evaluated at the end of each run, and once an hour by a sensor (automation/sensors.py), because
runs may have stopped altogether.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from spatial_assets.pipeline.stages import RAW
from spatial_assets.project import Project

if TYPE_CHECKING:
    from spatial_assets.pipeline.freshness.backlog import Backlog, BacklogEntry


BACKLOG_KEY = dg.AssetCheckKey(dg.AssetKey(RAW), "backlog")

MAX_BACKLOG_ROWS = 20
"""Tiles listed in the metadata; the counts cover all of them."""

BACKLOG_COLUMNS = dg.TableSchema(
    [dg.TableColumn(name) for name in ("tile", "trouble", "since", "reason")]
)


def backlog_spec(project: Project) -> dg.AssetCheckSpec:
    """Return the spec of the check."""
    most = project.freshness.backlog.most
    allowed = f"{most} tiles are" if isinstance(most, int) else f"{100 * most:g} % of the tiles are"
    return dg.AssetCheckSpec(
        BACKLOG_KEY.name,
        asset=RAW,
        description=f"At most {allowed} overdue, failed or in quarantine.",
    )


def backlog_result(backlog: Backlog) -> dg.AssetCheckResult:
    """Return the result within a run: the counts, and the tiles that have waited longest."""
    counts = {name: dg.MetadataValue.int(count) for name, count in backlog.counts.items()}
    worst = [_record(entry) for entry in backlog.entries[:MAX_BACKLOG_ROWS]]
    return dg.AssetCheckResult(
        asset_key=BACKLOG_KEY.asset_key,
        check_name=BACKLOG_KEY.name,
        passed=backlog.passed,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"worst": dg.MetadataValue.table(worst, BACKLOG_COLUMNS), **counts},
    )


def backlog_evaluation(backlog: Backlog) -> dg.AssetCheckEvaluation:
    """Return the same result outside a run."""
    result = backlog_result(backlog)
    return dg.AssetCheckEvaluation(
        asset_key=BACKLOG_KEY.asset_key,
        check_name=BACKLOG_KEY.name,
        passed=result.passed,
        severity=result.severity,
        metadata=result.metadata,
    )


def _record(entry: BacklogEntry) -> dg.TableRecord:
    return dg.TableRecord(
        {
            "tile": entry.tile,
            "trouble": str(entry.reason),
            "since": f"{entry.since:%Y-%m-%d %H:%M} UTC",
            "reason": entry.detail,
        }
    )
