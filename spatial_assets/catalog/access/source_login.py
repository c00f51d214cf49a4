"""Logins at the source's hosts: a bearer token, and the user's .netrc.

The token is $SPATIAL_ASSETS_SOURCE_TOKEN. It goes only to the hosts in `[scenes.source]
token_hosts`, by default those of the catalogue and the endpoint, and only encrypted, unless the
host is this machine. A login of .netrc ($NETRC) goes to a host that answers 401 and has an entry of
its own: NASA's archives redirect to such a host, and back. Neither follows a redirect to another
host.
"""

from __future__ import annotations

import netrc
import os
from collections.abc import Generator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import httpx

from spatial_assets.catalog.access.address_classes import Proximity
from spatial_assets.catalog.access.allowed_places import proximity_of
from spatial_assets.errors import SettingsError, SourceUnavailableError

TOKEN_VARIABLE = "SPATIAL_ASSETS_SOURCE_TOKEN"  # noqa: S105 - a name, no token
NETRC_VARIABLE = "NETRC"
UNAUTHORIZED = 401

_SIGNATURES = frozenset({"x-amz-signature", "signature", "sig"})
"""Parameters of a signed URL, which stores refuse together with an Authorization header."""


class SourceLogin(httpx.Auth):
    """Login at the hosts of the source, if they may have one."""

    def __init__(self, token_hosts: tuple[str, ...]) -> None:
        self._token_hosts = token_hosts

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send a request with the token; repeat one that is answered with 401 with a password."""
        token = source_token()
        if token and self._may_have_token(request.url):
            request.headers["Authorization"] = f"Bearer {token}"
        answer = yield request
        last = answer.request  # after redirects
        if answer.status_code != UNAUTHORIZED or not _is_private(last.url):
            return
        login = netrc_login(last.url.host)
        if login is not None:
            last.headers["Authorization"] = _basic(*login)
            yield last

    def _may_have_token(self, url: httpx.URL) -> bool:
        """Return True if the token is for the host of a URL that is not signed already."""
        is_signed = any(name.lower() in _SIGNATURES for name in url.params)
        netloc = url.netloc.decode("ascii")
        is_own = any(
            fnmatchcase(name, pattern.lower())
            for pattern in self._token_hosts
            for name in (url.host, netloc)
        )
        return is_own and not is_signed and _is_private(url)


def source_token(env: Mapping[str, str] | None = None) -> str | None:
    """Return the bearer token of the source, or None if none is set.

    Raises:
        SettingsError: it contains characters that no token has.
    """
    token = (os.environ if env is None else env).get(TOKEN_VARIABLE, "").strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise SettingsError(
            f"${TOKEN_VARIABLE} contains blanks or other characters that no token has; set it to "
            "the token alone, without `Bearer`"
        )
    return token or None


def netrc_login(host: str, env: Mapping[str, str] | None = None) -> tuple[str, str] | None:
    """Return (user, password) of a host's own entry in the user's .netrc, or None.

    Raises:
        SettingsError: the file exists, and cannot be read.
    """
    environment = os.environ if env is None else env
    named = environment.get(NETRC_VARIABLE)
    path = Path(named) if named else Path("~/.netrc").expanduser()
    if not path.is_file():
        return None
    try:
        entry = netrc.netrc(str(path)).hosts.get(host)
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError) as error:
        # The message of a parse error may quote the file.
        raise SettingsError(
            f"{path} cannot be read ({type(error).__name__}); correct it, or unset "
            f"${NETRC_VARIABLE}"
        ) from None
    return None if entry is None else (entry[0], entry[2] or "")


def _basic(user: str, password: str) -> str:
    """Return the value of an Authorization header."""
    request = httpx.Request("GET", "http://localhost/")
    sent = next(httpx.BasicAuth(user, password).auth_flow(request))
    return sent.headers["Authorization"]


def _is_private(url: httpx.URL) -> bool:
    """Return True if what is sent to a URL stays between here and there."""
    if url.scheme == "https":
        return True
    try:
        return proximity_of(str(url)) is Proximity.OWN
    except SourceUnavailableError:
        return False
