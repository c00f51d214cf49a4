"""The condition that asks for tiles: changed, past their window, never made, or tried in vain.

Dagster's own policy looks at an asset as a whole: one fresh tile of ten thousand turns it green,
and `freshness_failed()` selects all tiles or none.

What was asked for at earlier ticks: the cursor of `TileDue`, as Dagster keeps it.

Only what came to nothing so far, so that it stays as small as the work under way.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import dagster as dg

from spatial_assets.assets.dagster_internals import TimeWindowFreshnessPolicy
from spatial_assets.automation.records import Recorded, Records
from spatial_assets.automation.tile_quarantined import among_candidates
from spatial_assets.pipeline.due import (
    DueCause,
    Request,
    RequestLimits,
    RequestPlan,
    TileFacts,
    tiles_due,
)
from spatial_assets.resources import now

Clock: TypeAlias = Callable[[], dt.datetime]
MaxAge: TypeAlias = Callable[[str], dt.timedelta]
"""Tile -> the age from which it is due."""

Pause: TypeAlias = Callable[[dt.datetime], dt.datetime | None]
"""The present moment -> until when nothing is asked for; None: nothing is in the way."""

MOST_AT_ONCE = 2000  # planned events take 7 ms each in SQLite: a run this long waits 14 s
DEFAULT_PACE = RequestLimits(limit=MOST_AT_ONCE)
MADE_WHEN = {"first": ", before all others", "last": ", after the others"}


def never_stale(_: str) -> dt.timedelta:
    """The window of what has none: longer than there have been satellites."""
    return dt.timedelta(days=36_500)


def nothing_recorded(_: dt.datetime) -> Recorded:
    """No tile is anything but fresh or stale."""
    return Recorded()


def never_paused(_: dt.datetime) -> None:
    """No hour is kept free."""


@dataclass(frozen=True, eq=False)
class DueReason(dg.AutomationCondition[dg.AssetKey]):
    """One reason to ask for tiles, so that the automation tab shows how many go by it."""

    why: DueCause
    label: str

    @property
    def name(self) -> str:
        """In the manner of Dagster's own conditions."""
        return f"tile_{self.why.replace(' ', '_')}"

    @property
    def requires_cursor(self) -> bool:
        """Nothing is remembered."""
        return False

    def get_label(self) -> str:
        """What the automation tab says."""
        return self.label

    def evaluate(
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        """Nothing by itself: TileDue decides on all reasons together."""
        return dg.AutomationResult(context, context.get_empty_subset())


@dataclass(frozen=True, eq=False, kw_only=True)
class TileDue(dg.AutomationCondition[dg.AssetKey]):
    """True for tiles whose inputs changed or that are past their window, some at a time.

    Two queries a tick, and one more for each further window: the newest event of every tile, and
    the newest event of all that is older than the window. The ids of events rise with time, so
    these say which tiles are stale, and in which order.
    """

    window: MaxAge | None = None
    """None: `warn` (or else `fail`) of the asset's own FreshnessPolicy, for every tile."""

    records: Records = nothing_recorded
    """Tiles whose inputs changed or of which a later stage failed: due, however fresh."""

    changes_of: str = ""
    """The stage whose changed inputs count; empty: none do."""

    retries_failed: bool = False
    """Whether a tile of which a stage failed is due again."""

    but_not: Sequence[dg.AutomationCondition[Any]] = ()
    """Conditions of tiles to leave alone. Request here, and not by `~` beside this one: a negation
    holds for nearly every tile, and Dagster keeps what holds in the sensor's cursor."""

    pace: RequestLimits = DEFAULT_PACE
    paused: Pause = never_paused
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

    @property
    def operator_type(self) -> str:  # type: ignore[override]  # the type is not exported
        """True where any reason holds."""
        return "or"

    @property
    def children(self) -> Sequence[dg.AutomationCondition[Any]]:
        """The reasons in their order, then what is left alone."""
        return (*self._because, *self.but_not)

    @property
    def _because(self) -> Sequence[DueReason]:
        return tuple(DueReason(why, label) for why, label in self._reasons().items())

    def _reasons(self) -> Mapping[DueCause, str]:
        hours = self.pace.retry_after / dt.timedelta(hours=1)
        reasons: dict[DueCause, str] = {}
        if self.changes_of:
            reasons["changed"] = "its inputs changed"
        if self.window is not never_stale:
            reasons["stale"] = "past its freshness window, the oldest first"
        if self.pace.never_made != "leave":
            reasons["never made"] = f"never made{MADE_WHEN[self.pace.never_made]}"
        reasons["failed"] = f"again, {hours:g} h after a try in vain"
        return reasons

    def get_label(self) -> str:
        """What the automation tab says of this one."""
        return f"due, and at most {self.pace.limit:,} under way"

    async def evaluate(  # type: ignore[override]  # as Dagster's own that ask others
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        """The candidates to ask for now."""
        moment = self.clock()
        until = self.paused(moment)
        definition = context.partitions_def
        tiles = definition.get_partition_keys() if definition else []
        facts = self._facts(context, tiles, moment=moment)
        left_alone = [
            await _child(context, condition, number).evaluate_async()
            for number, condition in enumerate(self.but_not, start=len(self._because))
        ]
        candidates = context.candidate_subset.expensively_compute_partition_keys()
        excluded = (
            set(tiles)
            .difference(candidates)
            .union(*(each.true_subset.expensively_compute_partition_keys() for each in left_alone))
        )
        plan = tiles_due(
            [] if until else tiles, facts, excluded=excluded, now=moment, limits=self.pace
        )
        told = f"paused until {until:%Y-%m-%d %H:%M %Z}" if until else plan.summary
        context.log.info("%s: %s", context.key.to_user_string(), told)
        return dg.AutomationResult(
            context,
            among_candidates(context, plan.tiles),
            cursor=remember(facts, plan.tiles, moment=moment),
            child_results=[*self._explained(context, plan), *left_alone],
        )

    def _explained(
        self, context: dg.AutomationContext[dg.AssetKey], plan: RequestPlan
    ) -> list[dg.AutomationResult[dg.AssetKey]]:
        """For each reason the tiles that are asked for by it."""
        results = []
        for number, reason in enumerate(self._because):
            tiles = [tile for tile in plan.tiles if plan.why[tile] == reason.why]
            child = _child(context, reason, number)
            results.append(dg.AutomationResult(child, among_candidates(context, tiles)))
        return results

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
        records = self.records(context.evaluation_time)
        return TileFacts(
            refreshed_at=instance.get_latest_storage_id_by_partition(
                key, dg.DagsterEventType.ASSET_MATERIALIZATION
            ),
            oldest_fresh=lambda tile: limits[windows[tile]],
            changed=records.changed.get(self.changes_of, {}),
            failed=records.failed if self.retries_failed else frozenset(),
            requests=recall(context.cursor, tiles),
        )


def _child(
    context: dg.AutomationContext[dg.AssetKey],
    condition: dg.AutomationCondition[Any],
    number: int,
) -> dg.AutomationContext[dg.AssetKey]:
    """What the condition with this number among the children is asked with."""
    return context.for_child_condition(
        child_condition=condition,
        child_indices=[number],
        candidate_subset=context.candidate_subset,
    )


def _window_of_policy(context: dg.AutomationContext[dg.AssetKey]) -> MaxAge:
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


def recall(cursor: str | None, tiles: Sequence[str]) -> Mapping[str, Request[int]]:
    """What `remember` wrote of these tiles; nothing of a tile that the area has no more."""
    kept: dict[str, Sequence[Any]] = json.loads(cursor) if cursor else {}
    found: dict[str, Request[int]] = {}
    for tile in tiles if kept else ():
        if tile in kept:
            at, after, *wanted = kept[tile]
            moment = dt.datetime.fromtimestamp(at, dt.UTC)
            found[tile] = Request(at=moment, after=after, change="".join(wanted))
    return found


def remember(facts: TileFacts[int], chosen: Collection[str], *, moment: dt.datetime) -> str:
    """Tile -> [seconds since 1970, its newest event by then, the change it was to follow].

    Args:
        facts: what was known, with what had been asked for before.
        chosen: what is asked for now.
        moment: the present.
    """
    asked = {tile: facts.unsuccessful_request(tile) for tile in facts.requests}
    kept = {
        tile: (each.at.timestamp(), each.after, each.change) for tile, each in asked.items() if each
    }
    kept |= {
        tile: (moment.timestamp(), facts.refreshed_at.get(tile), facts.changed.get(tile, ""))
        for tile in chosen
    }
    return json.dumps(kept)
