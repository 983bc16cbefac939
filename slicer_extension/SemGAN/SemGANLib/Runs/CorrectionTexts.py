"""Sentences about corrections."""

from __future__ import annotations

from collections.abc import Sequence

from ..Scene.Strokes import Stroke
from ..Translation import tr as _
from ..Types.JobTypes import Job
from ..Types.ResultTypes import Result

MANY = 3
"""More structures than these are not all named."""

OF_STROKES = ("strokes_contradict", "locked_kept", "strokes_alone", "search_failed")
"""Codes of findings that are about the strokes of one correction, not about its result."""


def strokes_text(strokes: Sequence[Stroke], reach_mm: float) -> str:
    """Say `"liver: 214 voxels added; spleen: 12 removed; within 25 mm"`."""
    names = list(dict.fromkeys(stroke.structure for stroke in strokes))
    parts = [_structure_text(name, [one for one in strokes if one.structure == name]) for name in names[:MANY]]
    if len(names) > MANY:
        parts.append(_("{count} more").format(count=len(names) - MANY))
    reach = _("within {reach:.0f} mm").format(reach=reach_mm) if reach_mm > 0 else _("only these slices")
    return "; ".join([*parts, reach])


def _structure_text(name: str, strokes: Sequence[Stroke]) -> str:
    words = []
    added = sum(one.indices.size for one in strokes if one.kind == "scribble" and one.positive)
    removed = sum(one.indices.size for one in strokes if one.kind == "scribble" and not one.positive)
    if added:
        words.append(_("{count} voxels added").format(count=added))
    if removed:
        words.append(_("{count} voxels removed").format(count=removed))
    for kind, text in (("point", _("point")), ("lasso", _("lasso")), ("box", _("box"))):
        for positive in (True, False):
            count = sum(one.kind == kind and one.positive is positive for one in strokes)
            if count:
                sign = "" if positive else _("negative ")
                words.append(f"{sign}{text}" if count == 1 else f"{count} {sign}{text}")
    return f"{name}: {', '.join(words)}"


def progress_text(number: int, job: Job | None, waiting: int) -> str:
    """Say `"Correction 3: 4 of 11 slices, 2 more wait"`."""
    if job is None:
        text = _("Correction {number}: being sent").format(number=number)
    elif job.state == "running" and job.steps:
        text = _("Correction {number}: {done} of {all} slices").format(number=number, done=job.step, all=job.steps)
    elif job.state == "running":
        text = _("Correction {number}: being computed").format(number=number)
    else:
        text = _("Correction {number}: waits for the server").format(number=number)
    if waiting:
        text += _(", {count} more wait").format(count=waiting)
    return text


def failed_text(reason: str, painted: bool = True) -> str:
    """Say that a correction did not come about, and how it can be had all the same.

    Args:
        painted: it was painted or erased, which stays in the scene; points, lassos and boxes do not.
    """
    kept = _("What you painted is still there and can be sent again.")
    return _("The correction was not made: {reason} {further}").format(
        reason=reason if reason.endswith((".", "!")) else f"{reason or _('no reason given')}.",
        further=kept if painted else _("Place it again, please."),
    )


def unknown_text(name: str) -> str:
    """Say that a segment is the user's own."""
    return _("The model does not know “{name}”: it stays as you draw it, and is not sent.").format(name=name)


def kept_as_is_text() -> str:
    """Say that earlier edits cannot be told from what the model found."""
    return _(
        "The server does not have the model's own result any more: what you have painted before now counts as it is,"
        " and only what you paint from now on is sent."
    )


def remarks(result: Result, before: Result | None) -> str:
    """Collect what the server remarks of a correction and had not said of the result before it.

    A finding of the same kind about the same structures was said before, though its figures may have changed a bit;
    but what is said of strokes is said of each correction anew.

    Args:
        result: of the correction.
        before: of the correction before it, or of the job that is corrected.
    """
    earlier = before.findings if before is not None else ()
    known = {(one.code, one.labels) for one in earlier if one.code not in OF_STROKES}
    notes = set(before.notes) if before is not None else set()
    told = [one.text for one in result.findings if (one.code, one.labels) not in known]
    if not result.findings:
        told = [note for note in result.notes if note not in notes]
    return " ".join(dict.fromkeys(filter(None, told)))
