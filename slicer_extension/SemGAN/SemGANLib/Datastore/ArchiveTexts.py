"""Sentences about labels and the archive behind a server."""

from __future__ import annotations

from collections.abc import Sequence

from ..Texts import capital
from ..Translation import tr as _
from ..Types.ArchiveTypes import ArchivedLabel
from .LabelTexts import tag_word


def archive_word(host: str) -> str:
    """Name an archive; its host is not always known."""
    return _("the archive {host}").format(host=host) if host else _("the archive")


def kept_text(host: str, label: ArchivedLabel) -> str:
    """Say whether the label that was just submitted is in the archive, and if not, why and what to do."""
    archive = archive_word(host)
    if label.sent:
        return _("It is in {archive}.").format(archive=archive)
    text = _(
        "The server keeps it, but {archive} does not have it: {reason}. To try again, press “Send again” under Submit"
        " and review."
    )
    return text.format(archive=archive, reason=_reason(label))


def stays_text(host: str) -> str:
    """Say that the label of a scan that the archive does not have stays at the server."""
    return _("It stays at the server: {archive} does not have this scan.").format(archive=archive_word(host))


def unsent_text(host: str, labels: Sequence[ArchivedLabel]) -> str:
    """Say what an archive does not have, and why; empty if it has all."""
    if not labels:
        return ""
    first, archive = labels[0], capital(archive_word(host))
    more = " " + _("and {count} more").format(count=len(labels) - 1) if len(labels) > 1 else ""
    text = _("{archive} does not have the {label} of “{image}”{more}: {reason}.")
    words = {"label": tag_word(first.tag), "image": first.image, "reason": _reason(first)}
    return text.format(archive=archive, more=more, **words)


def sent_text(host: str, labels: Sequence[ArchivedLabel]) -> str:
    """Say which labels have come to an archive now; empty if none has."""
    archive = archive_word(host)
    if len(labels) > 1:
        return _("{count} labels are in {archive} now.").format(count=len(labels), archive=archive)
    text = _("The {label} of “{image}” is in {archive} now.")
    return "".join(text.format(label=tag_word(one.tag), image=one.image, archive=archive) for one in labels)


def unlisted_text(host: str, trouble: str) -> str:
    """Say that the list of images may be old, as the archive could not be listed."""
    text = _("{archive} could not be listed: {trouble}. Images that have come to it since are missing in the list.")
    return text.format(archive=capital(archive_word(host)), trouble=trouble.strip().rstrip("."))


def _reason(label: ArchivedLabel) -> str:
    return label.reason.strip().rstrip(".") or _("the server does not say why")
