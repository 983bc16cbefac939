"""`semgan evaluate`: label files, or a model, scored against the labels of a data list."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.cli.arguments import bar, model_options, name_column, non_negative_int, note, say, threads_option
from monai_semgan.errors import SemganError

if TYPE_CHECKING:
    from monai_semgan.data.datalist import Entry
    from monai_semgan.evaluation.study import PatientScore, Study

EXIT_MISSING = 3

DESCRIPTION = """\
Score label files (--predictions) or a model (--bundle, --mode) against the labels of a data list, in 3D at the scans'
own resolution: Dice, 95th percentile Hausdorff distance, average surface distance and volume error, by organ and
patient; of pictures and radiographs in pixels. What --predictions hold is called as --bundle says, or the list.
Writes scores.csv, scores.json, summary.md and boxplot.png into --out.
"""

EPILOG = """\
exit codes: 0 all labelled patients were scored; 3 some were not (they are listed; --allow-missing makes it 0); 2 wrong
usage or input; 130 stopped. A model's evaluation that was stopped goes on where it was; --overwrite begins anew.
"""


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "evaluate",
        parents=[common],
        help="score predictions or a model against labels",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--data", type=Path, required=True, metavar="LIST", help="data list with labels (JSON)")
    parser.add_argument("--section", help="of the list (default: the first of test, validation, training with labels)")
    parser.add_argument("--predictions", type=Path, metavar="DIR", help="label files, named like the scans")
    parser.add_argument(
        "--prediction-labels",
        metavar="WHOSE",
        help="what ids in --predictions mean: model, list, or a JSON file with names of ids (default: as found out)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the results")
    model_options(parser)
    threads_option(parser)
    parser.add_argument("--mode", choices=("preview", "encoder", "invert", "refine"), default="preview")
    parser.add_argument("--steps", type=non_negative_int, metavar="N", help="optimisation steps of invert and refine")
    parser.add_argument("--no-cleanup", action="store_true", help="keep specks and holes")
    parser.add_argument("--no-distance", action="store_true", help="leave out surface distances, which take seconds")
    parser.add_argument("--allow-missing", action="store_true", help="exit with 0 though patients are missing")
    parser.add_argument("--compare", type=Path, metavar="JSON", help="scores.json of another evaluation")
    parser.add_argument("--overwrite", action="store_true", help="do not go on with what is in --out")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand."""
    from monai_semgan.evaluation.study import labelled_section
    from monai_semgan.evaluation.tables import read_study, write_study, write_text
    from monai_semgan.utils.files import check_output

    if arguments.prediction_labels and not arguments.predictions:
        raise SemganError("--prediction-labels is for label files", remedy="give --predictions DIR, or leave it out")
    name, entries = labelled_section(arguments.data, arguments.section)
    other = read_study(arguments.compare) if arguments.compare else None
    out = check_output(arguments.out / "scores.json", (".json",)).parent
    study = _of_files(arguments, entries) if arguments.predictions else _of_model(arguments, entries, out)
    files = write_study(study, out, f"Evaluation of {name}")
    if other is not None:
        from monai_semgan.evaluation.comparison import compare, comparison_table, other_references

        table = comparison_table(compare(study, other), other_references(study, other))
        files.append(write_text(out / "comparison.md", table))
        say(files[-1].read_text(encoding="utf-8"))
    _plot(study, out, files)
    _print(study)
    for path in files:
        say(f"wrote {path}")
    return 0 if arguments.allow_missing or not study.missing else EXIT_MISSING


def _of_files(arguments: argparse.Namespace, entries: list[Entry]) -> Study:
    from monai_semgan.evaluation.label_files import evaluate_predictions
    from monai_semgan.evaluation.organ_names import organ_names

    names = organ_names(entries, arguments.predictions, arguments.bundle, arguments.prediction_labels)
    with bar(arguments, "stopping") as progress:
        return evaluate_predictions(
            arguments.predictions,
            entries,
            names.labels,
            label_ids=names.files,
            note=names.note,
            prediction_labels=arguments.prediction_labels,
            with_distance=not arguments.no_distance,
            progress=progress,
        )


def _of_model(arguments: argparse.Namespace, entries: list[Entry], out: Path) -> Study:
    from monai_semgan.bundle.load import load_bundle
    from monai_semgan.evaluation.study import evaluate_bundle
    from monai_semgan.evaluation.tables import write_study

    options: dict[str, Any] = {"with_distance": not arguments.no_distance, "cleanup": not arguments.no_cleanup}
    if arguments.steps is not None:
        options["steps"] = arguments.steps
    bundle = load_bundle(arguments.bundle, arguments.device)
    known = () if arguments.overwrite else _known(out / "scores.json", arguments.mode, bundle.folder, options)
    with bar(arguments, "stopping; finished patients are kept") as progress:
        return evaluate_bundle(
            bundle,
            entries,
            arguments.mode,
            known=known,
            after=lambda study: write_study(study, out),
            tell=note,
            progress=progress,
            **options,
        )


def _known(path: Path, mode: str, folder: Path, options: dict[str, Any]) -> tuple[PatientScore, ...]:
    """Scores of an earlier run with the same settings and weights."""
    from monai_semgan.bundle.digest import weights_digest
    from monai_semgan.evaluation.tables import read_study

    if not path.exists():
        return ()
    before = read_study(path)
    if dict(before.settings) != {"mode": mode, "weights": weights_digest(folder)[:12]} | options:
        remedy = "choose another --out, or --overwrite"
        raise SemganError("holds an evaluation with other settings or weights", remedy=remedy, path=path)
    return before.scored


def _plot(study: Study, out: Path, files: list[Path]) -> None:
    from monai_semgan.evaluation.plots import save_boxplot

    try:
        files.append(save_boxplot(study, out / "boxplot.png"))
    except SemganError as error:
        if "matplotlib" not in error.problem:
            raise
        note(f"no box plot: {error.problem}; {error.remedy}")


def _print(study: Study) -> None:
    from monai_semgan.evaluation.tables import distance_told

    for patient in study.missing:
        note(f"{patient.title} has no score: {patient.problem}")
    for line in study.notes:
        note(line)
    width = name_column(study.dice)
    for organ, value in study.dice.items():
        say(f"  {organ:<{width}} Dice {value:.4f}{distance_told(study, organ)}")
    say(f"{len(study.scored)} of {len(study.patients)} patients")
