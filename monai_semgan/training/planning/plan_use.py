"""The plan as commands use it: made, kept, or made on the way into a training, which takes everything from it."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from monai_semgan.errors import SemganError
from monai_semgan.training.engine.distributed import Workers
from monai_semgan.training.engine.run_files import PLAN_PAGE, stage_folders
from monai_semgan.training.engine.run_lock import locked_run
from monai_semgan.training.planning.data_plan import DataPlan, find_plan
from monai_semgan.training.planning.plan_making import check_choices, check_list, kept_plan, make_plan
from monai_semgan.training.training_settings import TrainSettings
from monai_semgan.utils.progress import NullProgress

if TYPE_CHECKING:
    from monai_semgan.utils.progress import Progress

logger = logging.getLogger(__name__)


def plan_training(
    source: str | Path,
    out: str | Path,
    settings: TrainSettings | None = None,
    *,
    modality: str | None = None,
    anew: bool = False,
    progress: Progress | None = None,
) -> tuple[DataPlan, bool]:
    """Plan a training on a data list: `settings.json`, `plan.json` and `plan.html` in the folder of its run.

    A plan that is there is kept and compared with list and settings.

    Args:
        source: MONAI data list (JSON).
        out: folder of the run.
        settings: what is chosen and not decided: size, pixel, window, percentiles, labels.
        modality: `CT`, `MR` or `DX`, for scans of which the list does not tell it.
        anew: plan again in place of a plan from which nothing has been trained.
        progress: display and cancel, or None.

    Returns:
        The plan, and whether it was made now.

    Raises:
        SemganError: on anything that the user can mend; a plan that is there stays as it is then.
        Cancelled: if the user wants to stop.
    """
    source, out, settings = Path(source), Path(out), settings or TrainSettings()
    if not source.is_file():
        raise SemganError("no such data list", remedy="give a JSON file", path=source)

    def plan() -> tuple[DataPlan, bool]:
        if anew and stage_folders(out):
            problem = "has been trained: another plan would not be that of its weights"
            raise SemganError(problem, remedy="choose another --out", path=out)
        kept = None if anew else kept_plan(source, out, settings)
        if kept is not None:
            return kept, False
        return make_plan(source, out, settings, progress or NullProgress(), modality).plan, True

    with closing(Workers(torch.device("cpu"))) as workers, locked_run(out, workers):
        return workers.first_decides(plan)


def plan_of_run(
    source: Path, out: Path, settings: TrainSettings, workers: Workers, progress: Progress
) -> DataPlan | None:
    """The plan that a training goes by; made now where it shall be and there is none.

    Packed slices, and runs that were trained without a plan, go on without.

    Args:
        source: data list or packed slices.
        out: folder of the run, locked.
        settings: `plan` asks for one.
        workers: the first process plans.
        progress: display and cancel.

    Raises:
        SemganError: if list or settings contradict the plan, or none can be made.
    """
    plan = workers.first(lambda: _plan_of_run(source, out, settings, progress))
    return plan if workers.is_main else find_plan(out)


def _plan_of_run(source: Path, out: Path, settings: TrainSettings, progress: Progress) -> DataPlan | None:
    plan = find_plan(out)
    trained = bool(stage_folders(out))
    if plan is not None:
        other = "choose another --out" if trained else "plan anew with `semgan plan LIST --out RUN --replace`"
        check_choices(out, settings, source, other)
        if not trained and source.is_file():  # later the record tells more: which patients moved, which labels are new
            check_list(plan, source, out, other)
    elif settings.plan and source.is_file() and not trained:
        plan = make_plan(source, out, settings, progress).plan
        tell(plan, out)
    return plan


def tell(plan: DataPlan, out: Path) -> None:
    """Say what is unusual in a plan that nobody has looked at."""
    for decision in plan.decisions:
        if not (decision.usual or decision.chosen):
            logger.warning("plan: %s", decision)
    for doubt in plan.doubts:
        logger.warning("doubt: %s", doubt)
    logger.warning("plan: look at %s", out / PLAN_PAGE)


def with_batches(settings: TrainSettings, plan: DataPlan | None) -> TrainSettings:
    """The settings with the plan's batch sizes, where the user has chosen none."""
    if plan is None or settings.batch_size is not None or "batch_size" in settings.options:
        return settings
    planned = {f"{stage}_batch_size": size for stage, size in plan.batch_sizes.items()}
    return replace(settings, options={**planned, **settings.options})
