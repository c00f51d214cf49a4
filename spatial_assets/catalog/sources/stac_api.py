"""Items of a STAC API. pystac-client implements the protocol; our own HTTP sends the requests.

So retries, timeouts and sizes are bounded as everywhere, and no answer can name a local file.
"""

from __future__ import annotations

import datetime as dt
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import pystac
from pystac_client import Client, ItemSearch
from pystac_client.conformance import ConformanceClasses
from pystac_client.errors import ClientTypeError
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO

from spatial_assets.catalog.access.hrefs import is_remote
from spatial_assets.catalog.access.requests import HttpRequest, exchange
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.sources.documents import MAX_DOCUMENT_BYTES
from spatial_assets.catalog.stac.item_filter import ItemFilter
from spatial_assets.catalog.stac.items import RawItem
from spatial_assets.errors import SceneError, SettingsError, SourceUnavailableError
from spatial_assets.geo.lonlat import BBox
from spatial_assets.project.secrets import mask_secrets

ITEMS_PER_PAGE = 100  # some 4 MB of Sentinel-2 items
MAX_ITEMS = 1_000_000
MAX_REPEATED_ITEMS = 3 * ITEMS_PER_PAGE  # a server that loses its position repeats for ever
METHOD_NOT_ALLOWED = 405

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
        SettingsError: there is an answer, but no STAC API.
        SourceUnavailableError: there is no answer, or an invalid one.
    """
    with _translated_errors(url):
        client = _client(url, access)
        conditions: dict[str, Any] = {}
        if item_filter.max_cloud_cover < 100:  # noqa: PLR2004 - per cent
            conditions = (
                _condition(client, "eo:cloud_cover", "lte", item_filter.max_cloud_cover) or {}
            )
        yield from _found(client, item_filter, conditions, url=url)


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
        client = _client(url, access)
        moment = since.moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
        conditions = _condition(client, since.name, "gte", moment)
        return (
            None if conditions is None else list(_found(client, item_filter, conditions, url=url))
        )


def _found(
    client: Client, item_filter: ItemFilter, conditions: Mapping[str, Any], *, url: str
) -> Iterator[RawItem]:
    """Yield the items of a search of every box, each once."""
    searches = [_search(client, item_filter, box, conditions) for box in item_filter.boxes]
    seen: set[tuple[object, object]] = set()
    repeats = 0
    for item in (item for search in searches for item in search.items_as_dicts()):
        identity = (item.get("collection"), item.get("id"))
        repeats += identity in seen
        if repeats > MAX_REPEATED_ITEMS:
            raise SourceUnavailableError(f"{mask_secrets(url)} repeats its pages without end")
        if identity not in seen:
            seen.add(identity)
            yield RawItem(item, _place_of(item, url))


@contextmanager
def _translated_errors(url: str) -> Iterator[None]:
    """Translate pystac-client's errors into ours, which say whether a retry may help."""
    try:
        yield
    except (NotImplementedError, ClientTypeError, SceneError) as error:
        raise SettingsError(
            f"[scenes] catalog = {mask_secrets(url)} is no STAC API with item search: {error}"
        ) from error
    except (APIError, *_MALFORMED) as error:
        raise SourceUnavailableError(
            f"{mask_secrets(url)} answered with something that is no STAC: "
            f"{type(error).__name__}: {mask_secrets(str(error))}"
        ) from error


def _client(url: str, access: SourceAccess) -> Client:
    """Return a client that has read the root of the API."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pystac-client warns of each missing conformance class
        return Client.open(url, stac_io=_BoundedIO(access))


def _search(
    client: Client, item_filter: ItemFilter, box: BBox, conditions: Mapping[str, Any]
) -> ItemSearch:
    """Return a search of a box; no request is sent yet."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as for the client
        return client.search(
            bbox=box,
            datetime=item_filter.datetime,
            collections=list(item_filter.collections) or None,
            limit=ITEMS_PER_PAGE,
            max_items=MAX_ITEMS,
            **conditions,
        )


def _condition(
    client: Client, name: str, comparison: Literal["lte", "gte"], value: float | str
) -> dict[str, Any] | None:
    """Return a condition on a property in a form that the server supports; None: it has none."""
    if client.conforms_to(ConformanceClasses.QUERY):
        return {"query": {name: {comparison: value}}}
    if client.conforms_to(ConformanceClasses.FILTER):
        literal = {"timestamp": value} if isinstance(value, str) else value
        sign = {"lte": "<=", "gte": ">="}[comparison]
        return {
            "filter": {"op": sign, "args": [{"property": name}, literal]},
            "filter_lang": "cql2-json",
        }
    return None


def _place_of(item: Mapping[str, Any], url: str) -> str:
    """Return the place of an item: its self link, else the URL that the API would give it."""
    links = item.get("links")
    for link in links if isinstance(links, list) else []:
        href = link.get("href") if isinstance(link, Mapping) and link.get("rel") == "self" else None
        if isinstance(href, str) and is_remote(href):
            return href.partition("?")[0]
    return f"{url.rstrip('/')}/collections/{item.get('collection')}/items/{item.get('id')}"


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
            params=_query(parameters) if verb == "GET" and parameters else None,
            body=body,
            limit=MAX_DOCUMENT_BYTES,
            accepts=frozenset({METHOD_NOT_ALLOWED}),
        )
        status, content = exchange(request, self._access)
        if status == METHOD_NOT_ALLOWED:
            refusal = APIError(f"{verb} is not allowed")
            refusal.status_code = status  # pystac-client then uses GET
            raise refusal
        return content.decode("utf-8")


def _query(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return parameters as a query string takes them."""
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in parameters.items()
        if value is not None
    }
