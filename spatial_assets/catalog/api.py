"""Items of a STAC API. pystac-client speaks the protocol; our own HTTP carries it.

So retries, timeouts and sizes are bounded as everywhere, and no answer can name a local file.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import pystac
from pystac_client import Client, ItemSearch
from pystac_client.conformance import ConformanceClasses
from pystac_client.errors import ClientTypeError
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO

from spatial_assets.catalog.access import Patience, SourceAccess
from spatial_assets.catalog.documents import LARGEST_DOCUMENT
from spatial_assets.catalog.hrefs import is_remote
from spatial_assets.catalog.items import RawItem
from spatial_assets.catalog.remote import Question, exchange
from spatial_assets.catalog.selection import BBox, Selection
from spatial_assets.errors import SceneError, SettingsError, SourceUnavailableError
from spatial_assets.project.secrets import mask_secrets

ITEMS_A_PAGE = 100  # some 4 MB of Sentinel-2 items
MOST_ITEMS = 1_000_000
MOST_REPEATS = 3 * ITEMS_A_PAGE  # a server that forgets where a page ended repeats for ever
METHOD_NOT_ALLOWED = 405

_MALFORMED = (pystac.STACError, ValueError, KeyError, TypeError, AttributeError)


def items_of_api(url: str, selection: Selection, access: SourceAccess) -> Iterator[RawItem]:
    """The items that the API finds for the selection; it may find more than are wanted.

    Raises:
        SettingsError: there is an answer, but no STAC API.
        SourceUnavailableError: there is no answer, or one that makes no sense.
    """
    seen: set[tuple[object, object]] = set()
    repeats = 0
    try:
        searches = _searches(url, selection, access)
        for item in (item for search in searches for item in search.items_as_dicts()):
            identity = (item.get("collection"), item.get("id"))
            repeats += identity in seen
            if repeats > MOST_REPEATS:
                raise SourceUnavailableError(f"{mask_secrets(url)} repeats its pages without end")
            if identity not in seen:
                seen.add(identity)
                yield RawItem(item, _place_of(item, url))
    except (NotImplementedError, ClientTypeError, SceneError) as error:
        raise SettingsError(
            f"[scenes] catalog = {mask_secrets(url)} is no STAC API with item search: {error}"
        ) from error
    except (APIError, *_MALFORMED) as error:
        raise SourceUnavailableError(
            f"{mask_secrets(url)} answered something that is no STAC: "
            f"{type(error).__name__}: {mask_secrets(str(error))}"
        ) from error


def _searches(url: str, selection: Selection, access: SourceAccess) -> list[ItemSearch]:
    """A search for each box of the selection; nothing but the root is asked for yet."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pystac-client warns of every conformance that is missing
        client = Client.open(url, stac_io=_BoundedIO(access.patience))
        return [_search(client, selection, box) for box in selection.boxes]


def _search(client: Client, selection: Selection, box: BBox) -> ItemSearch:
    """A search with everything that the server can filter."""
    clouds: dict[str, Any] = {}
    if selection.max_cloud_cover < 100:  # noqa: PLR2004 - per cent
        clouds = _cloud_filter(client, selection.max_cloud_cover)
    return client.search(
        bbox=box,
        datetime=selection.datetime,
        collections=list(selection.collections) or None,
        limit=ITEMS_A_PAGE,
        max_items=MOST_ITEMS,
        **clouds,
    )


def _cloud_filter(client: Client, most: float) -> dict[str, Any]:
    """The cloud cover asked of the server, in a way that it knows; {}: it knows none."""
    if client.conforms_to(ConformanceClasses.QUERY):
        return {"query": {"eo:cloud_cover": {"lte": most}}}
    if client.conforms_to(ConformanceClasses.FILTER):
        low = {"op": "<=", "args": [{"property": "eo:cloud_cover"}, most]}
        return {"filter": low, "filter_lang": "cql2-json"}
    return {}


def _place_of(item: Mapping[str, Any], url: str) -> str:
    """Where an item is at home: its self link, else where the API would have it."""
    links = item.get("links")
    for link in links if isinstance(links, list) else []:
        href = link.get("href") if isinstance(link, Mapping) and link.get("rel") == "self" else None
        if isinstance(href, str) and is_remote(href):
            return href.partition("?")[0]
    return f"{url.rstrip('/')}/collections/{item.get('collection')}/items/{item.get('id')}"


class _BoundedIO(StacApiIO):
    """pystac-client's requests over our own HTTP."""

    def __init__(self, patience: Patience) -> None:
        super().__init__(max_retries=None)
        self._patience = patience

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
        question = Question(
            url=href,
            method=verb,
            headers={**(headers or {}), **content_type},
            params=_query(parameters) if verb == "GET" and parameters else None,
            body=body,
            limit=LARGEST_DOCUMENT,
            accepts=frozenset({METHOD_NOT_ALLOWED}),
        )
        status, content = exchange(question, self._patience)
        if status == METHOD_NOT_ALLOWED:
            refusal = APIError(f"{verb} is not allowed")
            refusal.status_code = status  # pystac-client goes on with GET
            raise refusal
        return content.decode("utf-8")


def _query(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as a query string takes them."""
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in parameters.items()
        if value is not None
    }
