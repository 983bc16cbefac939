"""What a second reader says of a label."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..Translation import tr as _
from ..Types.DatastoreTypes import LabelState
from .StoredImages import KnownLabel, image_id, known_labels


class CannotReview(ValueError):
    """A label that this reader cannot judge; the text says why and what to do."""


def reviewed(volume: Any, origin: str, reader: str, verdict: str, changed: bool) -> KnownLabel:
    """Find the label that a reader judges: the one that he or she has opened.

    Args:
        origin: tag of the label that the segmentation comes from; empty for a result.
        changed: the segmentation was edited since it was opened.

    Raises:
        CannotReview: if it is not one that he or she has seen, or made by the reader.
    """
    if not image_id(volume):
        raise CannotReview(_("The server has no label of this volume. Submit yours first."))
    if not reader.strip():
        raise CannotReview(_("Enter your name first: it is kept beside the label."))
    label = known_labels(volume).get(origin)
    if label is None or not origin:
        text = _("You have not seen the label of the server. Open the image “{image}” again: its label comes along.")
        raise CannotReview(text.format(image=image_id(volume)))
    if not label.shown or label.annotator.strip().casefold() == reader.strip().casefold():
        raise CannotReview(_("This label is your own: somebody else has to review it."))
    if changed and verdict == "accepted":
        raise CannotReview(
            _(
                "You have changed the label since it was opened, so it is not what you would accept. Submit yours, or"
                " open the image again."
            )
        )
    return label


def state_of(label: KnownLabel) -> LabelState:
    """Name the label as the server knows it."""
    return LabelState(label.tag, label.etag)


def after(label: KnownLabel, etag: str) -> KnownLabel:
    """Know the label as it is after the review."""
    return replace(label, etag=etag)
