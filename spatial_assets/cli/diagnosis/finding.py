"""The answer to one question about the file or the environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spatial_assets.errors import SpatialAssetsError
from spatial_assets.project.secrets import mask_secrets


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One row of the table that `check` prints."""

    what: str
    """What was asked."""

    passed: bool
    detail: str
    """What was found; never holds a secret."""

    remedy: str = ""
    """What to do, where it did not pass."""


def passed(what: str, detail: str) -> Finding:
    """A finding that all is well."""
    return Finding(what=what, passed=True, detail=mask_secrets(detail))


def failed(what: str, detail: str, *, remedy: str) -> Finding:
    """A finding that something must be done."""
    return Finding(what=what, passed=False, detail=mask_secrets(detail), remedy=remedy)


def run_check(what: str, question: Callable[[], str], *, remedy: str) -> Finding:
    """The answer to a question, or what became of it.

    Args:
        what: what is asked about.
        question: gives the detail, or raises an error of ours.
        remedy: what to do when it raises.
    """
    try:
        return passed(what, question())
    except SpatialAssetsError as error:
        return failed(what, str(error), remedy=remedy)
