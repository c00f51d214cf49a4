"""GraphQL client of Dagster's webserver.

Headers, such as a token, come only from the environment and go only to that address.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx

from spatial_assets.errors import LaunchError, SettingsError
from spatial_assets.project.secrets import mask_secrets, secret_in

URL_VARIABLE = "DAGSTER_WEBSERVER_URL"
HEADERS_VARIABLE = "DAGSTER_WEBSERVER_HEADERS"
DEFAULT_URL = "http://127.0.0.1:3000"

ANSWER_TIMEOUT_SECONDS = 60.0
"""Timeout of a query; a webserver that loads a code location takes half of it."""

MAX_ANSWER_CHARACTERS = 500  # shown in an error message


@dataclass(frozen=True)
class WebserverClient:
    """Dagster webserver at a URL."""

    url: str
    """Address without a trailing slash."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def execute(self, query: str, **variables: object) -> dict[str, Any]:
        """Execute a query and return the `data` of the answer.

        Raises:
            LaunchError: the webserver does not answer, refuses, or is not Dagster's.
        """
        try:
            answer = httpx.post(
                f"{self.url}/graphql",
                json={"query": query, "variables": variables},
                headers=dict(self.headers),
                timeout=ANSWER_TIMEOUT_SECONDS,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            message = (
                f"no Dagster webserver answers at {mask_secrets(self.url)} "
                f"({mask_secrets(str(error)) or type(error).__name__}); start one, or give "
                f"its address as --launch URL or in ${URL_VARIABLE}"
            )
            raise LaunchError(message) from error
        return self._data_of(answer)

    def _data_of(self, answer: httpx.Response) -> dict[str, Any]:
        where = mask_secrets(self.url)
        if answer.is_redirect or answer.status_code in {
            HTTPStatus.UNAUTHORIZED,
            HTTPStatus.FORBIDDEN,
        }:
            message = (
                f"{where} requires a login (HTTP {answer.status_code}); give its headers in "
                f'${HEADERS_VARIABLE}, as JSON: {{"Authorization": "Bearer ..."}}'
            )
            raise LaunchError(message)
        try:
            document = answer.json()
            data = document.get("data")
        except (ValueError, AttributeError) as error:
            message = (
                f"{where} is not a Dagster webserver: HTTP {answer.status_code} without JSON; "
                f"name another with --launch URL or in ${URL_VARIABLE}"
            )
            raise LaunchError(message) from error
        if not isinstance(data, dict) or document.get("errors"):
            errors = mask_secrets(json.dumps(document.get("errors") or document))[
                :MAX_ANSWER_CHARACTERS
            ]
            message = f"{where} did not execute the query (HTTP {answer.status_code}): {errors}"
            raise LaunchError(message)
        return data


def webserver_client(url: str, environ: Mapping[str, str]) -> WebserverClient:
    """Return a client for `url`; if empty, for the address in the environment, else localhost.

    Raises:
        SettingsError: the address or the headers are invalid, or the address holds a secret.
    """
    url = url or environ.get(URL_VARIABLE) or DEFAULT_URL
    found = secret_in(url)
    if found is not None:
        message = (
            f"the address {mask_secrets(url)} holds {found}, which other users of this machine "
            f"can read; give it as a header in ${HEADERS_VARIABLE}"
        )
        raise SettingsError(message)
    if not url.startswith(("http://", "https://")):
        message = (
            f"not the address of a webserver: {mask_secrets(url)}; expected e.g. {DEFAULT_URL}"
        )
        raise SettingsError(message)
    return WebserverClient(url.rstrip("/"), _headers(environ.get(HEADERS_VARIABLE, "")))


def _headers(text: str) -> dict[str, str]:
    """Parse the headers of a variable; no message shows their text.

    Raises:
        SettingsError: the text is not a JSON object of strings.
    """
    try:
        found = json.loads(text or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        message = f'${HEADERS_VARIABLE} is not JSON such as {{"Authorization": "Bearer ..."}}'
        raise SettingsError(message)
    return found
