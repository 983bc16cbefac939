"""The versions of the models that a server runs, and which of them jobs use."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path

from monai_semgan.bundle.labels import WEIGHTS
from monai_semgan.bundle.model_versions import CURRENT, VersionStore
from monai_semgan.bundle.version_record import ModelVersion as StoredVersion
from monai_semgan.errors import SemganError
from monai_semgan.jobs.job_errors import Conflict, NoSpace, Unknown, in_words
from monai_semgan.jobs.models import ServedModel, served_version
from monai_semgan.jobs.train_contract import ModelVersion, ModelVersions, Training
from monai_semgan.utils.file_state import State, file_state

logger = logging.getLogger(__name__)

VERSIONS = "models"
"""Folder of all versions, among what the server keeps."""

NOT_OF_FOLDERS = re.compile(r"[^A-Za-z0-9._-]+")
DIGEST_DIGITS = 8


class ModelLibrary:
    """Keeps the served models at the version that is in use.

    Versions of a model lie in `ROOT/NAME-DIGEST`: those that were made from other weights of the same name are none of
    its.

    Args:
        root: folder of all versions.
        models: as shipped, by name; their entries are replaced when another version is chosen.
    """

    def __init__(self, root: Path, models: dict[str, ServedModel]) -> None:
        self.models, self._shipped = models, dict(models)
        self.stores = {name: VersionStore(_folder(root, model), model.folder) for name, model in models.items()}
        self._in_use = dict.fromkeys(models, 0)
        self.on_change: list[Callable[[str], None]] = []
        self._lock = threading.RLock()
        self._seen: dict[str, State] = {}
        for name in models:
            self._begin(name)

    def name(self, model: str | None) -> str:
        """Return the name of a model that is asked for, the default one's when None.

        Raises:
            Unknown: there is none.
        """
        if model is None:
            return next(iter(self.models))
        if model not in self.models:
            raise Unknown(f"unknown model; this server has {', '.join(self.models)}")
        return model

    def follow(self, besides: Collection[str] = ()) -> None:
        """Let jobs use the versions that somebody else has chosen meanwhile, as `semgan learn --use` does.

        A choice that cannot be used, or read, changes nothing; the log tells so, once.

        Args:
            besides: models that are left as they are, since a training chooses for them when it ends.
        """
        for name in self.models:
            with self._lock:
                changed = name not in besides and self._follow(name)
            for tell in self.on_change if changed else ():
                tell(name)

    def current(self, model: str) -> int:
        """Return the number of the version that jobs use."""
        return self._in_use[model]

    def numbers(self, model: str) -> set[int]:
        """Return the numbers of all versions.

        Raises:
            Conflict: they cannot be read.
        """
        try:
            return {version.number for version in self.stores[model].versions()}
        except SemganError as error:
            raise Conflict(in_words(error)) from error

    def stored(self, model: str, number: int) -> StoredVersion:
        """Return what the store knows of a version.

        Raises:
            Unknown: there is none.
        """
        try:
            return self.stores[model].version(number)
        except SemganError as error:
            raise Unknown(in_words(error)) from error

    def made_by(self, training: Training, besides: Collection[int | None] = ()) -> int | None:
        """Return the number of the version that a training has made of its parent; None if there is none.

        Args:
            training: it had not ended when its server did.
            besides: versions that other trainings have made.

        Raises:
            Conflict: the versions cannot be read.
        """
        if training.model not in self.models or training.started is None:
            return None
        wanted = (training.parent, training.kind.value)
        for one in reversed(self.versions(training.model).versions):
            fits = (one.parent, one.kind) == wanted and set(one.structures) <= set(training.structures)
            if fits and one.created >= int(training.started) and not one.problem and one.version not in besides:
                return one.version
        return None

    def versions(self, model: str) -> ModelVersions:
        """List the versions of a model, the oldest first.

        Raises:
            Unknown: there is no such model.
            Conflict: they cannot be read.
        """
        name = self.name(model)
        try:
            stored = self.stores[name].versions()
        except SemganError as error:
            raise Conflict(in_words(error)) from error
        return ModelVersions(model=name, current=self.current(name), versions=[self._told(name, one) for one in stored])

    def use(self, model: str, number: int) -> ModelVersions:
        """Let jobs use a version from now on; those that a worker has keep theirs.

        Raises:
            Unknown: there is no such model or version.
            Conflict: it is damaged.
            NoSpace: the choice cannot be written.
        """
        name = self.name(model)
        self.stored(name, number)
        with self._lock:
            try:
                served = self._served(name, self.stores[name].version(number))
                self.stores[name].use(number)
            except SemganError as error:
                full = isinstance(error.__cause__, OSError)
                raise (NoSpace if full else Conflict)(in_words(error)) from error
            self.models[name], self._in_use[name] = served, number
        for tell in self.on_change:
            tell(name)
        return self.versions(name)

    def _begin(self, name: str) -> None:
        """Serve the version in use; a damaged one is passed over, and the log tells so."""
        self._seen[name] = file_state(self.stores[name].root / CURRENT)
        try:
            version = self.stores[name].current()
            if version.number:
                self.models[name], self._in_use[name] = self._served(name, version), version.number
        except SemganError as error:
            logger.error("the model is served as shipped: %s", error.problem)

    def _follow(self, name: str) -> bool:
        """Return whether jobs use another version now."""
        store = self.stores[name]
        seen = file_state(store.root / CURRENT)
        if seen == self._seen.get(name):
            return False
        self._seen[name] = seen
        before = self._in_use[name]
        try:
            if store.chosen() != before:
                version = store.current()
                self.models[name], self._in_use[name] = self._served(name, version), version.number
        except SemganError as error:
            logger.error("version %d of %s stays in use: %s", before, name, error.problem)
        return self._in_use[name] != before

    def _served(self, name: str, version: StoredVersion) -> ServedModel:
        version.refuse_damaged()
        return self._shipped[name] if version.number == 0 else served_version(version.folder, name)

    def _told(self, name: str, version: StoredVersion) -> ModelVersion:
        shipped = version.number == 0
        structures = list(self._shipped[name].labels.values()) if shipped else list(version.structures)
        return ModelVersion(
            version=version.number,
            parent=version.parent,
            kind=version.kind,
            created=_seconds(version),
            structures=structures,
            images=list(version.images),
            held_out=list(version.held_out),
            figures=dict(version.figures),
            sha256=version.sha256,
            note=version.note,
            problem=version.problem,
        )


def _folder(root: Path, model: ServedModel) -> Path:
    name = NOT_OF_FOLDERS.sub("_", model.info.name).strip(".") or "model"
    return root / f"{name}-{model.info.sha256[:DIGEST_DIGITS]}"


def _seconds(version: StoredVersion) -> float:
    """Time of making; of the shipped one, and where the record is broken, that of the file of weights."""
    try:
        return datetime.fromisoformat(version.created).timestamp()
    except ValueError:
        pass
    try:
        return (version.folder / WEIGHTS).stat().st_mtime
    except OSError:
        return 0.0
