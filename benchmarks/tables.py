"""Turn the JSON files of `accuracy.py` and `memorisation.py` into `docs/results.md` and the record of a bundle.

    python benchmarks/tables.py --ct ct.json --mr mr.json --memorisation memorisation.json \
        --training runs/student runs/encoder --bundle bundles/semgan_abdomen --out docs/results.md
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

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


def table(content: dict[str, Any]) -> list[str]:
    """Mean Dice by organ and method, mean HD95, and seconds a patient."""
    methods = content["methods"]
    organs = [name for name in next(iter(methods.values()))["dice"] if name != "mean"]
    lines = [
        "| method | " + " | ".join(organs) + " | mean Dice | mean HD95 (mm) | s per volume |",
        "|---|" + "---|" * (len(organs) + 3),
    ]
    for key in [*(k for k in NAMES if k in methods), *(k for k in methods if k not in NAMES)]:
        result = methods[key]
        cells = [f"{result['dice'][name]:.3f}" for name in (*organs, "mean")]
        patients = result["patients"].values()
        distances = [o["hd95"] for p in patients for o in p["organs"].values() if o["hd95"] is not None]
        distance = f"{sum(distances) / len(distances):.1f}" if distances else "-"
        seconds = sum(p["seconds"] for p in patients) / len(patients)
        lines.append(f"| {NAMES.get(key, key)} | {' | '.join(cells)} | {distance} | {seconds:.0f} |")
    return lines


def patients_table(content: dict[str, Any]) -> list[str]:
    """Mean Dice of every patient by method."""
    methods = content["methods"]
    names = list(next(iter(methods.values()))["patients"])
    lines = ["| method | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for key, result in methods.items():
        cells = []
        for name in names:
            organs = result["patients"][name]["organs"].values()
            values = [o["dice"] for o in organs if o["dice"] is not None]
            cells.append(f"{sum(values) / len(values):.3f}" if values else "-")
        lines.append(f"| {NAMES.get(key, key)} | {' | '.join(cells)} |")
    return lines


def training_record(folder: Path) -> dict[str, Any]:
    """What a stage's record says about how its weights came about."""
    record = json.loads((folder / "record.json").read_text())
    keys = ("stage", "step", "seconds", "images", "seed", "settings", "data", "versions", "machine", "metrics")
    return {key: record[key] for key in keys if key in record}


def main() -> None:
    """Write both files."""
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
        lines += ["", f"## {title}", "", *table(contents[name]), "", "Mean of the organs, by patient:", ""]
        lines += patients_table(contents[name])
        record["dice"][title] = {NAMES.get(k, k): v["dice"] for k, v in contents[name]["methods"].items()}
    if arguments.memorisation:
        record["memorisation"] = json.loads(arguments.memorisation.read_text())
        lines += ["", "## Memorised patients", "", "| distance to the nearest training slice | value |", "|---|---|"]
        lines += [f"| {key} | {value:.4f} |" for key, value in record["memorisation"]["summary"].items()]
    record["training"] = [training_record(folder) for folder in arguments.training]
    (arguments.bundle / "models" / "model.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
