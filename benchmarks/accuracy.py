"""3D Dice and HD95 per organ and patient at the scan's own resolution, for every mode of a bundle and for baselines.

    python benchmarks/accuracy.py --data lists/ct.json --methods preview encoder invert refine --out ct.json
    python benchmarks/accuracy.py --data lists/ct.json --unet "U-Net=runs/unet/student/weights.pt" --out unet.json

`--section validation` is scored, as by `semgan evaluate`. A baseline is another set of weights for the student, run
exactly as a preview. The JSON holds a study of `monai_semgan.evaluation` for every method, the machine and versions;
results of earlier calls in the same file are kept, and a patient that is there already is not computed again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from monai_semgan.bundle.load import Bundle, load_bundle
from monai_semgan.data.datalist import load_datalist
from monai_semgan.evaluation.study import Study, evaluate_bundle
from monai_semgan.evaluation.tables import from_json, to_json
from monai_semgan.inference.segmentation import MODES
from monai_semgan.networks.weights import load_into, load_weights, part
from monai_semgan.utils.device import select_device
from monai_semgan.utils.versions import machine, versions


def methods(arguments: argparse.Namespace) -> Iterator[tuple[str, Bundle, str, dict[str, Any]]]:
    """Name, bundle, mode, and what else made the results, of everything to score."""
    bundle = load_bundle(arguments.bundle, arguments.device)
    for name in arguments.methods:
        yield name, bundle, name, {}
    for given in arguments.unet:
        name, _, path = given.partition("=")
        other = load_bundle(arguments.bundle, arguments.device)
        load_into(other.network.student, part(load_weights(path), "student"), path)
        yield name, other, "preview", {"student": hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]}


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="data list (benchmarks/protocol.py writes them)")
    parser.add_argument("--section", default="validation")
    parser.add_argument("--bundle", type=Path, default=None, help="default: the shipped one")
    parser.add_argument("--methods", nargs="*", default=[], choices=MODES)
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
    for method, bundle, mode, made in methods(arguments):
        name = method + arguments.suffix
        options = {"cleanup": not arguments.no_cleanup, "with_distance": not arguments.no_distance}
        options |= changes if mode != "preview" else {}
        before = from_json(content["methods"][name]) if name in content["methods"] else None

        def keep(study: Study, name: str = name, made: dict[str, Any] = made) -> None:
            content["methods"][name] = to_json(replace(study, settings={**study.settings, **made}))
            arguments.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            print(name, study.patients[-1].title, study.patients[-1].problem or study.dice, flush=True)

        known = () if before is None else before.scored
        evaluate_bundle(bundle, entries, mode, known=known, after=keep, **options)


if __name__ == "__main__":
    main()
