"""Freshness policies: the alarms of assets on Dagster's health page.

A policy covers an asset as a whole, so it shows that nothing at all is materialized any more; the
check `backlog` shows which tiles are late. An alarm that is red while nothing is wrong is worse
than none: a project without a window for raw_tile is run by hand, and only the assets that it names
have a policy.
"""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

from spatial_assets.pipeline.stages import RAW
from spatial_assets.project import Project
from spatial_assets.project.sections.freshness import Ages

DAILY_AGES = Ages(warn=timedelta(days=2), fail=timedelta(days=7))
"""Ages for a daily schedule. A missed day may be the source's failure; after a missed week, the
schedule is not running."""


def stage_freshness_policy(project: Project, stage: str) -> dg.FreshnessPolicy | None:
    """Return the policy of a stage: its own window, else one that follows from raw_tile's.

    All stages of a tile are requested together, so each asset has a new event at least as often as
    the tiles with the longest window are requested.
    """
    own = project.freshness.windows.get(stage)
    if own is not None and stage != RAW:
        return _policy(own.ages)
    ages = project.freshness.tile_ages
    if not ages:
        return None
    return _policy(Ages(max(each.warn for each in ages), max(each.fail for each in ages)))


def boundary_freshness_policy(project: Project, asset: str) -> dg.FreshnessPolicy | None:
    """Return the policy of a boundary asset: its own window, else that of the daily schedule.

    The schedule runs by default only in projects whose tiles are automated.
    """
    own = project.freshness.windows.get(asset)
    if own is not None:
        return _policy(own.ages)
    return _policy(DAILY_AGES) if project.freshness.is_automatic else None


def _policy(ages: Ages) -> dg.FreshnessPolicy:
    return dg.FreshnessPolicy.time_window(fail_window=ages.fail, warn_window=ages.warn)
