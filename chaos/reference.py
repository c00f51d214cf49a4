"""A run without faults, with which every round is compared."""

from __future__ import annotations

from dataclasses import dataclass

from chaos import audit
from chaos.audit import Snapshot
from chaos.fault_injection import NO_FAULTS, EventTrigger
from chaos.inputs import WORKERS, RoundInputs, location_variables
from chaos.run_process import RunProcess, RunSettings, describe
from chaos.servers import ChaosServers
from spatial_assets.project import load_project


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Product of a run without faults, and the number of requests it takes."""

    snapshot: Snapshot
    events: int
    requests: int


def reference(servers: ChaosServers, inputs: RoundInputs, *, remote: bool) -> Reference:
    """Run once without faults and snapshot the product.

    Raises:
        RuntimeError: the run failed.
    """
    name = f"round-without-faults-{int(remote)}"
    servers.make_database(name)
    trigger = EventTrigger()
    servers.begin_round(NO_FAULTS, NO_FAULTS, trigger)
    folder = inputs.project_folder(remote=remote)
    ended = RunProcess(
        RunSettings(
            folder=folder, environment=location_variables(servers, name=name), workers=WORKERS
        )
    ).wait()
    if not ended.good:
        message = f"the run without faults failed: {describe(ended)}"
        raise RuntimeError(message)
    requests, events = servers.s3.requests.total(), trigger.count
    environment = location_variables(servers, name=name, direct=True)
    snapshot = audit.snapshot(load_project(folder, environment), environment)
    servers.drop_database(name)
    return Reference(snapshot=snapshot, events=events, requests=requests)
