"""Code versions that stored results were made by, and those that a user accepts as they are.

A code version is raised when the same input would give other bytes. A user who does not need the
other bytes accepts a stage of a former version: its units count as current, keep their
fingerprints, and are recomputed only when something else changes them. The record, with who and
when, is one object of the store.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import product

from spatial_assets.errors import StoreError
from spatial_assets.pipeline.freshness.stage_inputs import StageInputs, inputs_by_stage
from spatial_assets.pipeline.stages import CODE_VERSIONS, chain_of, code_of
from spatial_assets.project import Project
from spatial_assets.stores import layout
from spatial_assets.stores.objects.json import from_json, to_json
from spatial_assets.stores.objects.store import ObjectStore

FORMER_VERSIONS = 3
"""Former versions of each stage that are recognized: more than an upgrade usually skips, and few
enough to try all their combinations in a fraction of a second."""


@dataclass(frozen=True, kw_only=True)
class AcceptedVersion:
    """A former code version whose results of one stage are accepted."""

    stage: str
    version: str
    """Code version that made the accepted results."""

    tiles: tuple[str, ...] = ()
    """Tiles that it holds for; empty: all."""

    by: str
    """User who accepted it, for people."""

    at: str
    """Moment of it, ISO 8601 in UTC."""

    def holds_for(self, tile: str) -> bool:
        """Return True if it holds for a tile."""
        return not self.tiles or tile in self.tiles

    @property
    def line(self) -> str:
        """The record in one line, for the user."""
        count = len(self.tiles)
        tiles = f"{count} tile{'s' if count > 1 else ''}" if count else "all tiles"
        return (
            f"accepted as they are: results of {self.stage} by code version {self.version} "
            f"(now {CODE_VERSIONS[code_of(self.stage)]}), {tiles}; by {self.by}, {self.at}"
        )


@dataclass(frozen=True)
class AcceptedCode:
    """All accepted versions of one store."""

    versions: tuple[AcceptedVersion, ...] = ()

    @classmethod
    def load(cls, store: ObjectStore) -> AcceptedCode:
        """Read the record; empty if there is none.

        Raises:
            StoreError: it is damaged.
        """
        data = store.find(layout.accepted_code())
        if data is None:
            return cls()
        try:
            entries = from_json(data)["versions"]
            found = [AcceptedVersion(**{**each, "tiles": tuple(each["tiles"])}) for each in entries]  # type: ignore[attr-defined]
        except (ValueError, KeyError, TypeError) as error:
            message = (
                f"{store.uri(layout.accepted_code())} is damaged ({error!r}); delete it and run "
                "`spatial-assets accept` again"
            )
            raise StoreError(message) from error
        return cls(tuple(found))

    def save(self, store: ObjectStore) -> None:
        """Write the record; without any version it is deleted."""
        if self.versions:
            document = {"versions": [asdict(each) for each in self.versions]}
            store.put(layout.accepted_code(), to_json(document))
        else:
            store.delete(layout.accepted_code())

    def adding(self, new: AcceptedVersion) -> AcceptedCode:
        """Return the record with a version; one for all tiles takes the place of others."""
        same = (new.stage, new.version)
        others = [each for each in self.versions if (each.stage, each.version) != same]
        before = [each for each in self.versions if (each.stage, each.version) == same]
        return AcceptedCode((*others, *(before if new.tiles else ()), new))

    def without(self, stages: Collection[str]) -> AcceptedCode:
        """Return the record without some stages."""
        return AcceptedCode(tuple(each for each in self.versions if each.stage not in stages))

    def of_tile(self, tile: str) -> dict[str, tuple[str, ...]]:
        """Map the stages of a tile to the former versions that are accepted."""
        found: dict[str, tuple[str, ...]] = {}
        for each in self.versions:
            if each.holds_for(tile):
                found[each.stage] = (*found.get(each.stage, ()), each.version)
        return found


@dataclass(frozen=True)
class FormerCode:
    """Recognizes inputs that differ from the present ones by code versions alone."""

    project: Project
    accepted: AcceptedCode = field(default_factory=AcceptedCode)

    def versions(self, stage: str, made: StageInputs) -> Mapping[str, str] | None:
        """Return the code versions that differ, by their key in `CODE_VERSIONS`.

        Returns:
            None if the settings differ too, or the version is too old to be recognized.
        """
        return self._known.get((stage, made.settings))

    def is_accepted(self, tile: str, stage: str, made: StageInputs) -> bool:
        """Return True if settings differ by accepted code versions alone."""
        differing = self.versions(stage, made)
        if not differing:
            return False
        accepted = self.accepted.of_tile(tile)
        known = {(code_of(name), each) for name, found in accepted.items() for each in found}
        return known.issuperset(differing.items())

    def causes(self, stage: str, made: StageInputs) -> Iterable[str]:
        """Yield `code: <stage>` for each code version that differs; else `settings`."""
        differing = self.versions(stage, made)
        if not differing:
            yield "settings"
            return
        names = {code_of(name): name for name in chain_of(self.project).stages}
        for key in differing:
            own = stage if code_of(stage) == key else names.get(key, "scene inspection")
            yield f"code: {own}"

    @cached_property
    def _known(self) -> Mapping[tuple[str, str], Mapping[str, str]]:
        """(stage, hash of settings) -> versions that differ, of all recent versions."""
        choices = [recent_versions(CODE_VERSIONS[key]) for key in CODE_VERSIONS]
        found: dict[tuple[str, str], Mapping[str, str]] = {}
        for versions in product(*choices):
            code = dict(zip(CODE_VERSIONS, versions, strict=True))
            inputs = inputs_by_stage(self.project, scenes="", boundaries={}, code=code)
            differing = {key: v for key, v in code.items() if v != CODE_VERSIONS[key]}
            for stage, each in inputs.items():
                best = found.get((stage, each.settings))
                if best is None or len(differing) < len(best):
                    found[stage, each.settings] = differing
        return found


def recent_versions(version: str) -> list[str]:
    """Return a code version and the last ones before it, newest first."""
    number = int(version)
    return [str(each) for each in range(number, max(0, number - FORMER_VERSIONS - 1), -1)]
