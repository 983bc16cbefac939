"""Quality features and Dice of scans, as they are and corrupted, for the studies of docs/uncertainty.md.

    python benchmarks/domain.py collect --data lists/ct.json --priors priors.json --limit 10 --out fit.json
    python benchmarks/domain.py report --check check.json mr.json
    python benchmarks/domain.py report --priors priors.json --fit fit.json --check check.json mr.json

`report` judges the weights that are shipped, or, with `--fit`, fits new ones, prints and judges them.
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
from monai_semgan.evaluation.calibration import Sample, collect, fit_weights, label_shapes, organ_priors, priors_to_dict
from monai_semgan.evaluation.corruptions import CORRUPTIONS
from monai_semgan.inference.segmentation import domain_model
from monai_semgan.quality.assessment import LIMITS, DomainModel, kind_of
from monai_semgan.quality.features import OrganPrior


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
    """Score and mean Dice of every scan."""
    groups: dict[tuple[str, str, str], list[Sample]] = {}
    for s in samples:
        groups.setdefault((s.name or s.patient, s.corruption, s.mode), []).append(s)
    found = []
    for (patient, corruption, mode), organs in groups.items():
        expected = [model.expected_dice(kind_of(mode), s.organ_features) for s in organs]
        mean = float(np.mean([s.dice for s in organs]))
        entry = {"patient": patient, "corruption": corruption, "mode": mode, "dice": mean}
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
    failed = dice < 0.5
    return (
        f"{title}: n {len(rows)}, failed {int(failed.sum())}, rho {rho:.2f}, AUROC {area_under_roc(score, failed):.2f}"
    )


def fitted(fit: list[Sample], arguments: argparse.Namespace) -> DomainModel:
    """Weights fitted to samples, which are printed as a bundle's section."""
    kinds = sorted({kind_of(s.mode) for s in fit})
    weights = {kind: fit_weights([s for s in fit if kind_of(s.mode) == kind]) for kind in kinds}
    priors = json.loads(arguments.priors.read_text())
    print(json.dumps({"weights": weights, "priors": priors, "limits": arguments.limits}))
    return DomainModel(weights, priors, tuple(arguments.limits))


def shipped() -> DomainModel:
    """What the bundle that comes along knows."""
    model = domain_model(load_bundle())
    assert model is not None
    return model


def run_report(arguments: argparse.Namespace) -> None:
    """Fit if asked for, check and print."""
    fit = load(arguments.fit)
    model = fitted(fit, arguments) if fit else shipped()
    kinds = set(model.weights)
    check = [s for s in load(arguments.check) if kind_of(s.mode) in kinds]
    for title, rows in (("fit", scans(fit, model)), ("check", scans(check, model))):
        for mode in sorted({r["mode"] for r in rows}):
            mine = [r for r in rows if r["mode"] == mode]
            clean = [r for r in mine if r["corruption"] == "clean"]
            for name, kept in (("as they are", clean), ("all", mine)):
                if kept:
                    print(line(f"{title} {mode} {name}", [(r["score"], r["dice"]) for r in kept]))
        if rows:
            print(line(f"{title} everything", [(r["score"], r["dice"]) for r in rows]))
    for r in sorted(scans(check, model), key=lambda r: r["score"]):
        if r["corruption"] == "clean":
            print(f"  {r['patient']} {r['mode']}: score {r['score']:.2f}, Dice {r['dice']:.2f}")
    organs = [(1 - model.expected_dice(kind_of(s.mode), s.organ_features), s.dice) for s in check]
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
