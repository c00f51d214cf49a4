"""The condition that requests tiles: changed, stale, never made, or failed before.

Dagster's own freshness policy covers an asset as a whole: one fresh tile of ten thousand turns it
green, and `freshness_failed()` selects all tiles or none.

`TileDue` keeps its earlier requests in the cursor that Dagster stores for it. It keeps only those
that have produced nothing yet, so the cursor stays as small as the work in progress.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import dagster as dg

from spatial_assets.automation.own_events import LatestEvents, latest_events
from spatial_assets.automation.records import Recorded, Records
from spatial_assets.automation.tile_quarantined import among_candidates
from spatial_assets.instance.dagster_internals import TimeWindowFreshnessPolicy
from spatial_assets.pipeline.due import (
    DueCause,
    Request,
    RequestLimits,
    RequestPlan,
    TileFacts,
    tiles_due,
)
from spatial_assets.resources import UtcClock, now

MaxAge: TypeAlias = Callable[[str], dt.timedelta]
"""Function from a tile to the age from which it is stale."""

PausedUntil: TypeAlias = Callable[[dt.datetime], dt.datetime | None]
"""Function from the current time to the end of the pause it falls in; None: no pause."""

DEFAULT_LIMITS = RequestLimits(limit=2000)
"""A planned event takes 7 ms in SQLite: a run of 2,000 tiles waits 14 s for them."""

NEVER_MADE_ORDER = {"first": ", before all others", "last": ", after the others"}


def never_stale(_: str) -> dt.timedelta:
    """Return an age that no tile reaches: longer than there have been satellites."""
    return dt.timedelta(days=36_500)


def nothing_recorded(_: dt.datetime) -> Recorded:
    """Return empty records: every tile is either fresh or stale."""
    return Recorded()


def never_paused(_: dt.datetime) -> None:
    """Return None: there are no paused hours."""


@dataclass(frozen=True, eq=False)
class DueReason(dg.AutomationCondition[dg.AssetKey]):
    """One reason to request tiles, so that the automation tab counts the tiles per reason."""

    why: DueCause
    label: str

    @property
    def name(self) -> str:
        """Name in the style of Dagster's own conditions."""
        return f"tile_{self.why.replace(' ', '_')}"

    @property
    def requires_cursor(self) -> bool:
        """False: the condition keeps no state."""
        return False

    def get_label(self) -> str:
        """Return the label for the automation tab."""
        return self.label

    def evaluate(
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        """Return no tile: TileDue decides on all reasons together."""
        return dg.AutomationResult(context, context.get_empty_subset())


@dataclass(frozen=True, eq=False)
class ExcludedTiles(dg.AutomationCondition[dg.AssetKey]):
    """Number of tiles that a condition excluded, in place of their keys.

    Dagster stores the subset of every node whenever one of them changes. While a run goes on, that
    of its tiles changes with each tile: three copies of all their keys every 30 s.
    """

    condition: dg.AutomationCondition[Any]
    tiles: int

    @property
    def name(self) -> str:
        """Name of the condition."""
        return self.condition.name

    @property
    def requires_cursor(self) -> bool:
        """False: the condition keeps no state."""
        return False

    def get_label(self) -> str:
        """Return the label of the condition, with the number of tiles."""
        label = self.condition.get_label() or self.name
        return f"{label} ({self.tiles:,} tiles)" if self.tiles else label

    def evaluate(
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        """Return no tile: they were excluded."""
        return dg.AutomationResult(context, context.get_empty_subset())


@dataclass(frozen=True, eq=False, kw_only=True)
class TileDue(dg.AutomationCondition[dg.AssetKey]):
    """True for tiles whose inputs changed or that are stale, up to a limit.

    A tick takes two queries, and one more for each further maximum age: the newest event of every
    tile, and the newest event older than the maximum age. Event ids rise with time, so these tell
    which tiles are stale, and in which order.
    """

    max_age: MaxAge | None = None
    """None: `warn` (or else `fail`) of the asset's own FreshnessPolicy, for every tile."""

    latest: LatestEvents = latest_events
    """Newest materialization of each tile."""

    records: Records = nothing_recorded
    """Tiles whose inputs changed or with a failed later stage: due, however fresh."""

    changes_of: str = ""
    """Stage whose changed inputs count; empty: none do."""

    retries_failed: bool = False
    """True: a tile with a failed stage is due again."""

    unless: Sequence[dg.AutomationCondition[Any]] = ()
    """Conditions of tiles to exclude. Evaluated here rather than by `~` next to this condition:
    a negation holds for nearly every tile, and Dagster stores the keys of those it holds for."""

    limits: RequestLimits = DEFAULT_LIMITS
    paused_until: PausedUntil = never_paused
    clock: UtcClock = now
    """Not Dagster's evaluation time, which cannot be set in its daemon."""

    @property
    def name(self) -> str:
        """Name in the style of Dagster's own conditions."""
        return "tile_due"

    @property
    def description(self) -> str:
        """Description shared by all conditions of this class."""
        return "Its inputs changed or it is past its freshness window, and it is next in line"

    @property
    def operator_type(self) -> str:  # type: ignore[override]  # the type is not exported
        """Operator of the children: true if any reason holds."""
        return "or"

    @property
    def children(self) -> Sequence[dg.AutomationCondition[Any]]:
        """The reasons in their order, then the exclusions."""
        return (*self._due_reasons, *self.unless)

    @property
    def _due_reasons(self) -> Sequence[DueReason]:
        return tuple(DueReason(why, label) for why, label in self._labels().items())

    def _labels(self) -> Mapping[DueCause, str]:
        hours = self.limits.retry_after / dt.timedelta(hours=1)
        labels: dict[DueCause, str] = {}
        if self.changes_of:
            labels["changed"] = "its inputs changed"
        if self.max_age is not never_stale:
            labels["stale"] = "past its freshness window, the oldest first"
        if self.limits.never_made != "leave":
            labels["never made"] = f"never made{NEVER_MADE_ORDER[self.limits.never_made]}"
        labels["failed"] = f"retry, {hours:g} h after a failed attempt"
        return labels

    def get_label(self) -> str:
        """Return the label for the automation tab."""
        return f"due, and at most {self.limits.limit:,} in progress"

    async def evaluate(  # type: ignore[override]  # async like Dagster's own composite conditions
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        """Return the candidates to request now."""
        moment = self.clock()
        pause_end = self.paused_until(moment)
        definition = context.partitions_def
        tiles = definition.get_partition_keys() if definition else []
        facts = self._facts(context, tiles, moment=moment)
        exclusions = [
            await _child(context, condition, number).evaluate_async()
            for number, condition in enumerate(self.unless, start=len(self._due_reasons))
        ]
        candidates = context.candidate_subset.expensively_compute_partition_keys()
        excluded = (
            set(tiles)
            .difference(candidates)
            .union(*(each.true_subset.expensively_compute_partition_keys() for each in exclusions))
        )
        plan = tiles_due(
            [] if pause_end else tiles, facts, excluded=excluded, now=moment, limits=self.limits
        )
        summary = f"paused until {pause_end:%Y-%m-%d %H:%M %Z}" if pause_end else plan.summary
        context.log.info("%s: %s", context.key.to_user_string(), summary)
        return dg.AutomationResult(
            context,
            among_candidates(context, plan.tiles),
            cursor=write_cursor(facts, plan.tiles, moment=moment),
            child_results=[*self._by_reason(context, plan), *self._counted(context, exclusions)],
        )

    def _counted(
        self,
        context: dg.AutomationContext[dg.AssetKey],
        exclusions: Sequence[dg.AutomationResult[dg.AssetKey]],
    ) -> Iterator[dg.AutomationResult[dg.AssetKey]]:
        """Yield, for each exclusion, the number of its tiles."""
        for number, each in enumerate(exclusions, start=len(self._due_reasons)):
            counted = ExcludedTiles(each.condition, each.true_subset.size)
            yield counted.evaluate(_child(context, counted, number))

    def _by_reason(
        self, context: dg.AutomationContext[dg.AssetKey], plan: RequestPlan
    ) -> list[dg.AutomationResult[dg.AssetKey]]:
        """Return, for each reason, the tiles requested for it."""
        results = []
        for number, reason in enumerate(self._due_reasons):
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
        max_age = self.max_age or _max_age_of_policy(context)
        ages = {tile: max_age(tile) for tile in tiles}
        instance, key = context.asset_graph_view.instance, context.key
        oldest_fresh = {
            age: _newest_before(instance, key, moment - age) + 1 for age in {*ages.values()}
        }
        records = self.records(context.evaluation_time)
        return TileFacts(
            refreshed_at=self.latest(instance, key),
            oldest_fresh=lambda tile: oldest_fresh[ages[tile]],
            changed=records.changed.get(self.changes_of, {}),
            failed=records.failed if self.retries_failed else frozenset(),
            requests=read_cursor(context.cursor, tiles),
            observed_at=latest_observations(instance, key),
        )


def _child(
    context: dg.AutomationContext[dg.AssetKey],
    condition: dg.AutomationCondition[Any],
    number: int,
) -> dg.AutomationContext[dg.AssetKey]:
    """Return the context in which to evaluate the child with this number."""
    return context.for_child_condition(
        child_condition=condition,
        child_indices=[number],
        candidate_subset=context.candidate_subset,
    )


def _max_age_of_policy(context: dg.AutomationContext[dg.AssetKey]) -> MaxAge:
    policy = context.asset_graph.get(context.key).freshness_policy
    if not isinstance(policy, TimeWindowFreshnessPolicy):
        message = (
            f"{context.key.to_user_string()} has no freshness window; give it "
            "freshness_policy=dg.FreshnessPolicy.time_window(...), or remove TileDue"
        )
        raise dg.DagsterInvalidDefinitionError(message)
    window = (policy.warn_window or policy.fail_window).to_timedelta()
    return lambda _: window


def _newest_before(instance: dg.DagsterInstance, key: dg.AssetKey, moment: dt.datetime) -> int:
    """Return the id of the newest materialization before `moment`; 0 if there is none."""
    earlier = dg.AssetRecordsFilter(asset_key=key, before_timestamp=moment.timestamp())
    records = instance.fetch_materializations(earlier, limit=1).records
    return records[0].storage_id if records else 0


NOT_IN_EARLIER_CURSORS = (None, 0)
"""Values of `observed` and `vain` in cursors that lack them."""


def latest_observations(instance: dg.DagsterInstance, key: dg.AssetKey) -> Mapping[str, int]:
    """Return tile -> id of its newest observation: an attempt that did not materialize it."""
    return instance.get_latest_storage_id_by_partition(key, dg.DagsterEventType.ASSET_OBSERVATION)


def read_cursor(cursor: str | None, tiles: Sequence[str]) -> Mapping[str, Request[int]]:
    """Return the requests in a cursor; those of tiles that left the area are dropped."""
    entries: dict[str, Sequence[Any]] = json.loads(cursor) if cursor else {}
    requests: dict[str, Request[int]] = {}
    for tile in tiles if entries else ():
        if tile in entries:
            at, after, change, observed, vain = (*entries[tile], *NOT_IN_EARLIER_CURSORS)[:5]
            requests[tile] = Request(
                at=dt.datetime.fromtimestamp(at, dt.UTC),
                after=after,
                change=change,
                observed=observed,
                vain=vain,
            )
    return requests


def write_cursor(facts: TileFacts[int], chosen: Collection[str], *, moment: dt.datetime) -> str:
    """Return a cursor: tile -> the fields of its last request, with the time in Unix seconds.

    Args:
        facts: facts of this tick, with the earlier requests.
        chosen: tiles requested now.
        moment: the current time.
    """
    earlier = {tile: facts.unsuccessful_request(tile) for tile in facts.requests}
    requests = {tile: each for tile, each in earlier.items() if each}
    requests |= {tile: facts.next_request(tile, moment) for tile in chosen}
    return json.dumps(
        {
            tile: (each.at.timestamp(), each.after, each.change, each.observed, each.vain)
            for tile, each in requests.items()
        }
    )
