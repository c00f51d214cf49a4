"""The alarm of an asset on the health page: its Dagster freshness policy, and why it has that.

Dagster looks at an asset as a whole, so it tells that nothing at all is made any more; which tiles
are late the check `backlog` tells. An alarm that is red while nothing is wrong is worse than none:
a project without a window for raw_tile is used by hand, and only what it names has one.
"""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

from spatial_assets.pipeline.stages import RAW
from spatial_assets.project import Project
from spatial_assets.project.sections.freshness import Ages

DAILY = Ages(warn=timedelta(days=2), fail=timedelta(days=7))
"""Where a schedule looks every day. One day in vain may be the source's trouble; after a week
without one, the schedule does not run."""


def stage_alarm(project: Project, stage: str) -> dg.FreshnessPolicy | None:
    """The alarm of a stage of the chain: its own window, else what follows from raw_tile's.

    All stages of a tile are asked for together, so each asset has news at least as often as the
    tiles that may wait longest are asked for.
    """
    own = project.freshness.windows.get(stage)
    if own is not None and stage != RAW:
        return _alarm(own.ages)
    ages = project.freshness.tile_ages
    if not ages:
        return None
    return _alarm(Ages(max(each.warn for each in ages), max(each.fail for each in ages)))


def boundary_alarm(project: Project, asset: str) -> dg.FreshnessPolicy | None:
    """The alarm of an asset of boundaries: its own window, else that of the daily schedule.

    The schedule runs by itself where tiles do.
    """
    own = project.freshness.windows.get(asset)
    if own is not None:
        return _alarm(own.ages)
    return _alarm(DAILY) if project.freshness.is_automatic else None


def _alarm(ages: Ages) -> dg.FreshnessPolicy:
    return dg.FreshnessPolicy.time_window(fail_window=ages.fail, warn_window=ages.warn)
