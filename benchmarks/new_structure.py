"""What a model learns of new structures from one, three and five labelled scans in minutes (docs/learning.md).

    python benchmarks/new_structure.py --bundle four_organs --out new_structure.json

The bundle knows the four organs of the labels 1 to 4; aorta, gallbladder, stomach and pancreas are learnt together, by
a head beside the model (`heads`), by fine-tuning (`tune`), and by a U-Net from scratch on the same labels (`scratch`).
Labels tell the new structures alone. Everything is scored on the four validation volumes of `protocol.py`, on the
scans' own grid. The budget counts processor time divided by threads, so that 10m with one thread are five minutes of
two undisturbed cores. A run that stands in the file is not made again; one that was killed begins anew.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from protocol import CT_TRAINING, CT_VALIDATION

from monai_semgan.authoring.make import make_bundle
from monai_semgan.bundle.load import Bundle, load_bundle
from monai_semgan.data.datalist import Entry
from monai_semgan.inference.segmentation import segment
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.learning.learn_settings import LearnSettings
from monai_semgan.learning.new_structures import NewStructure
from monai_semgan.learning.structure_learning import learn_structures
from monai_semgan.learning.tuning import tune
from monai_semgan.learning.tuning_settings import TuneSettings
from monai_semgan.quality.overlap import dice
from monai_semgan.training.run import train
from monai_semgan.training.training_settings import TrainSettings
from monai_semgan.utils.threads import prepare_threads
from monai_semgan.utils.versions import machine, versions

OLD = {1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen"}
NEW = {8: "aorta", 5: "gallbladder", 7: "stomach", 11: "pancreas"}
"""Names by id in the label files."""

METHODS = ("heads", "tune", "scratch")


def entry(data: Path, number: str) -> Entry:
    """A labelled volume, of whose label the new structures alone are told."""
    name = f"ct_{number}"
    image, label = (data / "abdomen_ct" / f"{kind}s" / f"{name}.nii.gz" for kind in ("image", "label"))
    return Entry(image, label, name, "CT", tuple({**OLD, **NEW}.items()), name, tuple(NEW.values()))


def by_heads(bundle: Path, entries: Sequence[Entry], work: Path, budget: str) -> tuple[Path, int]:
    """Learn a head beside the model."""
    settings = LearnSettings(budget=budget, clock="processor", held_out=0)
    made = learn_structures(bundle, entries, work, [NewStructure(name) for name in NEW.values()], settings)
    return made.folder, made.steps


def by_tuning(bundle: Path, entries: Sequence[Entry], work: Path, budget: str) -> tuple[Path, int]:
    """Train the model on."""
    settings = TuneSettings(
        structures=[NewStructure(name) for name in NEW.values()], budget=budget, clock="processor", held_out=0
    )
    made = tune(bundle, entries, work, settings)
    return made.folder, made.steps


def from_scratch(bundle: Path, entries: Sequence[Entry], work: Path, budget: str) -> tuple[Path, int]:
    """Train a U-Net, with random contrast, on the labels alone; it is cut like the bundle's slices."""
    listed = [
        {"image": str(one.image), "label": str(one.label), "patient": one.patient, "modality": "CT"} for one in entries
    ]
    source = work / "scans.json"
    source.write_text(json.dumps({"labels": {str(k): v for k, v in NEW.items()}, "training": listed}))
    cut = load_bundle(bundle, "cpu").preprocessing
    settings = TrainSettings(
        budget=budget,
        clock="processor",
        size=cut.size,
        pixel_mm=cut.pixel_mm,
        labels=NEW,
        validations=1,
        tensorboard=False,
        device="cpu",
        options={"generated_fraction": 0.0, "consistency": False},
    )
    (result,) = train("student", one_patient(source), work / "run", settings)
    return make_bundle(work / "run", work / "bundle"), result.steps


def one_patient(source: Path) -> Path:
    """Call all scans of a list one patient: of several, a training would hold one out."""
    content = json.loads(source.read_text())
    for one in content["training"]:
        one["patient"] = "all"
    source.write_text(json.dumps(content))
    return source


MAKERS: dict[str, Callable[[Path, Sequence[Entry], Path, str], tuple[Path, int]]] = {
    "heads": by_heads,
    "tune": by_tuning,
    "scratch": from_scratch,
}


def found_by(bundle: Bundle, scan: Entry) -> dict[str, np.ndarray]:
    """Masks by structure name."""
    label = segment(read_volume(scan.image), bundle, modality="CT").label
    return {name: label == index for index, name in bundle.labels.items()}


def score(bundle: Path, before: dict[str, dict[str, np.ndarray]], scans: Sequence[Entry]) -> dict[str, Any]:
    """Dice of every validation volume, and what has changed of the old structures."""
    model, rows = load_bundle(bundle, "cpu"), {}
    for scan in scans:
        found, true = found_by(model, scan), read_label(scan.label or "", read_volume(scan.image)).array
        row: dict[str, Any] = {"dice": {}, "old_dice": {}, "changed_voxels": 0}
        for index, name in {**OLD, **NEW}.items():
            if name in found:
                row["dice"][name] = round(dice(found[name], true == index), 4)
            if name in OLD.values():
                row["old_dice"][name] = round(dice(before[scan.name][name], true == index), 4)
                changed = found[name] != before[scan.name][name] if name in found else before[scan.name][name]
                row["changed_voxels"] += int(changed.sum())
        rows[scan.name] = row
    return rows


def summary(rows: dict[str, Any]) -> dict[str, float]:
    """Mean Dice of the new structures, and of the old ones before and after."""

    def mean(kind: str, names: Sequence[str]) -> dict[str, float]:
        values = {name: [row[kind][name] for row in rows.values() if name in row[kind]] for name in names}
        return {name: round(float(np.nanmean(found)), 3) for name, found in values.items() if found}

    old = {kind: mean(kind, list(OLD.values())) for kind in ("old_dice", "dice")}
    found = mean("dice", list(NEW.values()))
    for told, kind in (("old before", "old_dice"), ("old after", "dice")):
        if old[kind]:
            found[told] = round(float(np.mean(list(old[kind].values()))), 4)
    return found | {"changed voxels": sum(row["changed_voxels"] for row in rows.values())}


def main() -> None:
    """Make the runs that are missing, and write the file after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = os.environ.get("SEMGAN_DATA")
    parser.add_argument("--data", type=Path, default=known, required=known is None, help="default: $SEMGAN_DATA")
    parser.add_argument("--bundle", type=Path, required=True, help="that knows the four organs")
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    parser.add_argument("--scans", type=int, nargs="+", default=[3, 1, 5])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--budget", default="10m")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    prepare_threads(arguments.threads)
    content = json.loads(arguments.out.read_text()) if arguments.out.exists() else {"runs": {}}
    validation = [entry(arguments.data, number) for number in CT_VALIDATION]
    old = load_bundle(arguments.bundle, "cpu")
    before = {scan.name: found_by(old, scan) for scan in validation}
    for count in arguments.scans:
        for method in arguments.methods:
            key = f"{method} {count}"
            if key in content["runs"]:
                continue
            entries, started = [entry(arguments.data, number) for number in CT_TRAINING[:count]], time.perf_counter()
            with TemporaryDirectory() as work:
                made, steps = MAKERS[method](arguments.bundle, entries, Path(work), arguments.budget)
                seconds = round(time.perf_counter() - started)
                rows = score(made, before, validation)
            content["runs"][key] = {
                "summary": summary(rows),
                "volumes": rows,
                "steps": steps,
                "budget": arguments.budget,
                "threads": arguments.threads,
                "wall_seconds": seconds,
            }
            content |= {"versions": versions(), "machine": machine(old.device, 1)}
            arguments.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            print(key, content["runs"][key]["summary"], flush=True)


if __name__ == "__main__":
    main()
