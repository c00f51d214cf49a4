"""Notes on the items of a catalogue: which are not used, or used with a doubt, and why.

Items are counted by reason, and a few are named, so that a catalogue of any size fits into a line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

MAX_NAMED = 3  # ids a reason
MAX_NAME_LENGTH = 80

OTHER_COLLECTION: Final = "other_collection"
TOO_CLOUDY: Final = "too_cloudy"
OTHER_DAY: Final = "other_day"
OUTSIDE_AREA: Final = "outside_area"
SUPERSEDED: Final = "superseded"
BESIDE_RASTERS: Final = "beside_rasters"
MAYBE_DUPLICATE: Final = "maybe_duplicate"

UNUSED: Final[Mapping[str, str]] = {
    OTHER_COLLECTION: "of a collection that is not in [scenes] collections",
    OTHER_DAY: "of a solar day outside of [scenes] datetime",
    TOO_CLOUDY: "cloudier than [scenes] max_cloud_cover",
    OUTSIDE_AREA: "outside of [area]",
    SUPERSEDED: "superseded by another processing of the same granule",
}
"""Reason for which an item is not used -> text about it."""

DOUBTFUL: Final[Mapping[str, str]] = {
    BESIDE_RASTERS: "a geometry beside the rasters that proj:* describes: both places count",
    MAYBE_DUPLICATE: "no datastrip, so that it may be a duplicate: used all the same",
}
"""Doubt about an item that is used -> text about it."""


@dataclass(frozen=True)
class ItemNotes:
    """Items by reason."""

    counts: Mapping[str, int] = field(default_factory=dict)
    """Reason, of `UNUSED` or `DOUBTFUL` -> number of items."""

    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Reason -> ids of the first of them, in alphabetical order."""

    def lines(self) -> Iterator[str]:
        """Yield a line for each reason that occurs."""
        for text_of, kind in ((UNUSED, "not used"), (DOUBTFUL, "used with a doubt")):
            for reason, text in text_of.items():
                if self.counts.get(reason):
                    verb = "" if text_of is UNUSED else "with "
                    yield f"{kind}: {self._subject(reason)} {verb}{text} ({self._names(reason)})"

    def _subject(self, reason: str) -> str:
        count = self.counts[reason]
        return f"{count:,} item{'' if count == 1 else 's'}"

    def _names(self, reason: str) -> str:
        names = self.named.get(reason, ())
        return ", ".join([*names, *(["..."] if self.counts[reason] > len(names) else [])])


class ItemTally:
    """Count of items by reason, in any order of the items."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._named: dict[str, list[str]] = {}

    def add(self, reason: str, name: object) -> None:
        """Count an item with the id `name`, which is not trusted."""
        shown = "".join(letter if letter.isprintable() else "?" for letter in str(name))
        self._counts[reason] = self._counts.get(reason, 0) + 1
        known = {*self._named.get(reason, ()), shown[:MAX_NAME_LENGTH]}
        self._named[reason] = sorted(known)[:MAX_NAMED]

    def notes(self) -> ItemNotes:
        """Return what was counted."""
        named = {reason: tuple(names) for reason, names in sorted(self._named.items())}
        return ItemNotes(dict(sorted(self._counts.items())), named)
