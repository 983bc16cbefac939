"""Where a result comes from: the weights, the person, and the earlier results that it takes the place of."""

from __future__ import annotations

import re
from dataclasses import dataclass

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.header_values import mend
from monai_semgan.organs import RESEARCH_ONLY

_KINDS = {"AUTOMATIC": "", "SEMIAUTOMATIC": "edited, ", "MANUAL": "manual, "}
"""What descriptions of series say by how the result was made."""


@dataclass(frozen=True)
class ReplacedResult:
    """An earlier result in DICOM, in the archive, that another takes the place of.

    Args:
        study_uid: its study.
        series_uid: its series.
        sop_class_uid: its class: segmentation, structure set or report.
        sop_instance_uid: itself.

    Raises:
        SemganError: one of them is no name at all. UIDs that break the rules of DICOM are kept as they are.
    """

    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str

    def __post_init__(self) -> None:
        if not all(re.fullmatch(r"[!-\[\]-~]+", uid) for uid in self.uids):
            problem = "the result to be replaced lacks a UID of its study, series, class or instance"
            raise SemganError(problem, remedy="take all four from the file of the earlier result")

    @property
    def uids(self) -> tuple[str, str, str, str]:
        """All four."""
        return self.study_uid, self.series_uid, self.sop_class_uid, self.sop_instance_uid


@dataclass(frozen=True)
class ResultUids:
    """Names for a result, to make it again as the same object.

    Args:
        series_uid: of its series.
        sop_instance_uid: of the object; those of its segments are made from it.

    Raises:
        SemganError: one of them is no valid UID.
    """

    series_uid: str
    sop_instance_uid: str

    def __post_init__(self) -> None:
        for uid in (self.series_uid, self.sop_instance_uid):
            if not uid or mend("", "UI", uid) != [uid]:
                remedy = "give digits and dots, at most 64, no part beginning with 0"
                raise SemganError(f"{uid!r} is no UID of DICOM", remedy=remedy)


@dataclass(frozen=True)
class Provenance:
    """How a result was made, besides the model's name and version in `monai_semgan.organs.Segments`.

    Args:
        model_digest: SHA-256 of the model's weights, 64 hexadecimal digits.
        annotator: name of the person who drew or edited it, or took responsibility; as written by hand, or as DICOM has
            it (`Family^Given`).
        edited: whether a person changed what the model found; None, not known, is not taken for a change.
        by_model: False for what a person drew without a model: then there is neither model nor digest to tell of.
        replaces: earlier results that the object takes the place of.

    Raises:
        SemganError: the digest is none.

    Examples:
        >>> Provenance(annotator="Ada Lovelace", edited=True).algorithm_type
        'SEMIAUTOMATIC'
    """

    model_digest: str | None = None
    annotator: str | None = None
    edited: bool | None = None
    by_model: bool = True
    replaces: tuple[ReplacedResult, ...] = ()

    def __post_init__(self) -> None:
        if self.model_digest is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", self.model_digest):
            problem = f"{self.model_digest!r} is no SHA-256 of a model's weights"
            raise SemganError(problem, remedy="give 64 hexadecimal digits")

    @property
    def algorithm_type(self) -> str:
        """Term of DICOM for how it was made: `AUTOMATIC`, `SEMIAUTOMATIC` or `MANUAL`."""
        if not self.by_model:
            return "MANUAL"
        return "SEMIAUTOMATIC" if self.edited else "AUTOMATIC"

    @property
    def parameters(self) -> str | None:
        """Of the algorithm: the digest of its weights; None where it is not known."""
        if self.model_digest is None or not self.by_model:
            return None
        return f"weights_sha256={self.model_digest.lower()}"

    @property
    def person(self) -> str:
        """The annotator as a valid name of DICOM, empty where there is none.

        Nobody can tell the parts of a name as written by hand: it is the family name as a whole, and the `^` behind it
        says that this is meant.
        """
        text = (self.annotator or "").encode("utf-8", "replace").decode()  # names of logins need not be text
        spellings = mend("", "PN", text)[0].split("=")
        return "=".join(name if "^" in name or not name else f"{name[:63]}^" for name in spellings)

    @property
    def content_description(self) -> str:
        """What a list of objects shows of it, at most 64 characters."""
        return f"Replaces earlier result. {RESEARCH_ONLY}" if self.replaces else RESEARCH_ONLY

    def series_description(self, what: str) -> str:
        """What a list of series shows of it, at most 64 characters.

        Args:
            what: a word for the result, such as `Segmentation`.
        """
        return f"{what}, {_KINDS[self.algorithm_type]}{RESEARCH_ONLY.lower()}"
