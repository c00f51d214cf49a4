"""Result of one check of the project file or the environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spatial_assets.errors import SpatialAssetsError
from spatial_assets.project.secrets import mask_secrets


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Row of the table that `check` prints."""

    subject: str
    """Subject of the check, such as "storage"."""

    passed: bool
    detail: str
    """Result in words, with secrets masked."""

    remedy: str = ""
    """Action to take if the check failed, or warns."""

    is_warning: bool = False
    """True if the check passed with a warning."""

    @property
    def result(self) -> str:
        """Result in one word."""
        if not self.passed:
            return "FAILED"
        return "warning" if self.is_warning else "ok"


def passed(subject: str, detail: str) -> Finding:
    """Return the finding of a check that passed."""
    return Finding(subject=subject, passed=True, detail=mask_secrets(detail))


def failed(subject: str, detail: str, *, remedy: str) -> Finding:
    """Return the finding of a check that failed."""
    return Finding(subject=subject, passed=False, detail=mask_secrets(detail), remedy=remedy)


def warned(subject: str, detail: str, *, remedy: str) -> Finding:
    """Return the finding of a check that passed with a warning."""
    return Finding(
        subject=subject, passed=True, detail=mask_secrets(detail), remedy=remedy, is_warning=True
    )


def run_check(subject: str, check: Callable[[], str], *, remedy: str) -> Finding:
    """Run a check and return its finding.

    Args:
        subject: subject of the check.
        check: returns the detail, or raises a SpatialAssetsError.
        remedy: action to take if it raises.
    """
    try:
        return passed(subject, check())
    except SpatialAssetsError as error:
        return failed(subject, str(error), remedy=remedy)
