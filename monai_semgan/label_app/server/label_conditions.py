"""What has to hold before a label is saved: that nobody's work is replaced unseen, emptied, or given unknown ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import HTTPException

from monai_semgan.errors import SemganError
from monai_semgan.label_app.label_numbers import Ids, told_names
from monai_semgan.label_app.labels_datastore import Condition, PresentLabel
from monai_semgan.label_app.server.received_labels import ReceivedLabel

ALLOW_EMPTY = "allow_empty"
LISTED = 8


@dataclass(frozen=True)
class Expected:
    """Which label a client believes to be there, by the headers of its request; nothing is expected without them.

    Args:
        if_match: the header `If-Match`: ETags of which one has to be that of the label, or `*` for any label.
        if_none_match: the header `If-None-Match`: ETags that it must not have, or `*` for no label at all.
    """

    if_match: str | None = None
    if_none_match: str | None = None

    def check(self, present: PresentLabel | None) -> None:
        """Compare with the label that is there.

        Raises:
            HTTPException: 412, with who has saved it, and when.
        """
        if self.if_match is not None and not _has_one_of(present, self.if_match):
            raise _other(present)
        if self.if_none_match is not None and _has_one_of(present, self.if_none_match):
            raise _other(present)


def quoted(etag: str) -> str:
    """Return an ETag as headers have it."""
    return f'"{etag}"'


def saving(expected: Expected, received: ReceivedLabel, params: Mapping[str, Any]) -> Condition:
    """Return what has to hold of the label that is there before another one takes its place.

    Args:
        expected: by the headers of the request.
        received: the new label.
        params: `allow_empty` is true where a label may be emptied.
    """

    def check(present: PresentLabel | None) -> None:
        expected.check(present)
        if present is None or received.ids or params.get(ALLOW_EMPTY) is True or not _shows_something(present):
            return
        raise HTTPException(
            409,
            f"the label is empty, and would take the place of one that is not ({present.facts.in_words()}); "
            f'send the parameter "{ALLOW_EMPTY}": true if that is meant',
        )

    return check


def check_ids(received: ReceivedLabel, models: Ids, label_info: object) -> None:
    """Make sure that somebody has told what every label id means.

    Args:
        received: the label.
        models: ids of the server's models by name.
        label_info: names further ones: `[{"name": "cyst", "idx": 7}]`, as MONAI Label's clients send it.

    Raises:
        HTTPException: 422, with the ids that are unknown.
    """
    told = {*received.names, *told_names(label_info), *(index for ids in models.values() for index in ids)}
    unknown = sorted(received.ids - told)
    if unknown:
        shown = ", ".join(map(str, unknown[:LISTED])) + (" ..." if len(unknown) > LISTED else "")
        raise HTTPException(
            422,
            f"the label: nobody has told what the label ids {shown} mean; "
            'name them in the parameter label_info: [{"name": ..., "idx": ...}]',
        )


def _has_one_of(present: PresentLabel | None, header: str) -> bool:
    """Whether there is a label with an ETag of a list, which may be weak or lack its quotes."""
    wanted = {etag.strip().removeprefix("W/").strip('"') for etag in header.split(",")}
    return present is not None and ("*" in wanted or present.facts.etag in wanted)


def _other(present: PresentLabel | None) -> HTTPException:
    if present is None:
        return HTTPException(412, "there is no such label (any more); send it without If-Match to save it anew")
    etag = quoted(present.facts.etag)
    return HTTPException(
        412,
        f"another label is there: {present.facts.in_words()}; it can be replaced with If-Match: {etag}, and is kept as "
        "a version then",
        headers={"ETag": etag},
    )


def _shows_something(present: PresentLabel) -> bool:
    from monai_semgan.io.reading import read_label

    try:
        return bool(read_label(present.file).array.any())
    except (SemganError, MemoryError):
        return True
