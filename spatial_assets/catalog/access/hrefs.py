"""Resolution of an item's hrefs: one rule for every kind of catalogue.

An item is not trusted: one that came over the network may not name a file of this machine, and
none may name GDAL's virtual file systems.
"""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from spatial_assets.errors import SceneError

REMOTE_SCHEMES = ("http", "https", "s3")
MAX_HREF_LENGTH = 4096

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Href:
    """A resolved href in two parts: the place, and a query that may hold a signature."""

    place: str
    """Absolute path, or URL without query and fragment."""

    query: str = field(default="", repr=False)


def is_remote(place: str) -> bool:
    """Return True if a place is reached over the network."""
    return place.startswith(tuple(f"{scheme}://" for scheme in REMOTE_SCHEMES))


def resolve_href(href: object, base: str) -> Href:
    """Resolve `href` in a document at `base` (an absolute path, or a URL).

    Raises:
        SceneError: `bad_href`: it names nothing that may be read.
    """
    text = href.strip() if isinstance(href, str) else ""
    if not text or len(text) > MAX_HREF_LENGTH or _UNPRINTABLE.search(text):
        raise _refused(text, "is empty, too long or contains control characters")
    scheme = _SCHEME.match(text)
    if scheme and scheme[1].lower() in REMOTE_SCHEMES:
        return _remote(text)
    if scheme and scheme[1].lower() == "file":
        return _local(_path_of_file_url(text), base)
    if scheme:
        raise _refused(text, f"has the scheme {scheme[1]}:; expected s3, http, https or a path")
    return _joined(text, base) if is_remote(base) else _local(_decoded(text, base), base)


def _local(path: str, base: str) -> Href:
    """Return a file of this machine, named by a document on this machine."""
    if is_remote(base):
        raise _refused(path, "names a local file, but the item came over the network")
    place = posixpath.normpath(Path(base).parent / path)
    if place.lstrip("/").startswith("vsi"):
        raise _refused(path, "names a virtual file system of GDAL")
    return Href(place)


def _decoded(path: str, base: str) -> str:
    """Return a local path with %20 as a space, unless the file has the signs in its name.

    An href is a URI, but many catalogues write plain paths.
    """
    if "%" not in path or os.path.exists(Path(base).parent / path):  # noqa: PTH110 - no error for any text
        return path
    decoded = unquote(path)
    if _UNPRINTABLE.search(decoded):
        raise _refused(path, "contains control characters")
    return decoded


def _joined(reference: str, base: str) -> Href:
    """Resolve a reference relative to a remote document."""
    if base.startswith("s3://"):
        bucket, _, key = base.removeprefix("s3://").partition("/")
        joined = posixpath.normpath(posixpath.join(f"/{posixpath.dirname(key)}", reference))
        depth = posixpath.normpath(posixpath.join(posixpath.dirname(key) or ".", reference))
        if depth.startswith(".."):
            raise _refused(reference, "leads out of the bucket")
        return _remote(f"s3://{bucket}/{joined.lstrip('/')}")
    return _remote(urljoin(base, reference))


def _remote(url: str) -> Href:
    """Split a URL into place and query."""
    try:
        parts = urlsplit(url)
        has_user, host = "@" in parts.netloc, parts.hostname
    except ValueError as error:
        raise _refused(url, "is no URL") from error
    if not host or has_user:
        raise _refused(url, "names no host" if not host else "holds credentials; remove them")
    scheme = parts.scheme.lower()
    if scheme == "s3":
        # A key may contain "?" and "#", but no archive has such keys, and signatures start there.
        return Href(f"s3://{parts.netloc}{posixpath.normpath(parts.path)}")
    return Href(urlunsplit((scheme, parts.netloc, parts.path, "", "")), parts.query)


def _path_of_file_url(url: str) -> str:
    """Return the path of file:///x or file://localhost/x."""
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise _refused(url, "names a file of another machine")
    return unquote(parts.path)


def _refused(href: str, wrong: str) -> SceneError:
    """Return the error for an href, without any part that may be secret."""
    shown = href.partition("?")[0]
    if "@" in shown:
        shown = "***"
    return SceneError(f"href {shown[:200]!r} {wrong}", reason="bad_href")
