"""Do the scores of active learning tell which scans are segmented badly (docs/active_learning.md)?

    python benchmarks/protocol.py --out lists
    python benchmarks/active_learning.py --data lists/mr_tune.json lists/ct.json --out scores.json

Scores the labelled volumes under `validation` as `semgan_scores` would, and the preview against their labels; prints
rank correlations, for CT and MR on their own too, since between the modalities everything differs. Volumes that are in
the file already are not computed again.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from monai_semgan.bundle.load import Bundle, load_bundle
from monai_semgan.data.datalist import Entry, load_datalist
from monai_semgan.evaluation.metrics import score_volume
from monai_semgan.inference.segmentation import Segmentation, segment
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.label_app.activelearning.measures import disagreement
from monai_semgan.utils.device import select_device
from monai_semgan.utils.versions import machine, versions

SCORES = {
    "domain": "out-of-domain score of the preview",
    "disagreement": "disagreement of preview and inversion",
    "residual": "mean residual of the inversion",
}


def mean_residual(found: Segmentation) -> float:
    """Mean absolute difference between slices and renderings as a share of the full range of grey values."""
    assert found.inversion is not None
    return float(found.inversion.residual.mean()) / 2


def measure(bundle: Bundle, entry: Entry, steps: int) -> dict[str, Any]:
    """All scores of a volume, and the mean Dice of its preview."""
    volume = read_volume(entry.image)
    assert entry.label is not None
    reference = read_label(entry.label, volume)
    row: dict[str, Any] = {"patient": entry.name, "modality": entry.modality, "seconds": {}}
    found = {}
    for name, options in (("preview", {}), ("invert", {"steps": steps})):
        started = time.perf_counter()
        found[name] = segment(volume, bundle, name, modality=entry.modality, **options)
        row["seconds"][name] = round(time.perf_counter() - started, 1)
        scores = score_volume(found[name].label, reference, bundle.labels, False)
        row[f"dice_{name}"] = float(np.nanmean([score.dice for score in scores.values()]))
    preview = found["preview"]
    row["domain"] = preview.domain.score if preview.domain is not None else float("nan")
    row["disagreement"] = disagreement(preview.label, found["invert"].label, list(bundle.labels))
    row["residual"] = mean_residual(found["invert"])
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}


def correlations(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Spearman's rank correlation of every score with the preview's Dice; negative is what a score should be."""
    from scipy.stats import spearmanr

    groups = {"all": rows} | {m: [r for r in rows if r["modality"] == m] for m in ("CT", "MR")}
    dice = {name: [r["dice_preview"] for r in kept] for name, kept in groups.items()}
    return {
        key: {
            name: round(float(spearmanr([r[key] for r in kept], dice[name]).statistic), 2)
            for name, kept in groups.items()
            if len(kept) > 2
        }
        for key in SCORES
    }


def tables(rows: list[dict[str, Any]]) -> list[str]:
    """Markdown of what was found."""
    found = correlations(rows)
    names = list(next(iter(found.values())))
    counts = {n: sum(n in ("all", r["modality"]) for r in rows) for n in names}
    lines = ["| score | " + " | ".join(f"{n} ({counts[n]})" for n in names) + " |", "|---|" + "---|" * len(names)]
    lines += [f"| {SCORES[key]} | " + " | ".join(f"{v:.2f}" for v in row.values()) + " |" for key, row in found.items()]
    columns = ("dice_preview", "dice_invert", *SCORES)
    lines += ["", "| scan | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for row in sorted(rows, key=lambda r: r["dice_preview"]):
        lines.append(f"| {row['patient']} | " + " | ".join(f"{row[key]:.3f}" for key in columns) + " |")
    return lines


def main() -> None:
    """Measure what is missing, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--steps", type=int, default=5, help="of the inversion")
    parser.add_argument("--limit", type=int, default=None, help="volumes of each list")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    bundle = load_bundle(device=arguments.device)
    rows: list[dict[str, Any]] = json.loads(arguments.out.read_text())["scans"] if arguments.out.exists() else []
    about = {"machine": machine(select_device(arguments.device), 1), "versions": versions(), "steps": arguments.steps}
    done = {row["patient"] for row in rows}
    for data in arguments.data:
        for entry in [e for e in load_datalist(data).validation if e.label is not None][: arguments.limit]:
            if entry.name not in done:
                rows.append(measure(bundle, entry, arguments.steps))
                print(json.dumps(rows[-1]), flush=True)
                arguments.out.write_text(json.dumps({**about, "scans": rows}, indent=1) + "\n", encoding="utf-8")
    print("\n".join(tables(rows)))


if __name__ == "__main__":
    main()
