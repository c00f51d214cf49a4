"""Register of the scenes that a catalogue had, compared with its later answers.

A scene that a catalogue does not list is withdrawn only if the catalogue was read whole and the
filter of the project asks for the scene. The register keeps, in one object of the store, what the
filter needs to know of each scene. It holds no time and no state of a tile, so that runs with the
same scenes write the same bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime, timedelta

import shapely

from spatial_assets.catalog.scene import Catalogue, Scene
from spatial_assets.catalog.stac.item_filter import ItemFilter, item_filter_of
from spatial_assets.errors import CatalogueShrunkError
from spatial_assets.geo.periods import Periods
from spatial_assets.project import Project
from spatial_assets.project.secrets import mask_secrets
from spatial_assets.project.sections.retention import first_kept_period
from spatial_assets.stores import layout
from spatial_assets.stores.objects.json import from_json, to_json
from spatial_assets.stores.objects.leases import lease
from spatial_assets.stores.objects.store import ObjectStore

logger = logging.getLogger(__name__)

FOOTPRINT_DECIMALS = 6  # of a degree, some 10 cm
REGISTER_LEASE = "scenes"
REGISTER_LEASE_TTL = timedelta(minutes=2)  # one object, with all retries
REGISTER_LEASE_WAIT = timedelta(minutes=3)  # longer than the lease of a driver that died

RELEASE_COMMAND = "spatial-assets prune --scenes --yes"
"""Command by which a user says that scenes are not needed any more."""


@dataclass(frozen=True, kw_only=True)
class RegisteredScene:
    """A scene that the catalogue had, as far as a filter of items looks at it."""

    id: str
    collection: str | None = None
    acquired: str = ""
    """Time of acquisition, RFC 3339 in UTC; empty: unknown."""

    solar_day: str = ""
    """ISO date; empty: unknown."""

    cloud_cover: float | None = None
    """Cloud cover in per cent; None: unknown."""

    footprint: str = "POLYGON EMPTY"
    """Footprint in lon/lat, as WKT; empty: unknown."""

    used: bool = False
    """True if tiles may have been made from it."""

    released: bool = False
    """True if the scene was withdrawn, or a user released it: tiles drop it when they next run."""

    @classmethod
    def of(cls, scene: Scene, *, used: bool) -> RegisteredScene:
        """Return the entry of a scene of the catalogue."""
        return cls(
            id=scene.id,
            collection=scene.collection,
            acquired=scene.acquired.isoformat(),
            solar_day=scene.solar_day.isoformat(),
            cloud_cover=scene.cloud_cover,
            footprint=shapely.to_wkt(scene.footprint, rounding_precision=FOOTPRINT_DECIMALS),
            used=used,
        )

    def is_asked_for(self, item_filter: ItemFilter) -> bool:
        """Return True if a filter asks for the scene; False if that is not known."""
        if not self.acquired or not self.solar_day:
            return False
        acquired, day = datetime.fromisoformat(self.acquired), date.fromisoformat(self.solar_day)
        if not item_filter.interval.contains(acquired, solar_day=day):
            return False
        item = {
            "collection": self.collection,
            "geometry": shapely.geometry.mapping(shapely.from_wkt(self.footprint)),
            "properties": {"eo:cloud_cover": self.cloud_cover},
        }
        return item_filter.matches(item)


@dataclass(frozen=True, kw_only=True)
class AbsentScenes:
    """Scenes of a register that an answer of the catalogue does not list.

    Those that no tile was made from only count for the share that is missing.
    """

    withdrawn: frozenset[str] = frozenset()
    """The filter asks for them, and the catalogue was read whole."""

    not_asked_for: frozenset[str] = frozenset()
    """The filter of [scenes] or [area] excludes them."""

    unknown: frozenset[str] = frozenset()
    """The filter asks for them, but the catalogue could not be read whole."""

    released: frozenset[str] = frozenset()
    """Withdrawn earlier, or released by a user."""

    asked_for: int = 0
    """Number of scenes of the register that the filter asks for, listed or not."""

    @property
    def dropped(self) -> frozenset[str]:
        """Scenes of which tiles keep nothing."""
        return self.withdrawn | self.released

    def is_too_much(self, most: float) -> bool:
        """Return True if more than a share `most`, from 0 to 1, of the scenes is withdrawn."""
        return len(self.withdrawn) > most * self.asked_for

    def refusal(self, project: Project) -> str:
        """Return why a run may not follow this answer: too large a share is missing; else ""."""
        lost, most = len(self.withdrawn), project.checks.withdrawn_share
        if not self.is_too_much(most):
            return ""
        catalog = mask_secrets(project.catalog_url)
        return (
            f"[scenes] catalog = {catalog} lacks {lost} of the {self.asked_for} scenes that it "
            f"had, more than [checks] withdrawn_share = {most:g} allows; nothing was changed. "
            "Check that it is mounted and complete. If the scenes are really gone, run "
            f"`{RELEASE_COMMAND}`, then run again"
        )

    def require_most(self, project: Project) -> None:
        """Refuse an answer in which too large a share of the scenes is missing.

        Raises:
            CatalogueShrunkError: with the counts and the remedy.
        """
        refusal = self.refusal(project)
        if refusal:
            raise CatalogueShrunkError(refusal)

    def document(self) -> dict[str, list[str]]:
        """Return the ids of each kind as JSON values."""
        return {
            "withdrawn": sorted(self.withdrawn),
            "not_asked_for": sorted(self.not_asked_for),
            "unknown": sorted(self.unknown),
        }

    def lines(self) -> Iterable[str]:
        """Yield a line for the user on each kind of scene that is kept or dropped."""
        if self.withdrawn:
            yield (
                f"scenes withdrawn from the catalogue: {len(self.withdrawn)}; "
                "their periods are composed without them"
            )
        if self.not_asked_for:
            yield (
                f"scenes no longer asked for by [scenes] and [area]: {len(self.not_asked_for)}; "
                "what was made of them stays until `spatial-assets prune --scenes`"
            )
        if self.unknown:
            yield (
                f"scenes missing from a catalogue that could not be read whole: "
                f"{len(self.unknown)}; what was made of them stays"
            )


@dataclass(frozen=True)
class SceneRegister:
    """The scenes that the catalogue of one store had."""

    scenes: Mapping[str, RegisteredScene] = field(default_factory=dict)
    """Scene id -> its entry."""

    @classmethod
    def load(cls, store: ObjectStore) -> SceneRegister:
        """Read the register; empty if there is none, or if it is damaged (logged)."""
        data = store.find(layout.scene_register())
        if data is None:
            return cls()
        try:
            return cls.from_bytes(data)
        except (ValueError, KeyError, TypeError) as error:
            uri = store.uri(layout.scene_register())
            logger.warning("%s is damaged (%r); no scene counts as withdrawn", uri, error)
            return cls()

    @classmethod
    def from_bytes(cls, data: bytes) -> SceneRegister:
        """Read what `to_bytes` wrote.

        Raises:
            ValueError, KeyError, TypeError: the bytes are no register.
        """
        entries = from_json(data)["scenes"]
        scenes = [RegisteredScene(**fields) for fields in entries]  # type: ignore[attr-defined]
        return cls({scene.id: scene for scene in scenes})

    def to_bytes(self) -> bytes:
        """Encode as canonical JSON: equal registers give equal bytes."""
        return to_json({"scenes": [asdict(self.scenes[name]) for name in sorted(self.scenes)]})

    def absent_from(
        self,
        listed: Collection[str],
        item_filter: ItemFilter,
        *,
        whole: bool,
        first_day: str = "",
    ) -> AbsentScenes:
        """Compare the register with an answer of the catalogue.

        Args:
            listed: ids of all scenes that it lists, usable or not.
            item_filter: what the project asks for.
            whole: False if a part of the catalogue could not be read.
            first_day: see `first_kept_day`; nothing is left of absent scenes before it.
        """
        released, not_asked, lost = set[str](), set[str](), set[str]()
        present = 0
        for name, scene in self.scenes.items():
            if name in listed:
                present += 1
            elif scene.solar_day and scene.solar_day < first_day:
                continue
            elif scene.released:
                released.add(name)
            elif scene.is_asked_for(item_filter):
                lost.add(name)
            elif scene.used:
                not_asked.add(name)
        return AbsentScenes(
            withdrawn=frozenset(lost if whole else ()),
            not_asked_for=frozenset(not_asked),
            unknown=frozenset(() if whole else (name for name in lost if self.scenes[name].used)),
            released=frozenset(released),
            asked_for=present + len(lost),
        )

    def first_kept_day(self, project: Project, listed: Collection[str]) -> str:
        """Return the ISO date of the first day that [retention] periods keeps; empty: all are.

        Counted from the newest scene that the catalogue has, as a run counts, whatever day it is.
        """
        item_filter = item_filter_of(project)
        days = [
            date.fromisoformat(scene.solar_day)
            for name, scene in self.scenes.items()
            if scene.solar_day and name in listed and scene.is_asked_for(item_filter)
        ]
        if project.retention.periods is None or not days:
            return ""
        axis = Periods(min(days), project.time.period, max(days))
        newest = axis.count - 1
        first = first_kept_period(project.retention.periods, axis, newest=newest, today=max(days))
        return axis.first_day(first).isoformat()

    def not_asked_for(self, item_filter: ItemFilter) -> frozenset[str]:
        """Return the scenes that a filter excludes, without asking a catalogue."""
        return frozenset(
            name
            for name, scene in self.scenes.items()
            if scene.used and not scene.released and not scene.is_asked_for(item_filter)
        )

    def updated(self, found: Iterable[Scene], *, used: Collection[str]) -> SceneRegister:
        """Return the register with the present state of the scenes of a catalogue.

        Args:
            found: usable scenes of the catalogue.
            used: ids of those among them that tiles may be made from now.
        """
        were_used = {name for name, scene in self.scenes.items() if scene.used}
        new = {
            scene.id: RegisteredScene.of(scene, used=scene.id in used or scene.id in were_used)
            for scene in found
        }
        return SceneRegister({**self.scenes, **new})

    def releasing(self, names: Iterable[str]) -> SceneRegister:
        """Return the register with some scenes released, also such as it did not know.

        Those that no tile was made from are removed.
        """
        scenes = dict(self.scenes)
        for name in names:
            scene = scenes.pop(name, RegisteredScene(id=name, used=True))
            if scene.used:
                scenes[name] = replace(scene, released=True)
        return SceneRegister(scenes)


def absent_scenes(project: Project, store: ObjectStore, catalogue: Catalogue) -> AbsentScenes:
    """Compare the scenes that the tiles of a store were made from with a catalogue."""
    register = SceneRegister.load(store)
    return register.absent_from(
        catalogue.listed,
        item_filter_of(project),
        whole=catalogue.whole,
        first_day=register.first_kept_day(project, catalogue.listed),
    )


def change_register(
    store: ObjectStore,
    change: Callable[[SceneRegister], SceneRegister],
    *,
    owner: str,
    clock: Callable[[], datetime],
) -> SceneRegister:
    """Change the stored register under an exclusive lease; an unchanged one is not written.

    Raises:
        LeaseHeldError: another process did not finish in time.
    """
    before = SceneRegister.load(store)
    after = change(before)
    if after == before:
        return before
    with lease(
        store,
        REGISTER_LEASE,
        owner=owner,
        ttl=REGISTER_LEASE_TTL,
        clock=clock,
        wait=REGISTER_LEASE_WAIT,
    ):
        after = change(SceneRegister.load(store))
        store.put(layout.scene_register(), after.to_bytes())
    return after
