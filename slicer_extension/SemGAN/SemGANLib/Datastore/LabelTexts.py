"""Sentences about labels that readers share at a server."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from ..Translation import tr as _
from ..Types.DatastoreTypes import LabelFacts


def tag_word(tag: str) -> str:
    """Name a tag."""
    words = {"final": _("final label"), "preliminary": _("preliminary label"), "original": _("label by the model")}
    return words.get(tag, tag)


def moment(iso: str) -> str:
    """Write an ISO time as `"2026-11-28 14:32"`, by the clock of this computer."""
    try:
        return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:  # not told, or in another form
        return iso[:16].replace("T", " ")


def submitted_text(image: str, tag: str) -> str:
    """Say that a label has been submitted, and where it is none to be trained with."""
    text = _("The label was submitted for the image “{image}”.") if tag == "final" else ""
    text = text or _("The label was submitted for the image “{image}”, as {tag}: models are not trained with it.")
    return text.format(image=image, tag=tag)


def label_title(image: str, facts: LabelFacts) -> str:
    """Name the node of a label: `"case 7: final label, Dr. Ä, 2026-11-28 14:32"`."""
    parts = [tag_word(facts.state.tag), facts.annotator, moment(facts.saved)]
    return f"{image}: " + ", ".join(part for part in parts if part)


def overwrite_text(image: str, facts: LabelFacts) -> str:
    """Ask whether the label of somebody else is to be replaced."""
    who = facts.annotator or _("somebody who is not named")
    how = {True: _("edited"), False: _("not edited"), None: ""}[facts.edited]
    there = ", ".join(part for part in (tag_word(facts.state.tag), moment(facts.saved), how) if part)
    there = _("The image “{image}” has a label of {who} ({there}).").format(image=image, who=who, there=there)
    if facts.review is not None:
        verdict = {"accepted": _("has accepted it"), "rejected": _("has rejected it")}.get(facts.review.verdict, "")
        there += f" {facts.review.reviewer} {verdict}." if verdict else ""
    return _("{there}\n\nReplace it by yours? The server keeps it as an earlier version.").format(there=there)


def changed_text(image: str, facts: LabelFacts | None) -> str:
    """Say that a label is no longer what its reader has seen."""
    text = _("The label of “{image}” is no longer the one that you have opened{now}. Open the image again to see it.")
    now = _(", it is now: {title}").format(title=label_title(image, facts)) if facts is not None else ""
    return text.format(image=image, now=now)


def empty_text(image: str) -> str:
    """Ask whether a label with voxels is to be replaced by one without any."""
    return _(
        "Your label of “{image}” is empty, the one at the server is not.\n\nReplace it by the empty one? The server"
        " keeps it as an earlier version."
    ).format(image=image)


def renamed_text(renamed: Mapping[str, str]) -> str:
    """Say which structures are no longer those of the model, since their names are not; empty if there are none.

    Args:
        renamed: what they were, by their new name.
    """
    text = _("“{name}” is kept as a structure of its own: under the name “{known}” it would be the model's.")
    return " ".join(text.format(name=name, known=known) for name, known in renamed.items())


def unlike_text(name: str) -> str:
    """Ask whether a result that nobody has touched is to be final where the model says that it does not know."""
    return _(
        "The scan “{name}” is unlike those that the model has learnt from, and its result was not corrected. A final"
        " label is relied on: others take it for right, and models are trained with it.\n\nHave you looked at every"
        " slice, and is it right? Submit it as final?"
    ).format(name=name)


def other_server_text(name: str, image: str, before: str, now: str) -> str:
    """Ask whether an image of another server is the same one."""
    return _(
        "“{name}” is the image “{image}” of {before}, but you are connected to {now}. Does {now} have the same scan"
        " under this name?\n\nSubmit the label to its image “{image}”?"
    ).format(name=name, image=image, before=before, now=now)
