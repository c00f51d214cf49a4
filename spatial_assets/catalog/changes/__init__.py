"""What a catalogue holds now, told again and again without reading again what did not change.

`poll` compares nothing with what was made: it only keeps a `Snapshot` true. Nothing hangs on a
snapshot but time: without one, a look reads everything and comes to the same sightings.
"""

from spatial_assets.catalog.changes.poll import FULL_LOOK_EVERY, poll
from spatial_assets.catalog.changes.snapshot import Change, Snapshot

__all__ = ["FULL_LOOK_EVERY", "Change", "Snapshot", "poll"]
