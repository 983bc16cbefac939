"""`plan.html`: one page, without network or script, to look at before the first step of a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from monai_semgan.data.slice_set import SliceSet
from monai_semgan.organs import RESEARCH_ONLY
from monai_semgan.slicing.model_settings import ModelSettings
from monai_semgan.training.datasets import RunData
from monai_semgan.training.planning.data_plan import DataPlan
from monai_semgan.training.planning.decision import shown
from monai_semgan.training.planning.plan_pictures import histogram_svg, slice_pictures
from monai_semgan.training.planning.scan_look import ScanLook
from monai_semgan.utils.html_pages import page_template

TEMPLATE = "plan.html"

SCANS_SHOWN, IMAGES_SHOWN = 8, 25
"""Volumes with some slices each, and single images."""

MOST_ROWS = 200
"""Scans in the table; of more the first are listed."""


@dataclass(frozen=True)
class ShownScan:
    """A scan whose slices the page shows.

    Args:
        name: of its patient.
        pictures: addresses.
        labelled: whether its label is drawn.
    """

    name: str
    pictures: Sequence[str]
    labelled: bool


def plan_page(plan: DataPlan, model: ModelSettings, data: RunData) -> str:
    """Render the page of a plan.

    Args:
        plan: with decisions and doubts.
        model: settings that were decided.
        data: slices of the run.
    """
    settings = model.preprocessing
    modalities = sorted({scan.modality for scan in plan.scans})
    histograms = {
        name: Markup(histogram_svg(of_modality(plan.scans, name), settings.window, settings.percentiles))
        for name in modalities
    }
    return page_template("monai_semgan.training.planning", TEMPLATE, shown=shown).render(
        plan=plan,
        settings=settings,
        examples=_examples(plan, data),
        histograms=histograms,
        scans=plan.scans[:MOST_ROWS],
        left_out=max(0, len(plan.scans) - MOST_ROWS),
        unit=_unit(plan.scans),
        counts=_counts(plan, data),
        notice=RESEARCH_ONLY,
    )


def of_modality(scans: Sequence[ScanLook], modality: str) -> list[ScanLook]:
    """The scans of a modality."""
    return [scan for scan in scans if scan.modality == modality]


def _counts(plan: DataPlan, data: RunData) -> dict[str, int]:
    """Scans by what they are for; some of the training list may be kept to score on."""
    validation = data.validation.num_volumes if data.validation is not None else 0
    test = sum(scan.section == "test" for scan in plan.scans)
    return {"training": data.training.num_volumes, "validation": validation, "test": test}


def _unit(scans: Sequence[ScanLook]) -> str:
    return "ml" if all(scan.spacing_known for scan in scans) else "pixels"


def _examples(plan: DataPlan, data: RunData) -> list[ShownScan]:
    """Scans spread over training and validation, labelled ones first."""
    colours = {one.index: one.colour for one in plan.classes}
    single = data.training.preprocessing.field_of_view == "image"
    most = IMAGES_SHOWN if single else SCANS_SHOWN
    scored = most // 4 if data.validation is not None else 0
    found = _of(data.training, most - scored, colours)
    return found + (_of(data.validation, scored, colours) if data.validation is not None else [])


def _of(slices: SliceSet, count: int, colours: dict[int, tuple[int, int, int]]) -> list[ShownScan]:
    labelled = set(slices.volume_index[slices.labelled_indices].tolist())
    order = sorted(range(slices.num_volumes), key=lambda volume: volume not in labelled)
    places = np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int))
    return [
        ShownScan(slices.patients[order[i]], slice_pictures(slices, order[i], colours), order[i] in labelled)
        for i in places
    ]
