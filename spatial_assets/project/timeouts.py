"""How long a server may take to answer, where the machine or the line is not an ordinary one."""

from __future__ import annotations

from collections.abc import Mapping

from spatial_assets.errors import SettingsError

VARIABLE = "SPATIAL_ASSETS_TIMEOUT"
LONGEST = 3600.0


def answer_within(env: Mapping[str, str], *, default: float) -> float:
    """Seconds after which a request without an answer is given up, and made again.

    Raises:
        SettingsError: the variable is no number of seconds.
    """
    said = env.get(VARIABLE, "").strip()
    if not said:
        return default
    try:
        seconds = float(said)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST:
        raise SettingsError(
            f"${VARIABLE} is {said!r}; wanted seconds, more than 0 and at most {LONGEST:.0f}"
        )
    return seconds
