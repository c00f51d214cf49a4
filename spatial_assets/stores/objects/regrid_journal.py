"""The journal of a `regrid`: what is being moved, so that an interrupted one can be completed.

The object exists while objects are moved under new indices. It is created before anything else
is written and deleted last. While it exists, nothing else may read or write the product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from spatial_assets.errors import RegridUnderWayError, StoreError
from spatial_assets.stores import layout
from spatial_assets.stores.objects.json import from_json, to_json
from spatial_assets.stores.objects.store import ObjectStore

JOURNAL_SCHEMA = 1

RegridPhase = Literal["copying", "switching", "cleaning"]
"""`copying`: everything of before is still in force. `switching`: all copies and new manifests lie
beside; they come into force. `cleaning`: they are in force; what helped is deleted."""


@dataclass(frozen=True, kw_only=True)
class RegridJournal:
    """One `regrid` under way."""

    owner: str
    """Host and process that began it, for people."""

    started_at: str
    """Time of the beginning, ISO, UTC."""

    why: str
    """Changes of the project file, for people."""

    phase: RegridPhase
    """Phase that it has reached."""

    operation: Mapping[str, Any] = field(default_factory=dict)
    """Everything that decides what is written, as JSON values."""


def stored_journal(store: ObjectStore) -> RegridJournal | None:
    """Read the journal; None if no `regrid` is under way.

    Raises:
        StoreError: it is damaged, or written by a newer version.
    """
    data = store.find(layout.REGRID)
    if data is None:
        return None
    where = store.uri(layout.REGRID)
    try:
        document: dict[str, Any] = from_json(data)
        if document.pop("schema") == JOURNAL_SCHEMA:
            return RegridJournal(**document)
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{where} is damaged ({error!r}); restore it from a backup, as it says how far objects "
            "have been moved"
        ) from error
    raise StoreError(
        f"{where} was written by another version; complete the regrid with that version"
    )


def begin_regrid(store: ObjectStore, journal: RegridJournal) -> None:
    """Create the journal; from now on other commands refuse.

    Raises:
        RegridUnderWayError: there is another one.
    """
    if not store.create(layout.REGRID, _to_bytes(journal)):
        refuse_during_regrid(store)


def put_journal(store: ObjectStore, journal: RegridJournal) -> None:
    """Record how far the `regrid` is."""
    store.put(layout.REGRID, _to_bytes(journal))


def end_regrid(store: ObjectStore) -> None:
    """Delete the journal: everything is in its new place."""
    store.delete(layout.REGRID)


def refuse_during_regrid(store: ObjectStore) -> None:
    """Refuse to read or write the product while its objects are being moved.

    Raises:
        RegridUnderWayError: a `regrid` is under way, or was interrupted.
    """
    journal = stored_journal(store)
    if journal is not None:
        raise RegridUnderWayError(
            f"a regrid of {store.url} is under way ({journal.why}; begun {journal.started_at} by "
            f"{journal.owner}); wait for it, or run `spatial-assets regrid` to complete it if it "
            "was interrupted"
        )


def _to_bytes(journal: RegridJournal) -> bytes:
    return to_json({"schema": JOURNAL_SCHEMA, **asdict(journal)})
