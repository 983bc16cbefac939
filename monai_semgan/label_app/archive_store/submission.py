"""What is known of a label that goes to the archive: the objects made of it, and whether the archive has them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from monai_semgan.io.dicom.provenance import ReplacedResult
from monai_semgan.utils.files import write_utf8
from monai_semgan.utils.json_text import json_text

log = logging.getLogger(__name__)

SENT, WAITING, REFUSED = "sent", "waiting", "refused"


@dataclass(frozen=True)
class Submission:
    """A version of a label on its way to the archive.

    Args:
        image: id of the image.
        tag: of the label.
        version: of the label.
        etag: digest of the label.
        state: `sent`; `waiting`, where the archive was not reached; `refused`, where it would not take it.
        reason: why it is not sent, in words.
        files: names of the objects, the segmentation first.
        replaced: study, series, class and instance UIDs of the segmentation, for the one that will replace it.
    """

    image: str
    tag: str
    version: int
    etag: str
    state: str = WAITING
    reason: str = ""
    files: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()

    def told(self) -> dict[str, Any]:
        """Return what clients are told."""
        return {
            "image": self.image,
            "tag": self.tag,
            "version": self.version,
            "state": self.state,
            "reason": self.reason,
            "series": self.replaced[1] if self.replaced else None,
        }

    def as_replaced(self) -> ReplacedResult | None:
        """Return it as what a later one replaces; None where the archive does not have it."""
        return ReplacedResult(*self.replaced) if self.state == SENT and len(self.replaced) == 4 else None


class SubmissionFiles:
    """A folder with objects, and with what is known of them: `IMAGE/TAG/000003.json` and `000003_seg.dcm`.

    Args:
        folder: where it lies.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def place(self, image: str, tag: str) -> Path:
        """Return the folder of a label."""
        return self.folder / image / tag

    def all(self, image: str, tag: str) -> list[Submission]:
        """Return the submissions of a label, the latest last."""
        found = [_read(path) for path in sorted(self.place(image, tag).glob("[0-9]*.json"))]
        return [one for one in found if one is not None]

    def latest(self, image: str, tag: str) -> Submission | None:
        """Return the latest submission of a label."""
        return next(iter(reversed(self.all(image, tag))), None)

    def every_latest(self) -> Iterator[Submission]:
        """Give the latest submission of every label."""
        for place in sorted(self.folder.glob("*/*")):
            latest = self.latest(place.parent.name, place.name)
            if latest is not None:
                yield latest

    def save(self, submission: Submission) -> Submission:
        """Write what is known of a submission.

        Raises:
            SemganError: it cannot be written.
        """
        path = self.place(submission.image, submission.tag) / f"{submission.version:06d}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_utf8(path, json_text(asdict(submission), indent=1))
        return submission


def _read(path: Path) -> Submission | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = {one.name: content[one.name] for one in fields(Submission) if one.name in content}
        return Submission(**{**known, "files": tuple(known["files"]), "replaced": tuple(known["replaced"])})
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        log.warning("what is known of a submission is damaged and counts for nothing")
        return None
