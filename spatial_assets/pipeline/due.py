"""Tiles that are due, as a pure function of recorded facts and the present moment.

The caller supplies the facts: Dagster's automation reads them from its events and the database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar, get_args

from spatial_assets.project.sections.freshness import NeverMade

RETRY_AFTER = timedelta(hours=6)
"""An archive outage is over by then; a tile that cannot succeed costs four attempts a day."""

UNTRIED_AFTER = timedelta(minutes=2)
"""Pause after a request whose run did not come to the tile: by then the run is planned, or noticed
to be dead. It doubles while runs go on to die, so that they do not follow each other all day."""

MAX_DOUBLINGS = 16  # beyond the longest pause; keeps the arithmetic small


DueCause: TypeAlias = Literal["changed", "stale", "never made", "failed"]


class Comparable(Protocol):
    """A value that sorts before or after others of its type."""

    def __lt__(self, other: Any, /) -> bool: ...  # noqa: ANN401 - of its own kind


Moment = TypeVar("Moment", bound=Comparable)
"""A datetime, or anything that increases with time: the number of an event in a log."""


@dataclass(frozen=True, kw_only=True)
class RequestLimits:
    """Number of tiles to request at a time, and their order."""

    limit: int
    """Largest number of tiles under way at a time."""

    never_made: NeverMade = "last"
    """Tiles that do not exist yet: requested after the stale ones, before them, or not at all."""

    retry_after: timedelta = RETRY_AFTER
    """Pause after an unsuccessful attempt, before the tile is requested again."""

    untried_after: timedelta = UNTRIED_AFTER
    """Pause after a request that led to no attempt; doubled for each further one of a tile."""

    @property
    def order(self) -> Sequence[DueCause]:
        """Causes by priority; retries come last, so that they never delay what can succeed."""
        if self.never_made == "first":
            return ("never made", "changed", "stale", "failed")
        return ("changed", "stale", "never made", "failed")


@dataclass(frozen=True, kw_only=True)
class Request(Generic[Moment]):
    """The last request for a tile."""

    at: datetime
    after: Moment | None
    """Moment of the tile's last refresh before the request; None: there was none."""

    change: str = ""
    """Version of the inputs that the request was for; empty: it was not for a change."""

    observed: Moment | None = None
    """Moment of the tile's last observation before the request; None: there was none."""

    vain: int = 0
    """Number of requests just before this one that led to no attempt."""


@dataclass(frozen=True, kw_only=True)
class TileFacts(Generic[Moment]):
    """Recorded facts about the tiles of an asset."""

    refreshed_at: Mapping[str, Moment]
    """Tile -> when it was last computed or found unchanged; absent: never."""

    oldest_fresh: Callable[[str], Moment]
    """Tile -> a last refresh before this moment makes it stale."""

    changed: Mapping[str, str] = field(default_factory=dict)
    """Tile whose inputs changed since it was computed -> version of the new inputs."""

    failed: Collection[str] = frozenset()
    """Tiles with a later stage that failed: due, however fresh they are."""

    requests: Mapping[str, Request[Moment]] = field(default_factory=dict)
    """Tile -> its last request."""

    observed_at: Mapping[str, Moment] = field(default_factory=dict)
    """Tile -> when an attempt was last reported that did not refresh it; absent: never."""

    def why(self, tile: str) -> DueCause | None:
        """Return why a tile is due, or None if it is up to date."""
        if tile in self.changed:
            return "changed"
        refreshed = self.refreshed_at.get(tile)
        if refreshed is None:
            return "never made"
        if refreshed < self.oldest_fresh(tile):
            return "stale"
        return "failed" if tile in self.failed else None

    def open_request(self, tile: str) -> Request[Moment] | None:
        """Return the last request if the tile was not refreshed since; it may be under way."""
        request = self.requests.get(tile)
        return request if request and self.refreshed_at.get(tile) == request.after else None

    def unsuccessful_request(self, tile: str) -> Request[Moment] | None:
        """Return the last request if the tile is due in spite of it.

        An input that changed after the request justifies another attempt at once: None.
        """
        request, why = self.requests.get(tile), self.why(tile)
        if request is None or why is None:
            return None
        if self.changed.get(tile, "") not in {"", request.change}:
            return None
        return request if why in {"failed", "changed"} else self.open_request(tile)

    def was_tried(self, tile: str) -> bool:
        """Return True if a run has come to the tile since its last request, whatever came of it.

        A run may die before: the database is away, or the area was edited.
        """
        request = self.requests[tile]
        if self.refreshed_at.get(tile) != request.after:
            return True
        before, observed = request.observed, self.observed_at.get(tile)
        # Not merely another one: old observations are deleted.
        return observed is not None and (before is None or before < observed)

    def is_retry(self, tile: str) -> bool:
        """Return True if a further request must not delay others: two runs or an attempt failed."""
        return self.was_tried(tile) or self.requests[tile].vain > 0

    def next_request(self, tile: str, now: datetime) -> Request[Moment]:
        """Return the record of a request that is made now."""
        earlier = self.unsuccessful_request(tile)
        return Request(
            at=now,
            after=self.refreshed_at.get(tile),
            change=self.changed.get(tile, ""),
            observed=self.observed_at.get(tile),
            vain=earlier.vain + 1 if earlier and not self.was_tried(tile) else 0,
        )

    def pause(self, tile: str, limits: RequestLimits) -> timedelta:
        """Return the pause after the last request of a tile that is due in spite of it."""
        if self.was_tried(tile):
            return limits.retry_after
        doublings = min(self.requests[tile].vain, MAX_DOUBLINGS)
        return min(limits.untried_after * (1 << doublings), limits.retry_after)


@dataclass(frozen=True, kw_only=True)
class RequestPlan:
    """Tiles to request now, and how many due tiles are not requested."""

    why: Mapping[str, DueCause]
    """Tile to request now -> why, most urgent first; `failed` for every retry."""

    waiting: int
    """Number of due tiles beyond the limit."""

    retry_later: int
    """Number of due tiles that rest after a recent unsuccessful attempt or request."""

    under_way: int
    """Number of due tiles that were requested and are being computed."""

    excluded_due: int
    """Number of due tiles that are excluded for other reasons."""

    @property
    def tiles(self) -> tuple[str, ...]:
        """Tiles to request now, most urgent first."""
        return tuple(self.why)

    @property
    def summary(self) -> str:
        """The plan in one line."""
        counts = Counter(self.why.values())
        whys = ", ".join(f"{counts[why]} {why}" for why in get_args(DueCause) if counts[why])
        requested = f"{len(self.tiles)} ({whys})" if whys else "0"
        return (
            f"requested: {requested}, waiting for the limit: {self.waiting}, "
            f"under way: {self.under_way}, waiting to retry: {self.retry_later}, "
            f"excluded: {self.excluded_due}"
        )


def tiles_due(
    tiles: Iterable[str],
    facts: TileFacts[Moment],
    *,
    excluded: Collection[str],
    now: datetime,
    limits: RequestLimits,
) -> RequestPlan:
    """Pick the tiles to request, by cause and, among the stale ones, by age.

    Ties are broken by the order of `tiles`: the same facts always give the same plan.

    Args:
        tiles: all of them, in the order of the partitions.
        facts: recorded facts about them.
        excluded: tiles that are being computed or in quarantine. Those of them that are due and
            were requested recently count against the limit.
        now: UTC.
        limits: number of tiles at a time, and their order.
    """
    groups: dict[DueCause, list[str]] = {why: [] for why in get_args(DueCause)}
    retry_later = under_way = excluded_due = 0
    for tile in tiles:
        why = facts.why(tile)
        if why is None or (why == "never made" and limits.never_made == "leave"):
            continue
        is_excluded = tile in excluded
        request = facts.open_request(tile) if is_excluded else facts.unsuccessful_request(tile)
        is_recent = request is not None and now - request.at < (
            limits.retry_after if is_excluded else facts.pause(tile, limits)
        )
        if is_excluded:
            under_way += is_recent
            excluded_due += not is_recent
        elif is_recent:
            retry_later += 1
        else:
            groups["failed" if request and facts.is_retry(tile) else why].append(tile)
    ready = _by_priority(groups, facts, limits)
    free = max(limits.limit - under_way, 0)
    return RequestPlan(
        why=dict(ready[:free]),
        waiting=len(ready[free:]),
        retry_later=retry_later,
        under_way=under_way,
        excluded_due=excluded_due,
    )


def _by_priority(
    groups: Mapping[DueCause, list[str]], facts: TileFacts[Moment], limits: RequestLimits
) -> list[tuple[str, DueCause]]:
    stale = sorted(groups["stale"], key=lambda tile: _Age(facts.refreshed_at[tile]))
    ordered = {**groups, "stale": stale}
    return [(tile, why) for why in limits.order for tile in ordered[why]]


@dataclass(frozen=True)
class _Age:
    """Sort key of a moment: the oldest first."""

    moment: Comparable

    def __lt__(self, other: _Age) -> bool:
        return self.moment < other.moment
