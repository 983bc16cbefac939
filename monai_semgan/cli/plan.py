"""`semgan plan`: look at the data before they are trained on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.cli.arguments import bar, modality_name, say, threads_option
from monai_semgan.cli.train import slice_options
from monai_semgan.utils.files import is_text

if TYPE_CHECKING:
    from monai_semgan.training.planning.data_plan import DataPlan

DESCRIPTION = """\
Look at every scan of a data list and decide how to train on them: slices, pixel, window, classes, batch and budget.

RUN/plan.html shows slices as the networks will see them, grey values, spacings, classes and doubts. `semgan train`
takes everything from the plan, and makes one itself where there is none. What an option says is not decided.
"""


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "plan",
        parents=[common],
        help="look at your own data and plan a training on them",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("list", type=Path, metavar="LIST", help="data list (JSON)")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run to plan")
    parser.add_argument(
        "--replace", action="store_true", help="plan anew in place of a plan from which nothing has been trained"
    )
    group = parser.add_argument_group("choices (left out: decided from the data)")
    slice_options(group)
    told = "CT, MR, DX or XR (radiographs), or XC (photographs in colours), of scans of which the list does not tell it"
    group.add_argument("--modality", type=modality_name, metavar="NAME", help=told)
    threads_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand."""
    from monai_semgan.errors import SemganError
    from monai_semgan.networks.slice_sizes import check_slice_size
    from monai_semgan.training.planning.plan_use import plan_training
    from monai_semgan.training.training_settings import TrainSettings

    if not is_text(arguments.out):
        raise SemganError("the name is not UTF-8 text", remedy="rename it", path=arguments.out)
    if arguments.size is not None:
        check_slice_size(arguments.size)
    names = ("size", "pixel_mm", "window", "percentiles", "plane", "labels")
    chosen = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    with bar(arguments, "stopping after these scans; Ctrl-C again stops at once") as progress:
        plan, made = plan_training(
            arguments.list,
            arguments.out,
            TrainSettings.gather(chosen),
            modality=arguments.modality,
            anew=arguments.replace,
            progress=progress,
        )
    report(plan, arguments.out, made)
    return 0


def report(plan: DataPlan, out: Path, made: bool) -> None:
    """Print decisions and doubts."""
    from monai_semgan.training.engine.run_files import PLAN_PAGE

    for decision in plan.decisions:
        say(str(decision))
    for doubt in plan.doubts:
        say(f"doubt: {doubt}")
    say(f"wrote {out / PLAN_PAGE}" if made else f"{out} has this plan already, and the data are the same")
    say(f"look at it, then: semgan train all --out {out} --budget 4h")
