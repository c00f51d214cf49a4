"""Items of a STAC API. pystac-client implements the protocol; our own HTTP sends the requests.

So retries, timeouts and sizes are bounded as everywhere, and no answer can name a local file.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import pystac
from pystac import Link
from pystac_client import Client, ItemSearch
from pystac_client.conformance import ConformanceClasses
from pystac_client.errors import ClientTypeError
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO

from spatial_assets.catalog.access.hrefs import is_remote
from spatial_assets.catalog.access.requests import HttpRequest, exchange
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.json_object import JsonObject
from spatial_assets.catalog.sources.documents import MAX_DOCUMENT_BYTES
from spatial_assets.catalog.sources.search_pages import PagedSearch, item_identity
from spatial_assets.catalog.stac.item_filter import ItemFilter
from spatial_assets.catalog.stac.items import RawItem
from spatial_assets.errors import SceneError, SettingsError, SourceUnavailableError
from spatial_assets.geo.lonlat import BBox
from spatial_assets.project.secrets import mask_secrets
from spatial_assets.project.sections.scenes import Interval

ITEMS_PER_PAGE = 100  # some 4 MB of Sentinel-2 items
A_MOMENT = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)  # any; it splits a search without items in two

_MALFORMED = (pystac.STACError, ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True)
class ChangedSince:
    """Condition: items that the server changed, or created, at a time or later."""

    name: Literal["updated", "created"]
    """Item property with the time."""

    moment: dt.datetime


def items_of_api(url: str, item_filter: ItemFilter, access: SourceAccess) -> Iterator[RawItem]:
    """Yield the items that the API finds for the filter; it may find more than match.

    Raises:
        SettingsError: there is an answer, but no STAC API with item search.
        SourceUnavailableError: there is no answer, or one that is invalid or not whole.
    """
    with _translated_errors(url):
        api = _Api.open(url, access)
        conditions = [_clear_enough(api, item_filter.max_cloud_cover), NO_CONDITION]
        yield from api.found(item_filter, [one for one in conditions if one is not None])


def changed_items(
    url: str, item_filter: ItemFilter, access: SourceAccess, *, since: ChangedSince
) -> list[RawItem] | None:
    """Return the items changed since a time, however cloudy: one may have been clear until then.

    Returns:
        None if the API does not support such a search.

    Raises:
        SettingsError, SourceUnavailableError: as `items_of_api`.
    """
    with _translated_errors(url):
        api = _Api.open(url, access)
        condition = _changed(api, since)
        return None if condition is None else list(api.found(item_filter, [condition]))


@dataclass(frozen=True)
class _Condition:
    """A condition on a property, in the form of each HTTP method."""

    post: Mapping[str, Any]
    """Arguments of pystac-client's search by POST."""

    get: Mapping[str, Any]
    """Arguments by GET."""


NO_CONDITION = _Condition({}, {})


def _clear_enough(api: _Api, max_cloud_cover: float) -> _Condition | None:
    """Return the condition on the cloud cover; None: none is needed, or none can be trusted.

    The query extension cannot keep the items whose cloud cover is unknown, so it is not used.
    """
    if max_cloud_cover >= 100 or not api.client.conforms_to(ConformanceClasses.FILTER):  # noqa: PLR2004 - per cent
        return None
    cover = {"property": "eo:cloud_cover"}
    clear = {"op": "<=", "args": [cover, max_cloud_cover]}
    return _cql2(
        {"op": "or", "args": [clear, {"op": "isNull", "args": [cover]}]},
        f'"eo:cloud_cover" <= {max_cloud_cover} OR "eo:cloud_cover" IS NULL',
    )


def _changed(api: _Api, since: ChangedSince) -> _Condition | None:
    """Return the condition on the time of the last change; None: the server supports none."""
    moment = since.moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    if api.client.conforms_to(ConformanceClasses.QUERY):
        query = {"query": {since.name: {"gte": moment}}}
        return _Condition(query, query)
    if api.client.conforms_to(ConformanceClasses.FILTER):
        later = {"op": ">=", "args": [{"property": since.name}, {"timestamp": moment}]}
        return _cql2(later, f"{since.name} >= TIMESTAMP('{moment}')")
    return None


def _cql2(as_json: Mapping[str, Any], as_text: str) -> _Condition:
    """Return a condition of the filter extension."""
    return _Condition(
        {"filter": as_json, "filter_lang": "cql2-json"},
        {"filter": as_text, "filter_lang": "cql2-text"},
    )


@contextmanager
def _translated_errors(url: str) -> Iterator[None]:
    """Translate pystac-client's errors into ours, which say whether a retry may help."""
    try:
        yield
    except SceneError as error:
        raise SettingsError(_refusal(url, error)) from error
    except (NotImplementedError, ClientTypeError) as error:
        raise SettingsError(
            f"[scenes] catalog = {mask_secrets(url)} is no STAC API with item search: {error}"
        ) from error
    except (APIError, *_MALFORMED) as error:
        raise SourceUnavailableError(
            f"{mask_secrets(url)} answered with something that is no STAC: "
            f"{type(error).__name__}: {mask_secrets(str(error))}"
        ) from error


def _refusal(url: str, error: SceneError) -> str:
    """Return the message for an API that may not be asked, or cannot."""
    api = f"[scenes] catalog = {mask_secrets(url)}"
    if error.reason == "forbidden":
        return f"{api} refuses this login, or wants one: {error}"
    if error.reason == "missing_object":
        return f"{api} is not there: {error}; name the landing page of the API"
    return f"{api} cannot be asked: {error}"


@dataclass(frozen=True)
class _Api:
    """A STAC API whose landing page was read."""

    client: Client
    stac_io: StacApiIO
    url: str

    @classmethod
    def open(cls, url: str, access: SourceAccess) -> _Api:
        """Read the landing page.

        Raises:
            SettingsError: the API declares no item search.
        """
        stac_io = _BoundedIO(access)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of each missing conformance class
            client = Client.open(url, stac_io=stac_io)
            if not client.conforms_to(ConformanceClasses.ITEM_SEARCH):
                raise SettingsError(
                    f"[scenes] catalog = {mask_secrets(url)} is no STAC API with item search: its "
                    "conformsTo does not list https://api.stacspec.org/v1.0.0/item-search; name "
                    "the landing page of an API that does, or a catalog.json"
                )
        return cls(client, stac_io, url)

    def found(self, item_filter: ItemFilter, conditions: Sequence[_Condition]) -> Iterator[RawItem]:
        """Yield the items of a search of every box, each once.

        Args:
            item_filter: of the project.
            conditions: further conditions, the best first; if the server refuses one, the next
                is used.
        """
        seen: set[str] = set()
        for box in item_filter.boxes:
            for item in self._search(item_filter, box, conditions).items():
                identity = item_identity(item)
                if identity not in seen:
                    seen.add(identity)
                    yield RawItem(item, _place_of(item, self.url))

    def _search(
        self, item_filter: ItemFilter, box: BBox, conditions: Sequence[_Condition]
    ) -> PagedSearch:
        """Return a search of a box, in the first form that the server accepts."""
        forms = [(method, condition) for method in self._methods() for condition in conditions]
        while True:
            method, condition = forms.pop(0)
            search = self._prepared(item_filter, box, condition, method=method)
            try:
                page = self._first_page(search)
            except SceneError as error:
                # Only a server that refuses POST itself is asked by GET, with the same conditions.
                refuses_post = isinstance(error, _PostRefusedError)
                forms = [form for form in forms if (form[0] == method) is not refuses_post]
                if not forms:
                    raise
                continue
            return PagedSearch(
                place=mask_secrets(self.url),
                first_page=page,
                follow=partial(self._follow, search.get_parameters()),
                split=lambda moments: (
                    self._search(part, box, conditions) for part in _halves(item_filter, moments)
                ),
            )

    def _methods(self) -> tuple[str, ...]:
        """Return the HTTP methods to try: the specification requires GET, POST takes more."""
        links = (link for link in self.client.links if link.rel == "search")
        offered = {str(link.extra_fields.get("method") or "").upper() for link in links}
        return ("GET",) if offered == {"GET"} else ("POST", "GET")

    def _prepared(
        self, item_filter: ItemFilter, box: BBox, condition: _Condition, *, method: str
    ) -> ItemSearch:
        """Return a search of a box; no request is sent yet."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as for the client
            return self.client.search(
                method=method,
                bbox=box,
                datetime=item_filter.datetime,
                collections=list(item_filter.collections) or None,
                limit=ITEMS_PER_PAGE,
                **(condition.post if method == "POST" else condition.get),
            )

    def _first_page(self, search: ItemSearch) -> JsonObject:
        """Return the first page of a search."""
        parameters = search.get_parameters()
        return self.stac_io.read_json(search.url, method=search.method, parameters=parameters)

    def _follow(self, parameters: Mapping[str, Any], link: JsonObject) -> JsonObject:
        """Return the page to which a `next` link leads.

        Raises:
            SourceUnavailableError: it is refused, so the answer is not whole.
        """
        try:
            return self.stac_io.read_json(Link.from_dict(dict(link)), parameters=dict(parameters))
        except SceneError as error:
            raise SourceUnavailableError(
                f"{mask_secrets(self.url)} refused the next page of its answer: {error}"
            ) from error


def _halves(item_filter: ItemFilter, moments: Sequence[dt.datetime]) -> Iterator[ItemFilter]:
    """Yield a filter twice: up to one of the moments within its interval, and from it on.

    The moment depends on all of them: a server that keeps the counts of searches has none of
    these two, unless its items are the same as when they were counted.
    """
    start, end = item_filter.interval.start, item_filter.interval.end
    inside = sorted(m for m in moments if (not start or start < m) and (not end or m < end))
    choice = int.from_bytes(hashlib.sha256(repr(inside).encode()).digest()[:8])
    if inside:
        middle = inside[choice % len(inside)]
    elif start and end:
        middle = start + (end - start) / 2
    else:
        middle = end or start or A_MOMENT
    yield replace(item_filter, interval=Interval(start, middle))
    yield replace(item_filter, interval=Interval(middle, end))


def _place_of(item: Mapping[str, Any], url: str) -> str:
    """Return the place of an item: its self link, else the URL that the API would give it."""
    links = item.get("links")
    for link in links if isinstance(links, list) else []:
        href = link.get("href") if isinstance(link, Mapping) and link.get("rel") == "self" else None
        if isinstance(href, str) and is_remote(href):
            return href.partition("?")[0]
    return f"{url.rstrip('/')}/collections/{item.get('collection')}/items/{item.get('id')}"


POST_REFUSED_STATUSES = frozenset({403, 404, 405, 501})
"""Statuses by which servers, and networks in front of them, refuse a method."""


class _PostRefusedError(SceneError):
    """POST is refused, as the specification permits; GET may be answered."""


class _BoundedIO(StacApiIO):
    """Requests of pystac-client over our own HTTP."""

    def __init__(self, access: SourceAccess) -> None:
        super().__init__(max_retries=None)
        self._access = access

    def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:  # noqa: ANN401 - pystac's own types
        href = str(source.to_dict()["href"] if isinstance(source, pystac.Link) else source)
        if not href.startswith(("http://", "https://")):
            raise SourceUnavailableError(f"the API links to {href[:200]!r}, which is no URL")
        return super().read_text(source, *args, **kwargs)

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        verb = (method or "GET").upper()
        body = json.dumps(parameters or {}).encode() if verb != "GET" else None
        content_type = {"Content-Type": "application/json"} if body else {}
        request = HttpRequest(
            url=href,
            method=verb,
            headers={**(headers or {}), **content_type},
            params=_query(href, parameters) if verb == "GET" and parameters else None,
            body=body,
            limit=MAX_DOCUMENT_BYTES,
            accepts=POST_REFUSED_STATUSES if verb == "POST" else frozenset(),
        )
        status, content = exchange(request, self._access)
        if status in POST_REFUSED_STATUSES:
            raise _PostRefusedError(f"{mask_secrets(href)} refused a POST with HTTP {status}")
        return content.decode("utf-8")


def _query(href: str, parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return the query of a URL with further parameters, as a query string takes them."""
    stated = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in parameters.items()
        if value is not None
    }
    return dict(parse_qsl(urlsplit(href).query)) | stated
