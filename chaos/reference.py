"""The run without faults that every round is compared with."""

from __future__ import annotations

from dataclasses import dataclass

from chaos import audit
from chaos.audit import Snapshot
from chaos.ground import Ground
from chaos.step import Order, Step, told
from chaos.storm import CALM, Pulse
from chaos.world import WORKERS, World, places
from spatial_assets.project import load_project


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What a run without faults makes, and what passes while it does."""

    snapshot: Snapshot
    pulses: int
    requests: int


def reference(ground: Ground, world: World, *, remote: bool) -> Reference:
    """Run once without faults, and look at what is made.

    Raises:
        RuntimeError: it does not succeed even so.
    """
    name = f"round-without-faults-{int(remote)}"
    ground.make_database(name)
    pulse = Pulse()
    ground.weather(CALM, CALM, pulse)
    folder = world.project_folder(remote=remote)
    ended = Step(
        Order(folder=folder, environment=places(ground, name=name), workers=WORKERS)
    ).wait()
    if not ended.good:
        message = f"the run without faults ended so: {told(ended)}"
        raise RuntimeError(message)
    requests, pulses = ground.s3.requests.total(), pulse.count
    environment = places(ground, name=name, direct=True)
    snapshot = audit.snapshot(load_project(folder, environment), environment)
    ground.drop_database(name)
    return Reference(snapshot=snapshot, pulses=pulses, requests=requests)
