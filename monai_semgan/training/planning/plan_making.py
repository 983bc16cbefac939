"""Make the plan of a run: look at the data, decide, cut the slices, and write what there is to look at."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from monai_semgan.data.datalist import load_datalist
from monai_semgan.errors import SemganError
from monai_semgan.slicing.model_settings import SETTINGS, ModelSettings, find_settings, plain_ids
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.training.datasets import RunData, load_run_data, validation_choice
from monai_semgan.training.engine.distributed import Workers
from monai_semgan.training.engine.run_files import PLAN_PAGE, stage_folders
from monai_semgan.training.planning.data_plan import DataPlan, changed_since, find_plan
from monai_semgan.training.planning.decided_budget import decide_batches, decide_shares
from monai_semgan.training.planning.decided_classes import classes_decision, describe_classes, propose_names
from monai_semgan.training.planning.decided_slices import decide_plane, decide_slices
from monai_semgan.training.planning.decision import Decision, shown
from monai_semgan.training.planning.doubts import Evidence, find_doubts
from monai_semgan.training.planning.plan_page import plan_page
from monai_semgan.training.planning.survey import Survey, survey
from monai_semgan.training.run_plan import PLAN, RunPlan, field_of_view, plan_run, told_by
from monai_semgan.training.stages.stage_registry import stage_names
from monai_semgan.training.training_settings import TrainSettings
from monai_semgan.utils.files import nothing_left, utf8, write_together

if TYPE_CHECKING:
    from monai_semgan.utils.progress import Progress

logger = logging.getLogger(__name__)

CHOICES = ("plane", "size", "pixel_mm", "window", "percentiles")
"""Decisions that an option of the same name replaces."""


class Alone(Workers):
    """The first process of a run, which plans while the others wait for the end of it."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self.rank, self.size = 0, 1


@dataclass(frozen=True)
class Planned:
    """A plan with the settings that go with it.

    Args:
        plan: with reasons.
        model: settings of the slices and classes.
        data: the slices, ready to be trained on.
    """

    plan: DataPlan
    model: ModelSettings
    data: RunData


def make_plan(
    source: Path, out: Path, settings: TrainSettings, progress: Progress, modality: str | None = None
) -> Planned:
    """Look at the scans of a list, decide how to train on them, and write `settings.json`, `plan.json`, `plan.html`.

    The slices are cut too, into the cache of the run: a training begins at once.

    Args:
        source: data list.
        out: folder of the run.
        settings: what the user has chosen replaces what would be decided.
        progress: display and cancel.
        modality: of scans of which the list does not tell it.

    Raises:
        SemganError: on anything that the user can mend; nothing is written then.
        Cancelled: if the user wants to stop; slices that are cut stay for the next time.
    """
    datalist = load_datalist(source)
    if not datalist.training:
        raise SemganError("the training list is empty", remedy='fill "training"', path=source)
    view = field_of_view(source)
    found = survey(datalist, progress, modality)
    like = settings_of_weights(settings)
    plane, doubts = decide_plane(found.decisive, view, like)
    chosen = (settings.size, settings.pixel_mm)
    slices = [plane, *decide_slices(found.decisive, view, settings.plane or plane.value, like, *chosen)]
    names = propose_names(found) if settings.labels is None and settings.num_classes is None else {}
    proposal = _proposal(found, view, slices, names)
    run_plan = replace(plan_run(source, settings, proposal), modality=modality)
    choice = validation_choice(out, settings.fold, settings.from_run)
    with nothing_left(out):
        data = load_run_data(source, run_plan, out / "cache", -1, Alone(torch.device("cpu")), progress, choice)
        plan = _decided(source, found, settings, slices, run_plan, data, modality)
        plan = replace(plan, doubts=(*data.notes, *doubts, *plan.doubts))
        model = _model(data, run_plan)
        page = utf8(plan_page(plan, model, data))
        write_together({out / SETTINGS: model.text.encode(), out / PLAN_PAGE: page, out / PLAN: plan.text.encode()})
    return Planned(plan, model, data)


def kept_plan(source: Path, out: Path, settings: TrainSettings) -> DataPlan | None:
    """The plan that a run has, where list and options say the same; None where there is none.

    Raises:
        SemganError: if the list has changed since, options say other than the plan, or a run is there without a plan.
    """
    plan = find_plan(out)
    trained = bool(stage_folders(out))
    if plan is None:
        if trained:
            problem = "holds a run that was trained without a plan"
            raise SemganError(problem, remedy="choose another --out", path=out)
        return None
    other = "choose another --out" if trained else "plan anew with --replace"
    check_list(plan, source, out, other)
    check_choices(out, settings, source, other)
    return plan


def check_list(plan: DataPlan, source: Path, out: Path, remedy: str) -> None:
    """Make sure that a list is the one that was planned with.

    Raises:
        SemganError: with the first difference, and how many others there are.
    """
    changes = changed_since(plan, load_datalist(source))
    if changes:
        more = f" (and {len(changes) - 1} more changes)" if len(changes) > 1 else ""
        raise SemganError(f"the data list has changed since the plan: {changes[0]}{more}", remedy=remedy, path=out)


def check_choices(out: Path, settings: TrainSettings, source: Path, remedy: str) -> None:
    """Make sure that options say what the settings of a planned or trained run say.

    Raises:
        SemganError: naming the first that differs.
    """
    kept = find_settings(out)
    if kept is None:
        return
    wanted = plan_run(source, settings, kept)
    differs = kept.difference(replace(kept, preprocessing=wanted.preprocessing, labels=wanted.class_names))
    if differs is not None:
        problem = f"{told_by(out)} {differs.name} {differs.own}, not {differs.other}"
        raise SemganError(problem, remedy=f"leave the option out, or {remedy}", path=out)


def settings_of_weights(settings: TrainSettings) -> ModelSettings | None:
    """What the weights of `init` were trained with, if they tell: the slices have to be like theirs."""
    for source in settings.sources:
        place = source if source.is_dir() else source.parent
        for folder in (place, place.parent, place / "models"):
            if (kept := find_settings(folder)) is not None:
                return kept
    return None


def _proposal(found: Survey, view: str, slices: list[Decision], names: dict[int, str]) -> ModelSettings:
    """Settings as decided, before the user's choices."""
    values = {one.name: one.value for one in slices}
    ids = tuple(sorted(names)) or tuple(range(1, Preprocessing.num_classes))
    colour = any(scan.colour for scan in found.decisive)
    preprocessing = Preprocessing(
        **values,
        num_classes=len(ids) + 1,
        label_ids=ids,
        field_of_view=view,
        image_channels=3 if colour else 1,
    )
    return ModelSettings(plain_ids(preprocessing), {number: names[i] for number, i in enumerate(ids, 1) if i in names})


def _decided(
    source: Path,
    found: Survey,
    settings: TrainSettings,
    slices: list[Decision],
    run_plan: RunPlan,
    data: RunData,
    modality: str | None,
) -> DataPlan:
    preprocessing = run_plan.preprocessing
    ids = preprocessing.class_ids
    classes = describe_classes(run_plan.names, ids, found.labelled)
    chosen = settings.labels is not None or settings.num_classes is not None
    batches = decide_batches(preprocessing.size, len(data.training), stage_names())
    decisions = (
        _modality(found, modality),
        _field_of_view(preprocessing),
        *(_or_choice(one, settings, preprocessing) for one in slices),
        classes_decision(classes, bool(found.names), chosen, settings.from_run is not None),
        _labelled(found, data),
        batches,
        decide_shares(found.decisive, whole=len(data.training.fully_labelled_indices) > 0),
    )
    validation = data.validation.patients if data.validation is not None else ()
    evidence = Evidence(found, classes, preprocessing, preprocessing.plane, validation)
    return DataPlan(source, decisions, found.scans, tuple(classes), find_doubts(evidence))


def _model(data: RunData, run_plan: RunPlan) -> ModelSettings:
    """The settings of the run, with stand-in names too."""
    return replace(data.model, labels=run_plan.class_names)


def _or_choice(decision: Decision, settings: TrainSettings, preprocessing: Preprocessing) -> Decision:
    if decision.name in CHOICES and getattr(settings, decision.name) is not None:
        value = getattr(preprocessing, decision.name)
        if settings.from_run is not None and value == decision.value:
            return decision
        reason = f"your choice; the data would have made it {shown(decision.value)}."
        return Decision(decision.name, value, reason if value != decision.value else "your choice.", chosen=True)
    return decision


def _modality(found: Survey, chosen: str | None) -> Decision:
    names = sorted({scan.modality for scan in found.decisive})
    if chosen is not None:
        reason = f"your choice of {chosen} for scans of which the list does not tell it."
        return Decision("modality", names, reason, chosen=True, word=chosen)
    guessed = sum(scan.guessed for scan in found.decisive)
    told = f"guessed from the grey values of {guessed} scans" if guessed else "as list and files tell"
    return Decision("modality", names, f"{told}.", usual=not guessed and len(names) == 1)


def _field_of_view(preprocessing: Preprocessing) -> Decision:
    reasons = {
        "body": "the scans are volumes: slices are centred on the body.",
        "image": "the scans are single images: each is fitted as a whole into the slice.",
    }
    view = preprocessing.field_of_view
    colours = " They have colours." if preprocessing.image_channels == 3 else ""
    return Decision("field_of_view", view, reasons[view] + colours, usual=view == "body")


def _labelled(found: Survey, data: RunData) -> Decision:
    labelled = sum(scan.labelled for scan in found.decisive)
    record = data.record()
    partly = len(record.partly_labelled)
    known = f" ({partly} with some classes only)" if partly else ""
    reason = f"{len(set(record.labelled))} patients are labelled{known}, {len(record.validation)} are scored on."
    return Decision("labelled", f"{labelled} of {len(found.decisive)} training scans", reason, usual=True)
