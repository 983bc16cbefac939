"""Fine-tuning: a model is trained on with labelled scans, and its old structures are rehearsed meanwhile.

The training is that of `semgan train`: the student stage, begun from the model's own weights, on a data list that is
made here. It goes on where it was when it is killed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from monai_semgan.bundle.digest import weights_digest
from monai_semgan.bundle.labels import WEIGHTS
from monai_semgan.bundle.load import load_bundle
from monai_semgan.bundle.version_record import VersionRecord
from monai_semgan.data.datalist import Entry
from monai_semgan.data.splits import Choice
from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.learning.new_structures import hardly_learnt
from monai_semgan.learning.tuning_bundle import write_tuned_bundle
from monai_semgan.learning.tuning_check import TuningFigures, compare
from monai_semgan.learning.tuning_data import (
    TunedClasses,
    TuningScan,
    each_told,
    held_out_of,
    look_at,
    look_at_all,
    write_list,
)
from monai_semgan.learning.tuning_settings import TuneSettings
from monai_semgan.organs import structure_key
from monai_semgan.slicing.planes import AXIAL
from monai_semgan.training.datasets import load_run_data
from monai_semgan.training.engine.run_files import gather_weights
from monai_semgan.training.engine.schedule import CLOCKS, Stopwatch
from monai_semgan.training.pretrained import student_channels
from monai_semgan.training.run import open_run, run_stage
from monai_semgan.training.run_plan import plan_run
from monai_semgan.training.training_settings import TrainSettings
from monai_semgan.utils.file_state import file_state, fingerprint
from monai_semgan.utils.progress import NullProgress

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.learning.new_structures import NewStructure
    from monai_semgan.utils.progress import Progress

MOST_MEASURED = 2
"""Scans of the training that are measured on where none is held out."""

STAGE = "student"
"""Of `semgan train`."""

LEAST_TRAINING = 0.5
"""Share of the time that is training, however long all else takes: of many scans, looking would take all of it."""


@dataclass(frozen=True, eq=False)
class TunedModel:
    """What tuning has made.

    Attributes:
        folder: of the new bundle.
        record: what is to be told of it, for `VersionStore.add`.
        figures: on the held-out scans; on the training scans where none were held out.
        refusal: why it must not be used; empty if it may be.
        steps: of training.
    """

    folder: Path
    record: VersionRecord
    figures: TuningFigures
    refusal: str
    steps: int


def tune(
    bundle: str | Path,
    entries: Sequence[Entry],
    work: Path,
    settings: TuneSettings,
    *,
    replay: Sequence[Entry] = (),
    parent: int = 0,
    progress: Progress | None = None,
) -> TunedModel:
    """Tune a model on labelled scans.

    Args:
        bundle: folder of the model, which is only read.
        entries: labelled scans; those without label are rehearsed on.
        work: folder for the training, which is kept when it is stopped, and goes on from there. It can be removed
            afterwards.
        settings: everything else.
        replay: further scans to rehearse on, with labels or without; none of them is held out.
        parent: number of the version that `bundle` is.
        progress: display and cancel.

    Returns:
        The new model, also where it is refused.

    Raises:
        SemganError: scans, labels or settings cannot be used, or the folder cannot be written.
        Cancelled: the user has ended it.
    """
    folder, watch = Path(bundle), Stopwatch(clock=CLOCKS[settings.clock])
    progress = _Uncounted(progress or NullProgress(), watch)
    old = load_bundle(folder, settings.device)
    new = unknown_ones(settings.structures, old.labels)
    ids = {one.name: one.label_id for one in settings.structures if one.label_id is not None}
    classes = TunedClasses(old.labels, [one.name for one in new], ids)
    learnt, held_out = held_out_of(entries, settings.held_out)
    training = look_at_all([*learnt, *replay], classes, progress)
    measured = [look_at(entry, classes) for entry in held_out] or training[:MOST_MEASURED]
    taught = _taught(training, classes)
    added = tuple(old.labels)[len(old.labels) - old.network.added_count :]
    if added:  # heads on maps that are about to change: their structures become classes of the student
        training = [scan.with_found(old, added) for scan in each_told(training, "finding what was added", progress)]
    looked = watch.elapsed
    measured = [scan.with_replay(old) for scan in each_told(measured, "measuring the model as it is", progress)]
    run = work / _key(folder, training, settings)
    seconds = max(LEAST_TRAINING * settings.seconds, settings.seconds - watch.elapsed - (watch.elapsed - looked))
    weights, steps = _train(folder, run, training, old, classes, replace(settings, budget=seconds), progress)
    facts: dict[str, Any] = {"steps": steps, "scans": len(training), "held_out": len(held_out), "parent": parent}
    made = write_tuned_bundle(folder, run / "bundle", classes.names, weights, facts, new)
    figures = compare(load_bundle(made, settings.device), measured, classes, progress)
    record = VersionRecord(
        parent,
        "tune",
        taught,
        tuple(entry.name for entry in learnt),
        tuple(entry.name for entry in held_out),
        figures.after if held_out else {},
        _note(figures, bool(held_out), classes.new),
    )
    return TunedModel(made, record, figures, figures.refusal(settings.largest_loss), steps)


def unknown_ones(structures: Sequence[NewStructure], labels: Mapping[int, str]) -> list[NewStructure]:
    """Structures that a model does not know, whose labels are given by id."""
    known = {structure_key(name) for name in labels.values()}
    return [one for one in structures if structure_key(one.name) not in known]


def _taught(scans: Sequence[TuningScan], classes: TunedClasses) -> tuple[str, ...]:
    """New structures; where there are none, those that the labels tell."""
    told = {index for scan in scans for index in scan.known}
    return tuple(classes.new) or tuple(name for index, name in classes.names.items() if index in told)


def _key(folder: Path, scans: Sequence[TuningScan], settings: TuneSettings) -> str:
    """Name of the folder in which this training, and no other, goes on."""
    files = [path for scan in scans for path in (scan.entry.image, scan.entry.label) if path is not None]
    asked = {name: str(value) for name, value in asdict(settings).items() if name not in ("budget", "clock", "device")}
    return fingerprint([weights_digest(folder), [file_state(path) for path in files], asked])[:12]


def _train(
    folder: Path,
    run: Path,
    scans: Sequence[TuningScan],
    old: Bundle,
    classes: TunedClasses,
    settings: TuneSettings,
    progress: Progress,
) -> tuple[dict[str, torch.Tensor], int]:
    """Train the student on; its new weights by prefix, and the number of steps.

    Raises:
        Cancelled: the user has ended it.
    """
    (run / "labels").mkdir(parents=True, exist_ok=True)
    source = write_list(run / "labels", scans, classes.names)
    asked = _train_settings(folder, old, classes, settings)
    with open_run(STAGE, run, asked) as (_, workers, own):
        plan = plan_run(source, own)
        data = load_run_data(source, plan, run / "cache", -1, workers, progress, Choice(keep=()))
        result = run_stage(STAGE, data, run, own, workers, progress)
    if result.cancelled or not result.finished:
        raise Cancelled("the training is kept; give the same command again to go on")
    return gather_weights(run / STAGE), result.steps


def _train_settings(folder: Path, old: Bundle, classes: TunedClasses, settings: TuneSettings) -> TrainSettings:
    cut = old.preprocessing
    own = gather_weights(folder / WEIGHTS)
    student = {name.partition(".")[2]: tensor for name, tensor in own.items() if name.startswith("student.")}
    grows = bool(classes.new) or old.network.added_count > 0
    share = settings.generated_fraction if old.network.renders else 0.0
    return TrainSettings(
        budget=settings.budget,
        steps=settings.steps,
        clock=settings.clock,
        size=cut.size,
        pixel_mm=cut.pixel_mm,
        window=cut.window,
        percentiles=cut.percentiles,
        plane="axial" if cut.plane == AXIAL else "stored",
        labels=classes.names,
        seed=settings.seed,
        device=settings.device,
        init=folder / WEIGHTS,
        resume=True,
        validations=1,
        tensorboard=False,
        options={
            "channels": student_channels(student),
            "batch_size": settings.batch_size,
            "learning_rate": settings.learning_rate * (1.0 if grows else settings.known_rate),
            "known_rate": settings.known_rate if grows else 1.0,
            "generated_fraction": share,
            "pairs": "always",
            "keep_weight": settings.keep_weight,
            "consistency_from": 0.0,
            "pool_chunk": 32,
            "pool_chunks": 4,
        },
    )


def _note(figures: TuningFigures, held_out: bool, new: Sequence[str]) -> str:
    told = [figures.told_of_old]
    if held_out:
        told.insert(0, f"figures on {figures.scans} held-out scan{'' if figures.scans == 1 else 's'}")
        told.append(hardly_learnt({name: figures.after[name] for name in new if name in figures.after}))
    else:
        told.insert(0, "no scan was held out, so nothing was measured but what changes in those of the training")
    return "; ".join(filter(None, told))


def refuse(tuned: TunedModel) -> None:
    """Make sure that a tuned model may be used.

    Raises:
        SemganError: it may not; the model in use stays.
    """
    if tuned.refusal:
        remedy = "the model stays as it was; label more scans, or give more time"
        raise SemganError(f"the new version is refused: {tuned.refusal}", remedy=remedy)


class _Uncounted:
    """Passes the news on; whoever takes them may hold the work up, and that time does not count."""

    def __init__(self, progress: Progress, watch: Stopwatch) -> None:
        self._progress, self._watch = progress, watch

    def update(self, done: int, total: int, message: str = "", **values: float) -> None:
        """Pass the news on, in words for people: a stage of training has its own name."""
        with self._watch.paused():
            self._progress.update(done, total, "learning" if message == STAGE else message, **values)

    def should_stop(self) -> bool:
        """Tell whether the user wants the work to end."""
        return self._progress.should_stop()
