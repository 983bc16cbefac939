"""Turn the JSON files of `accuracy.py` and `memorisation.py` into `docs/results.md` and the record of a bundle.

    python benchmarks/tables.py --ct ct.json --mr mr.json --memorisation memorisation.json \
        --training runs/student runs/encoder --bundle bundles/semgan_abdomen --out docs/results.md
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from monai_semgan.authoring.readme import dice_table, with_dice_table
from monai_semgan.bundle.labels import dice_by_label, organ_labels, read_metadata
from monai_semgan.evaluation.metrics import mean_dice
from monai_semgan.evaluation.study import Study
from monai_semgan.evaluation.tables import from_json, values

SETS = {"ct": "CT validation (BTCV, 4 patients)", "mr": "MRI report volumes (CHAOS T2-SPIR, 5 patients)"}
NAMES = {
    "unet": "U-Net",
    "unet_contrast": "U-Net + contrast randomisation",
    "student": "U-Net + contrast randomisation + generated pairs",
    "contrast_negative": "U-Net + contrast randomisation, averaged with the negative",
    "preview_plain": "preview without the negative",
    "preview": "preview",
    "encoder": "encoder only",
    "invert": "invert",
    "refine": "refine",
}


FOUR = ("liver", "right kidney", "left kidney", "spleen")
"""Structures that the labels of both sets hold."""


def studies(content: dict[str, Any]) -> dict[str, Study]:
    """Study by method, those with a name first."""
    methods = content["methods"]
    order = [*(k for k in NAMES if k in methods), *(k for k in methods if k not in NAMES)]
    return {key: from_json(methods[key]) for key in order}


def table(found: dict[str, Study]) -> list[str]:
    """Mean Dice by organ and method, mean HD95, and seconds a patient."""
    organs = organs_of(found)
    lines = [
        "| method | " + " | ".join(organs) + " | mean Dice | of the first four | mean HD95 (mm) | s per volume |",
        "|---|" + "---|" * (len(organs) + 4),
    ]
    for key, study in found.items():
        cells = [f"{study.dice[name]:.3f}" if name in study.dice else "-" for name in (*organs, "mean")]
        cells.append(f"{np.mean([study.dice[name] for name in FOUR]):.3f}")
        distances = np.concatenate([values(study, organ, "hd95") for organ in organs if organ in study.dice])
        distance = f"{distances.mean():.1f}" if len(distances) else "-"
        seconds = np.mean([patient.seconds for patient in study.scored])
        lines.append(f"| {NAMES.get(key, key)} | {' | '.join(cells)} | {distance} | {seconds:.0f} |")
    return lines


def organs_of(found: dict[str, Study]) -> list[str]:
    """Structures of the study that knows most of them."""
    return max(([name for name in study.dice if name != "mean"] for study in found.values()), key=len)


def patients_table(found: dict[str, Study]) -> list[str]:
    """Mean Dice of every patient by method."""
    names = [patient.key for patient in next(iter(found.values())).patients]
    lines = ["| method | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for key, study in found.items():
        means = {patient.key: mean_dice([patient.organs]).get("mean") for patient in study.scored}
        cells = ["-" if means.get(name) is None else f"{means[name]:.3f}" for name in names]
        lines.append(f"| {NAMES.get(key, key)} | {' | '.join(cells)} |")
    return lines


def training_record(folder: Path) -> dict[str, Any]:
    """What a stage's record says about how its weights came about."""
    record = json.loads((folder / "record.json").read_text())
    keys = ("stage", "note", "step", "seconds", "images", "seed", "settings", "data", "versions", "machine", "metrics")
    return {key: record[key] for key in keys if key in record}


def main() -> None:
    """Write the page, the record, and the figures of the structures in the readme of the bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in SETS:
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--memorisation", type=Path, default=None)
    parser.add_argument("--training", type=Path, nargs="*", default=[], help="stage folders of the runs")
    parser.add_argument("--preamble", type=Path, default=None, help="Markdown that stands before the tables")
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    contents = {name: json.loads(getattr(arguments, name).read_text()) for name in SETS}
    lines = arguments.preamble.read_text().splitlines() if arguments.preamble else ["# Results"]
    record: dict[str, Any] = {"dice": {}, "accuracy": contents}
    for name, title in SETS.items():
        found = studies(contents[name])
        lines += ["", f"## {title}", "", *table(found), "", "Mean of the organs, by patient:", ""]
        lines += patients_table(found)
        record["dice"][title] = {
            NAMES.get(k, k): {organ: round(value, 4) for organ, value in study.dice.items()}
            for k, study in found.items()
        }
    if arguments.memorisation:
        record["memorisation"] = json.loads(arguments.memorisation.read_text())
        lines += ["", "## Memorised patients", "", "| distance to the nearest training slice | value |", "|---|---|"]
        lines += [f"| {key} | {value:.4f} |" for key, value in record["memorisation"]["summary"].items()]
    record["training"] = [training_record(folder) for folder in arguments.training]
    (arguments.bundle / "models" / "model.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    readme, labels = arguments.bundle / "docs" / "README.md", organ_labels(read_metadata(arguments.bundle))
    figures = dice_table(labels, dice_by_label(record, labels))
    readme.write_text(with_dice_table(readme.read_text(encoding="utf-8"), figures), encoding="utf-8")
    arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
