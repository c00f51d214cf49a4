"""Rules of retention for old events: which of them nothing in Dagster depends on any more.

All events here are older than the age that is kept, in the order of their ids; younger ones are
not looked at, so what was true at that age can still be read. No database.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

MATERIALIZATION = "ASSET_MATERIALIZATION"
PLANNED_MATERIALIZATION = "ASSET_MATERIALIZATION_PLANNED"
PARTITION_EVENTS = (
    MATERIALIZATION,
    PLANNED_MATERIALIZATION,
    "ASSET_OBSERVATION",
    "ASSET_FAILED_TO_MATERIALIZE",
    "FRESHNESS_STATE_CHANGE",
)
"""Events that Dagster reads of an asset or a partition: `ASSET_EVENTS` in `dagster._core.events`.
All others belong to the log of a run."""

PLANNED_CHECK = "PLANNED"
"""Status of an evaluation that a run has not made yet, or never made."""


@dataclass(frozen=True, kw_only=True)
class OldEvent:
    """An event of one partition of an asset, or of an asset without partitions."""

    id: int
    kind: str
    """Its type in Dagster, one of PARTITION_EVENTS."""

    data_version: str | None = None


@dataclass(frozen=True, kw_only=True)
class OldEvaluation:
    """A row of Dagster's table of check executions, of one check and partition."""

    id: int
    status: str
    target: int | None
    """Id of the materialization that was checked."""


def superseded_events(events: Sequence[OldEvent]) -> Iterator[int]:
    """Yield the ids of the events of one partition that may be deleted.

    What stays is the newest event of each kind, and the materialization that made the data of the
    newest: it has the figures and the picture, and Dagster compares later versions with it. A
    planned materialization that a materialization followed says nothing any more.
    """
    kept = {event.kind: event.id for event in events}
    made = [event for event in events if event.kind == MATERIALIZATION]
    if made and kept.get(PLANNED_MATERIALIZATION, made[-1].id) < made[-1].id:
        del kept[PLANNED_MATERIALIZATION]
    stays = {*kept.values(), *_made_by(made)}
    yield from (event.id for event in events if event.id not in stays)


def _made_by(materializations: Sequence[OldEvent]) -> Iterator[int]:
    """Yield the first of the last materializations with one data version, if it has one."""
    first = None
    for event in reversed(materializations):
        if event.data_version is None or event.data_version != materializations[-1].data_version:
            break
        first = event.id
    if first is not None:
        yield first


def superseded_evaluations(
    evaluations: Sequence[OldEvaluation], *, materializations: Collection[int]
) -> Iterator[int]:
    """Yield the ids of the evaluations of one check and partition that may be deleted.

    What stays is the newest that was made, the newest of those planned after it, and each whose
    materialization stays.

    Args:
        evaluations: rows in the order of their ids.
        materializations: ids of the materializations that stay.
    """
    made = [each.id for each in evaluations if each.status != PLANNED_CHECK]
    stays = {*made[-1:], *(each.id for each in evaluations[-1:])}
    stays |= {
        each.id
        for each in evaluations
        if each.target in materializations and each.status != PLANNED_CHECK
    }
    yield from (each.id for each in evaluations if each.id not in stays)
