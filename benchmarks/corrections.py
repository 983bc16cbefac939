"""What do strokes bring? Dice against their number, for the latent correction, plain painting and a random walker.

    python benchmarks/corrections.py --out corrections.json --csv corrections.csv --plot corrections.png
    python benchmarks/corrections.py --scans ct_00 mr_02 --rounds 3 --methods paint latent --out some.json
    python benchmarks/corrections.py --timing --out timing.json

`simulated_reading` draws: a stroke of ten pixels in the largest error of the worst slice, from the preview on. Every
method gets strokes for its own errors; painting and walker also once those that were drawn for the latent correction
(`same strokes`). The walker needs scikit-image (extra `test`); it is run in the stroke's slice and in a
slab of the same reach as the latent correction, each within two radii: the tables show whichever of the four is best.

Corrections that are in the JSON file already are not computed again; previews are kept in a temporary folder.
`--timing` measures how long a reader waits on a CT cut to 90 slices, and what 50 corrections add to the memory.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from protocol import CT_VALIDATION, MR_TUNING
from simulated_reading.reader import Method, ReaderState, Reading, read
from simulated_reading.stroke_methods import Paint, Walker

from monai_semgan.bundle.load import Bundle, load_bundle
from monai_semgan.correction.correction_settings import CorrectionSettings
from monai_semgan.correction.corrector import Corrector
from monai_semgan.correction.strokes import Stroke
from monai_semgan.inference.segmentation import parse_labels, segment
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.io.volume import Volume
from monai_semgan.utils.device import select_device
from monai_semgan.utils.files import written_aside
from monai_semgan.utils.versions import machine, versions

FOLDERS = {"ct": "abdomen_ct", "mr": "abdomen_mr_t2"}
"""Folder of the data by the first letters of a scan's name."""

SHOWN = (0, 1, 3, 5, 10)
"""Numbers of strokes in the tables."""

WALKER_RADII = (20.0, 30.0)
"""Millimetres around a stroke within which a walker may change the label; 10 were worse on all scans tried."""

SAME = ", same strokes"
"""After the name of a method that got the strokes of the latent correction."""


@dataclass
class Latent:
    """The correction that moves the latents.

    Attributes:
        bundle: the model.
        modality: of the scans, as a reader tells it.
        settings: of the correction.
        corrector: of the scan that was last corrected.
        state: label that it stands at.
    """

    bundle: Bundle
    settings: CorrectionSettings = field(default_factory=CorrectionSettings)
    name: str = "latent"
    corrector: Corrector | None = None
    volume: Volume | None = None

    def apply(self, state: ReaderState, stroke: Stroke) -> np.ndarray:
        """Correct, warm from the strokes before."""
        if self.corrector is None or self.volume is not state.volume:
            self.corrector = Corrector(self.bundle, state.volume, state.label, modality=state.volume.modality)
            self.volume = state.volume
        elif not state.strokes:
            self.corrector.restore(state.label, None)
        return self.corrector.correct([stroke], self.settings).label


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan with its reference and the preview's label."""

    name: str
    volume: Volume
    reference: np.ndarray
    preview: np.ndarray

    @property
    def kind(self) -> str:
        """`ct` or `mr`."""
        return self.name.partition("_")[0]


def load_scan(data: Path, name: str, bundle: Bundle, cache: Path) -> Scan:
    """Read a scan and its reference, whose ids are the model's, and compute its preview once."""
    folder = data / FOLDERS[name.partition("_")[0]]
    modality = name.partition("_")[0].upper()
    volume = replace(read_volume(folder / "images" / f"{name}.nii.gz"), modality=modality)
    reference = read_label(folder / "labels" / f"{name}.nii.gz", volume).array
    kept = cache / f"{name}_{bundle.weights_sha256[:12]}.npz"
    if not kept.exists():
        label = segment(volume, bundle, modality=modality).label
        cache.mkdir(parents=True, exist_ok=True)
        with written_aside(kept) as aside:
            np.savez_compressed(aside, label=label)
    return Scan(name, volume, reference, np.load(kept)["label"])


def methods_of(names: Sequence[str], bundle: Bundle, arguments: argparse.Namespace) -> list[Method]:
    """The methods asked for, the latent correction first, since others follow its strokes."""
    changes = {key: json.loads(value) for key, _, value in (s.partition("=") for s in arguments.set)}
    settings = CorrectionSettings(**{"reach_mm": arguments.reach, **changes})
    found: list[Method] = [Latent(bundle, settings)] if "latent" in names else []
    found += [Paint()] if "paint" in names else []
    if "walker" in names:
        found += [
            Walker(f"walker {radius:.0f} mm, {where}", radius, reach)
            for radius in WALKER_RADII
            for where, reach in (("slice", 0.0), ("slab", arguments.reach))
        ]
    return found


def measure(content: dict[str, Any], scan: Scan, structure: int, methods: Sequence[Method], rounds: int) -> None:
    """Let the reader correct a structure of a scan by every method that is not in the content yet."""
    drawn: tuple[Stroke, ...] | None = None
    for method in methods:
        for suffix in ("", SAME) if isinstance(method, (Paint, Walker)) else ("",):
            row = content["readings"].setdefault(method.name + suffix, {})
            key = f"{scan.name} {structure}"
            given = drawn if suffix else None
            if (suffix and given is None) or len(row.get(key, {}).get("dice", ())) > rounds:
                continue
            found = read(
                method,
                scan.volume,
                scan.preview,
                scan.reference,
                structure,
                rounds,
                clock=time.perf_counter,
                given=given,
            )
            row[key] = described(found, rounds)
            print(f"{method.name + suffix:32}{key}", " ".join(f"{d:.3f}" for d in found.dice), flush=True)
            if isinstance(method, Latent):
                drawn = found.strokes


def described(found: Reading, rounds: int) -> dict[str, Any]:
    """A reading for the JSON file; where no error was left the last Dice stands for the strokes that are missing."""
    scores = [*found.dice, *[found.dice[-1]] * (rounds + 1 - len(found.dice))]
    return {
        "dice": [round(score, 5) for score in scores],
        "strokes": [("+" if stroke.positive else "-") + str(len(stroke.voxels)) for stroke in found.strokes],
        "seconds": [round(seconds, 3) for seconds in found.seconds],
    }


def curves(content: dict[str, Any], kind: str, structures: Iterable[int] | None = None) -> dict[str, np.ndarray]:
    """Mean Dice after 0, 1, 2, ... strokes by method, over scans of a kind and structures; the best walker alone."""
    wanted = None if structures is None else {str(structure) for structure in structures}
    found = {}
    for method, readings in content["readings"].items():
        rows = [
            reading["dice"]
            for key, reading in readings.items()
            if key.startswith(kind) and (wanted is None or key.split()[1] in wanted)
        ]
        if rows:
            shortest = min(map(len, rows))
            found[method] = np.mean([row[:shortest] for row in rows], axis=0)
    for suffix in ("", SAME):
        names = [name for name in found if name.startswith("walker") and name.endswith(SAME) == bool(suffix)]
        walkers = [found.pop(name) for name in names]
        if walkers:
            found["best walker" + suffix] = np.max(walkers, axis=0)
    return found


def table(content: dict[str, Any], kind: str, structures: Iterable[int] | None = None) -> list[str]:
    """Mean Dice of the methods against the number of strokes, as Markdown."""
    lines = ["| method | " + " | ".join(f"{n} strokes" for n in SHOWN) + " |", "|---|" + "---|" * len(SHOWN)]
    for method, curve in curves(content, kind, structures).items():
        cells = [f"{curve[n]:.4f}" if n < len(curve) else "-" for n in SHOWN]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return lines


def write_csv(content: dict[str, Any], path: Path) -> None:
    """A line for every Dice."""
    with written_aside(path) as aside, aside.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "scan", "structure", "strokes", "dice"])
        for method, readings in content["readings"].items():
            for key, reading in readings.items():
                scan, structure = key.split()
                name = content["structures"][structure]
                writer.writerows([method, scan, name, n, score] for n, score in enumerate(reading["dice"]))


def plot(content: dict[str, Any], path: Path) -> None:
    """Draw Dice against strokes, a panel for each kind of scan."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    kinds = [kind for kind in FOLDERS if curves(content, kind)]
    figure, panels = pyplot.subplots(1, len(kinds), squeeze=False, figsize=(5 * len(kinds), 4))
    for kind, panel in zip(kinds, panels[0], strict=True):
        for method, curve in curves(content, kind).items():
            panel.plot(curve, label=method, linestyle="--" if method.endswith(SAME) else "-")
        panel.set(title=kind.upper(), xlabel="strokes", ylabel="mean Dice")
        panel.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = os.environ.get("SEMGAN_DATA")
    scans = [*(f"ct_{n}" for n in CT_VALIDATION), *(f"mr_{n}" for n in MR_TUNING)]
    parser.add_argument("--data", type=Path, default=known, required=known is None, help="default: $SEMGAN_DATA")
    parser.add_argument("--scans", nargs="+", default=scans, metavar="NAME", help=f"default: {' '.join(scans)}")
    parser.add_argument("--structures", nargs="+", default=["liver", "spleen"], metavar="NAME")
    parser.add_argument("--methods", nargs="+", default=["paint", "walker", "latent"])
    parser.add_argument("--rounds", type=int, default=10, help="strokes")
    parser.add_argument("--reach", type=float, default=25.0, metavar="MM")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=JSON", help="settings of the latent correction")
    parser.add_argument("--bundle", type=Path, default=None, help="default: the shipped one")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "semgan_corrections")
    parser.add_argument("--csv", type=Path, default=None)
    parser.add_argument("--plot", type=Path, default=None)
    parser.add_argument("--timing", action="store_true", help="measure waiting and memory instead of Dice")
    parser.add_argument("--corrections", type=int, default=50, help="of the measured memory")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    """Measure, write and print."""
    arguments = parse()
    bundle = load_bundle(arguments.bundle, arguments.device)
    content = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    content |= {"machine": machine(select_device(arguments.device), 1), "versions": versions()}
    if arguments.timing:
        from correction_timing import measure_timing

        scan = load_scan(arguments.data, arguments.scans[0], bundle, arguments.cache)
        content["timing"] = measure_timing(bundle, scan.volume, scan.preview, scan.reference, arguments.corrections)
        arguments.out.write_text(json.dumps(content, indent=1) + "\n")
        return
    structures = parse_labels(arguments.structures, bundle.labels)
    content.setdefault("readings", {})
    content["structures"] = {str(index): name for index, name in bundle.labels.items()}
    methods = methods_of(arguments.methods, bundle, arguments)
    for name in arguments.scans:
        scan = load_scan(arguments.data, name, bundle, arguments.cache)
        for structure in structures:
            measure(content, scan, structure, methods, arguments.rounds)
            arguments.out.write_text(json.dumps(content, indent=1) + "\n")
    for kind in FOLDERS:
        if curves(content, kind):
            print("", f"{kind.upper()}, {' and '.join(arguments.structures)}:", "", *table(content, kind), sep="\n")
    if arguments.csv:
        write_csv(content, arguments.csv)
    if arguments.plot:
        plot(content, arguments.plot)


if __name__ == "__main__":
    main()
