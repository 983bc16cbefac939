"""3D Dice and HD95 per organ and patient at the scan's own resolution, for every mode of a bundle and for baselines.

    python benchmarks/accuracy.py --data lists/ct.json --methods preview encoder invert refine --out ct.json
    python benchmarks/accuracy.py --data lists/ct.json --unet "U-Net=runs/unet/student/weights.pt" --out unet.json

`--section validation` is scored. A baseline is another set of weights for the student, run exactly as a preview.
The JSON holds every patient's scores, the settings, the machine and the versions; results of earlier calls in the same
file are kept, and a patient that is there already is not computed again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from monai_semgan.bundle import Bundle, load_bundle, weights_digest
from monai_semgan.data.datalist import Entry, load_datalist
from monai_semgan.data.volume import read_label, read_volume
from monai_semgan.device import select_device
from monai_semgan.evaluation.metrics import OrganScore, mean_dice, score_volume
from monai_semgan.networks.weights import load_into, load_weights, part
from monai_semgan.segmentation import segment_volume
from monai_semgan.training.record import machine, versions

METHODS = {
    "preview": {"mode": "preview"},
    "encoder": {"mode": "invert", "steps": 0, "starts": 1, "start": "encoder"},
    "invert": {"mode": "invert"},
    "refine": {"mode": "refine"},
}


def methods(arguments: argparse.Namespace) -> Iterator[tuple[str, Bundle, dict[str, Any]]]:
    """Name, bundle and options of everything to score."""
    bundle = load_bundle(arguments.bundle, arguments.device)
    for name in arguments.methods:
        yield name, bundle, dict(METHODS[name])
    for given in arguments.unet:
        name, _, path = given.partition("=")
        other = load_bundle(arguments.bundle, arguments.device)
        load_into(other.network.student, part(load_weights(path), "student"), path)
        yield name, other, {"mode": "preview"}


def score(bundle: Bundle, entry: Entry, options: dict[str, Any], with_distance: bool) -> dict[str, Any]:
    """Segment one patient and compare."""
    volume = read_volume(entry.image)
    assert entry.label is not None
    started = time.perf_counter()
    found = segment_volume(volume, bundle, modality=entry.modality, **options)
    seconds = time.perf_counter() - started
    reference = read_label(entry.label, volume).array
    spacing = tuple(float(v) for v in volume.spacing)
    scores = score_volume(found.label, reference, spacing, bundle.labels, with_distance)  # type: ignore[arg-type]
    organs = {name: {k: _number(v) for k, v in asdict(value).items()} for name, value in scores.items()}
    return {"organs": organs, "seconds": round(seconds, 2), "slices": int(found.probabilities.shape[0])}


def summarise(patients: dict[str, Any]) -> dict[str, float]:
    """Mean Dice by organ and overall."""
    scores = [{n: OrganScore(**_floats(v)) for n, v in p["organs"].items()} for p in patients.values()]
    return {name: round(value, 4) for name, value in mean_dice(scores).items()}


def _number(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def _floats(values: dict[str, float | None]) -> dict[str, float]:
    return {k: float("nan") if v is None else v for k, v in values.items()}


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="data list (benchmarks/protocol.py writes them)")
    parser.add_argument("--section", default="validation")
    parser.add_argument("--bundle", type=Path, default=None, help="default: the shipped one")
    parser.add_argument("--methods", nargs="*", default=[], choices=sorted(METHODS))
    parser.add_argument("--unet", nargs="*", default=[], metavar="NAME=WEIGHTS", help="baselines")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=JSON", help="settings of the inversion")
    parser.add_argument("--suffix", default="", help="added to the names of the methods, for studies of settings")
    parser.add_argument("--no-distance", action="store_true", help="leave out HD95, which takes seconds per organ")
    parser.add_argument("--no-cleanup", action="store_true")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    """Score and write."""
    arguments = parse()
    entries = getattr(load_datalist(arguments.data), arguments.section)
    changes = {key: json.loads(value) for key, _, value in (s.partition("=") for s in arguments.set)}
    content = json.loads(arguments.out.read_text()) if arguments.out.exists() else {"methods": {}}
    where = machine(select_device(arguments.device), 1)
    content |= {"machine": where, "versions": versions(), "section": arguments.section}
    for name, bundle, options in methods(arguments):
        if options["mode"] != "preview":
            options |= changes
        options["cleanup"] = not arguments.no_cleanup
        result = content["methods"].setdefault(name + arguments.suffix, {"patients": {}})
        result |= {"options": options, "weights": weights_digest(bundle.folder)[:12]}
        for entry in entries:
            if entry.patient not in result["patients"]:
                result["patients"][entry.patient] = score(bundle, entry, options, not arguments.no_distance)
            result["dice"] = summarise(result["patients"])
            print(name + arguments.suffix, entry.patient, result["dice"], flush=True)
            arguments.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
