"""Quality features and Dice of scans, as they are and corrupted, for the studies of docs/uncertainty.md.

    python benchmarks/domain.py collect --data lists/ct.json --priors priors.json --limit 10 --out fit.json
    python benchmarks/domain.py report --check check.json mr.json
    python benchmarks/domain.py report --priors priors.json --fit fit.json --check check.json mr.json

`report` judges the weights that are shipped, or, with `--fit`, fits new ones, prints and judges them. Parts of scans
are cut out of the results of the whole ones; a table tells by their height how well their score tells failures.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from monai_semgan.bundle.load import Bundle, load_bundle
from monai_semgan.data.datalist import load_datalist
from monai_semgan.evaluation.calibration import fit_kinds, label_shapes, organ_priors, priors_to_dict
from monai_semgan.evaluation.calibration_samples import Sample, collect
from monai_semgan.evaluation.corruptions import CORRUPTIONS
from monai_semgan.inference.segmentation import domain_model
from monai_semgan.quality.assessment import LEAST_MM, LIMITS, DomainModel
from monai_semgan.quality.features import OrganPrior

HEIGHTS_MM = (0.0, 10.0, 20.0, 40.0, 60.0, LEAST_MM)
"""Bounds of the heights of parts that are told together."""

GOOD = 0.85
FAILED = 0.5
"""Mean Dice above which a result is good, and below which it is failed."""


def priors_of(bundle: Bundle, path: Path, data: Path) -> dict[str, OrganPrior]:
    """Size and place in the training labels; measured once."""
    if not path.exists():
        entries = [e for e in load_datalist(data).training if e.label is not None]
        path.write_text(json.dumps(priors_to_dict(organ_priors(label_shapes(bundle, entries)))), encoding="utf-8")
    return {k: OrganPrior(**{n: tuple(v) for n, v in p.items()}) for k, p in json.loads(path.read_text()).items()}


def run_collect(arguments: argparse.Namespace) -> None:
    """Write the samples of a section; goes on where it was."""
    bundle = load_bundle()
    priors = priors_of(bundle, arguments.priors, arguments.prior_data or arguments.data)
    entries = [e for e in getattr(load_datalist(arguments.data), arguments.section) if e.label is not None]
    samples: list[dict[str, Any]] = json.loads(arguments.out.read_text()) if arguments.out.exists() else []
    done = {(s.get("name") or s["patient"], s["mode"]) for s in samples}
    for entry in entries[: arguments.limit]:
        if (entry.name, arguments.mode) in done:
            continue
        found = collect(bundle, [entry], priors, arguments.corruptions, arguments.mode, every=arguments.every)
        samples += [asdict(sample) for sample in found]
        arguments.out.write_text(json.dumps(samples), encoding="utf-8")
        print(entry.name, len(samples), flush=True)


def scans(samples: list[Sample], model: DomainModel) -> list[dict[str, Any]]:
    """Score and mean Dice of every scan, or of every part of one."""
    groups: dict[tuple[Any, ...], list[Sample]] = {}
    for s in samples:
        groups.setdefault((s.name or s.patient, s.corruption, s.mode, s.height_mm, s.first_slice), []).append(s)
    found = []
    for (patient, corruption, mode, height, _), organs in groups.items():
        expected = [model.expected_dice(s.kind, s.organ_features) for s in organs]
        mean = float(np.mean([s.dice for s in organs]))
        entry = {"patient": patient, "corruption": corruption, "mode": mode, "height": height, "dice": mean}
        found.append(entry | {"score": 1 - float(np.mean(expected))})
    return found


def area_under_roc(score: np.ndarray, failed: np.ndarray) -> float:
    """Chance that a failed case has the higher score (Mann and Whitney)."""
    from scipy.stats import rankdata

    n, m = int(failed.sum()), int((~failed).sum())
    return float((rankdata(score)[failed].sum() - n * (n + 1) / 2) / (n * m)) if n and m else float("nan")


def line(title: str, rows: list[tuple[float, float]]) -> str:
    """Rank correlation of score and Dice, and how well the score tells failures."""
    from scipy.stats import spearmanr

    score, dice = np.array(rows).T
    rho = spearmanr(score, dice).statistic if len(rows) > 2 else float("nan")
    failed = dice < FAILED
    return (
        f"{title}: n {len(rows)}, failed {int(failed.sum())}, rho {rho:.2f}, AUROC {area_under_roc(score, failed):.2f}"
    )


def parts_table(title: str, rows: list[dict[str, Any]], limits: tuple[float, float]) -> list[str]:
    """Lines on parts, by height: how well their score tells failures, and what is said of good and of failed ones."""
    lines = []
    bounds = [*zip(HEIGHTS_MM[:-1], HEIGHTS_MM[1:], strict=True), (0.0, LEAST_MM)]
    for low, high in bounds:
        kept = [(r["score"], r["dice"]) for r in rows if low < r["height"] <= high]
        if not kept:
            continue
        score, dice = np.array(kept).T
        good, failed = score[dice > GOOD], score[dice < FAILED]
        shares = [
            f"{words} {np.mean(told):.0%} of {len(told)}" if len(told) else f"{words} none"
            for words, told in (
                ("good called out of domain", good >= limits[1]),
                ("good called unusual", (good >= limits[0]) & (good < limits[1])),
                ("failed called in domain", failed < limits[0]),
            )
        ]
        lines.append(f"{line(f'{title} parts of {low:g} to {high:g} mm', kept)}; {', '.join(shares)}")
    return lines


def fitted(fit: list[Sample], arguments: argparse.Namespace) -> DomainModel:
    """Weights fitted to samples, which are printed as a bundle's section."""
    weights, priors = fit_kinds(fit), json.loads(arguments.priors.read_text())
    print(json.dumps({"weights": weights, "priors": priors, "limits": arguments.limits}))
    return DomainModel(weights, priors, tuple(arguments.limits))


def shipped(bundle: Path | None) -> DomainModel:
    """What a bundle knows; the one that comes along when left out."""
    model = domain_model(load_bundle(bundle))
    assert model is not None
    return model


def run_report(arguments: argparse.Namespace) -> None:
    """Fit if asked for, check and print."""
    fit = load(arguments.fit)
    model = fitted(fit, arguments) if fit else shipped(arguments.bundle)
    check = [s for s in load(arguments.check) if s.kind in model.weights]
    for title, samples in (("fit", fit), ("check", check)):
        rows = scans([s for s in samples if not s.height_mm], model)
        for mode in sorted({r["mode"] for r in rows}):
            mine = [r for r in rows if r["mode"] == mode]
            clean = [r for r in mine if r["corruption"] == "clean"]
            for name, kept in (("as they are", clean), ("all", mine)):
                if kept:
                    print(line(f"{title} {mode} {name}", [(r["score"], r["dice"]) for r in kept]))
        if rows:
            print(line(f"{title} everything", [(r["score"], r["dice"]) for r in rows]))
        parts = scans([s for s in samples if s.height_mm], model)
        for mode in sorted({r["mode"] for r in parts}):
            print(*parts_table(f"{title} {mode}", [r for r in parts if r["mode"] == mode], model.limits), sep="\n")
    whole = [s for s in check if not s.height_mm]
    for r in sorted(scans(whole, model), key=lambda r: r["score"]):
        if r["corruption"] == "clean":
            print(f"  {r['patient']} {r['mode']}: score {r['score']:.2f}, Dice {r['dice']:.2f}")
    if whole:
        organs = [(1 - model.expected_dice(s.kind, s.organ_features), s.dice) for s in whole]
        print(line("check by organ", organs))


def load(paths: list[Path]) -> list[Sample]:
    """Samples of several files."""
    return [Sample(**item) for path in paths for item in json.loads(path.read_text())]


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("collect")
    one.add_argument("--data", type=Path, required=True)
    one.add_argument("--prior-data", type=Path, default=None, help="list whose training labels give the priors")
    one.add_argument("--section", default="training")
    one.add_argument("--limit", type=int, default=None)
    one.add_argument("--mode", default="preview")
    one.add_argument("--every", type=int, default=1)
    one.add_argument("--corruptions", nargs="*", default=list(CORRUPTIONS))
    one.add_argument("--out", type=Path, required=True)
    one.set_defaults(run=run_collect)
    two = commands.add_parser("report")
    two.add_argument("--fit", type=Path, nargs="*", default=[])
    two.add_argument("--check", type=Path, nargs="+", required=True)
    two.add_argument("--bundle", type=Path, default=None, help="whose weights are judged; default: the shipped ones")
    two.add_argument("--limits", type=float, nargs=2, default=list(LIMITS))
    two.set_defaults(run=run_report)
    one.add_argument("--priors", type=Path, required=True, help="JSON, written when missing")
    two.add_argument("--priors", type=Path, help="the same, for --fit")
    arguments = parser.parse_args()
    if getattr(arguments, "fit", None) and arguments.priors is None:
        parser.error("--fit needs --priors")
    arguments.run(arguments)


if __name__ == "__main__":
    main()
