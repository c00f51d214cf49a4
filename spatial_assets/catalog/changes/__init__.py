"""The current content of a catalogue, polled without reading again what did not change.

`poll` compares nothing with the product; it only keeps a `Snapshot` up to date. A snapshot only
saves time: without one, a poll reads everything and finds the same scene versions.
"""

from spatial_assets.catalog.changes.polling import FULL_POLL_EVERY, poll
from spatial_assets.catalog.changes.snapshot import SceneChange, Snapshot

__all__ = ["FULL_POLL_EVERY", "SceneChange", "Snapshot", "poll"]
