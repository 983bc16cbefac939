"""How the slices of a run are cut and what its classes are: from options, the run itself, packed slices or the list."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from monai_semgan.data.datalist import DataList, load_datalist
from monai_semgan.data.entries import MASK, names_of_ids
from monai_semgan.data.label_checks import is_mask
from monai_semgan.data.slice_set import SliceSet
from monai_semgan.errors import SemganError
from monai_semgan.io.image2d import has_colours
from monai_semgan.modalities import SINGLE_IMAGES
from monai_semgan.organs import structure_key
from monai_semgan.slicing.model_settings import SETTINGS, ModelSettings, find_settings, plain_ids
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.training.engine.run_files import read_json, stage_folders
from monai_semgan.training.list_plane import usual_plane
from monai_semgan.training.training_settings import TrainSettings

logger = logging.getLogger(__name__)

PICTURES = 16
"""Pictures of a list that are looked at for colours, about."""

PLAN = "plan.json"
"""Name of the plan in the folder of a run; `settings.json` beside it holds the settings themselves."""

MOST_TOLD = 4
"""Ids of which a message tells number and file; further ones are listed."""

MOST_COUNTED = 40
"""Ids up to this one may be classes by their count alone; others need names."""

PACKED_TRAINING = "training"
"""Folder of the training slices among packed ones."""


@dataclass(frozen=True)
class RunPlan:
    """What slices a run needs.

    Args:
        preprocessing: how they are cut.
        names: structure names by id in label files; empty where nothing tells them.
        chosen: whether someone has said which ids are classes, so that all others may become background.
        modality: of scans of which the data list does not tell it; None to look at file and values.
    """

    preprocessing: Preprocessing
    names: Mapping[int, str]
    chosen: bool
    modality: str | None = None

    @property
    def class_names(self) -> dict[int, str]:
        """Structure name by class, where one is known."""
        ids = self.preprocessing.class_ids
        return {number: self.names[index] for number, index in enumerate(ids, start=1) if index in self.names}

    def check_ids(self, found: Mapping[int, str], path: Path | None = None) -> list[str]:
        """Tell which ids of the label files become background.

        Args:
            found: what is to be said of every id, see `describe_ids`.
            path: of the data list, for errors.

        Returns:
            A sentence on them, if there are any.

        Raises:
            SemganError: if there are such ids and nobody has chosen the classes.
        """
        known = self.preprocessing.class_ids
        beyond = sorted(set(found) - set(known) - {0})
        if not beyond:
            return []
        words, more = ", ".join(found[index] for index in beyond[:MOST_TOLD]), beyond[MOST_TOLD:]
        words += f" and {', '.join(map(str, more))}" if more else ""
        if self.chosen:
            return [f"label ids that become background: {words}"]
        problem = f"the label files hold ids beyond the {self.preprocessing.num_classes} classes: {words}"
        remedy = 'name them in the list ("labels": {"1": "liver"}), or choose with --labels: others become background'
        if beyond[-1] <= MOST_COUNTED:
            remedy = f"give --classes {beyond[-1] + 1} for all of them, or choose with --labels"
        raise SemganError(problem, remedy=remedy, path=path)


def plan_run(source: Path, settings: TrainSettings, kept: ModelSettings | None = None) -> RunPlan:
    """Decide how slices are cut and what the classes are.

    Args:
        source: data list, or folder of packed slices.
        settings: what the user asks for.
        kept: settings of the run that is there already.

    Raises:
        SemganError: if list and settings contradict each other.
    """
    if source.is_dir():
        packed = SliceSet.load(source / PACKED_TRAINING)
        listed, base = next((dict(entry.names) for entry in packed.entries if entry.names), {}), packed.preprocessing
    else:
        listed, base = list_names(source), kept.preprocessing if kept is not None else Preprocessing()
        base = replace(base, field_of_view=field_of_view(source))
        if kept is None and base.field_of_view == "image":
            base = replace(base, image_channels=image_channels(load_datalist(source)))
        if kept is None and settings.plane is None:
            base = replace(base, plane=usual_plane(load_datalist(source), base, settings))
    asked = {name: getattr(settings, name) for name in ("size", "pixel_mm", "window", "percentiles", "plane")}
    base = replace(base, **{name: value for name, value in asked.items() if value is not None})
    if source.is_dir() and settings.labels is None and settings.num_classes is None:
        return RunPlan(base, listed, True)
    names, ids, chosen = _classes(settings, listed, kept, source)
    preprocessing = plain_ids(replace(base, num_classes=len(ids) + 1, label_ids=ids))
    return RunPlan(preprocessing, names, chosen)


def list_names(source: Path) -> dict[int, str]:
    """Structure names by label id that a data list tells; empty if it does not."""
    entries = load_datalist(source)
    return next((dict(entry.names) for entry in (*entries.training, *entries.validation) if entry.names), {})


def field_of_view(source: Path) -> str:
    """`Preprocessing.field_of_view` for a data list or packed slices: `image` when they are single images.

    Raises:
        SemganError: if radiographs and volumes are mixed.
    """
    if source.is_dir():
        return SliceSet.load(source / PACKED_TRAINING).preprocessing.field_of_view
    entries = load_datalist(source)
    kinds = {entry.modality in SINGLE_IMAGES for entry in (*entries.training, *entries.validation)}
    if len(kinds) > 1:
        raise SemganError("lists both radiographs and volumes", remedy="make a list for each", path=source)
    return "image" if kinds == {True} else "body"


def image_channels(entries: DataList) -> int:
    """`Preprocessing.image_channels` for single images: 3 when one of some training pictures has colours."""
    every = max(1, len(entries.training) // PICTURES)
    return 3 if any(has_colours(entry.image) for entry in entries.training[::every]) else 1


def _classes(
    settings: TrainSettings, listed: Mapping[int, str], kept: ModelSettings | None, source: Path
) -> tuple[dict[int, str], tuple[int, ...], bool]:
    """Name by file id, file ids in the order of the classes, and whether someone has chosen them."""
    if settings.labels is not None:
        names = _asked_labels(settings.labels, listed, source)
        ids = tuple(names)
        if settings.num_classes is not None and settings.num_classes != len(ids) + 1:
            problem = f"{len(ids)} labels and the background are {len(ids) + 1} classes, not {settings.num_classes}"
            raise SemganError(problem, remedy="leave out --classes, or correct --labels")
        return {**listed, **names}, ids, True
    if settings.num_classes is not None:
        return dict(listed), tuple(range(1, settings.num_classes)), True
    if kept is not None:
        known = names_of_ids(kept.preprocessing, kept.labels)
        return {**known, **listed}, kept.label_ids, True
    if listed:
        return dict(listed), tuple(sorted(listed)), False
    if is_mask(load_datalist(source).training):
        logger.warning("the labels are masks of 0 and %d, and nothing names them: one class is learnt", MASK)
        return {}, (MASK,), False
    return {}, tuple(range(1, Preprocessing().num_classes)), False


def _asked_labels(labels: Any, listed: Mapping[int, str], source: Path) -> dict[int, str]:
    """Name by file id, in the order of the classes."""
    if isinstance(labels, Mapping):
        names = {int(index): str(name).strip() for index, name in labels.items()}
    elif listed:
        by_key = {structure_key(name): index for index, name in listed.items()}
        unknown = [name for name in labels if structure_key(name) not in by_key]
        if unknown:
            problem = f"the data list has no label {unknown[0]!r}"
            raise SemganError(problem, remedy=f"it names {', '.join(listed.values())}", path=source)
        names = {by_key[structure_key(name)]: name for name in labels}
    else:
        names = {index: str(name).strip() for index, name in enumerate(labels, start=1)}
    keys = {structure_key(name) for name in names.values()}
    if not names or min(names) < 1 or len(keys) < len(labels) or not all(names.values()):
        remedy = 'write for example "1:liver,2:spleen", each once and without the background'
        raise SemganError("--labels does not tell a name for every id", remedy=remedy)
    for index in set(names) & set(listed):
        if structure_key(names[index]) != structure_key(listed[index]):
            problem = f"label {index} is {names[index]} in --labels and {listed[index]} in the data list"
            raise SemganError(problem, remedy="correct one of them", path=source)
    return names


def kept_settings(run: Path, view: str, quiet: bool = False) -> ModelSettings | None:
    """The settings of a run that has trained something, or has a plan; else None.

    Runs of 0.1 have no settings file: their records tell the size, and the rest could not be chosen then; `view` is
    the field of view of their data.
    """
    folders = stage_folders(run)
    if not folders and not (run / PLAN).is_file():
        return None
    found = find_settings(run)
    if found is not None:
        return found
    for folder in folders:
        known = read_json(folder / "record.json").get("settings", {})
        values = {name: known[name] for name in ("size", "pixel_mm", "num_classes") if name in known}
        if values:
            if not quiet:
                logger.warning("%s: no %s, as in runs of 0.1; its records tell the settings", run, SETTINGS)
            return ModelSettings(Preprocessing(**values, field_of_view=view))
    return None


def told_by(run: Path) -> str:
    """Where the settings of a run come from, in words: its training, or so far its plan alone."""
    return "was trained with" if stage_folders(run) else "the plan says"


def keep_settings(run: Path, model: ModelSettings, kept: ModelSettings | None) -> ModelSettings:
    """Compare a run's settings with those that it has been trained with, if any.

    Returns:
        What is to be written: names and modality also where only the older settings tell them.

    Raises:
        SemganError: naming the first setting that differs.
    """
    if kept is None:
        return model
    found = kept.difference(model)
    if found is not None:
        problem = f"{told_by(run)} {found.name} {found.own}, not {found.other}"
        raise SemganError(problem, remedy="go on with the same settings, or choose another --out", path=run)
    return replace(model, labels=model.labels or kept.labels, modality=model.modality or kept.modality)
