"""`semgan train`: from a data list to trained weights."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.cli.arguments import EXIT_INTERRUPTED, non_negative_int, positive_int, say, threads_option
from monai_semgan.cli.setting_list import ListSettings
from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.utils.files import is_text
from monai_semgan.utils.progress_bar import BarProgress

if TYPE_CHECKING:
    from monai_semgan.utils.progress import Progress

DESCRIPTION = """\
Train the joint generator (gan), the encoder, the student, or all of them one after the other.

The data list is MONAI's: {"training": [{"image": ..., "label": ...}, {"image": ...}], "validation": [...]}; an entry
without label is unlabelled, paths are relative to the list. A run can be stopped or killed at any time and continued
with --resume.
"""

KEPT = "what was prepared and saved is kept; give the same command again, with --resume where a stage has begun"
"""Said where Ctrl-C ends a training at once."""


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "train",
        parents=[common],
        help="train on your own data",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("stage", choices=("gan", "encoder", "student", "all"))
    parser.add_argument(
        "--data", type=Path, metavar="LIST", help="data list (JSON), or packed slices (default: that of RUN's plan)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    _add_length(parser)
    _add_setup(parser)
    parser.set_defaults(run=run)


def _add_length(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how long (with both, the first end counts)")
    group.add_argument("--budget", metavar="TIME", help="time, for example 25m or 1h30m; `all` divides it")
    group.add_argument("--steps", type=positive_int, metavar="N", help="steps of each stage")
    group.add_argument("--slot", metavar="TIME", help="stop cleanly after this time, to be resumed later")
    group.add_argument("--resume", action="store_true", help="continue the run in RUN, with the same patients")
    group.add_argument(
        "--more-labels", action="store_true", help="resume although training patients have labels that had none"
    )


def _add_setup(parser: argparse.ArgumentParser) -> None:
    title = "what (left out: as the plan of RUN says, which is made from the data where there is none)"
    group = parser.add_argument_group(title)
    slice_options(group)
    group.add_argument(
        "--classes",
        type=positive_int,
        metavar="K",
        help="with background, without --labels: ids from K on become background",
    )
    group.add_argument(
        "--labelled", type=non_negative_int, metavar="N", help="use the labels of the first N volumes only"
    )
    group.add_argument(
        "--fold",
        metavar="K/N",
        help="score on part K of N of the labelled training patients (default: the list's validation, or a fifth)",
    )
    group.add_argument(
        "--folds",
        type=positive_int,
        metavar="N",
        help="train for each of N folds, in RUN/fold_1 ..., which share --budget; a bundle averages their students",
    )
    group.add_argument(
        "--init", type=Path, action="append", metavar="WEIGHTS", help="file or run to begin with; repeatable"
    )
    group.add_argument(
        "--from", dest="from_run", type=Path, metavar="RUN", help="run to begin with: its weights and its settings"
    )
    group.add_argument("--batch-size", type=positive_int, metavar="N", help="images per step")
    group.add_argument("--seed", type=non_negative_int, metavar="N", help="seed of everything random (default 0)")
    group.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or cuda:N (default auto)")
    threads_option(group)
    group.add_argument(
        "--set",
        type=setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the stage; repeatable",
    )
    group.add_argument("--list-settings", action=ListSettings, help="print every setting of --set and end")


def slice_options(group: Any) -> None:
    """Add the options that a plan decides where they are left out."""
    group.add_argument("--size", type=positive_int, metavar="N", help="pixels of a slice")
    group.add_argument("--pixel-mm", type=float, metavar="MM", help="pixel spacing")
    group.add_argument("--window", type=float, nargs=2, metavar=("LOW", "HIGH"), help="HU that become -1 and 1 in CT")
    group.add_argument(
        "--percentiles", type=float, nargs=2, metavar=("LOW", "HIGH"), help="of the body that do so in MR"
    )
    group.add_argument(
        "--plane", choices=("auto", "stored", "axial"), help="cut volumes as they are stored, or axially (default auto)"
    )
    group.add_argument(
        "--labels",
        type=label_names,
        metavar="NAMES",
        help='labels to learn: "1:liver,6:aorta", or names that the data list knows; all others become background',
    )


def setting(text: str) -> tuple[str, Any]:
    """Type of `--set`: a name and a value in JSON, or a bare word."""
    import json

    name, separator, value = text.partition("=")
    if not separator or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name.replace("-", "_"), json.loads(value)
    except ValueError:
        return name.replace("-", "_"), value


def label_names(text: str) -> dict[int, str] | list[str]:
    """Type of `--labels`: names, or ids with names."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if parts and all(":" in part for part in parts):
        pairs = [part.split(":", 1) for part in parts]
        if not all(index.strip().isdigit() for index, _ in pairs) or len({int(i) for i, _ in pairs}) < len(pairs):
            raise argparse.ArgumentTypeError(f"{text!r} does not give every id once, as in 1:liver,6:aorta")
        return {int(index): name.strip() for index, name in pairs}
    if not parts or any(":" in part for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is neither names nor ids with names, as in 1:liver,6:aorta")
    return parts


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand."""
    if not is_text(arguments.out):
        raise SemganError("the name is not UTF-8 text, which TensorBoard needs", remedy="rename it", path=arguments.out)
    data = _data(arguments)
    from monai_semgan.training.folds import train_folds
    from monai_semgan.training.run import train
    from monai_semgan.training.training_settings import TrainSettings
    from monai_semgan.utils.progress import NullProgress

    settings = TrainSettings.gather(_chosen(arguments))
    try:
        with BarProgress("training") as shown:
            progress: Progress = shown if is_main_process() and not arguments.quiet else NullProgress()
            if arguments.folds is not None:
                results, summary = train_folds(
                    arguments.stage, data, arguments.out, settings, arguments.folds, progress=progress
                )
            else:
                results, summary = train(arguments.stage, data, arguments.out, settings, progress=progress), None
    except KeyboardInterrupt:  # before the first step, or pressed twice
        raise Cancelled(KEPT) from None
    tell = say if is_main_process() else lambda line: None
    for line in summary.table() if summary is not None else ():
        tell(line)
    return _report(arguments, results, tell)


def _data(arguments: argparse.Namespace) -> Path:
    """The data list that was given, or that of the plan."""
    from monai_semgan.training.planning.data_plan import find_plan

    if arguments.data is not None:
        if not arguments.data.exists():
            problem, remedy = "no such data list", "give a JSON file, or a folder of packed slices"
            raise SemganError(problem, remedy=remedy, path=arguments.data)
        return Path(arguments.data)
    plan = find_plan(arguments.out)
    if plan is None:
        raise SemganError("no plan here tells the data list", remedy="give it with --data", path=arguments.out)
    if not plan.source.exists():
        problem = "the data list of the plan is no longer there"
        raise SemganError(problem, remedy="give the place where it is now with --data", path=plan.source)
    return plan.source


def _chosen(arguments: argparse.Namespace) -> dict[str, Any]:
    """Settings that stand on the command line."""
    same = ["budget", "steps", "slot", "resume", "more_labels", "size", "pixel_mm", "window", "percentiles", "plane"]
    same += ["labels", "labelled", "fold", "init", "from_run", "batch_size", "seed", "device"]
    chosen = {name: getattr(arguments, name) for name in same} | {"num_classes": arguments.classes}
    given = {name: value for name, value in chosen.items() if value is not None}
    return {"plan": True} | given | dict(arguments.set)


def is_main_process() -> bool:
    """Whether this is the only process, or the first of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def _report(arguments: argparse.Namespace, results: list[Any], tell: Callable[[str], None]) -> int:
    for result in results:
        figures = ", ".join(f"{name} {value:.3f}" for name, value in getattr(result, "metrics", {}).items())
        state = "finished" if result.finished else "stopped early"
        name = f"{result.folder.parent.name}/{result.stage}" if arguments.folds else result.stage
        tell(f"{name}: {state} after {result.steps} steps" + (f" ({figures})" if figures else ""))
    tell(f"wrote {arguments.out}")
    if all(result.finished for result in results):
        return 0
    tell("continue with the same command and --resume")
    return EXIT_INTERRUPTED
