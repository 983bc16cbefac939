"""What is known of a label that goes to the archive: the objects made of it, and whether the archive has them."""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from monai_semgan.io.dicom.provenance import ReplacedResult
from monai_semgan.label_app.archive_store.archive_cache import make_private
from monai_semgan.utils.files import write_error, write_utf8
from monai_semgan.utils.json_text import json_text

log = logging.getLogger(__name__)

SENT, WAITING, REFUSED = "sent", "waiting", "refused"
STATES = (SENT, WAITING, REFUSED)


@dataclass(frozen=True)
class MadeObject:
    """A DICOM object that was made of a label.

    Args:
        file: below the folder of the submission.
        study: UID.
        series: UID.
        kind: UID of its class.
        instance: UID.
    """

    file: str
    study: str
    series: str
    kind: str
    instance: str

    def as_replaced(self) -> ReplacedResult:
        """Return it as what a later one replaces."""
        return ReplacedResult(self.study, self.series, self.kind, self.instance)


@dataclass(frozen=True)
class Submission:
    """A version of a label on its way to the archive.

    Args:
        image: id of the image.
        tag: of the label.
        number: counts the submissions of the label, from 1; 0 while there is none.
        version: of the label.
        etag: digest of the label.
        state: `sent`; `waiting`, where the archive was not reached; `refused`, where it would not take it, or where
            no object can be made of the label.
        reason: why it is not sent, in words.
        objects: that were made, the segmentation first.
    """

    image: str
    tag: str
    number: int
    version: int
    etag: str
    state: str = WAITING
    reason: str = ""
    objects: tuple[MadeObject, ...] = ()

    def told(self) -> dict[str, Any]:
        """Return what clients are told."""
        return {
            "image": self.image,
            "tag": self.tag,
            "version": self.version,
            "state": self.state,
            "reason": self.reason,
            "series": self.objects[0].series if self.objects else None,
        }

    def is_of(self, version: int, etag: str) -> bool:
        """Tell whether it is the submission of a version of the label."""
        return (self.version, self.etag) == (version, etag)


class SubmissionFiles:
    """A folder with objects, and with what is known of them: `IMAGE/TAG/000003.json` and
    `000003/segmentation.dcm`.

    Args:
        folder: where it lies; nobody else on the computer can enter it.
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

    def next_number(self, image: str, tag: str) -> int:
        """Return the number of a label's next submission; one whose file is damaged is not overwritten."""
        names = [path.name[:6] for path in self.place(image, tag).glob("[0-9]*")]
        return max((int(name) for name in names if name.isdecimal()), default=0) + 1

    def objects(self, submission: Submission) -> Path:
        """Return the folder of the objects of a submission."""
        return self.place(submission.image, submission.tag) / f"{submission.number:06d}"

    def has_objects(self, submission: Submission) -> bool:
        """Tell whether all objects of a submission lie there."""
        folder = self.objects(submission)
        return bool(submission.objects) and all((folder / one.file).is_file() for one in submission.objects)

    @contextmanager
    def making(self, submission: Submission) -> Iterator[Path]:
        """Give a folder that becomes that of the objects when the block ends well, and vanishes otherwise.

        Raises:
            SemganError: it cannot be made.
        """
        folder = self.objects(submission)
        aside = folder.with_name(f".{secrets.token_hex(4)}")
        make_private(aside)
        try:
            yield aside
            shutil.rmtree(folder, ignore_errors=True)
            os.rename(aside, folder)
        except OSError as error:
            raise write_error(error, folder) from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def save(self, submission: Submission) -> Submission:
        """Write what is known of a submission.

        Raises:
            SemganError: it cannot be written.
        """
        make_private(self.folder)
        path = self.place(submission.image, submission.tag) / f"{submission.number:06d}.json"
        make_private(path.parent)
        write_utf8(path, json_text(asdict(submission), indent=1))
        return submission

    def remove_objects(self, image: str, tag: str) -> None:
        """Remove the objects of a label, once the archive has the latest, or the label is gone."""
        place = self.place(image, tag)
        for path in place.iterdir() if place.is_dir() else ():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.suffix != ".json":
                path.unlink(missing_ok=True)


def _read(path: Path) -> Submission | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        objects = tuple(MadeObject(**{name: str(value) for name, value in one.items()}) for one in content["objects"])
        read = Submission(**{**content, "objects": objects})
        if read.state in STATES and isinstance(read.number, int) and isinstance(read.version, int):
            return read
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    log.warning("what is known of a submission is damaged and counts for nothing")
    return None
