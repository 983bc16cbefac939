"""What the classes of a run are, decided from the list's names and the ids in its label files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from monai_semgan.errors import SemganError
from monai_semgan.organs import find_organ, pairs
from monai_semgan.training.planning.decision import Decision
from monai_semgan.training.planning.scan_look import ScanLook
from monai_semgan.training.planning.survey import Survey

MOST_UNNAMED = 30
"""More ids that nobody names are rather grey values than classes."""


@dataclass(frozen=True)
class PlannedClass:
    """A class of the plan, and where it is seen.

    Args:
        index: class of the networks.
        file_id: id in label files.
        name: of the structure.
        colour: red, green, blue, 0 to 255.
        code: SNOMED CT code, with its meaning.
        known: whether the structure is one that the package knows.
        other_side: class of the other side of a pair; 0 if there is none.
        scans: labelled scans that show it.
        voxels: in all of them.
        ml: mean volume where it is seen; pixels in single images of unknown scale.
    """

    index: int
    file_id: int
    name: str
    colour: tuple[int, int, int]
    code: str
    known: bool
    other_side: int
    scans: int
    voxels: int
    ml: float


def found_ids(scans: Sequence[ScanLook]) -> list[int]:
    """Ids that the label files hold, in order."""
    return sorted({index for scan in scans for index in scan.labels})


def propose_names(survey: Survey) -> dict[int, str]:
    """Name by id: those of the list, or stand-ins for the ids that its label files hold.

    Raises:
        SemganError: if ids are found that the list does not name, or too many for classes.
    """
    ids = found_ids(survey.labelled)
    if survey.names:
        refuse_others(survey, survey.names)
        return dict(survey.names)
    if len(ids) > MOST_UNNAMED:
        problem = f"the label files hold {len(ids)} ids, from {ids[0]} to {ids[-1]}, and nothing names them"
        raise SemganError(problem, remedy='name them in the data list as "labels": {"1": "liver"}, or with --labels')
    return {index: f"label {index}" for index in ids}


def refuse_others(survey: Survey, names: Mapping[int, str]) -> None:
    """Refuse ids in label files that the list does not name, with the file that holds most of them.

    Raises:
        SemganError: naming ids, scan and number of voxels.
    """
    others = [index for index in found_ids(survey.labelled) if index not in names]
    if not others:
        return
    counts = Counter(
        {
            (index, scan.name): scan.labels[index].voxels
            for scan in survey.labelled
            for index in others
            if index in scan.labels
        }
    )
    ((index, scan), voxels), more = counts.most_common(1)[0], len(others) - 1
    problem = f"the label of {scan} holds {voxels} voxels of the id {index}, which the data list does not name"
    problem += f" (nor {more} other ids)" if more else ""
    known = ",".join(f"{number}:{name}" for number, name in names.items())
    remedy = f'add it to "labels" of the list, or give --labels "{known}": all others become background then'
    raise SemganError(problem, remedy=remedy)


def describe_classes(names: Mapping[int, str], ids: Sequence[int], scans: Sequence[ScanLook]) -> list[PlannedClass]:
    """The classes with all that a page shows of them.

    Args:
        names: by id in label files.
        ids: of the classes 1, 2, ...
        scans: with labels.
    """
    by_class = {index: names.get(file_id, f"label {file_id}") for index, file_id in enumerate(ids, start=1)}
    partner = {index: other for pair in pairs(by_class) for index in pair for other in pair if other != index}
    return [_class(index, file_id, by_class[index], partner, scans) for index, file_id in enumerate(ids, start=1)]


def _class(index: int, file_id: int, name: str, partner: Mapping[int, int], scans: Sequence[ScanLook]) -> PlannedClass:
    organ = find_organ(name, index)
    looks = [scan.labels[file_id] for scan in scans if file_id in scan.labels]
    voxels = sum(look.voxels for look in looks)
    mean_ml = sum(look.ml for look in looks) / len(looks) if looks else 0.0
    known = organ.kind.meaning != "Tissue"
    return PlannedClass(
        index, file_id, name, organ.colour, organ.coded, known, partner.get(index, 0), len(looks), voxels, mean_ml
    )


def classes_decision(classes: Sequence[PlannedClass], listed: bool, chosen: bool, earlier: bool = False) -> Decision:
    """The decision about the classes.

    Args:
        classes: of the plan.
        listed: whether the data list names them.
        chosen: whether the user has, or an earlier run.
        earlier: whether the run begins with another one.
    """
    value = {str(one.file_id): one.name for one in classes}
    if chosen and earlier:
        return Decision("labels", value, "as the run that this one begins with; all other ids become background.")
    if chosen:
        return Decision("labels", value, "your choice; all other ids become background.", chosen=True)
    if listed:
        return Decision("labels", value, "the data list names them.", usual=True)
    reason = "the label files hold these ids, and nothing names them."
    return Decision("labels", value, reason)
