"""`semgan train`: from a data list to a folder with trained weights, stage by stage."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from monai_semgan.errors import SemganError
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.training.datasets import RunData, frame_of, load_run_data
from monai_semgan.training.engine.distributed import Workers
from monai_semgan.training.engine.loop import LoopSettings, StageLoop, StageResult, write_combined
from monai_semgan.training.engine.run_files import STAGES, gather_weights
from monai_semgan.training.engine.schedule import Schedule, parse_duration
from monai_semgan.training.engine.seeds import step_seed
from monai_semgan.training.pretrained import build_generator, trained_filter
from monai_semgan.training.stages.encoder_stage import EncoderSettings, EncoderStage
from monai_semgan.training.stages.gan_settings import GanSettings
from monai_semgan.training.stages.gan_stage import GanStage
from monai_semgan.training.stages.stage import Stage, StageContext
from monai_semgan.training.stages.student_stage import StudentSettings, StudentStage
from monai_semgan.utils.device import select_device
from monai_semgan.utils.progress import NullProgress

if TYPE_CHECKING:
    from monai_semgan.utils.progress import Progress

logger = logging.getLogger(__name__)

#: Share of a common time budget that each stage of `all` gets.
BUDGET_SHARES = {"gan": 0.6, "encoder": 0.2, "student": 0.2}


@dataclasses.dataclass(frozen=True)
class TrainRequest:
    """What `train` was asked for; see there."""

    datalist: Path
    out: Path
    size: int
    labelled: int
    seed: int
    num_classes: int
    pixel_mm: float
    init: tuple[Path, ...]
    resume: bool
    mixed_precision: bool
    options: Mapping[str, Any]


def train(
    stage: str,
    datalist: str | Path,
    out: str | Path,
    *,
    budget: str | float | None = None,
    steps: int | None = None,
    size: int = 128,
    labelled: int = -1,
    seed: int = 0,
    device: str = "auto",
    init: str | Path | Sequence[str | Path] | None = None,
    resume: bool = False,
    batch_size: int | None = None,
    num_classes: int = 5,
    pixel_mm: float = 2.75,
    mixed_precision: bool = True,
    checkpoint_seconds: float = 60.0,
    checkpoint_steps: int | None = None,
    validations: int = 4,
    log_every: int = 20,
    slot: str | float | None = None,
    tensorboard: bool = True,
    progress: Progress | None = None,
    **options: Any,
) -> list[StageResult]:
    """Train one stage, or all one after the other.

    Layout of `out`: `cache/` (preprocessed slices), for each stage `checkpoint.pt`, `weights.pt` and other weight files
    in half precision of at most 16 MiB, `record.json`, `tb/`, `sheets/`; and `model.pt` with all averaged weights.

    Args:
        stage: `gan`, `encoder`, `student` or `all`.
        datalist: MONAI data list (JSON), or a folder of packed slices (see `training.datasets.pack`).
        out: folder of the run.
        budget: time budget such as `25m`; `all` divides it among the stages.
        steps: number of steps of each stage; with both, the first end counts.
        size: side of a slice in pixels.
        labelled: how many training volumes keep their label; -1 for all.
        seed: seed of everything random.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        init: weights to begin with: files or folders, such as another run.
        resume: continue a run in `out` that was stopped or killed; starts one when there is none.
        batch_size: images per step and process; default of the stage.
        num_classes: classes with the background; higher label ids become background.
        pixel_mm: pixel spacing of the slices in mm.
        mixed_precision: bfloat16 where the device is fast with it.
        checkpoint_seconds: most seconds between two checkpoints.
        checkpoint_steps: most steps between two checkpoints, or None.
        validations: number of validations within a stage, the last at its end.
        log_every: steps between two readings of the losses.
        slot: stop cleanly after this time, to be resumed later, or None.
        tensorboard: write TensorBoard files.
        progress: display and cancel, or None.
        options: settings of the stage, see `GanSettings`, `EncoderSettings`, `StudentSettings`; with the stage's name
            before it (`gan_channels`) a setting is that stage's alone.

    Returns:
        How each stage ended.

    Raises:
        SemganError: on anything that the user can mend.
    """
    names = list(STAGES) if stage == "all" else [stage]
    if not set(names) <= set(STAGES):
        raise SemganError(f"unknown stage {stage!r}", remedy="use gan, encoder, student or all")
    if batch_size is not None:
        options["batch_size"] = batch_size
    settings = {name: stage_settings(name, options) for name in names}
    _check_options(options, settings)
    seconds = parse_duration(budget) if budget is not None else None
    schedules = {name: Schedule(steps, _share(seconds, name, stage)) for name in names}
    sources = (init,) if isinstance(init, (str, Path)) else tuple(init or ())
    loop = LoopSettings(
        checkpoint_seconds,
        checkpoint_steps,
        validations,
        log_every,
        parse_duration(slot) if slot is not None else None,
        tensorboard,
    )
    request = TrainRequest(
        Path(datalist),
        Path(out),
        size,
        labelled,
        seed,
        num_classes,
        pixel_mm,
        tuple(Path(source) for source in sources),
        resume,
        mixed_precision,
        options,
    )
    if progress is None:
        progress = NullProgress()
    chosen = Workers.local_device(select_device(device))
    workers = Workers(chosen)
    try:
        return _run_stages(request, settings, schedules, loop, workers, progress)
    finally:
        workers.close()


def _share(seconds: float | None, name: str, stage: str) -> float | None:
    if seconds is None:
        return None
    return seconds * BUDGET_SHARES[name] if stage == "all" else seconds


def stage_settings(name: str, options: Mapping[str, Any]) -> Any:
    """The settings of a stage with the given ones replaced; those of other stages are left out.

    `gan_channels` sets `channels` of the GAN stage only.
    """
    fields = [field.name for field in dataclasses.fields(settings_class(name))]
    chosen = {field: options[field] for field in fields if field in options}
    chosen |= {field: options[f"{name}_{field}"] for field in fields if f"{name}_{field}" in options}
    defaults = settings_class(name)()
    for field, value in chosen.items():
        _check_type(field, value, getattr(defaults, field))
    return settings_class(name)(**chosen)


def _check_type(name: str, value: Any, default: Any) -> None:
    """Refuse a word where a number belongs, and the like."""
    kinds = {bool: (bool,), int: (int,), float: (int, float), str: (str,), tuple: (list, tuple)}
    allowed = kinds.get(type(default))
    if allowed is not None and (not isinstance(value, allowed) or isinstance(value, bool) > (bool in allowed)):
        raise SemganError(f"the setting {name} cannot be {value!r}", remedy=f"the default is {default!r}")


def settings_class(name: str) -> type:
    """The settings dataclass of a stage."""
    if name == "gan":
        return GanSettings
    if name == "encoder":
        return EncoderSettings
    return StudentSettings


def _check_options(options: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    known = {field.name for chosen in settings.values() for field in dataclasses.fields(chosen)}
    own = {f"{name}_{field.name}" for name, chosen in settings.items() for field in dataclasses.fields(chosen)}
    unknown = sorted(set(options) - known - own)
    if unknown:
        raise SemganError(f"unknown setting {unknown[0]!r}", remedy=f"known are {', '.join(sorted(known))}")


def _run_stages(
    request: TrainRequest,
    settings: Mapping[str, Any],
    schedules: Mapping[str, Schedule],
    loop: LoopSettings,
    workers: Workers,
    progress: Progress,
) -> list[StageResult]:
    frame = frame_of(request.datalist)
    preprocessing = Preprocessing(
        size=request.size, pixel_mm=request.pixel_mm, num_classes=request.num_classes, frame=frame
    )
    cache = request.out / "cache"
    whole = load_run_data(request.datalist, preprocessing, cache, request.labelled, workers, progress)
    results: list[StageResult] = []
    for name, chosen in settings.items():
        results.append(run_stage(name, chosen, whole, request, schedules[name], loop, workers, progress))
        if not results[-1].finished:
            break
    return results


def run_stage(
    name: str,
    settings: Any,
    whole: RunData,
    request: TrainRequest,
    schedule: Schedule,
    loop: LoopSettings,
    workers: Workers,
    progress: Progress,
    handlers: Sequence[Any] = (),
) -> StageResult:
    """Train one stage of a run; the command line and the configurations of bundles both end here.

    Args:
        name: of the stage.
        settings: of the stage.
        whole: labelled and unlabelled slices.
        request: what all stages of the run share.
        schedule: when the stage ends.
        loop: how often things happen.
        workers: the processes; they know the device.
        progress: display and cancel.
        handlers: further handlers for the trainer.
    """
    device = workers.device
    data = whole.labelled_only() if name == "student" else whole
    context = StageContext(
        data.training.to(device),
        data.validation,
        device,
        workers,
        request.seed,
        request.size,
        request.num_classes,
        initial_weights(request, name),
        request.mixed_precision,
    )
    torch.manual_seed(step_seed(request.seed, 0, 0, "initial"))
    stage, network = build_stage(name, settings, context, request)
    description = {"data": dataclasses.asdict(data.record()), "network": network}
    folder, fingerprint = request.out / name, _fingerprint(request, settings)
    stage_loop = StageLoop(stage, folder, schedule, fingerprint, description, progress, loop, handlers)
    stage_loop.prepare(request.resume)
    result = stage_loop.run()
    if workers.is_main:
        write_combined(request.out)
    return result


def _fingerprint(request: TrainRequest, settings: Any) -> dict[str, Any]:
    """Settings that must be the same when a run is resumed, in JSON's types."""
    content: dict[str, Any] = json.loads(
        json.dumps(
            {
                "size": request.size,
                "labelled": request.labelled,
                "seed": request.seed,
                "num_classes": request.num_classes,
                "pixel_mm": request.pixel_mm,
                **dataclasses.asdict(settings),
            }
        )
    )
    return content


def initial_weights(request: TrainRequest, name: str) -> dict[str, torch.Tensor]:
    """Weights to begin a stage with: those of `init`, and those of earlier stages of this run."""
    weights: dict[str, torch.Tensor] = {}
    for source in request.init:
        weights.update(gather_weights(source))
    for earlier in STAGES[: STAGES.index(name)]:
        if any((request.out / earlier).glob("weights*.pt")):
            weights.update(gather_weights(request.out / earlier))
    return weights


def build_stage(name: str, settings: Any, context: StageContext, request: TrainRequest) -> tuple[Stage, dict[str, Any]]:
    """A stage and the description of its networks for the record."""
    if name == "gan":
        return GanStage(context, settings), {"resample_filter": list(settings.resample_filter)}
    own = request.out / "gan"
    resample_filter = trained_filter([own] if any(own.glob("weights*.pt")) else request.init)
    network: dict[str, Any] = {"resample_filter": list(resample_filter)}
    generator = build_generator(context.initial, request.size, request.num_classes, resample_filter)
    if name == "encoder":
        if generator is None:
            raise SemganError("the encoder needs a generator", remedy="run `semgan train gan` first or give --init")
        return EncoderStage(context, settings, generator), network
    if generator is None and settings.generated_fraction > 0:
        logger.warning("no generator in --init or in the run: the student learns from labelled scans alone")
    return StudentStage(context, settings, generator), network
