"""Which tiles are due: a function of what is known of them and of the time. Pure.

Who asks brings the facts: Dagster's automation from its events, another from a table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar, get_args

from spatial_assets.project.sections.freshness import NeverMade

RETRY_AFTER = timedelta(hours=6)
"""An archive that is down is back by then; a tile that cannot succeed costs four tries a day."""


Why: TypeAlias = Literal["changed", "stale", "never made", "failed"]


class Comparable(Protocol):
    """What can be earlier or later than another of its kind."""

    def __lt__(self, other: Any, /) -> bool: ...  # noqa: ANN401 - of its own kind


Moment = TypeVar("Moment", bound=Comparable)
"""A datetime, or whatever rises with time: the number of an event in a log."""


@dataclass(frozen=True, kw_only=True)
class RequestLimits:
    """How much is asked for at a time, and what comes first."""

    limit: int
    """Most tiles that are under way at a time."""

    never_made: NeverMade = "last"
    """Tiles that do not exist yet: after the stale ones, before them, or left to a person."""

    retry_after: timedelta = RETRY_AFTER
    """How long a tile that was asked for in vain rests."""

    @property
    def order(self) -> Sequence[Why]:
        """What comes first; retries last, so that they never hold up what can succeed."""
        if self.never_made == "first":
            return ("never made", "changed", "stale", "failed")
        return ("changed", "stale", "never made", "failed")


@dataclass(frozen=True, kw_only=True)
class Request(Generic[Moment]):
    """A tile was asked for."""

    at: datetime
    after: Moment | None
    """When it had been refreshed last by then; None: never."""

    wanted: str = ""
    """Which change it was to follow; empty: none."""


@dataclass(frozen=True, kw_only=True)
class TileFacts(Generic[Moment]):
    """What is known of the tiles of an asset."""

    refreshed_at: Mapping[str, Moment]
    """Tile -> when it was last made or found unchanged; absent: never."""

    oldest_fresh: Callable[[str], Moment]
    """Tile -> the moment before which it is stale if it was refreshed last."""

    changed: Mapping[str, str] = field(default_factory=dict)
    """Tile whose inputs are others than those it was made from -> what tells them from others."""

    failed: Collection[str] = frozenset()
    """Tiles with a later stage that failed: due, however fresh they are."""

    asked: Mapping[str, Request[Moment]] = field(default_factory=dict)
    """Tile -> when it was last asked for."""

    def why(self, tile: str) -> Why | None:
        """Why a tile is to be made, now or when its turn comes; None: it is as it should be."""
        if tile in self.changed:
            return "changed"
        refreshed = self.refreshed_at.get(tile)
        if refreshed is None:
            return "never made"
        if refreshed < self.oldest_fresh(tile):
            return "stale"
        return "failed" if tile in self.failed else None

    def unanswered(self, tile: str) -> Request[Moment] | None:
        """When a tile was asked for, if it has not been made since; it may be under way."""
        asked = self.asked.get(tile)
        return asked if asked and self.refreshed_at.get(tile) == asked.after else None

    def asked_in_vain(self, tile: str) -> Request[Moment] | None:
        """When a tile was asked for, if it is due all the same.

        An input that has changed since is another matter, and worth another try at once.
        """
        asked, why = self.asked.get(tile), self.why(tile)
        if asked is None or why is None or self.changed.get(tile, "") not in {"", asked.wanted}:
            return None
        return asked if why in {"failed", "changed"} else self.unanswered(tile)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to ask for, and what not."""

    why: Mapping[str, Why]
    """Tile to be asked for now -> why, in order of need; `failed` for any that is tried again."""

    waiting: int
    """Due, and beyond the limit."""

    resting: int
    """Due, and asked for in vain not long ago."""

    under_way: int
    """Due, asked for, and being made."""

    left_alone: int
    """Due, and excluded for other reasons."""

    @property
    def tiles(self) -> tuple[str, ...]:
        """To be asked for now, in order of need."""
        return tuple(self.why)

    @property
    def sentence(self) -> str:
        """The plan for people."""
        counts = Counter(self.why.values())
        whys = ", ".join(f"{counts[why]} {why}" for why in get_args(Why) if counts[why])
        asked_for = f"{len(self.tiles)} ({whys})" if whys else "0"
        return (
            f"asked for: {asked_for}, waiting for their turn: {self.waiting}, "
            f"under way: {self.under_way}, resting after a try in vain: {self.resting}, "
            f"left alone: {self.left_alone}"
        )


def tiles_due(
    tiles: Iterable[str],
    facts: TileFacts[Moment],
    *,
    excluded: Collection[str],
    now: datetime,
    pace: RequestLimits,
) -> Plan:
    """Pick the tiles to ask for: the changed, the stale by age, those never made, then retries.

    Ties are broken by the order of `tiles`: the same facts always give the same plan.

    Args:
        tiles: all of them, in the order of the partitions.
        facts: what is known of them.
        excluded: tiles to leave alone, because they are being made or in quarantine. Those of
            them that are due and were asked for lately count against the limit.
        now: the present moment, UTC.
        pace: how many at a time, and in which order.
    """
    groups: dict[Why, list[str]] = {why: [] for why in get_args(Why)}
    resting = under_way = left_alone = 0
    for tile in tiles:
        why = facts.why(tile)
        if why is None or (why == "never made" and pace.never_made == "leave"):
            continue
        asked = facts.unanswered(tile) if tile in excluded else facts.asked_in_vain(tile)
        lately = asked is not None and now - asked.at < pace.retry_after
        if tile in excluded:
            under_way += lately
            left_alone += not lately
        elif lately:
            resting += 1
        else:
            groups["failed" if asked else why].append(tile)
    groups["stale"].sort(key=lambda tile: _Age(facts.refreshed_at[tile]))
    ready = [(tile, why) for why in pace.order for tile in groups[why]]
    room = max(pace.limit - under_way, 0)
    return Plan(
        why=dict(ready[:room]),
        waiting=len(ready[room:]),
        resting=resting,
        under_way=under_way,
        left_alone=left_alone,
    )


@dataclass(frozen=True)
class _Age:
    """A moment as a key to sort by: what is less is older."""

    moment: Comparable

    def __lt__(self, other: _Age) -> bool:
        return self.moment < other.moment
