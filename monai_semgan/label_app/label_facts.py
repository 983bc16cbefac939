"""Facts of labels: who has made which file, when, and from what; and the digest that tells files apart."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from monai_semgan.label_app.image_ids import IMAGE_STATE
from monai_semgan.utils.file_state import content_digest

SAVED_BY, MODEL = "saved_by", "model"
"""Key and value in the info of a label that the server's model has put there."""

OWN_KEYS = frozenset({SAVED_BY, IMAGE_STATE, "params", "review", "ts", "name"})
"""What only the server notes in the info of a label."""

REVIEW_KEYS = ("reviewer", "verdict", "comment", "when")
VERDICTS = ("accepted", "rejected")

NOBODY = "admin"

ETAG_DIGITS = 32
REMEMBERED = 4096
"""Digests of files."""

NAME_LENGTH = 200


@dataclass(frozen=True)
class LabelVersion:
    """Facts of a version.

    Args:
        version: number, from 1.
        etag: digest of the file.
        saved: when, in ISO 8601.
        annotator: who has drawn or taken responsibility for it, as the client or the log-in tells.
        model: from which it was made.
        edited: whether a person has changed what the model gave; None where nobody says.
        by_model: whether the server's model has put it there, without a person.
        review: of a second reader: `reviewer`, `verdict`, `comment`, `when`.
        ext: ending of the file.
    """

    version: int
    etag: str
    saved: str
    annotator: str | None = None
    model: str | None = None
    edited: bool | None = None
    by_model: bool = False
    review: dict[str, Any] | None = None
    ext: str = ""

    def facts(self) -> dict[str, Any]:
        """Return what clients are told."""
        hidden = ("by_model", "ext")
        return {name: value for name, value in asdict(self).items() if name not in hidden}

    def in_words(self) -> str:
        """Tell which one it is, by whom and when."""
        who = (
            f"by {self.annotator}" if self.annotator else ("by the model" if self.by_model else "by an unnamed reader")
        )
        edited = {True: "edited", False: "not edited", None: "not told whether edited"}[self.edited]
        reviewed = f", {self.review['verdict']} by {self.review['reviewer']}" if self.review else ""
        return f"version {self.version}, saved {who} on {self.saved[:16].replace('T', ' at ')} UTC, {edited}{reviewed}"


def made_by_model(info: Mapping[str, Any]) -> bool:
    """Tell from a label's info whether the server's model has put it there; MONAI Label notes model and parameters."""
    return info.get(SAVED_BY) == MODEL or IMAGE_STATE in info or ("params" in info and "model" in info)


def described(info: Mapping[str, Any], version: int, etag: str, ext: str, saved: str) -> LabelVersion:
    """Return the facts of a label by its info.

    Args:
        info: as a client has sent it, with the user of a log-in as `annotator`, or as the model's inference notes it.
        version: its number.
        etag: digest of the file.
        ext: ending of the file.
        saved: when.
    """
    by_model, edited = made_by_model(info), info.get("edited")
    return LabelVersion(
        version,
        etag,
        saved,
        annotator=None if by_model else _name(info.get("annotator") or _user(info)),
        model=_name(info.get("model")),
        edited=edited if isinstance(edited, bool) else (False if by_model else None),
        by_model=by_model,
        ext=ext,
    )


def now() -> str:
    """Return the present time in ISO 8601, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


_digests: OrderedDict[tuple[str, int, int, int], str] = OrderedDict()
_digests_lock = threading.Lock()


def etag_of(file: str | Path, known: str | None = None) -> str:
    """Return the digest of a file's content, which is read once.

    Args:
        file: path.
        known: the digest, of a copy of a file that has been read.

    Raises:
        OSError: it cannot be read.
    """
    found = os.stat(file)
    key = (str(file), found.st_ino, found.st_size, found.st_mtime_ns)
    with _digests_lock:
        digest = known or _digests.get(key)
    if digest is None:
        digest = content_digest(file)[:ETAG_DIGITS]
    with _digests_lock:
        _digests[key] = digest
        while len(_digests) > REMEMBERED:
            _digests.popitem(last=False)
    return digest


def with_review(version: LabelVersion, review: dict[str, Any]) -> LabelVersion:
    """Return the facts of a version with the verdict of a second reader."""
    return replace(version, review=review)


def is_review(review: Any) -> bool:
    """Tell whether this can be the verdict of a second reader."""
    if review is None:
        return True
    told = isinstance(review, dict) and all(isinstance(review.get(key), str) for key in REVIEW_KEYS)
    return told and review["verdict"] in VERDICTS


def _user(info: Mapping[str, Any]) -> object:
    """The user whom MONAI Label has noted; without its log-in it calls everybody by the same name."""
    return None if info.get("user") == NOBODY else info.get("user")


def _name(value: object) -> str | None:
    return str(value)[:NAME_LENGTH] if isinstance(value, str | int | float) and str(value).strip() else None
