"""The check `backlog` of `raw_tile`: whether too many tiles are not as they should be.

Judged at the end of each run, and by a clock (automation/sensors.py): nothing may run any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from spatial_assets.pipeline.stages import RAW
from spatial_assets.project import Project

if TYPE_CHECKING:
    from spatial_assets.pipeline.freshness.backlog import Backlog, BacklogEntry


BACKLOG = "backlog"
KEY = dg.AssetCheckKey(dg.AssetKey(RAW), BACKLOG)

SHOWN = 20
"""Of the tiles; the rest is counted."""

COLUMNS = dg.TableSchema([dg.TableColumn(name) for name in ("tile", "trouble", "since", "reason")])


def backlog_spec(project: Project) -> dg.AssetCheckSpec:
    """What the UI says of the check."""
    most = project.freshness.backlog.most
    allowed = f"{most} tiles are" if isinstance(most, int) else f"{100 * most:g} % of the tiles are"
    return dg.AssetCheckSpec(
        BACKLOG,
        asset=RAW,
        description=f"At most {allowed} overdue, failed or in quarantine.",
    )


def backlog_result(backlog: Backlog) -> dg.AssetCheckResult:
    """The answer of the check, within a run: how many, and the longest standing."""
    told = {name: dg.MetadataValue.int(count) for name, count in backlog.counts.items()}
    worst = [_record(entry) for entry in backlog.entries[:SHOWN]]
    return dg.AssetCheckResult(
        asset_key=KEY.asset_key,
        check_name=KEY.name,
        passed=backlog.passed,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"worst": dg.MetadataValue.table(worst, COLUMNS), **told},
    )


def backlog_evaluation(backlog: Backlog) -> dg.AssetCheckEvaluation:
    """The same answer, without a run."""
    result = backlog_result(backlog)
    return dg.AssetCheckEvaluation(
        asset_key=KEY.asset_key,
        check_name=KEY.name,
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
