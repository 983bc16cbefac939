"""What the page of a correction tells: the label before all strokes that hold, the strokes, and the label after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from monai_semgan.correction.strokes import Stroke
from monai_semgan.inference.examination import covered_slices
from monai_semgan.inference.segmentation import parse_labels
from monai_semgan.io.reading import read_label
from monai_semgan.jobs.storage.correction_files import read_request
from monai_semgan.jobs.storage.result_files import LABEL, slice_geometry
from monai_semgan.outputs.report import CorrectedLabel

if TYPE_CHECKING:
    from monai_semgan.correction.correction_result import Correction
    from monai_semgan.io.volume import Volume
    from monai_semgan.jobs.contract import Result
    from monai_semgan.jobs.correction_contract import CorrectionRequest
    from monai_semgan.jobs.workers.messages import CorrectionTask
    from monai_semgan.slicing.prepared import PreparedVolume


@dataclass(frozen=True, eq=False)
class Finished:
    """A correction that has ended with a result.

    Attributes:
        found: the result.
        volume: the scan.
        prepared: its slices.
        before: what the job says of itself that is corrected.
    """

    found: Correction
    volume: Volume
    prepared: PreparedVolume
    before: Result


def strokes_of(requests: Sequence[CorrectionRequest], before: Result) -> list[Stroke]:
    """Return the strokes of requests, in their order, for the structures of a result."""
    names = {label.id: label.name for label in before.labels}
    return [
        Stroke.from_runs(
            parse_labels(one.structure, names)[0], one.runs, before.shape, one.positive, kind=one.kind.value
        )
        for request in requests
        for one in request.strokes
    ]


def reported(done: Finished, correction: CorrectionTask) -> CorrectedLabel:
    """Tell of all strokes that a label follows, those of earlier corrections first.

    Raises:
        OSError: if the strokes, or the label before them, are gone.
        SemganError: if the label before them cannot be read.
    """
    requests = [read_request(Path(path)) for path in (*correction.earlier, *correction.requests)]
    names = {label.id: label.name for label in done.before.labels}
    return CorrectedLabel(
        read_label(Path(correction.result) / LABEL).array,
        done.found.label,
        strokes_of(requests, done.before),
        f"what the model found ({done.before.mode.value})",
        names,
        settings={"reach_mm": correction.reach_mm, "locked": [names[index] for index in correction.locked]},
        remarks=(*done.prepared.notes, *(remark.text for remark in done.found.remarks)),
        edited=any(request.label is not None for request in requests),
        covered=covered_slices(slice_geometry(Path(correction.result).parent), done.volume),
    )
