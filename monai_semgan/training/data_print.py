"""What a run has been trained on, in one file for all its stages: patients, who of them is labelled, scans, ancestors.

Scans are told apart by figures of their slices, not by paths, which change, nor by a digest: processors round
resampled slices differently in rare pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from monai_semgan.losses.label_losses import UNLABELLED
from monai_semgan.training.engine.record import TRAINING
from monai_semgan.training.engine.run_files import read_json, write_bytes
from monai_semgan.training.validation import scan_keys
from monai_semgan.utils.json_text import json_text

if TYPE_CHECKING:
    from monai_semgan.data.slice_set import SliceSet
    from monai_semgan.training.datasets import RunData

FILE = "data.json"
"""Name of the file in the folder of a run; it names patients and does not travel into bundles."""

PARTS = 16
"""Parts of a scan, along its slices, of which figures are kept."""

GREY_TOLERANCE = 0.05
"""Difference of a part's mean grey value, of 255, that rounding may make."""

PIXEL_TOLERANCE = 3
"""Pixels of a class in a part that rounding may move."""


@dataclass(frozen=True)
class ScanFigures:
    """Figures of one scan.

    Attributes:
        grey: mean grey value of every part, 0 to 255.
        pixels: pixels of every class but the background in every part; empty without label.
    """

    grey: Sequence[float]
    pixels: Sequence[Sequence[int]] = ()

    def differs(self, other: ScanFigures) -> str:
        """What another scan of this name differs in: `image`, `label`, or nothing (an empty text).

        A label that only one of them has is no difference here.
        """
        if len(self.grey) != len(other.grey) or _apart(self.grey, other.grey) > GREY_TOLERANCE:
            return "image"
        if not self.pixels or not other.pixels:
            return ""
        pairs = zip(self.pixels, other.pixels, strict=False)
        return "label" if any(_apart(mine, its) > PIXEL_TOLERANCE for mine, its in pairs) else ""


@dataclass(frozen=True)
class DataPrint:
    """What a run is trained on.

    Attributes:
        sections: patients by section of the data list.
        labelled: training patients whose labels are used.
        scans: figures of every scan, called as its patient (see `scan_keys`).
        ancestors: what the weights that the run began with were trained on, each with `sections` and `labelled`.
        known: by training patient, what labels know that know some classes only.
    """

    sections: Mapping[str, Sequence[str]]
    labelled: Sequence[str]
    scans: Mapping[str, ScanFigures] = field(default_factory=dict)
    ancestors: Sequence[Mapping[str, Any]] = ()
    known: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @staticmethod
    def of(data: RunData) -> DataPrint:
        """The print of slices that a run is about to be trained on."""
        scans = _figures(data.training)
        if data.validation is not None:
            scans |= _figures(data.validation)
        record = data.record()
        return DataPrint(record.sections, sorted(set(record.labelled)), scans, known=record.partly_labelled)

    @staticmethod
    def load(run: Path) -> DataPrint | None:
        """Read the print of a run; None where there is none, as in runs before 0.3."""
        content = read_json(run / FILE)
        if "sections" not in content:
            return None
        scans = {name: ScanFigures(**figures) for name, figures in content["scans"].items()}
        ancestors, known = content.get("ancestors", ()), content.get("known", {})
        return DataPrint(content["sections"], content["labelled"], scans, ancestors, known)

    def save(self, run: Path) -> None:
        """Write it into the folder of a run."""
        content = {
            "schema": 1,
            "sections": self.sections,
            "labelled": self.labelled,
            "ancestors": self.ancestors,
            **({"known": self.known} if self.known else {}),
        }
        scans = ",\n".join(f"  {json_text(name)}: {json_text(asdict(scan))}" for name, scan in self.scans.items())
        head = json_text(content, indent=1).rstrip().removesuffix("}").rstrip()
        write_bytes(run / FILE, f'{head},\n "scans": {{\n{scans}\n }}\n}}\n'.encode())

    def history(self) -> list[dict[str, Any]]:
        """This run's data and those of its ancestors, as a run that begins with its weights keeps them."""
        own = {"sections": dict(self.sections), "labelled": list(self.labelled)}
        return [own, *(dict(ancestor) for ancestor in self.ancestors)]

    def changed_scan(self, now: DataPrint) -> str | None:
        """A sentence about the first scan whose content is not what it was."""
        for name in sorted(set(self.scans) & set(now.scans)):
            what = self.scans[name].differs(now.scans[name])
            if what:
                return f"the {what} of {name} is another one now"
        for patient in sorted(set(self.labelled) & set(now.labelled)):
            before, after = (sorted(one.known.get(patient, ())) for one in (self, now))
            if before != after:
                told = " and ".join(", ".join(words) or "all classes" for words in (before, after))
                return f'what the label of {patient} knows ("labelled") was and is now: {told}'
        return None

    def scored_ancestor(self) -> str | None:
        """A sentence about the first patient who is scored on and whom an ancestor was trained on."""
        scored = {p: name for name, patients in self.sections.items() if name != TRAINING for p in patients}
        for ancestor in self.ancestors:
            for patient in sorted(set(ancestor["sections"].get(TRAINING, ())) & set(scored)):
                return f'patient {patient} is in "{scored[patient]}", the weights to begin with were trained on them'
        return None


def _figures(slices: SliceSet) -> dict[str, ScanFigures]:
    classes, found = slices.preprocessing.num_classes, {}
    for volume, name in enumerate(scan_keys(slices.patients)):
        index = slices.volume_slices(volume)
        found[name] = _scan_figures(slices.images[index], slices.labels[index], classes)
    return found


def _scan_figures(images: torch.Tensor, labels: torch.Tensor, classes: int) -> ScanFigures:
    """Figures of slices (D, C, H, W) and labels (D, H, W)."""
    grey = [round(float(part.float().mean()), 3) for part in torch.tensor_split(images, min(PARTS, len(images)))]
    if bool((labels[:, 0, 0] == UNLABELLED).all()):
        return ScanFigures(grey)
    parts = torch.tensor_split(labels, min(PARTS, len(labels)))
    counts = [torch.bincount(part.flatten().long(), minlength=256)[1:classes].tolist() for part in parts]
    return ScanFigures(grey, counts)


def _apart(first: Sequence[float], second: Sequence[float]) -> float:
    return max((abs(one - other) for one, other in zip(first, second, strict=True)), default=0.0)
