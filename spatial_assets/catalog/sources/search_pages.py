"""Pages of a search of a STAC API, followed to the last: all items that were found, or an error.

A server may lose its position, end too early or repeat itself. Nothing here knows of conditions.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spatial_assets.catalog.json_object import JsonObject
from spatial_assets.catalog.stac.items import acquired_of
from spatial_assets.errors import SourceUnavailableError

MAX_ITEMS = 1_000_000
MAX_PAGES_WITHOUT_NEWS = 10
"""Pages in a row without a new item that may precede one: some servers filter after they page."""

MAX_DEPTH = 14
"""Number of times that a search is halved: a million items by 100 a page."""

_REMEDY = (
    "Nothing counts as withdrawn. Run again later; if this persists, narrow [scenes] datetime or "
    "collections, or tell the operator of the catalogue"
)


@dataclass(frozen=True, kw_only=True)
class PagedSearch:
    """A search whose first page was received."""

    place: str
    """URL of the API for messages, without secrets."""

    first_page: JsonObject
    follow: Callable[[JsonObject], JsonObject]
    """Return the page to which a `next` link leads."""

    split: Callable[[Sequence[dt.datetime]], Iterable[PagedSearch]]
    """Return the same search in parts, by a moment that is chosen from times in UTC."""

    def items(self) -> Iterator[JsonObject]:
        """Yield every item of the search once.

        Raises:
            SourceUnavailableError: the pages repeat, hold something else than items, or end before
                the count that the server states (`numberMatched`, or `context.matched`).
        """
        tally = _Tally()
        yield from self._pass(tally)
        if tally.is_whole:
            return
        rest = self._rest_by_parts(tally)
        # Items that come twice are a sign that the pages moved while they were read: the parts
        # have the others. A server that only ends too early is not trusted with parts either.
        if rest is None or (rest and not tally.has_repeats):
            raise SourceUnavailableError(
                f"{self.place} found {tally.matched:,} items, but its pages end after "
                f"{len(tally.seen):,}: the answer is not whole. {_REMEDY}"
            )
        yield from rest

    def _rest_by_parts(self, tally: _Tally, *, depth: int = 0) -> list[JsonObject] | None:
        """Return the items that the parts of the search have and the tally lacks.

        A count may be wrong: pgstac keeps that of a search for a day, and items may have been
        deleted since; other servers count an item twice. So a part is whole if it has as many
        items as it states, or if nothing can be lost between pages because it has only one.

        Returns:
            None if a part is not whole.
        """
        rest: list[JsonObject] = []
        for part in self.split(tally.moments):
            counted = _Tally()
            read = list(part._pass(counted))  # noqa: SLF001 - its own class
            if counted.matched is None:
                return None
            if not counted.is_whole and not (counted.has_repeats and counted.pages == 1):
                smaller = None
                if counted.has_repeats and depth < MAX_DEPTH:
                    smaller = part._rest_by_parts(counted, depth=depth + 1)  # noqa: SLF001 - as above
                if smaller is None:
                    return None
                read += smaller
            rest += [item for item in read if item_identity(item) not in tally.seen]
        return list({item_identity(item): item for item in rest}.values())

    def _pass(self, tally: _Tally) -> Iterator[JsonObject]:
        """Yield the items that are not in the tally, from the first page to the last."""
        page = self.first_page
        followed, seen, without_news = set[str](), set[str](), 0
        while True:
            items = _features(page, self.place)
            names = [item_identity(item) for item in items]
            is_news = not seen.issuperset(names)
            without_news = 0 if is_news else without_news + 1
            if not is_news and (
                len(names) > 1 or (names and without_news > MAX_PAGES_WITHOUT_NEWS)
            ):
                raise self._repeats()
            seen.update(names)
            yield from tally.new_items(items, names, matched=_matched(page))
            if len(tally.seen) > MAX_ITEMS:
                raise SourceUnavailableError(
                    f"{self.place} found more than {MAX_ITEMS:,} items; narrow [area] or [scenes]"
                )
            link = _next_link(page)
            if link is None or without_news > MAX_PAGES_WITHOUT_NEWS:
                return
            request = json.dumps([link.get(key) for key in ("method", "href", "body")], default=str)
            if request in followed:
                if not items:
                    return  # the server links an empty last page to itself
                raise self._repeats()
            followed.add(request)
            page = self.follow(link)

    def _repeats(self) -> SourceUnavailableError:
        """Return the error of a server that lost its position."""
        return SourceUnavailableError(
            f"{self.place} repeats a page of its answer instead of going on. {_REMEDY}"
        )


@dataclass
class _Tally:
    """Counts of one reading of all pages."""

    seen: set[str] = field(default_factory=set)
    """Identities of the items."""

    moments: list[dt.datetime] = field(default_factory=list)
    """Acquisition times of the items, UTC."""

    received: int = 0
    """Number of items, those that came twice included."""

    pages: int = 0

    matched: int | None = None
    """Count that the server states; None: it states none.

    The least of several, as the catalogue may grow while it is read.
    """

    @property
    def is_whole(self) -> bool:
        """True unless the server states more items than it delivered."""
        return self.matched is None or len(self.seen) >= self.matched

    @property
    def has_repeats(self) -> bool:
        """True if the stated count is reached only with items that came twice."""
        return self.received >= (self.matched or 0)

    def new_items(
        self, items: list[JsonObject], names: list[str], *, matched: int | None
    ) -> Iterator[JsonObject]:
        """Count the items of a page, and yield those that are new."""
        self.pages += 1
        if matched is not None and (items or not self.received):
            self.matched = matched if self.matched is None else min(matched, self.matched)
        self.received += len(items)
        for item, name in zip(items, names, strict=True):
            if name not in self.seen:
                self.seen.add(name)
                acquired = acquired_of(item)
                if acquired is not None:
                    self.moments.append(acquired)
                yield item


def _features(page: JsonObject, place: str) -> list[JsonObject]:
    """Return the items of a page.

    Raises:
        SourceUnavailableError: the page is something else.
    """
    features = page.get("features")
    if isinstance(features, list) and all(isinstance(one, Mapping) for one in features):
        return features
    raise SourceUnavailableError(
        f"{place} answered a search with {json.dumps(page, default=str)[:200]}; expected a "
        "FeatureCollection of items"
    )


def _matched(page: JsonObject) -> int | None:
    """Return the number of items that the whole search found; None: not stated."""
    context = page.get("context")
    stated: tuple[Any, ...] = (
        page.get("numberMatched"),
        context.get("matched") if isinstance(context, Mapping) else None,
    )
    counts = [n for n in stated if isinstance(n, int) and not isinstance(n, bool) and n >= 0]
    return max(counts, default=None)


def _next_link(page: JsonObject) -> JsonObject | None:
    """Return the link to the next page; None: there is none."""
    links = page.get("links")
    for link in links if isinstance(links, list) else []:
        if isinstance(link, Mapping) and link.get("rel") == "next":
            return link
    return None


def item_identity(item: JsonObject) -> str:
    """Return text that is the same for the same item: collection and id, or all if it has no id."""
    name = item.get("id")
    known = [item.get("collection"), name] if isinstance(name, str) else item
    return json.dumps(known, sort_keys=True, default=str)
