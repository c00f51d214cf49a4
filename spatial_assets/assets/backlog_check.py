"""The check `backlog` of `raw_tile`: too many tiles are overdue, failed or quarantined.

Evaluated at the end of each run, and once an hour by a sensor (automation/sensors.py), because
runs may have stopped altogether.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from spatial_assets.assets.asset_keys import asset_key
from spatial_assets.pipeline.stages import RAW
from spatial_assets.project import Project

if TYPE_CHECKING:
    from spatial_assets.pipeline.freshness.backlog import Backlog, BacklogEntry


BACKLOG = "backlog"

MAX_BACKLOG_ROWS = 20
"""Tiles listed in the metadata; the counts cover all of them."""

BACKLOG_COLUMNS = dg.TableSchema(
    [dg.TableColumn(name) for name in ("tile", "trouble", "since", "reason")]
)


def backlog_key(project: Project) -> dg.AssetCheckKey:
    """Return the key of the check."""
    return dg.AssetCheckKey(asset_key(project, RAW), BACKLOG)


def backlog_spec(project: Project) -> dg.AssetCheckSpec:
    """Return the spec of the check."""
    most = project.freshness.backlog.most
    allowed = f"{most} tiles are" if isinstance(most, int) else f"{100 * most:g} % of the tiles are"
    return dg.AssetCheckSpec(
        BACKLOG,
        asset=asset_key(project, RAW),
        description=f"At most {allowed} overdue, failed or in quarantine.",
    )


def backlog_result(backlog: Backlog, key: dg.AssetCheckKey) -> dg.AssetCheckResult:
    """Return the result within a run: the counts, and the tiles that have waited longest."""
    counts = {name: dg.MetadataValue.int(count) for name, count in backlog.counts.items()}
    worst = [_record(entry) for entry in backlog.entries[:MAX_BACKLOG_ROWS]]
    return dg.AssetCheckResult(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=backlog.passed,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"worst": dg.MetadataValue.table(worst, BACKLOG_COLUMNS), **counts},
    )


def backlog_evaluation(backlog: Backlog, key: dg.AssetCheckKey) -> dg.AssetCheckEvaluation:
    """Return the same result outside a run."""
    result = backlog_result(backlog, key)
    return dg.AssetCheckEvaluation(
        asset_key=key.asset_key,
        check_name=key.name,
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
