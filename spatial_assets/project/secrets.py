"""Secrets kept out of the project file, the screen and the log.

Every URL in a message or a log goes through `mask_secrets`.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

MASK = "***"

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*)://(?P<rest>(?:[^\s<>]*@)?[^\s'\"<>`]*)")
_WITH_AT_IN_PATHS = {"http", "https", "s3"}
_PLAIN_HOST = re.compile(r"[^:@]+(:\d{1,5})?")
_WORDS = "password|passwd|pwd|secret|token|signature|credential|api_?key|access_?key|private_?key"
_SECRET_NAME = re.compile(rf"{_WORDS}|(?:^|[_\-.])sig$|subscription", re.IGNORECASE)
_ASSIGNMENT = re.compile(
    rf"(?P<name>[\w\-]*(?:{_WORDS})[\w\-]*)(?P<sign>['\"]?\s*[=:]\s*)"
    r"(?P<value>'[^']*'|\"[^\"]*\"|[^\s,;&'\"]+?(?=[:.)]?(?:[\s,;&'\"]|$)))",
    re.IGNORECASE,
)


def mask_secrets(text: str) -> str:
    """Return `text` with the user information and the query of every URL replaced by ***.

    Values that follow a word such as `password=` are masked too, as in a libpq connection string.
    """
    return _ASSIGNMENT.sub(
        lambda found: f"{found['name']}{found['sign']}{MASK}", _URL.sub(_masked_url, text)
    )


def is_secret_name(name: str) -> bool:
    """Return True if a key or variable of this name holds a secret, e.g. AWS_SECRET_ACCESS_KEY."""
    return _SECRET_NAME.search(name) is not None


def secret_in(url: str) -> str | None:
    """Describe the kind of secret that `url` carries; None if it carries none.

    A user name alone is not a secret.
    """
    found = _URL.search(url)
    if found is None:
        return None
    userinfo, _ = _split_userinfo(found["scheme"], found["rest"])
    if userinfo is not None and ":" in userinfo:
        return "a password"
    _, _, query = found["rest"].partition("?")
    for name, _value in parse_qsl(query, keep_blank_values=True):
        if is_secret_name(name) or name.lower() == "key":
            return f"a secret in its query ({name})"
    return None


def _masked_url(found: re.Match[str]) -> str:
    """Return one URL without its user information and query."""
    userinfo, rest = _split_userinfo(found["scheme"], found["rest"])
    base, mark, _ = rest.partition("?")
    shown = f"{MASK}@{base}" if userinfo is not None else base
    return f"{found['scheme']}://{shown}{mark}{MASK if mark else ''}"


def _split_userinfo(scheme: str, rest: str) -> tuple[str | None, str]:
    """Split what follows `scheme://` into (user information or None, the rest).

    A password may hold an unescaped "/", "?" or "@", so everything up to the last "@" counts as
    user information, except in a web address whose path has an "@" after a plain host.
    """
    if "@" not in rest:
        return None, rest
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    if scheme.lower() in _WITH_AT_IN_PATHS and _PLAIN_HOST.fullmatch(authority):
        return None, rest
    userinfo, _, host_and_path = rest.rpartition("@")
    return userinfo, host_and_path
