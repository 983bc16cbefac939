"""What was seen in a result, as a list that programs can sort and people can read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from monai_semgan.quality.assessment import LIMITS

if TYPE_CHECKING:
    from monai_semgan.inference.segmentation import Segmentation
    from monai_semgan.quality.anatomy import AnatomyCheck, AnatomyReport

INFO, WARNING = "info", "warning"


@dataclass(frozen=True)
class ResultFinding:
    """One thing that a reader of the result should know.

    Attributes:
        code: kind, such as `cut_by_edge`.
        level: `warning`, to look at before the result is used, or `info`.
        labels: ids of the structures that it is about; none: all.
        text: one or two sentences.
    """

    code: str
    level: str
    labels: tuple[int, ...]
    text: str

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return {"code": self.code, "level": self.level, "labels": list(self.labels), "text": self.text}


def findings_of(found: Segmentation, names: Mapping[int, str], anatomy: AnatomyReport) -> list[ResultFinding]:
    """List what was seen in a result, warnings first.

    Args:
        found: the segmentation.
        names: organ name by id, of those given out.
        anatomy: its checks.
    """
    ids = {name: index for index, name in names.items()}
    nothing = any(one.code == "nothing_found" for one in found.remarks)
    seen = [
        *(
            ResultFinding(one.code, WARNING if one.warning else INFO, _ids(one.structures, ids), one.text)
            for one in found.remarks
            if one.code
        ),
        *_of_checks(anatomy, ids, nothing),
        *_doubtful(found, ids),
    ]
    return sorted(seen, key=lambda finding: finding.level != WARNING)


def findings_of_anatomy(anatomy: AnatomyReport, names: Mapping[int, str]) -> list[ResultFinding]:
    """List what checks of a label have found, in their order; of a label that no network has just made.

    Args:
        anatomy: the checks.
        names: organ name by id, of those given out.
    """
    ids = {name: index for index, name in names.items()}
    nothing = sum(check.kind == "not_found" for check in anatomy.checks) == len(names)
    return _of_checks(anatomy, ids, nothing)


def _of_checks(anatomy: AnatomyReport, ids: Mapping[str, int], nothing: bool) -> list[ResultFinding]:
    return [found for check in anatomy.checks if (found := _of_check(check, ids, nothing)) is not None]


def _of_check(check: AnatomyCheck, ids: Mapping[str, int], nothing: bool) -> ResultFinding | None:
    """Return what a check has found; that a single organ is missing is told unless all are."""
    labels = _ids(check.structures, ids)
    if check.kind == "not_found" and not nothing:
        return ResultFinding(check.kind, INFO, labels, f"No {check.structures[0]} was found.")
    if check.ok is not False:
        return None
    return ResultFinding(check.kind or "anatomy", WARNING, labels, check.finding)


def _doubtful(found: Segmentation, ids: Mapping[str, int]) -> Iterator[ResultFinding]:
    """Yield the organs that were found, and are expected to be wrong in places."""
    for name, dice in (found.domain.organs if found.domain is not None else {}).items():
        present = found.volumes_ml.get(name, 0.0) > 0
        if name in ids and present and 1.0 - dice >= LIMITS[0]:
            level = WARNING if 1.0 - dice >= LIMITS[1] else INFO
            text = f"The {name} may be wrong in places: a Dice of {dice:.2f} is to be expected."
            yield ResultFinding("low_expected_dice", level, (ids[name],), text)


def _ids(structures: tuple[str, ...], ids: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(ids[name] for name in structures if name in ids)
