"""Storage URL, and the obstore backend it names: endpoint, keys, timeouts, retries.

Nothing here contacts a server; answers of a server are interpreted in `store_errors`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from obstore.store import LocalStore, S3Store

from spatial_assets.errors import SettingsError
from spatial_assets.retries import answer_timeout

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config
    from obstore.store import ObjectStore as Backend


ENDPOINT_VARIABLES = (
    "SPATIAL_ASSETS_S3_ENDPOINT",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT",
)
CONNECT_TIMEOUT_SECONDS = 5.0  # a running server accepts at once
REQUEST_TIMEOUT_SECONDS = 60.0  # of one request: 8 MB parts at 1.1 Mbit/s
RETRY_CONFIG: RetryConfig = {
    "max_retries": 2,  # of one request; `store_errors` retries whole operations
    "backoff": {  # exponential with jitter, obstore's own
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=1),
        "base": 2,
    },
    "retry_timeout": timedelta(minutes=3),  # after that the tile fails, and may be retried
}


@dataclass(frozen=True)
class StorageLocation:
    """Location of the objects: a folder, or a prefix of a bucket."""

    folder: Path | None
    """Absolute folder; None on S3."""

    bucket: str = ""
    prefix: str = ""

    @property
    def url(self) -> str:
        """Storage URL without a trailing slash."""
        if self.folder is not None:
            return str(self.folder)
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def hint(self, env: Mapping[str, str]) -> str:
        """Advice for when the store refuses a request or does not answer."""
        if self.folder is not None:
            return "check that the folder is writable and its disk is not full"
        endpoint = endpoint_of(env) or "AWS"
        keys = "set" if env.get("AWS_ACCESS_KEY_ID") else "NOT set"
        return (
            f"endpoint: {endpoint} ($SPATIAL_ASSETS_S3_ENDPOINT), $AWS_ACCESS_KEY_ID: {keys}; "
            f"check them, and that bucket {self.bucket!r} exists"
        )


def locate(url: str) -> StorageLocation:
    """Parse a storage URL.

    Raises:
        SettingsError: it is neither an absolute folder nor s3://bucket/prefix.
    """
    parts = urlsplit(url)
    if parts.scheme == "s3":
        prefix = parts.path.strip("/")
        plain = not (parts.query or parts.fragment or "@" in parts.netloc)
        if (
            parts.netloc
            and plain
            and not {"", ".", ".."} & set(prefix.split("/") if prefix else ())
        ):
            return StorageLocation(None, bucket=parts.netloc, prefix=prefix)
    elif parts.scheme == "file" and parts.netloc in {"", "localhost"}:
        return StorageLocation(Path(unquote(parts.path)))
    elif "://" not in url and Path(url).is_absolute():
        return StorageLocation(Path(url))
    raise SettingsError(
        f"not a storage URL: {without_login(url)!r}; "
        "wanted an absolute folder or s3://bucket/prefix (keys come from the environment only)"
    )


def connect(location: StorageLocation, env: Mapping[str, str]) -> Backend:
    """Return the obstore backend of `location`; create the folder, but contact no server."""
    if location.folder is not None:
        return LocalStore(location.folder, mkdir=True)
    endpoint = endpoint_of(env)
    config: S3Config = {
        "region": env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or "us-east-1",
        "virtual_hosted_style_request": False,
    }
    if key := env.get("AWS_ACCESS_KEY_ID"):
        config["access_key_id"] = key
    if secret := env.get("AWS_SECRET_ACCESS_KEY"):
        config["secret_access_key"] = secret
    if token := env.get("AWS_SESSION_TOKEN"):
        config["session_token"] = token
    if endpoint:
        # This name overrides every environment variable that obstore reads itself.
        config["aws_endpoint_url_s3"] = endpoint
    return S3Store(
        location.bucket,
        prefix=location.prefix or None,
        config=config,
        client_options=client_options(env),
        retry_config=RETRY_CONFIG,
    )


def client_options(env: Mapping[str, str]) -> ClientConfig:
    """Timeouts of requests.

    Raises:
        SettingsError: $SPATIAL_ASSETS_TIMEOUT is not a number of seconds.
    """
    answer = answer_timeout(env, default=REQUEST_TIMEOUT_SECONDS)
    return {
        "connect_timeout": timedelta(seconds=min(CONNECT_TIMEOUT_SECONDS, answer)),
        "timeout": timedelta(seconds=answer),
        "allow_http": endpoint_of(env).startswith("http://"),
    }


def endpoint_of(env: Mapping[str, str]) -> str:
    """S3 endpoint set in the environment; empty for AWS itself.

    Raises:
        SettingsError: it is not an http(s) URL, or contains a login.
    """
    for variable in ENDPOINT_VARIABLES:
        endpoint = env.get(variable, "").rstrip("/")
        if not endpoint:
            continue
        parts = urlsplit(endpoint)
        if parts.scheme not in {"http", "https"} or not parts.netloc or "@" in parts.netloc:
            raise SettingsError(
                f"${variable} is {without_login(endpoint)!r}; wanted http://host:port or https://host"
            )
        return endpoint
    return ""


def without_login(url: str) -> str:
    """Return `url` with the user name and password masked."""
    return re.sub(r"//[^/@]*@", "//***@", url)
