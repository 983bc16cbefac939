"""Ids of images: made from where a file lies or from the UID of a series, so that they are the same at every start."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath

from monai_semgan.io.formats import volume_endings
from monai_semgan.utils.files import is_text, utf8

SERVED_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha")
"""Files that clients get as they are; all others are made into one of these."""

LABEL_ONLY = ".seg.nrrd"
LONGEST = 200
"""Characters of an id."""

LONGEST_BYTES = 230
"""Bytes of an id, to which file names of labels add their endings."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def split_ending(name: str) -> tuple[str, str]:
    """Return a file's name without its ending, and the ending as it is written; empty for an unknown one."""
    lower = name.lower()
    found = next((ending for ending in (LABEL_ONLY, *SERVED_ENDINGS) if lower.endswith(ending)), "")
    if not found:
        found = max((ending for ending in volume_endings() if lower.endswith(ending)), key=len, default="")
    return name[: len(name) - len(found)], name[len(name) - len(found) :]


def candidates(source: str) -> list[str]:
    """Return the ids that a file may have, the best first.

    Args:
        source: its path below the studies; folders become part of the id, with `__` between.
    """
    parts = PurePosixPath(source).parts
    whole = "__".join(parts)
    return [_short(split_ending(whole)[0], source), _short(whole, source)]


def problem_of_name(name: str) -> str:
    """Tell why a file or folder of this name cannot be served; empty if it can."""
    if not is_text(name):
        return "its name is no UTF-8 text; rename it"
    if _CONTROL.search(name):
        return "its name has a line break or another control character; rename it"
    if "\\" in name:
        return "its name has a backslash; rename it"
    if len(split_ending(name)[0]) > LONGEST or len(name.encode()) > LONGEST_BYTES:
        return f"its name is longer than {LONGEST} characters; rename it"
    return ""


def shown(name: str) -> str:
    """Return a path as text that answers and terminals can hold."""
    return _CONTROL.sub(lambda sign: f"\\x{ord(sign[0]):02x}", utf8(name).decode())


def _short(text: str, source: str) -> str:
    if len(text) <= LONGEST and len(text.encode()) <= LONGEST_BYTES:
        return text
    digest = _digest(source)
    return text.encode()[: LONGEST - len(digest) - 1].decode(errors="ignore") + f"_{digest}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]
