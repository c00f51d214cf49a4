"""Signatures of URLs: made at read time, never stored, never in a message or a log record.

The keys are $SPATIAL_ASSETS_SOURCE_ACCESS_KEY_ID, _SECRET_ACCESS_KEY and _SESSION_TOKEN.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, urlsplit

import obstore
from obstore.store import S3Store

from spatial_assets.catalog.access.requests import fetch
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.scene import BandSource
from spatial_assets.errors import SettingsError, SourceUnavailableError
from spatial_assets.project.secrets import mask_secrets

if TYPE_CHECKING:
    from obstore.store import S3Config

KEYS_PREFIX = "SPATIAL_ASSETS_SOURCE_"
PRESIGN_DURATION = dt.timedelta(hours=1)
EXPIRY_MARGIN_SECONDS = 120.0  # a read that starts now must end before its signature expires
AZURE_BLOBS = ".blob.core.windows.net"
DEFAULT_REGION = "us-east-1"

HttpMethod = Literal["GET", "HEAD"]


@dataclass(frozen=True)
class Credentials:
    """S3 keys of the source."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class SignedUrl:
    """An http(s) URL that can be read now."""

    url: str = field(repr=False)
    expires: float | None
    """Expiry in seconds since the epoch; None: never."""


def source_credentials(env: Mapping[str, str] | None = None) -> Credentials | None:
    """Return the keys of the source, or None if none are set."""
    environment = os.environ if env is None else env
    key = environment.get(f"{KEYS_PREFIX}ACCESS_KEY_ID", "")
    secret = environment.get(f"{KEYS_PREFIX}SECRET_ACCESS_KEY", "")
    if bool(key) != bool(secret):
        raise SettingsError(
            f"${KEYS_PREFIX}ACCESS_KEY_ID and ${KEYS_PREFIX}SECRET_ACCESS_KEY go together; "
            f"only one of them is set"
        )
    token = environment.get(f"{KEYS_PREFIX}SESSION_TOKEN") or None
    return Credentials(key, secret, token) if key else None


def readable_url(
    source: BandSource, access: SourceAccess, *, method: HttpMethod = "GET"
) -> SignedUrl:
    """Return the http(s) URL by which a remote source can be read now, signed if configured."""
    if access.sign == "planetary-computer" and _takes_token(source.href, access):
        token = tokens.token(source.collection, access)
        return SignedUrl(f"{source.href}?{token.text}", token.expires)
    return signed_url(source.href, access, query=source.query, method=method)


def signed_url(
    href: str, access: SourceAccess, *, query: str = "", method: HttpMethod = "GET"
) -> SignedUrl:
    """Return a readable URL of a place without a collection, such as a catalogue."""
    s3 = href if href.startswith("s3://") else None
    if s3 is None and access.sign == "s3-presign":
        s3 = _as_s3(href, access)
    if s3 is not None:
        return _s3_url(s3, access, method=method)
    return SignedUrl(f"{href}{f'?{query}' if query else ''}", None)


def _s3_url(href: str, access: SourceAccess, *, method: HttpMethod) -> SignedUrl:
    """Return the URL of an s3:// href: presigned if there are keys, else plain."""
    bucket, _, key = href.removeprefix("s3://").partition("/")
    if _keys(access) is None:
        return SignedUrl(_plain_s3_url(bucket, key, access), None)
    url = str(obstore.sign(source_store(bucket, access), method, key, PRESIGN_DURATION))
    return SignedUrl(url, time.time() + PRESIGN_DURATION.total_seconds())


def source_store(bucket: str, access: SourceAccess) -> S3Store:
    """Return a bucket of the source, with its keys or anonymous; sends no request.

    Raises:
        SettingsError: `[scenes.source]` needs keys, and there are none.
    """
    keys, policy = _keys(access), access.retry_policy
    config: S3Config = {
        "region": access.region or DEFAULT_REGION,
        "request_payer": access.requester_pays,
        "virtual_hosted_style_request": False,
    }
    if access.endpoint:
        config["endpoint"] = access.endpoint.rstrip("/")
    if keys is None:
        config["skip_signature"] = True
    else:
        config["access_key_id"] = keys.access_key_id
        config["secret_access_key"] = keys.secret_access_key
        if keys.session_token:
            config["session_token"] = keys.session_token
    return S3Store(
        bucket,
        config=config,
        client_options={
            "allow_http": True,
            "connect_timeout": dt.timedelta(seconds=policy.connect_timeout),
            "timeout": dt.timedelta(seconds=policy.read_timeout),
        },
        retry_config={
            "max_retries": policy.attempts - 1,
            "backoff": {
                "init_backoff": dt.timedelta(seconds=policy.first_delay),
                "max_backoff": dt.timedelta(seconds=policy.max_delay),
                "base": 2,
            },
            "retry_timeout": dt.timedelta(seconds=policy.attempts * policy.read_timeout),
        },
    )


def _keys(access: SourceAccess) -> Credentials | None:
    """Return the keys to sign with, or None if no signature is needed."""
    keys = source_credentials()
    if keys is None and (access.sign == "s3-presign" or access.requester_pays):
        raise SettingsError(
            f"[scenes.source] needs signed requests: set ${KEYS_PREFIX}ACCESS_KEY_ID and "
            f"${KEYS_PREFIX}SECRET_ACCESS_KEY"
        )
    return keys


def _plain_s3_url(bucket: str, key: str, access: SourceAccess) -> str:
    """Return the public URL of an object."""
    path = quote(key)
    if access.endpoint:
        return f"{access.endpoint.rstrip('/')}/{bucket}/{path}"
    region = f".{access.region}" if access.region else ""
    if "." in bucket:  # the certificate of *.s3.amazonaws.com does not cover further dots
        return f"https://s3{region}.amazonaws.com/{bucket}/{path}"
    return f"https://{bucket}.s3{region}.amazonaws.com/{path}"


def _as_s3(href: str, access: SourceAccess) -> str | None:
    """Return the s3:// form of an http(s) URL that points into S3, or None."""
    parts = urlsplit(href)
    host, path = parts.netloc, parts.path.lstrip("/")
    if access.endpoint and host == urlsplit(access.endpoint).netloc:
        return f"s3://{path}"
    if not host.endswith(".amazonaws.com"):
        return None
    if host.startswith(("s3.", "s3-")):
        return f"s3://{path}"
    bucket, found, _ = host.partition(".s3.")
    if not found:
        bucket, found, _ = host.partition(".s3-")
    return f"s3://{bucket}/{path}" if found else None


def _takes_token(href: str, access: SourceAccess) -> bool:
    """Return True if the token service signs for a host."""
    host = urlsplit(href).netloc
    return host.endswith(AZURE_BLOBS) or host == urlsplit(access.endpoint).netloc


@dataclass(frozen=True)
class Token:
    """A SAS token: the query of a readable URL."""

    text: str = field(repr=False)
    expires: float
    """Expiry in seconds since the epoch."""


class TokenCache:
    """Tokens by collection, kept until shortly before they expire."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[tuple[str, str], Token] = {}

    def token(self, collection: str | None, access: SourceAccess) -> Token:
        """Return a token that stays valid for at least `EXPIRY_MARGIN_SECONDS`."""
        if not collection:
            raise SettingsError(
                'sign = "planetary-computer" needs items that name their collection; '
                "this one does not"
            )
        key = (access.token_endpoint, collection)
        with self._lock:
            known = self._tokens.get(key)
            if known is None or known.expires - time.time() < EXPIRY_MARGIN_SECONDS:
                known = _new_token(collection, access)
                self._tokens[key] = known
            return known

    def clear(self) -> None:
        """Discard all tokens, so that new ones are requested."""
        with self._lock:
            self._tokens.clear()


tokens = TokenCache()
"""Cache of this process."""


def _new_token(collection: str, access: SourceAccess) -> Token:
    """Request a token from the token service."""
    url = f"{access.token_endpoint.rstrip('/')}/{quote(collection, safe='')}"
    body = fetch(url, limit=1 << 20, access=access)
    try:
        answer = json.loads(body)
        expiry = dt.datetime.fromisoformat(answer["msft:expiry"])
        return Token(str(answer["token"]).lstrip("?"), expiry.timestamp())
    except (ValueError, TypeError, KeyError) as error:
        raise SourceUnavailableError(
            f"{mask_secrets(url)} answered with no token; check the collection {collection!r}"
        ) from error
