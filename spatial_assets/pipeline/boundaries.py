"""The chain of one boundary set: a copy of the source, the validated features, the table.

No step depends on tiles. The copy in the store is downloaded whole before GDAL reads it.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePosixPath

from spatial_assets.errors import VectorError
from spatial_assets.geo.vectors.coverage import coverage_report
from spatial_assets.geo.vectors.earlier import nothing_earlier
from spatial_assets.geo.vectors.features import QuarantinedFeature, ValidatedFeatures
from spatial_assets.geo.vectors.to_lonlat import SourceCrs
from spatial_assets.geo.vectors.validate import refuse_inaccurate_crs, validate_features
from spatial_assets.pipeline import ownership
from spatial_assets.pipeline.failures import MissingInputError
from spatial_assets.pipeline.fingerprints import fingerprint
from spatial_assets.pipeline.outcome import State
from spatial_assets.pipeline.quarantine import records_of_features, repaired_features
from spatial_assets.project import Project
from spatial_assets.project.sections.products import BoundarySettings
from spatial_assets.stores import layout
from spatial_assets.stores.objects.json import from_json, to_json
from spatial_assets.stores.objects.store import ObjectStore
from spatial_assets.stores.rows import Columns, ColumnType, Upsert
from spatial_assets.stores.tables.database import Database
from spatial_assets.stores.vectors.read import read_features
from spatial_assets.stores.vectors.source import (
    ReadLimits,
    VectorSource,
    bundled,
    locate_source,
    unbundled,
)
from spatial_assets.stores.vectors.validated import (
    StoredValidation,
    library_versions,
    read_typed_columns,
    read_validated,
    write_quarantined,
    write_validated,
)

BOUNDARIES_CODE_VERSION = "2"
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class BoundaryStep:
    """Result of one step of a boundary set."""

    state: State
    """`materialized` or `unchanged`."""

    fingerprint: str
    """Hash of the content: the data version of the Dagster event."""

    facts: Mapping[str, object]
    """Figures for the user, JSON-able."""


@dataclass(frozen=True, kw_only=True)
class BoundaryPipeline:
    """The steps of one `[[boundaries]]` entry."""

    project: Project
    settings: BoundarySettings
    store: ObjectStore
    clock: Callable[[], datetime]

    def newer_source(self) -> str | None:
        """Return the version of the source if it differs from the copy in the store, else None.

        Raises:
            VectorError: there is no such file, or it is too big.
            SourceUnavailableError: S3 did not answer.
        """
        source = locate_source(self.project.resolve(self.settings.source), limits=ReadLimits())
        return None if self._copy_facts().get("version") == source.version else source.version

    def fetch(self) -> BoundaryStep:
        """Copy the source into the store unchanged, to keep the input of the validation.

        Raises:
            VectorError: there is no such file, or it is too big.
            SourceUnavailableError: S3 did not answer.
        """
        ownership.claim(self.project, self.store)
        source = locate_source(self.project.resolve(self.settings.source), limits=ReadLimits())
        path = layout.raw_boundaries(self.settings.name, _suffix(source))
        copied = self._copy_facts()
        if copied.get("version") == source.version and self.store.head(path) is not None:
            return self._fetched(State.UNCHANGED, copied)
        data = bundled(source)
        facts = {
            "uri": self.store.uri(path),
            "path": path,
            "source": source.uri,
            "version": source.version,
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        self.store.put(path, data)
        self.store.put(self._copy_facts_path, to_json(facts))
        return self._fetched(State.MATERIALIZED, facts)

    def validate(self) -> BoundaryStep:
        """Read the copy, validate its features, and store the usable ones as GeoParquet.

        Raises:
            MissingInputError: the source has not been fetched.
            VectorError: the file as a whole cannot be used, or holds an invalid feature and
                `on_invalid` is "refuse".
        """
        ownership.claim(self.project, self.store)
        copied = self._copy_facts()
        if "path" not in copied:
            name = self.settings.name
            message = f"raw_{name} is not in the store; materialize it first, or select it too"
            raise MissingInputError(message)
        expected = fingerprint(
            "validated",
            BOUNDARIES_CODE_VERSION,
            copied["sha256"],
            self.settings.model_dump(mode="json", exclude={"source"}),
            self.project.checks.most_repair_share,
        )
        stored = self._stored()
        before: Mapping[str, object] = (
            {} if stored is None else {**stored.facts, "rows": len(stored.table)}
        )
        # Releasing a feature deletes the record of its set, so that all of it is judged again.
        is_judged = self.store.head(self._quarantine_path) is not None
        if is_judged and before.get("inputs") == expected:
            return self._validated(State.UNCHANGED, before)
        validated, rules = self._validate_copy(copied, stored if is_judged else None)
        if not validated.kept:
            message = f"{copied['source']} has no usable feature: {validated.report}"
            raise VectorError(message)
        self._refuse_shrunken(len(validated.kept), before, source=str(copied["source"]))
        inputs = {"inputs": expected, "rules": rules}
        return self._write(
            validated, inputs, source=str(copied["source"]), sha256=str(copied["sha256"])
        )

    def _refuse_shrunken(self, kept: int, stored: Mapping[str, object], *, source: str) -> None:
        """Refuse a source that lost most of its features since it was last validated.

        Raises:
            VectorError: with the counts and the remedy; the features validated before stay.
        """
        before, most = stored.get("rows"), self.project.checks.withdrawn_share
        if not isinstance(before, int) or stored.get("source") != source:
            return
        if before - kept > most * before:
            raise VectorError(
                f"{source} has {kept} usable features and had {before}: it lost more than [checks] "
                f"withdrawn_share = {most:g} allows, so the {before} stay. Restore the file; or "
                "raise withdrawn_share for one run if it is meant to shrink"
            )

    def _validate_copy(
        self, copied: Mapping[str, object], stored: StoredValidation | None
    ) -> tuple[ValidatedFeatures, str]:
        """Validate the features of the copy; those that did not change keep their judgement.

        Returns:
            The features, and a hash of all that decides about a geometry besides its bytes.
        """
        settings = self.settings
        with fetched_copy(self.store, copied) as copy:
            raw = read_features(copy, columns=self._columns, layer=settings.layer, crs=settings.crs)
            rules = fingerprint(
                "geometry",
                BOUNDARIES_CODE_VERSION,
                [raw.crs.to_wkt(), *SourceCrs.of(raw.crs).operations],
                [settings.on_invalid, self.project.checks.most_repair_share],
                library_versions(),
            )
            is_same = stored is not None and stored.facts.get("rules") == rules
            validated = validate_features(
                raw.features,
                source_crs=raw.crs,
                key=settings.key,
                columns=settings.columns,
                on_invalid=settings.on_invalid,
                most_repair_share=self.project.checks.most_repair_share,
                earlier=stored.earlier_results() if stored and is_same else nothing_earlier,
            )
        if settings.on_inaccurate_crs == "refuse":
            refuse_inaccurate_crs(validated)
        return replace(validated, notes=raw.notes), rules

    def load(self, database: Database) -> BoundaryStep:
        """Make the table's rows those of the validated features, in one transaction.

        Raises:
            MissingInputError: nothing has been validated.
            DatabaseError: the transaction failed; the old rows stay.
        """
        data = self.store.find(layout.validated_boundaries(self.settings.name))
        if data is None:
            name = self.settings.name
            message = f"validated_{name} is not in the store; materialize it first"
            raise MissingInputError(message)
        frame = read_validated(data)
        source = str(frame.attrs.get("source", ""))
        ownership.claim(self.project, self.store, database)
        keys = frame["key"].tolist()
        carried = read_typed_columns(data, self._carried)
        is_integer = frame.attrs.get("key_type") == "integer"
        kinds: dict[str, ColumnType] = {self.settings.key: "integer" if is_integer else "text"}
        kinds |= {name: column.kind for name, column in carried.items() if column.kind}
        columns = {
            "boundary_key": keys,
            self.settings.key: [int(key) for key in keys] if is_integer else keys,
            **{name: column.values for name, column in carried.items()},
            "geometry": frame.geometry.to_numpy().tolist(),
            "area_m2": frame["area_m2"].tolist(),
            "feature_fingerprint": frame["feature_fingerprint"].tolist(),
            "source": [source] * len(keys),
        }
        rows = database.replace_boundaries(self.settings, Columns(columns), types=kinds)
        digest = str(frame.attrs.get("fingerprint", ""))[:16]
        facts = {
            "rows": len(keys),
            "rows_written": rows.written,
            "rows_removed": rows.removed,
            "source": source,
            "types": kinds,
        }
        return BoundaryStep(state=State.MATERIALIZED, fingerprint=digest, facts=facts)

    def stored_fingerprints(self) -> tuple[str, str]:
        """Fingerprints of the stored copy and of the stored valid features; empty without them."""
        sha256, stored = str(self._copy_facts().get("sha256", "")), self._stored()
        if stored is None:
            return sha256[:16], ""
        return sha256[:16], self._validated(State.UNCHANGED, stored.facts).fingerprint

    def record_quarantine(self, database: Database) -> None:
        """Write the quarantined features as rows of `quarantine`, and release the repaired ones."""
        data = self.store.find(self._quarantine_path)
        if data is None:
            return
        ownership.claim(self.project, self.store, database)
        grid_id, name, now = self.project.grid_id, self.settings.name, self.clock()
        records = records_of_features(grid_id, name, from_json(data), now=now)
        repaired = repaired_features(database, grid_id, name, bad=records)
        database.commit([Upsert("quarantine", records)])
        if repaired:
            where = {"grid_id": grid_id, "kind": "feature", "subject": repaired}
            database.release(where, now=now)

    @property
    def _quarantine_path(self) -> str:
        return layout.quarantine("boundaries", self.settings.name)

    @property
    def _columns(self) -> tuple[str, ...]:
        return (self.settings.key, *self._carried)

    @property
    def _carried(self) -> tuple[str, ...]:
        return tuple(name for name in self.settings.columns if name != self.settings.key)

    @property
    def _copy_facts_path(self) -> str:
        return layout.raw_boundaries(self.settings.name, ".json")

    def _copy_facts(self) -> dict[str, object]:
        """Return the facts recorded with the copy, {} if there is none."""
        data = self.store.find(self._copy_facts_path)
        return {} if data is None else from_json(data)

    def _stored(self) -> StoredValidation | None:
        """Return the validated file, None if there is none or it is damaged."""
        data = self.store.find(layout.validated_boundaries(self.settings.name))
        if data is None:
            return None
        try:
            return StoredValidation.of(data)
        except VectorError as error:
            logger.warning("validated_%s will be made again: %s", self.settings.name, error)
            return None

    def _write(
        self, validated: ValidatedFeatures, inputs: Mapping[str, str], *, source: str, sha256: str
    ) -> BoundaryStep:
        """Store the kept features, and the quarantined ones separately."""
        shapes = [feature.geometry for feature in validated.kept]
        keys = [feature.key for feature in validated.kept]
        facts: dict[str, object] = {
            **inputs,
            "source": source,
            "coverage": coverage_report(keys, shapes).figures(),
            "versions": library_versions(),
        }
        name, origin = self.settings.name, {"source": source, "sha256": sha256}
        self.store.put(self._quarantine_path, write_quarantined(validated, facts=origin))
        data = write_validated(validated, columns=self._carried, facts=facts)
        written = self.store.put(layout.validated_boundaries(name), data)
        for warning in warnings_of(validated.report):
            logger.warning("%s: %s", name, warning)
        for feature in validated.quarantined:
            logger.warning("%s: %s", name, _quarantine_message(feature))
        found = {**facts, "report": validated.report, "fingerprint": validated.fingerprint}
        return self._validated(State.MATERIALIZED, {**found, "bytes": written.size})

    def _fetched(self, state: State, facts: Mapping[str, object]) -> BoundaryStep:
        return BoundaryStep(state=state, fingerprint=str(facts["sha256"])[:16], facts=facts)

    def _validated(self, state: State, stored: Mapping[str, object]) -> BoundaryStep:
        report, coverage = stored.get("report"), stored.get("coverage")
        facts = {
            "uri": self.store.uri(layout.validated_boundaries(self.settings.name)),
            **(report if isinstance(report, Mapping) else {}),
            "coverage": coverage if isinstance(coverage, Mapping) else {},
        }
        return BoundaryStep(state=state, fingerprint=str(stored["fingerprint"])[:16], facts=facts)


def warnings_of(report: Mapping[str, object]) -> tuple[str, ...]:
    """Return the doubts about a source that the facts of its validation list."""
    listed = report.get("warnings")
    return tuple(map(str, listed)) if isinstance(listed, list) else ()


def _quarantine_message(feature: QuarantinedFeature) -> str:
    return f"feature {feature.index} (key {feature.key}) is in quarantine: {feature.message}"


BUNDLE = ".zip"
"""Suffix of a copy that holds several files."""


def _suffix(source: VectorSource) -> str:
    """Return the suffix of the copy: that of the source, or that of a bundle of its files.

    The note beside the copy ends with .json, so a copy that does gets a longer suffix.
    """
    suffix = PurePosixPath(source.name).suffix.lower()
    if not source.is_single:
        return BUNDLE
    return ".source.json" if suffix == ".json" else suffix


@contextmanager
def fetched_copy(store: ObjectStore, facts: Mapping[str, object]) -> Iterator[VectorSource]:
    """Download the copy into a temporary folder for this block, under the names of its source.

    Args:
        store: the store that holds the copy.
        facts: source, path and SHA-256 as recorded when it was fetched.

    Raises:
        MissingInputError: the copy is not what was fetched.
        SourceUnavailableError: the store did not answer.
    """
    path = str(facts["path"])
    data = store.find(path)
    if data is None or hashlib.sha256(data).hexdigest() != facts["sha256"]:
        message = f"{store.uri(path)} is not what was fetched; materialize it again"
        raise MissingInputError(message)
    source = str(facts["source"])
    name = PurePosixPath(source.rstrip("/")).name
    is_single = not path.endswith(BUNDLE) or name.lower().endswith(BUNDLE)
    with tempfile.TemporaryDirectory(prefix="spatial-assets-") as folder:
        copy = unbundled(data, name=name, is_single=is_single, folder=Path(folder))
        # messages name the source of the user
        yield replace(locate_source(str(copy), limits=ReadLimits()), uri=source)
