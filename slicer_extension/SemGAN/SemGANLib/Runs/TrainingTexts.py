"""Sentences about trainings."""

from __future__ import annotations

from collections.abc import Mapping

from ..Texts import capital, duration
from ..Translation import tr as _
from ..Types.TrainingTypes import TrainingJob


def training_text(training: TrainingJob) -> str:
    """Say where a training stands, or how it ended."""
    ends = {
        "queued": _("Waiting for the server to begin"),
        "paused": _("Paused: results go first, then it goes on where it was"),
        "cancelled": _("Cancelled: the model is as it was."),
        "interrupted": _("Interrupted: the server ended meanwhile. Press Go on to let it go on."),
        "failed": capital(training.message) or _("It failed: the model is as it was."),
    }
    if training.state == "done":
        return _done(training)
    if training.state == "running":
        return _running(training)
    return ends.get(training.state, capital(training.message) or training.state)


def _running(training: TrainingJob) -> str:
    parts = [capital(training.message) or _("Learning")]
    if training.steps:
        parts.append(_("step {step} of {steps}").format(step=training.step, steps=training.steps))
    if training.eta_seconds is not None:
        parts.append(_("about {time} left").format(time=duration(training.eta_seconds)))
    return ", ".join(parts)


def _done(training: TrainingJob) -> str:
    what = ", ".join(training.structures) or _("the model's structures")
    if training.version is None:
        return _("Done: {what}.").format(what=what)
    usual = _("Version {version} is in use").format(version=training.version)
    # the server knows better: another version may have been chosen meanwhile
    text = _("Learnt: {what}. {told}.").format(what=what, told=capital(training.message.rstrip(".")) or usual)
    if training.message:  # it says what the figures stand on
        return "\n".join(filter(None, [text, figures_text(training.figures)]))
    if not training.figures:
        return f"{text} " + _("No label was left over to measure it on.")
    count = len(training.held_out)
    several = _("Measured on {count} labels that it has not learnt from:").format(count=count)
    measured = _("Measured on a label that it has not learnt from:") if count == 1 else several
    return f"{text} {measured}\n{figures_text(training.figures)}"


def figures_text(figures: Mapping[str, float]) -> str:
    """Write `"aorta Dice 0.71; liver Dice 0.95"`."""
    line = _("{structure} Dice {dice:.2f}")
    return "; ".join(line.format(structure=name, dice=dice) for name, dice in figures.items())
