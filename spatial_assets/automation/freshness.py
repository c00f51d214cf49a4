"""The freshness window of an asset, read tile by tile.

Dagster's own policy looks at an asset as a whole: one fresh tile of ten thousand turns it green,
and `freshness_failed()` selects all tiles or none.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import dagster as dg

from spatial_assets.assets.internals import TimeWindowFreshnessPolicy
from spatial_assets.automation.quarantine import Tiles, among_candidates
from spatial_assets.pipeline.due import Asked, Pace, TileFacts, tiles_due
from spatial_assets.resources import now

Clock: TypeAlias = Callable[[], dt.datetime]
Window: TypeAlias = Callable[[str], dt.timedelta]
"""Tile -> the age from which it is due."""

Changed: TypeAlias = Callable[[], Mapping[str, str]]
"""Tile -> what tells its inputs of now from others, as it is at the moment of the call."""

MOST_AT_ONCE = 2000  # planned events take 7 ms each in SQLite: a run this long waits 14 s
DEFAULT_PACE = Pace(limit=MOST_AT_ONCE)
MADE_WHEN = {"first": "those never made first", "last": "those never made last", "leave": ""}


def nothing() -> Collection[str]:
    """No tile."""
    return frozenset()


def unchanged() -> Mapping[str, str]:
    """No tile."""
    return {}


@dataclass(frozen=True, eq=False, kw_only=True)
class TileDue(dg.AutomationCondition[dg.AssetKey]):
    """True for tiles whose inputs changed or that are past their window, some at a time.

    Two queries a tick, and one more for each further window: the newest event of every tile, and
    the newest event of all that is older than the window. The ids of events rise with time, so
    these say which tiles are stale, and in which order.
    """

    window: Window | None = None
    """None: `warn` (or else `fail`) of the asset's own FreshnessPolicy, for every tile."""

    changed: Changed = unchanged
    """Tiles whose inputs are others than those they were made from: due, however fresh."""

    failed: Tiles = nothing
    """Tiles of which a later stage failed: due, however fresh."""

    pace: Pace = DEFAULT_PACE
    clock: Clock = now
    """Not Dagster's evaluation time, which its daemon lets nobody set."""

    @property
    def name(self) -> str:
        """In the manner of Dagster's own conditions."""
        return "tile_due"

    @property
    def description(self) -> str:
        """What is said of every condition of this kind."""
        return "Its inputs changed or it is past its window, and it is next in turn"

    def get_label(self) -> str:
        """What the automation tab says of this one."""
        hours = self.pace.retry_after / dt.timedelta(hours=1)
        said = [
            "its inputs changed, or past its freshness window: the oldest first",
            MADE_WHEN[self.pace.never_made],
            f"at most {self.pace.limit:,} under way",
            f"again {hours:g} h after a try in vain",
        ]
        return ", ".join(part for part in said if part)

    def evaluate(
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        """The candidates to ask for now. What is no candidate is being made or left alone."""
        moment = self.clock()
        definition = context.partitions_def
        tiles = definition.get_partition_keys() if definition else []
        facts = self._facts(context, tiles, moment=moment)
        candidates = context.candidate_subset.expensively_compute_partition_keys()
        plan = tiles_due(
            tiles,
            facts,
            excluded=set(tiles).difference(candidates),
            now=moment,
            pace=self.pace,
        )
        context.log.info("%s: %s", context.key.to_user_string(), plan.sentence)
        return dg.AutomationResult(
            context,
            among_candidates(context, plan.tiles),
            cursor=_remember(facts, plan.tiles, moment=moment),
        )

    def _facts(
        self,
        context: dg.AutomationContext[dg.AssetKey],
        tiles: Sequence[str],
        *,
        moment: dt.datetime,
    ) -> TileFacts[int]:
        window = self.window or _window_of_policy(context)
        windows = {tile: window(tile) for tile in tiles}
        instance, key = context.asset_graph_view.instance, context.key
        limits = {
            each: _newest_before(instance, key, moment - each) + 1 for each in {*windows.values()}
        }
        return TileFacts(
            refreshed_at=instance.get_latest_storage_id_by_partition(
                key, dg.DagsterEventType.ASSET_MATERIALIZATION
            ),
            oldest_fresh=lambda tile: limits[windows[tile]],
            changed=self.changed(),
            failed=set(self.failed()),
            asked=_recall(context.cursor, tiles),
        )


def _window_of_policy(context: dg.AutomationContext[dg.AssetKey]) -> Window:
    policy = context.asset_graph.get(context.key).freshness_policy
    if not isinstance(policy, TimeWindowFreshnessPolicy):
        message = (
            f"{context.key.to_user_string()} has no freshness window; give it "
            "freshness_policy=dg.FreshnessPolicy.time_window(...), or no TileDue"
        )
        raise dg.DagsterInvalidDefinitionError(message)
    window = (policy.warn_window or policy.fail_window).to_timedelta()
    return lambda _: window


def _newest_before(instance: dg.DagsterInstance, key: dg.AssetKey, moment: dt.datetime) -> int:
    """Id of the newest materialization before `moment`; 0: there is none."""
    wanted = dg.AssetRecordsFilter(asset_key=key, before_timestamp=moment.timestamp())
    records = instance.fetch_materializations(wanted, limit=1).records
    return records[0].storage_id if records else 0


def _recall(cursor: str | None, tiles: Sequence[str]) -> Mapping[str, Asked[int]]:
    """What was asked for at earlier ticks: tile -> [seconds since 1970, its newest event, why]."""
    kept: dict[str, Sequence[Any]] = json.loads(cursor) if cursor else {}
    found: dict[str, Asked[int]] = {}
    for tile in tiles if kept else ():
        if tile in kept:
            at, after, *wanted = kept[tile]
            moment = dt.datetime.fromtimestamp(at, dt.UTC)
            found[tile] = Asked(at=moment, after=after, wanted="".join(wanted))
    return found


def _remember(facts: TileFacts[int], chosen: Collection[str], *, moment: dt.datetime) -> str:
    """What `_recall` reads: of what came to something, nothing."""
    asked = {tile: facts.asked_in_vain(tile) for tile in facts.asked}
    kept = {
        tile: (each.at.timestamp(), each.after, each.wanted) for tile, each in asked.items() if each
    }
    kept |= {
        tile: (moment.timestamp(), facts.refreshed_at.get(tile), facts.changed.get(tile, ""))
        for tile in chosen
    }
    return json.dumps(kept)
