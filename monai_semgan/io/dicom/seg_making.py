"""What a result says of its segments and of what made them, in the words of highdicom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydicom import Dataset, Sequence
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from monai_semgan._version import __version__
from monai_semgan.io.dicom.coding_schemes import code_item
from monai_semgan.io.dicom.header_values import mend
from monai_semgan.io.dicom.provenance import Provenance, ResultUids
from monai_semgan.organs import Code, Segments, find_organ

MAKER = "monai_semgan"


@dataclass(frozen=True, eq=False)
class SegMaking:
    """What made a segmentation, and how it shall be named.

    Args:
        segments: names of the ids, and the model.
        provenance: what else is known.
        uids: names to be used; None for new ones.
    """

    segments: Segments
    provenance: Provenance
    uids: ResultUids | None

    @property
    def model(self) -> str:
        """Name of the model; this program where a person drew."""
        return valid_line(self.segments.model, MAKER) if self.provenance.by_model else MAKER

    @property
    def version(self) -> str:
        """Version of the model, or of this program."""
        return valid_line(self.segments.version, __version__) if self.provenance.by_model else __version__


def valid_line(text: str, otherwise: str) -> str:
    """Return a value of ours as valid text of one line and 64 characters.

    Args:
        text: what it shall be.
        otherwise: taken where nothing of that is left.
    """
    return mend("", "LO", text)[0] or otherwise


def series_number(image: Dataset) -> int:
    """Number a segmentation's series: those of results are usually counted from a hundred times that of their source.

    Args:
        image: of the source, or the header of a result.
    """
    number = int(image.get("SeriesNumber") or 0)
    return 100 * number + 1 if 0 < number < 10_000_000 else 1001


def segment_description(number: int, index: int, made: SegMaking) -> Any:
    """Describe a segment, with code, side and colour of its structure.

    Args:
        number: of the segment, from 1.
        index: label id.
        made: names of the ids, and what made them.
    """
    import highdicom  # noqa: PLC0415 - optional extra

    name = made.segments.names[index]
    organ = find_organ(name, index)
    description = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=valid_line(name, f"label {index}"),
        segmented_property_category=concept(organ.category),
        segmented_property_type=concept(organ.kind),
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues(made.provenance.algorithm_type),
        algorithm_identification=_algorithm(made),
        tracking_uid=_tracking_uid(made.uids, index),
        tracking_id=valid_line(name, f"label {index}"),
        display_color=highdicom.color.CIELabColor.from_rgb(*organ.colour),
    )
    if organ.side is not None:
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [concept(organ.side)]
    return description


def algorithm_item(made: SegMaking) -> Dataset:
    """Make an item that names the model, with the digest of its weights (PS3.3 10.16)."""
    item, family = Dataset(), codes.DCM.ArtificialIntelligence
    item.AlgorithmFamilyCodeSequence = [code_item(Code(family.value, family.meaning, family.scheme_designator))]
    item.AlgorithmName, item.AlgorithmVersion, item.AlgorithmSource = made.model, made.version, MAKER
    if made.provenance.parameters is not None:
        item.AlgorithmParameters = made.provenance.parameters
    return item


def _algorithm(made: SegMaking) -> Any:
    """What a segment was found with; None for what a person drew, which has no algorithm (PS3.3 C.8.20.4)."""
    import highdicom  # noqa: PLC0415 - optional extra

    if not made.provenance.by_model:
        return None
    return highdicom.AlgorithmIdentificationSequence.from_sequence(Sequence([algorithm_item(made)]))


def _tracking_uid(uids: ResultUids | None, index: int) -> str:
    """A new name, or the same one each time where that of the object is given."""
    import highdicom  # noqa: PLC0415 - optional extra

    return generate_uid(entropy_srcs=[uids.sop_instance_uid, str(index)]) if uids else highdicom.UID()


def concept(code: Code) -> Any:
    """Make a code of highdicom."""
    from highdicom.sr import CodedConcept  # noqa: PLC0415 - optional extra

    return CodedConcept(code.value, code.scheme, code.meaning)
