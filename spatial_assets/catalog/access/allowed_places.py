"""Hosts, buckets and folders that a catalogue may name. The content of an item is not trusted.

By default a catalogue may not name anything nearer to this machine than itself: one on the internet
names no address of a private network, and only a folder names an address of this machine.
Link-local addresses, at which clouds serve credentials, are refused to all.

A host is judged by the addresses that its name resolves to, and http_client.py connects to just
these, so that a name that resolves differently a moment later gains nothing. A proxy resolves the
names again by itself: restrict what it may reach.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from spatial_assets.catalog.access.address_classes import (
    Proximity,
    addresses_of,
    proximity_of_address,
)
from spatial_assets.catalog.access.hrefs import is_remote
from spatial_assets.errors import SceneError, SourceUnavailableError
from spatial_assets.project.secrets import mask_secrets

HOST_REMEDY = "list it in [scenes] hosts of project.toml if you trust it"
FOLDER_REMEDY = "list it in [scenes] folders of project.toml if you trust the catalogue"


@dataclass(frozen=True, kw_only=True)
class AllowedPlaces:
    """Places that the documents of a catalogue may name."""

    nearest: Proximity = Proximity.LINK
    """Nearest proximity that an address may have."""

    trusted: frozenset[str] = frozenset()
    """Values host or host:port that the project itself names: its catalogue, its S3 endpoint."""

    hosts: tuple[str, ...] = ()
    """Patterns of the only other hosts that are allowed, `s3://bucket` for a bucket; (): any."""

    folders: tuple[str, ...] | None = None
    """Absolute folders that local files must lie in; None: anywhere."""

    def require(self, place: str) -> None:
        """Refuse a place that must not be read; a host name is resolved.

        Raises:
            SceneError: `forbidden_host` or `forbidden_folder`.
            SourceUnavailableError: the name of the host does not resolve at the moment.
        """
        if not is_remote(place):
            self._require_folder(place)
        elif not self._is_named(place):
            self._require_listed(place)
            self._require_far_enough(place, self.nearest)

    def connection_of(
        self, url: str, *, s3_href: str | None = None, origin: Proximity | None = None
    ) -> tuple[tuple[str, ...], Proximity]:
        """Return the addresses that a request may connect to, and their proximity.

        Args:
            url: of the request.
            s3_href: s3:// href that the URL was made from; `hosts` then lists its bucket.
            origin: proximity of the server that redirected here; None: no redirect.

        Raises:
            SceneError: `forbidden_host`.
            SourceUnavailableError: the name of the host does not resolve at the moment.
        """
        found, proximity = _resolved(url)
        if self._is_named(url) or (s3_href is not None and self._is_named(s3_href)):
            return found, proximity
        self._require_listed(s3_href or url)
        # A bucket may be reached by an endpoint in a private network of the cloud.
        private = Proximity.PUBLIC if s3_href is None else Proximity.PRIVATE
        self._require_far_enough(url, max(self.nearest, private), found=proximity)
        if origin is not None:
            self._require_far_enough(url, origin, found=proximity)
        return found, proximity

    def _require_listed(self, place: str) -> None:
        if self.hosts:
            raise _refused(place, "is not one of [scenes] hosts", remedy=HOST_REMEDY)

    def _require_far_enough(
        self, place: str, nearest: Proximity, *, found: Proximity | None = None
    ) -> None:
        found = proximity_of(place) if found is None else found
        if found > nearest:
            why = f"is an address {_PROXIMITY_TEXT[found]}, nearer than the source that names it"
            raise _refused(place, why, remedy=HOST_REMEDY)

    def _is_named(self, place: str) -> bool:
        """Return True if the project itself names a place."""
        parts = urlsplit(place)
        if parts.scheme != "s3" and not self.trusted.isdisjoint(netlocs_of(place)):
            return True
        host = f"s3://{parts.netloc}" if parts.scheme == "s3" else (parts.hostname or "")
        return any(fnmatchcase(host, pattern.lower()) for pattern in self.hosts)

    def _require_folder(self, place: str) -> None:
        path = posixpath.normpath(place)
        if self.folders is None or any(
            path == folder or path.startswith(f"{folder.rstrip('/')}/") for folder in self.folders
        ):
            return
        raise SceneError(
            f"{path} lies outside the catalogue's own folder; {FOLDER_REMEDY}",
            reason="forbidden_folder",
        )


def netlocs_of(url: str) -> set[str]:
    """Return the host of a URL with its port, and as written: https://a is https://a:443."""
    parts = urlsplit(url)
    default = 443 if parts.scheme == "https" else 80
    return {parts.netloc.lower(), f"{parts.hostname}:{parts.port or default}"}


_PROXIMITY_TEXT = {
    Proximity.PUBLIC: "of the internet",
    Proximity.PRIVATE: "of a private network",
    Proximity.OWN: "of this machine",
    Proximity.LINK: "of the link-local range or of a metadata service",
}

ANYWHERE = AllowedPlaces()
"""No restriction: for places that a person names, not a document."""


def proximity_of(url: str) -> Proximity:
    """Return the proximity of the host of an http(s) URL, by the nearest of its addresses.

    Raises:
        SourceUnavailableError: the name of the host does not resolve at the moment.
    """
    if url.startswith("s3://"):
        return Proximity.PUBLIC
    return _resolved(url)[1]


def _resolved(url: str) -> tuple[tuple[str, ...], Proximity]:
    """Return the addresses of a URL's host, and the nearest proximity of them.

    A name that only the proxy of this machine can resolve has no address, and counts as public.
    """
    host = urlsplit(url).hostname or ""
    try:
        found = addresses_of(host)
    except SourceUnavailableError:
        if proxy_of(url) is None:
            raise
        return (), Proximity.PUBLIC
    return found, max(map(proximity_of_address, found))


def proxy_of(url: str) -> str | None:
    """Return the proxy that the environment names for a URL; None: it is reached directly."""
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all") or None


def _refused(place: str, why: str, *, remedy: str) -> SceneError:
    shown = mask_secrets(place[:200])
    return SceneError(f"{shown} {why}; {remedy}", reason="forbidden_host")
