"""`semgan train`: from a data list to a folder with trained weights, stage by stage."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from monai_semgan.errors import SemganError
from monai_semgan.networks.slice_sizes import check_slice_size
from monai_semgan.slicing.model_settings import SETTINGS, ModelSettings
from monai_semgan.training.data_check import check_data
from monai_semgan.training.data_print import DataPrint
from monai_semgan.training.datasets import RunData, load_run_data, validation_choice
from monai_semgan.training.earlier_run import with_earlier_run
from monai_semgan.training.engine.distributed import Workers
from monai_semgan.training.engine.loop import StageLoop, StageResult
from monai_semgan.training.engine.record import DataRecord
from monai_semgan.training.engine.run_files import stage_folders, write_combined
from monai_semgan.training.engine.run_lock import locked_run
from monai_semgan.training.engine.schedule import Slot
from monai_semgan.training.engine.seeds import step_seed
from monai_semgan.training.planning.plan_use import plan_of_run, with_batches
from monai_semgan.training.run_page.run_writing import write_run_page
from monai_semgan.training.run_plan import field_of_view, keep_settings, kept_settings, plan_run
from monai_semgan.training.stage_building import build_stage, initial_weights
from monai_semgan.training.stages.stage import StageContext
from monai_semgan.training.stages.stage_registry import budget_shares, find_stage
from monai_semgan.training.training_settings import TrainSettings, from_old_keywords
from monai_semgan.utils.device import select_device
from monai_semgan.utils.progress import NullProgress
from monai_semgan.utils.settings import field_names, make_settings, refuse_unknown

if TYPE_CHECKING:
    from monai_semgan.utils.progress import Progress

logger = logging.getLogger(__name__)


def train(
    stage: str,
    datalist: str | Path,
    out: str | Path,
    settings: TrainSettings | None = None,
    *,
    progress: Progress | None = None,
    **old: Any,
) -> list[StageResult]:
    """Train one stage, or all one after the other.

    Layout of `out`: `settings.json` (see `ModelSettings`), `plan.json` and `plan.html` where it was planned, `cache/`
    (preprocessed slices), for each stage `checkpoint.pt`, `weights.pt` and other weight files in half precision of at
    most 16 MiB, `record.json`, `tb/`, `sheets/`; and `model.pt` with all averaged weights.

    Args:
        stage: `gan`, `encoder`, `student` or `all`.
        datalist: MONAI data list (JSON), or a folder of packed slices (see `pack_slices`).
        out: folder of the run.
        settings: everything else.
        progress: display and cancel, or None.
        old: fields of `TrainSettings` and of the stages' settings one by one, as before 0.2.

    Returns:
        How each stage ended.

    Raises:
        SemganError: on anything that the user can mend.
    """
    source, out, settings = Path(datalist), Path(out), from_old_keywords(settings, old)
    with open_run(stage, out, settings) as (names, workers, settings):
        return run_stages(names, source, out, settings, workers, progress or NullProgress())


@contextlib.contextmanager
def open_run(stage: str, out: Path, settings: TrainSettings) -> Iterator[tuple[list[str], Workers, TrainSettings]]:
    """Check the settings of a training and hold its folder.

    Gives the names of its stages, the processes, and the settings with those of the run that it begins with.

    Raises:
        SemganError: if a setting makes no sense, or another process trains in the folder.
    """
    names = list(budget_shares()) if stage == "all" else [find_stage(stage).name]
    settings = with_earlier_run(settings, out, names)
    check_options(names, settings)
    for name in names:
        settings.schedule()
        own = stage_settings(name, settings.stage_options)
        if settings.size is not None:
            check_stage_size(name, settings.size, own)
    device = settings.device if isinstance(settings.device, torch.device) else select_device(settings.device)
    workers = Workers(Workers.local_device(device))
    try:
        with locked_run(out, workers):
            yield names, workers, settings
    finally:
        workers.close()


def run_stages(
    names: Sequence[str],
    source: Path,
    out: Path,
    settings: TrainSettings,
    workers: Workers,
    progress: Progress,
    home: Path | None = None,
) -> list[StageResult]:
    """Train stages one after the other, until one is stopped.

    Args:
        names: of the stages.
        source: data list, or packed slices.
        out: folder of the run.
        settings: of the run.
        workers: the processes.
        progress: display and cancel.
        home: folder of plan and cache, where several runs share them; `out` when left out.

    Raises:
        SemganError: on anything that the user can mend.
    """
    home, slot = out if home is None else home, Slot(settings.slot_seconds)
    plan = plan_of_run(source, home, settings, workers, progress)
    settings, shares = with_batches(settings, plan), plan.shares if plan is not None else budget_shares()
    view = field_of_view(source)
    kept = kept_settings(out, view, quiet=True) or kept_settings(home, view, quiet=True)
    slices = replace(plan_run(source, settings, kept), modality=plan.modality if plan is not None else None)
    choice = validation_choice(out, settings.fold, settings.from_run)
    data = load_run_data(source, slices, home / "cache", settings.labelled, workers, progress, choice)
    told = plan.doubts if plan is not None else ()
    for note in (note for note in data.notes if workers.is_main and note not in told):
        logger.warning("%s", note)
    results: list[StageResult] = []
    if len(names) > 1 and not len(data.training.labelled_indices) and not (settings.sources or stage_folders(out)):
        remedy = "add labels to the data list, or give weights that know the structures in --init"
        raise SemganError("no training scan is labelled", remedy=remedy, path=source)
    names = [name for name in names if name in shares] if len(names) > 1 else names
    for name in names:
        share = shares[name] if len(names) > 1 else 1.0
        own = replace(settings.with_share(share), slot=slot.left)
        results.append(run_stage(name, data, out, own, workers, progress))
        if not results[-1].finished:
            break
    if workers.is_main:
        write_run_page(out)
    return results


def stage_settings(name: str, options: Mapping[str, Any], where: str = "") -> Any:
    """The settings of a stage with the given ones replaced; those of other stages are left out.

    `gan_channels` sets `channels` of the GAN stage only.

    Raises:
        SemganError: if a value is of a wrong type or makes no sense.
    """
    fields = field_names(settings_class(name))
    chosen = {field: options[field] for field in fields if field in options}
    chosen |= {field: options[f"{name}_{field}"] for field in fields if f"{name}_{field}" in options}
    return make_settings(settings_class(name), chosen, where=where)


def check_stage_size(name: str, size: int, own: Any) -> None:
    """Refuse slices that a stage cannot be trained on.

    Args:
        name: of the stage.
        size: H = W in pixels.
        own: settings of the stage.

    Raises:
        SemganError: with the sizes that are possible.
    """
    student = name == "student"
    check_slice_size(size, len(own.channels) if student else 1, renders=not student)


def settings_class(name: str) -> type:
    """The settings dataclass of a stage."""
    return find_stage(name).settings


def check_options(names: Sequence[str], settings: TrainSettings, where: str = "") -> None:
    """Refuse options that none of the stages has.

    Raises:
        SemganError: with those that there are.
    """
    known = {field for name in names for field in field_names(settings_class(name))}
    own = {f"{name}_{field}" for name in names for field in field_names(settings_class(name))}
    refuse_unknown(set(settings.options) - own, known, where)


def run_stage(
    name: str,
    data: RunData,
    out: Path,
    settings: TrainSettings,
    workers: Workers,
    progress: Progress,
    handlers: Sequence[Any] = (),
) -> StageResult:
    """Train one stage of a run; the command line and the configurations of bundles both end here.

    Args:
        name: of the stage.
        data: labelled and unlabelled slices.
        out: folder of the run.
        settings: of the run.
        workers: the processes; they know the device.
        progress: display and cancel.
        handlers: further handlers for the trainer.

    Raises:
        SemganError: on anything that the user can mend, and if the run was trained with other settings or patients.
    """
    model = keep_settings(out, data.model, kept_settings(out, data.model.preprocessing.field_of_view))
    own, device = stage_settings(name, settings.stage_options), workers.device
    check_stage_size(name, model.preprocessing.size, own)
    printed, added = check_data(out, name, data, settings)
    data = data.labelled_only() if find_stage(name).labelled_only else data
    context = StageContext(
        data.training.to(device),
        data.validation,
        device,
        workers,
        settings.seed,
        model.preprocessing.size,
        model.preprocessing.num_classes,
        initial_weights(settings.sources, out, name),
        settings.mixed_precision,
        settings.schedule(),
    )
    torch.manual_seed(step_seed(settings.seed, 0, 0, "initial"))
    stage, network = build_stage(name, own, context, out, settings.sources)
    record = data.record()
    description: dict[str, Any] = {
        "data": dataclasses.asdict(record),
        "network": network,
        "preparation_seconds": round(data.preparation_seconds, 3),
    }
    prints = fingerprint(settings, own, model, record)
    loop = StageLoop(stage, out / name, settings.schedule(), prints, description, progress, settings, handlers)
    loop.prepare(settings.resume)
    if added and loop.finished:
        problem = f"this {name} run is finished, it would not learn from the new labels of {', '.join(added)}"
        remedy = "give more steps or time, or start another run from its weights with --from"
        raise SemganError(problem, remedy=remedy, path=out / name)
    workers.first(lambda: _keep(out, model, printed))
    result = loop.run()
    workers.first(lambda: write_combined(out))
    return result


def _keep(out: Path, model: ModelSettings, printed: DataPrint) -> None:
    """Write what a run is trained on into its folder."""
    model.save(out / SETTINGS)
    printed.save(out)


def fingerprint(settings: TrainSettings, own: Any, model: ModelSettings, record: DataRecord) -> dict[str, Any]:
    """Settings that must be the same when a run is resumed, in JSON's types."""
    content = {
        "size": model.preprocessing.size,
        "labelled": settings.labelled,
        "seed": settings.seed,
        "num_classes": model.preprocessing.num_classes,
        "pixel_mm": model.preprocessing.pixel_mm,
        "window": model.preprocessing.window,
        "percentiles": model.preprocessing.percentiles,
        "field_of_view": model.preprocessing.field_of_view,
        "label_ids": model.label_ids,
        "patients": record.patients_hash(),
        **dataclasses.asdict(own),
    }
    found: dict[str, Any] = json.loads(json.dumps(content))
    return found
