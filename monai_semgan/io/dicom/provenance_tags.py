"""Writes into results in DICOM which earlier results they take the place of (PS3.3 C.7.3.1, C.12.4, C.12.2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pydicom import Dataset
from pydicom.uid import UID, RTStructureSetStorage, SegmentationStorage

from monai_semgan.io.dicom.coding_schemes import REFERENCE_SCHEME, code_item
from monai_semgan.organs import Code

if TYPE_CHECKING:
    from monai_semgan.io.dicom.provenance import Provenance, ReplacedResult

REPLACED = Code("REPLACED", "Result replaced by this one", REFERENCE_SCHEME.designator)
"""Purpose of a reference. DICOM has a code for reports that are replaced (DCM 121360), and none for other results."""

IMAGES = (SegmentationStorage, "1.2.840.10008.5.1.4.1.1.66.7")
"""Classes of results that are images to DICOM: segmentations, binary or fractional, and as label maps."""


def has_valid_uids(provenance: Provenance) -> bool:
    """Tell whether the UIDs of earlier results obey the standard; else checks have to be off while they are written."""
    return all(UID(uid).is_valid for one in provenance.replaces for uid in one.uids)


def add_related_series(dataset: Dataset, replaced: Sequence[ReplacedResult]) -> None:
    """Name the series of earlier results as related ones, with the purpose.

    Args:
        dataset: a result whose series has the General Series Module.
        replaced: the earlier results; without any nothing is added.
    """
    items = []
    for study, series in dict.fromkeys((one.study_uid, one.series_uid) for one in replaced):
        item = Dataset()
        item.StudyInstanceUID, item.SeriesInstanceUID = study, series
        item.PurposeOfReferenceCodeSequence = [code_item(REPLACED)]
        items.append(item)
    if items:
        dataset.RelatedSeriesSequence = items


def add_references(dataset: Dataset, replaced: Sequence[ReplacedResult]) -> None:
    """Name earlier results, with the purpose: images apart from what is none.

    Structure sets name earlier structure sets in an attribute of their own, too.

    Args:
        dataset: a segmentation or a structure set.
        replaced: the earlier results; without any nothing is added.
    """
    for one in replaced:
        if one.sop_class_uid == dataset.SOPClassUID == RTStructureSetStorage:
            _append(dataset, "PredecessorStructureSetSequence", instance_item(one))
        item = instance_item(one)
        item.PurposeOfReferenceCodeSequence = [code_item(REPLACED)]
        name = "ReferencedImageSequence" if one.sop_class_uid in IMAGES else "ReferencedInstanceSequence"
        _append(dataset, name, item)


def add_to_hierarchy(dataset: Dataset, replaced: Sequence[ReplacedResult]) -> None:
    """Tell in which study and series earlier results lie, behind the series that the result was made from.

    Args:
        dataset: a result with a Common Instance Reference Module.
        replaced: the earlier results; without any nothing is added.
    """
    for study, ones in _grouped(replaced, "study_uid"):
        series_items = []
        for series, instances in _grouped(ones, "series_uid"):
            item = Dataset()
            item.SeriesInstanceUID = series
            item.ReferencedInstanceSequence = [instance_item(one) for one in instances]
            series_items.append(item)
        if study == dataset.StudyInstanceUID:
            dataset.ReferencedSeriesSequence.extend(series_items)
            continue
        other = Dataset()
        other.StudyInstanceUID, other.ReferencedSeriesSequence = study, series_items
        _append(dataset, "StudiesContainingOtherReferencedInstancesSequence", other)


def instance_item(replaced: ReplacedResult) -> Dataset:
    """Make an item that names an earlier result."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = replaced.sop_class_uid, replaced.sop_instance_uid
    return item


def _grouped(replaced: Iterable[ReplacedResult], name: str) -> Iterable[tuple[str, list[ReplacedResult]]]:
    groups: dict[str, list[ReplacedResult]] = {}
    for one in dict.fromkeys(replaced):
        groups.setdefault(getattr(one, name), []).append(one)
    return groups.items()


def _append(dataset: Dataset, keyword: str, item: Dataset) -> None:
    setattr(dataset, keyword, [*dataset.get(keyword, ()), item])
