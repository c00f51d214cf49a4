"""Pages of a search give all items, or an error: whatever the server does with its pages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_assets.catalog.sources.search_pages import PagedSearch
from spatial_assets.errors import SourceUnavailableError

Page = dict[str, Any]
Faults = Literal["none", "cut", "lost-item", "repeated-page", "self-link", "empty-first-page"]


@dataclass(frozen=True)
class Server:
    """A server of numbered items, with pages of one size, and one fault."""

    count: int
    size: int
    counts_by: Literal["numberMatched", "context", "nothing"]
    fault: Faults = "none"
    at: int = 0
    """Number of the page with the fault, from 0."""

    def page(self, number: int) -> Page:
        first = number * self.size
        names = list(range(first, min(first + self.size, self.count)))
        following: int | None = number + 1 if first + self.size < self.count else None
        if number == self.at:
            names, following = self._faulty(names, number, following)
        found = [{"id": f"i{name}", "collection": "c"} for name in names]
        links = [] if following is None else [{"rel": "next", "href": f"/{following}"}]
        page: Page = {"type": "FeatureCollection", "features": found, "links": links}
        if self.counts_by == "numberMatched":
            page["numberMatched"] = self.count
        elif self.counts_by == "context":
            page["context"] = {"matched": self.count}
        return page

    def _faulty(
        self, names: list[int], number: int, following: int | None
    ) -> tuple[list[int], int | None]:
        if self.fault == "cut":
            return names, None
        if self.fault == "lost-item":
            return names[1:], following
        if self.fault == "repeated-page":
            return list(range(max(0, number - 1) * self.size, number * self.size)), following
        if self.fault == "self-link":
            return names, number
        if self.fault == "empty-first-page":
            return [], following
        return names, following

    def search(self) -> PagedSearch:
        def follow(link: Mapping[str, Any]) -> Page:
            return self.page(int(link["href"][1:]))

        def split(_: Sequence[dt.datetime]) -> Iterable[PagedSearch]:
            return (self.search(), self.search())  # it ignores times, as some do

        return PagedSearch(
            place="the API",
            first_page=self.page(0),
            follow=follow,
            split=split,
        )


def found(server: Server) -> list[str]:
    return [str(item["id"]) for item in server.search().items()]


def whole(server: Server) -> list[str]:
    return [f"i{name}" for name in range(server.count)]


sizes = {"count": st.integers(0, 40), "size": st.integers(1, 12)}
counting: st.SearchStrategy[Literal["numberMatched", "context"]] = st.sampled_from(
    ["numberMatched", "context"]
)


@given(server=st.builds(Server, **sizes, counts_by=st.one_of(counting, st.just("nothing"))))
def test_every_item_comes_once_from_a_server_without_fault(server: Server) -> None:
    assert found(server) == whole(server)


@given(
    server=st.builds(
        Server,
        **sizes,
        counts_by=counting,
        fault=st.sampled_from(["cut", "lost-item", "repeated-page", "self-link"]),
        at=st.integers(0, 5),
    )
)
def test_a_server_that_states_its_count_is_read_whole_or_refused(server: Server) -> None:
    try:
        names = found(server)
    except SourceUnavailableError:
        return
    assert names == whole(server)


@pytest.mark.parametrize("counts_by", ["numberMatched", "nothing"])
def test_an_empty_page_may_precede_the_items(
    counts_by: Literal["numberMatched", "nothing"],
) -> None:
    server = Server(25, 10, counts_by, "empty-first-page")

    if counts_by == "nothing":
        assert found(server) == [f"i{name}" for name in range(10, 25)]
    else:
        with pytest.raises(SourceUnavailableError, match="25 items, but its pages end after 15"):
            found(server)


@pytest.mark.parametrize("counts_by", ["numberMatched", "context", "nothing"])
def test_a_page_that_links_to_itself_is_refused(
    counts_by: Literal["numberMatched", "context", "nothing"],
) -> None:
    with pytest.raises(SourceUnavailableError, match="repeats a page"):
        found(Server(25, 10, counts_by, "self-link", 1))
