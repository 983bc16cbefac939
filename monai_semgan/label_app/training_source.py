"""Final labels of the studies, for the trainings of the job API."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from monailabel.interfaces.datastore import DefaultLabelTag

from monai_semgan.errors import SemganError
from monai_semgan.io.seg_nrrd import read_segments
from monai_semgan.jobs.training_labels import LabelledImage
from monai_semgan.label_app.label_numbers import told_names

if TYPE_CHECKING:
    from monai_semgan.label_app.datastore import StudiesDatastore

log = logging.getLogger(__name__)

FINAL = DefaultLabelTag.FINAL.value


def labelled_images(datastore: StudiesDatastore) -> list[LabelledImage]:
    """Return the images with a final label that may be trained with; one whose files cannot be read is left out.

    Args:
        datastore: of the studies.
    """
    found = []
    for image in sorted(datastore.list_images()):
        label = datastore.get_label_uri(image, FINAL) if datastore.may_train(image) else ""
        if not label:
            continue
        try:
            file = datastore.get_image_uri(image)
            names = _names(Path(label), datastore.get_label_info(image, FINAL).get("label_info"))
        except SemganError:
            log.warning("a labelled image cannot be read any more")
            continue
        if file:
            found.append(LabelledImage(image, Path(file), Path(label), names))
    return found


def _names(label: Path, label_info: object) -> dict[int, str]:
    """Names of ids: those of the segments in the file, or what the client has told of it."""
    if label.name.lower().endswith(".seg.nrrd"):
        return {value: segment.name for segment, _, value in read_segments(label)[1]}
    return {index: name for index, name in told_names(label_info).items() if name}
