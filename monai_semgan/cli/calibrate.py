"""`semgan calibrate`: teach a bundle what its failures look like."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.cli.arguments import bar, note, positive_int, say, threads_option

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.data.datalist import Entry

ENOUGH = 5
"""Labelled scans with which a score is more than rough."""

DESCRIPTION = """\
Fit the out-of-domain score of a bundle on labelled scans, as they are and made unlike (other contrast, noise, blur,
turned, ...), and write it into the bundle's configs/inference.json, section `domain`. Afterwards `semgan segment`
gives a score, a verdict and the Dice to expect. Scans of a few slices are judged by weights of their own, which are
fitted to stacks cut out of the same results. Use scans that the model was trained on or like them.
"""


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "calibrate",
        parents=[common],
        help="fit a bundle's out-of-domain score",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--bundle", type=Path, required=True, metavar="DIR", help="bundle, is changed")
    parser.add_argument("--data", type=Path, required=True, metavar="LIST", help="data list with labels (JSON)")
    parser.add_argument("--section", default="training", choices=("training", "validation", "test"))
    parser.add_argument(
        "--modes",
        nargs="+",
        choices=("preview", "encoder", "invert"),
        help="default preview and encoder, of a student alone preview",
    )
    parser.add_argument(
        "--limit", type=positive_int, default=5, metavar="N", help="scans that are segmented (default 5)"
    )
    parser.add_argument("--every", type=positive_int, default=2, metavar="N", help="take every n-th slice (default 2)")
    parser.add_argument("--limits", type=float, nargs=2, default=(0.25, 0.5), metavar=("UNUSUAL", "OUT"), help="scores")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or cuda:N (default auto)")
    threads_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand."""
    from monai_semgan.bundle.labels import CONFIG, read_json
    from monai_semgan.bundle.load import load_bundle
    from monai_semgan.data.datalist import load_datalist
    from monai_semgan.evaluation.study import labelled_entries
    from monai_semgan.utils.files import check_output, write_utf8
    from monai_semgan.utils.json_text import json_text

    entries = labelled_entries(getattr(load_datalist(arguments.data), arguments.section), arguments.data)
    path = check_output(arguments.bundle / CONFIG, (".json",)) if arguments.bundle.is_dir() else arguments.bundle
    bundle = load_bundle(arguments.bundle, arguments.device)
    arguments.modes = arguments.modes or [mode for mode in ("preview", "encoder") if mode in bundle.modes]
    for mode in set(arguments.modes) - set(bundle.modes):
        bundle.network.check_renders(f"mode {mode}")
    note_few(entries, bundle)
    section, clean = fit(bundle, entries, arguments)
    write_utf8(path, json_text(read_json(path) | {"domain": section}, indent=4) + "\n")
    for kind, weights in section["weights"].items():
        say(f"{kind}: " + ", ".join(f"{name} {value:g}" for name, value in weights.items()))
    for mode, scores in clean.items():
        say(f"{mode}: scans as they are score {scores[0]:.2f} to {scores[-1]:.2f}")
        unusual = sum(score >= arguments.limits[0] for score in scores)
        if unusual:
            note(f"{unusual} of {len(scores)} would be called unusual; small structures raise scores: choose --limits")
    say(f"wrote {path}")
    return 0


def note_few(entries: list[Entry], bundle: Bundle) -> None:
    """Say before the work what a score will lack that is fitted to few scans."""
    from monai_semgan.evaluation.calibration import FEWEST
    from monai_semgan.evaluation.scores import organs_listed

    whole = sum(organs_listed(entry, bundle.labels) == dict(bundle.labels) for entry in entries)
    if whole < FEWEST:
        scans = "1 scan has" if whole == 1 else f"{whole} scans have"
        note(f"{scans} labels of all organs, {FEWEST} are needed: the score will not heed sizes and places of organs")
    elif len(entries) < ENOUGH:
        note(
            f"{len(entries)} labelled scans: a score fitted to fewer than {ENOUGH} is rough, do not rely on its limits"
        )


def fit(
    bundle: Bundle, entries: list[Entry], arguments: argparse.Namespace
) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """The section `domain` of a bundle, and by mode the scores that the scans get as they are."""
    from monai_semgan.evaluation.calibration import (
        clean_scores,
        fit_kinds,
        label_shapes,
        organ_priors,
        priors_to_dict,
    )
    from monai_semgan.evaluation.calibration_samples import collect
    from monai_semgan.evaluation.corruptions import CORRUPTIONS, SILENT
    from monai_semgan.quality.assessment import DomainModel

    corruptions, chosen = [name for name in CORRUPTIONS if name not in SILENT], entries[: arguments.limit]
    weights: dict[str, dict[str, float]] = {}
    clean: dict[str, list[float]] = {}
    with bar(arguments, "stopping; nothing is written") as progress:
        priors = organ_priors(label_shapes(bundle, entries, progress))
        for mode in arguments.modes:
            found = list(collect(bundle, chosen, priors, corruptions, mode, every=arguments.every, progress=progress))
            weights |= fit_kinds(found)
            if scores := clean_scores(found, DomainModel(weights)):
                clean[mode] = scores
    return {"weights": weights, "priors": priors_to_dict(priors), "limits": list(arguments.limits)}, clean
