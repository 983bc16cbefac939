"""Learns new structures from a few labelled scans: a small head beside a network that stays as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.bundle.load import load_bundle
from monai_semgan.bundle.version_record import VersionRecord
from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.learning.added_bundle import with_head, write_added_bundle
from monai_semgan.learning.head_scores import measure
from monai_semgan.learning.head_training import HeadTraining
from monai_semgan.learning.learn_settings import LearnSettings
from monai_semgan.learning.new_structures import NewStructure, check_new, hardly_learnt
from monai_semgan.learning.structure_scans import StructureScan, read_scans
from monai_semgan.learning.tuning_data import held_out_of
from monai_semgan.training.engine.schedule import CLOCKS, Stopwatch
from monai_semgan.utils.files import write_error
from monai_semgan.utils.progress import NullProgress, Progress

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.data.datalist import Entry

MEASURABLE_STEPS = 100
"""Of a head whose Dice says something: after 46 steps it was 0 for the aorta in CT, after 100 already .57."""

TOO_FEW = "not measured, since there was time for a few steps only; give more time, or a free computer"


@dataclass(frozen=True, eq=False)
class LearntStructures:
    """What learning has made.

    Attributes:
        folder: of the new bundle.
        record: what is to be told of it, for `VersionStore.add`.
        steps: of learning.
    """

    folder: Path
    record: VersionRecord
    steps: int


def learn_structures(
    bundle: str | Path,
    entries: Sequence[Entry],
    work: Path,
    structures: Sequence[NewStructure],
    settings: LearnSettings | None = None,
    *,
    parent: int = 0,
    progress: Progress | None = None,
) -> LearntStructures:
    """Learn structures that a model does not know.

    The student's maps are looked at by a small network, which is fitted for some minutes. What the model has found
    before stays as it is, to the voxel: new structures take what was background.

    Args:
        bundle: folder of the model, which is only read.
        entries: labelled scans, one at least.
        work: folder for the new bundle; it can be removed once that has been copied.
        structures: what to learn.
        settings: everything else.
        parent: number of the version that `bundle` is.
        progress: display and cancel.

    Returns:
        The new bundle, and the Dice on held-out scans, which the part of the head that is measured has not seen.

    Raises:
        SemganError: scans, labels or structures cannot be used, or the folder cannot be written.
        Cancelled: the user has ended it; nothing is left of it.
    """
    settings, shown = settings or LearnSettings(), progress or NullProgress()
    old = load_bundle(bundle, settings.device)
    check_new(structures, old.labels)
    learnt, held_out = held_out_of(entries, settings.held_out)
    scans = read_scans([*learnt, *held_out], structures, old.preprocessing, _Stopping(shown))
    training = HeadTraining(old.network, len(structures), settings, shown)
    figures = _learn(training, old, scans, len(learnt), structures)
    note = TOO_FEW if figures is None else _note(len(held_out), settings.held_out, figures)
    measured, figures = ([], {}) if figures is None else (held_out, figures)
    record = VersionRecord(
        parent,
        "structure",
        tuple(one.name for one in structures),
        tuple(entry.name for entry in (*learnt, *held_out)),
        tuple(entry.name for entry in measured),
        figures,
        note,
    )
    told: dict[str, Any] = {"structures": list(record.structures), "scans": len(scans), "steps": training.step}
    told |= {"held_out": len(measured), "dice": figures, "parent": parent}
    try:
        made = write_added_bundle(old, work / "bundle", training.finished, structures, told)
    except OSError as error:
        raise write_error(error, work) from error
    return LearntStructures(made, record, training.step)


def _learn(
    training: HeadTraining,
    old: Bundle,
    scans: Sequence[StructureScan],
    count: int,
    structures: Sequence[NewStructure],
) -> dict[str, float] | None:
    """Learn from the first scans and measure on the others, unless that was too short; then go on with all of them."""
    settings = training.settings
    watch, measured = Stopwatch(clock=CLOCKS[settings.clock]), scans[count:]
    figures: dict[str, float] | None = {}
    if measured:
        if not any((scan.target > 0).any() for scan in scans[:count]):
            problem = "only held-out scans show what is to be learnt"
            raise SemganError(problem, remedy="label it in another scan, or hold out fewer with --held-out")
        head = training.run(scans[:count], watch, settings.seconds * settings.measured_share, settings.seconds)
        if settings.steps is None and training.step < MEASURABLE_STEPS:
            figures = None
        else:
            with watch.paused():
                joined = with_head(old, head, structures)
                figures = measure(joined, measured, len(structures), _Stopping(training.progress))
    training.run(scans, watch, settings.seconds, settings.seconds)
    return figures


def _note(held_out: int, wanted: int | None, figures: Mapping[str, float]) -> str:
    if not held_out:
        few = "" if wanted == 0 else ": with three or more labelled patients one is held out"
        return f"nobody has measured how good it is{few}"
    scans, them = ("one scan", "it") if held_out == 1 else (f"{held_out} scans", "them")
    told = f"the Dice stands on {scans}, before learning went on with {them}"
    return "; ".join(filter(None, (told, hardly_learnt(figures))))


class _Stopping:
    """Ends the work where the user wants that, at every report."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def update(self, done: int, total: int, message: str = "", **values: float) -> None:
        """Pass the news on."""
        self.progress.update(done, total, message, **values)
        if self.should_stop():
            raise Cancelled

    def should_stop(self) -> bool:
        """Tell whether the user wants the work to end."""
        return self.progress.should_stop()
