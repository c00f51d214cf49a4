"""[time]: the time axis of the product, in whole periods, and how scenes become one value."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import Field

from spatial_assets.project.base import Table


class TimeSettings(Table):
    """Start, length and end of the time axis, and the composite of a period."""

    start: dt.date | None = Field(
        default=None,
        description="the first day of the time axis, without quotes",
        examples=[dt.date(2023, 1, 1)],
    )
    end: dt.date | None = Field(
        default=None,
        description="the last day of the time axis, without quotes",
        examples=[dt.date(2023, 12, 31)],
    )
    period: Literal["day", "dekad", "month", "year"] = Field(
        default="month", description="the length of a step of the time axis", examples=["month"]
    )
    composite: Literal["median", "max", "latest"] = Field(
        default="median", description="how the scenes of a period become one", examples=["median"]
    )
