"""What a catalogue holds now, told again and again without reading again what did not change.

`poll` compares nothing with what was made: it only keeps a `Snapshot` true. Nothing hangs on a
snapshot but time: without one, a look reads everything and comes to the same sightings.
"""

from spatial_assets.catalog.changes.polling import FULL_POLL_EVERY, poll
from spatial_assets.catalog.changes.snapshot import SceneChange, Snapshot

__all__ = ["FULL_POLL_EVERY", "SceneChange", "Snapshot", "poll"]
