"""The settings that travel with weights: how slices were cut and scaled, and what the classes are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from monai_semgan.errors import SemganError, read_error
from monai_semgan.organs import pairs, structure_key
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.utils.files import written_aside
from monai_semgan.utils.settings import checked, make_settings

SETTINGS = "settings.json"
"""Name of the file: in the folder of a run, beside packed slices, and in `models/` of a bundle."""

SCHEMA = 2
"""Version of the file's form; 2 tells of structures that were added, others are written as 1."""

OWN = ("schema", "modality", "labels", "paired_labels", "added")
"""Entries beside the fields of `Preprocessing`."""


class Difference(NamedTuple):
    """The first setting in which two models differ."""

    name: str
    own: Any
    other: Any


@checked
@dataclass(frozen=True)
class ModelSettings:
    """What a model was, or is to be, trained with.

    Args:
        preprocessing: how slices are cut and scaled, and which ids of label files the classes have.
        labels: structure name by class, without the background; empty where nothing tells the names.
        modality: `CT`, `MR`, `DX` of the scans in training; empty where it is not known.
        added: how many of the last classes were added to the model later, by heads of their own.
    """

    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    labels: Mapping[int, str] = field(default_factory=dict)
    modality: tuple[str, ...] = ()
    added: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", {int(index): str(name) for index, name in sorted(self.labels.items())})
        object.__setattr__(self, "modality", tuple(sorted(set(self.modality))))
        surplus = [index for index in self.labels if not 0 < index < self.preprocessing.num_classes]
        if surplus:
            problem = f"label {surplus[0]} ({self.labels[surplus[0]]}) is none of the {self.preprocessing.num_classes}"
            raise SemganError(f"{problem} classes", remedy="make the labels and the number of classes agree")

    @property
    def label_ids(self) -> tuple[int, ...]:
        """Ids in label files of the classes 1, 2, ..."""
        return self.preprocessing.class_ids

    @property
    def paired_labels(self) -> tuple[tuple[int, ...], ...]:
        """Classes that are the two sides of one structure."""
        return pairs(self.labels)

    def to_dict(self) -> dict[str, Any]:
        """The settings in JSON's types, as the file holds them."""
        return {
            "schema": SCHEMA if self.added else 1,
            "modality": list(self.modality),
            **self.preprocessing.to_dict(),
            "label_ids": list(self.label_ids),
            "labels": {str(index): name for index, name in self.labels.items()},
            "paired_labels": [list(pair) for pair in self.paired_labels],
            **({"added": self.added} if self.added else {}),
        }

    @staticmethod
    def from_dict(content: Mapping[str, Any], path: str | Path | None = None) -> ModelSettings:
        """Take back what `to_dict` gave.

        Raises:
            SemganError: if it was made by a newer version, or is broken.
        """
        schema = content.get("schema")
        if not isinstance(schema, int) or schema < 1:
            raise SemganError("tells no schema", remedy="copy it again", path=path)
        if schema > SCHEMA:
            problem = f"was made by a newer version (schema {schema}, this one knows {SCHEMA})"
            raise SemganError(problem, remedy="update monai_semgan", path=path)
        try:
            values = {name: value for name, value in content.items() if name not in OWN}
            labels = {int(index): name for index, name in content.get("labels", {}).items()}
            modality = tuple(content.get("modality", ()))
            preprocessing, added = plain_ids(make_settings(Preprocessing, values)), int(content.get("added", 0))
            return ModelSettings(preprocessing, labels, modality, added)
        except SemganError as error:
            raise SemganError(error.problem, remedy=error.remedy, path=path) from None
        except (AttributeError, TypeError, ValueError) as error:
            raise SemganError("holds no settings of a model", remedy="copy it again", path=path) from error

    @property
    def text(self) -> str:
        """What the file holds."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    def save(self, path: Path) -> None:
        """Write the file, complete or not at all.

        Raises:
            SemganError: if it cannot be written.
        """
        with written_aside(path) as temporary:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(self.text, encoding="utf-8")

    def difference(self, other: ModelSettings) -> Difference | None:
        """Find the first setting in which another model differs; names and modality count where both tell them."""
        own, theirs = self._compared(), other._compared()
        for name, value in own.items():
            if value != theirs[name]:
                return Difference(name, value, theirs[name])
        if self.labels and other.labels:
            keys = ({i: structure_key(name) for i, name in one.labels.items()} for one in (self, other))
            if len({json.dumps(sorted(key.items())) for key in keys}) > 1:
                return Difference("labels", _listed(self.labels), _listed(other.labels))
        if self.modality and other.modality and self.modality != other.modality:
            return Difference("modality", " and ".join(self.modality), " and ".join(other.modality))
        return None

    def _compared(self) -> dict[str, Any]:
        """Settings of the slices by name; those without a meaning for the field of view are left out."""
        values = replace(self.preprocessing, label_ids=self.label_ids).to_dict()
        values = {"num_classes": values.pop("num_classes"), **values}  # other ids follow from another number
        if self.preprocessing.field_of_view == "image":
            values |= {"pixel_mm": None, "window": None, "plane": None}
        return values


def plain_ids(preprocessing: Preprocessing) -> Preprocessing:
    """The same without `label_ids` where they only number the classes."""
    plain = replace(preprocessing, label_ids=None)
    return plain if plain.class_ids == preprocessing.class_ids else preprocessing


def _listed(labels: Mapping[int, str]) -> str:
    return ", ".join(labels.values())


def find_settings(folder: Path) -> ModelSettings | None:
    """Read the settings of a run, of packed slices or of a bundle's `models`; None when there are none.

    Raises:
        SemganError: if the file is broken or of a newer version.
    """
    path = folder / SETTINGS
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise read_error(error, path) from error
    except ValueError as error:
        raise SemganError("is no JSON", remedy="copy it again", path=path) from error
    if not isinstance(content, dict):
        raise SemganError("holds no settings of a model", remedy="copy it again", path=path)
    return ModelSettings.from_dict(content, path)
