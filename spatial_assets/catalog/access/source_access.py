"""Settings for reaching pixels and catalogues, as one picklable value without secrets."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from spatial_assets.catalog.access.address_classes import Proximity
from spatial_assets.catalog.access.allowed_places import (
    ANYWHERE,
    AllowedPlaces,
    netlocs_of,
    proximity_of,
)
from spatial_assets.catalog.access.hrefs import is_remote
from spatial_assets.errors import SourceUnavailableError
from spatial_assets.project import Project
from spatial_assets.retries import Backoff, answer_timeout

PLANETARY_COMPUTER_TOKENS = "https://planetarycomputer.microsoft.com/api/sas/v1/token"
TOKEN_ENDPOINT_VARIABLE = "SPATIAL_ASSETS_SOURCE_TOKEN_ENDPOINT"  # noqa: S105 - a name, no token
Sign = Literal["none", "s3-presign", "planetary-computer"]


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """Attempts, delays and timeouts for a source that does not answer."""

    attempts: int = 5
    """Attempts of one request, the first included."""

    first_delay: float = 0.5
    """Delay before the second attempt in seconds; doubled each time, with jitter."""

    max_delay: float = 8.0
    """Longest delay in seconds; a server's Retry-After is honoured up to this."""

    connect_timeout: float = 10.0
    """Timeout for a connection in seconds."""

    read_timeout: float = 30.0
    """Timeout without a byte in seconds."""

    @property
    def backoff(self) -> Backoff:
        """Waits between the attempts."""
        return Backoff(first=self.first_delay, largest=self.max_delay, attempts=self.attempts)


@dataclass(frozen=True, kw_only=True)
class SourceAccess:
    """Settings for reading the files of scenes."""

    mode: Literal["stream", "download"] = "stream"
    cache_folder: Path
    """Folder of downloaded files."""

    cache_bytes: int = 4096 << 20
    """Size limit of the cache in bytes."""

    endpoint: str = ""
    """S3 endpoint; empty: AWS."""

    region: str = ""
    requester_pays: bool = False
    sign: Sign = "none"
    token_endpoint: str = PLANETARY_COMPUTER_TOKENS
    """Endpoint for "planetary-computer" tokens; a slash and the collection are added."""

    token_hosts: tuple[str, ...] = ()
    """Patterns of the hosts that get the source's bearer token, as host or host:port."""

    gdal_cache_mb: int = 64
    """Block cache of a process in MB; the first reader of a process decides."""

    threads: int = 1
    """Threads that GDAL may use to decode."""

    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    allowed_places: AllowedPlaces = ANYWHERE
    """Places to which documents of the catalogue may refer."""


def source_access(project: Project) -> SourceAccess:
    """Return the access that a project configures."""
    source = project.scenes.source
    tokens = os.environ.get(TOKEN_ENDPOINT_VARIABLE) or PLANETARY_COMPUTER_TOKENS
    answer = answer_timeout(os.environ, default=RetryPolicy.read_timeout)
    return SourceAccess(
        mode=project.scenes.access,
        cache_folder=project.cache_folder,
        cache_bytes=project.scenes.cache_mb << 20,
        endpoint=source.endpoint,
        region=source.region,
        requester_pays=source.requester_pays,
        sign=source.sign,
        token_endpoint=tokens,
        token_hosts=_token_hosts(project),
        gdal_cache_mb=project.compute.gdal_cache_mb,
        threads=project.compute.threads,
        allowed_places=_allowed_places(project, tokens),
        retry_policy=RetryPolicy(
            connect_timeout=min(answer, RetryPolicy.connect_timeout), read_timeout=answer
        ),
    )


def _token_hosts(project: Project) -> tuple[str, ...]:
    """Return the hosts that get the bearer token: those listed, else of catalogue and endpoint."""
    source = project.scenes.source
    if source.token_hosts:
        return source.token_hosts
    own = [url for url in (project.catalog_url, source.endpoint) if url.startswith("http")]
    return tuple(urlsplit(url).netloc.lower() for url in own)


def _allowed_places(project: Project, tokens: str) -> AllowedPlaces:
    """Return the places that the project's catalogue may name."""
    catalog, endpoint = project.catalog_url, project.scenes.source.endpoint
    named = [catalog] if catalog.startswith(("http://", "https://")) else []
    named += [url for url in (endpoint, tokens) if url]
    if not is_remote(catalog):
        nearest = Proximity.OWN
    else:
        nearest = _proximity_now(endpoint if catalog.startswith("s3://") else catalog)
    folders = [str(project.cache_folder), *map(project.resolve, project.scenes.folders)]
    if not is_remote(catalog):
        own = Path(catalog)
        folders += [str(project.root), str(own.parent if own.suffix else own)]
    return AllowedPlaces(
        nearest=nearest,
        trusted=frozenset().union(*map(netlocs_of, named)),
        hosts=project.scenes.hosts,
        folders=tuple(folders),
    )


def _proximity_now(url: str) -> Proximity:
    """Return the proximity of a URL of the project; PUBLIC, the strictest, if it is unknown."""
    try:
        return proximity_of(url) if url else Proximity.PUBLIC
    except SourceUnavailableError:
        return Proximity.PUBLIC
