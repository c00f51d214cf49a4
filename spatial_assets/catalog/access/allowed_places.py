"""Hosts, buckets and folders that a catalogue may name. The content of an item is not trusted.

By default a catalogue may not name anything nearer to this machine than itself: one on the internet
names no address of a private network, and only a folder names an address of this machine.
Link-local addresses, at which clouds serve credentials, are refused to all.

A host is judged by the addresses that its name resolves to now. A name that resolves to another
address a moment later, when it is requested, is not noticed. If that matters, list the hosts, or
restrict the network of the workers.
"""

from __future__ import annotations

import ipaddress
import posixpath
import socket
import time
from dataclasses import dataclass
from enum import IntEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from urllib.parse import urlsplit

from spatial_assets.catalog.access.hrefs import is_remote
from spatial_assets.errors import SceneError
from spatial_assets.project.secrets import mask_secrets

HOST_REMEDY = "list it in [scenes] hosts of project.toml if you trust it"
FOLDER_REMEDY = "list it in [scenes] folders of project.toml if you trust the catalogue"


class Proximity(IntEnum):
    """Proximity of an address to this machine."""

    PUBLIC = 0
    PRIVATE = 1
    """Address of a network that is not routed on the internet."""

    OWN = 2
    """Address of this machine."""

    LINK = 3
    """Link-local address: clouds serve credentials there."""


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
        """
        if not is_remote(place):
            self._require_folder(place)
        elif not self._is_named(place):
            if self.hosts:
                raise _refused(place, "is not one of [scenes] hosts", remedy=HOST_REMEDY)
            self._require_far_enough(place, self.nearest)

    def require_redirect(self, start: str, end: str) -> None:
        """Refuse a redirect from a place to a nearer one.

        Raises:
            SceneError: `forbidden_host`.
        """
        if not is_remote(end):
            raise _refused(
                end, "is the target of a redirect, but no URL", remedy="report it to its owner"
            )
        self.require(end)
        if not self._is_named(end):
            self._require_far_enough(end, proximity_of(start))

    def _require_far_enough(self, place: str, nearest: Proximity) -> None:
        found = proximity_of(place)
        if found > nearest:
            why = f"is an address {_PROXIMITY_TEXT[found]}, nearer than the source that names it"
            raise _refused(place, why, remedy=HOST_REMEDY)

    def _is_named(self, place: str) -> bool:
        """Return True if the project itself names a place."""
        parts = urlsplit(place)
        if parts.netloc.lower() in self.trusted and parts.scheme != "s3":
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


_PROXIMITY_TEXT = {
    Proximity.PUBLIC: "of the internet",
    Proximity.PRIVATE: "of a private network",
    Proximity.OWN: "of this machine",
    Proximity.LINK: "of the link-local range",
}

ANYWHERE = AllowedPlaces()
"""No restriction: for places that a person names, not a document."""


def proximity_of(url: str) -> Proximity:
    """Return the proximity of the host of an http(s) URL, by the nearest of its addresses."""
    parts = urlsplit(url)
    if parts.scheme == "s3" or not parts.hostname:
        return Proximity.PUBLIC
    minute = int(time.monotonic() // 60)
    found = map(_proximity, _addresses(parts.hostname, minute))
    return max(found, default=Proximity.PUBLIC)


@lru_cache(maxsize=1024)
def _addresses(host: str, _minute: int) -> tuple[str, ...]:
    """Return the addresses of a host, resolved once a minute; none if the name does not resolve."""
    try:
        found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError):
        return ()
    return tuple(sorted({str(each[4][0]) for each in found}))


def _proximity(address: str) -> Proximity:
    ip = ipaddress.ip_address(address.partition("%")[0])
    ip = (ip.ipv4_mapped or ip) if isinstance(ip, ipaddress.IPv6Address) else ip
    if ip.is_link_local or ip.is_multicast:
        return Proximity.LINK
    if ip.is_loopback or ip.is_unspecified:
        return Proximity.OWN
    return Proximity.PUBLIC if ip.is_global else Proximity.PRIVATE


def _refused(place: str, why: str, *, remedy: str) -> SceneError:
    shown = mask_secrets(place[:200])
    return SceneError(f"{shown} {why}; {remedy}", reason="forbidden_host")
