"""Scans that are listed twice under two names: by the bytes of their files, and by the slices that are made of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from monai_semgan.data.datalist import SECTIONS, DataList, Entry
from monai_semgan.errors import SemganError
from monai_semgan.utils.file_state import content_digest, file_state

if TYPE_CHECKING:
    from monai_semgan.data.slice_set import SliceSet

REMEDY = "take one of them out of the list"


def copied_files(datalist: DataList, path: Path | None = None) -> list[str]:
    """Tell which image files have the same content, before any of them is read as an image.

    Only files of one size, and with equal samples of their bytes, are read to the end.

    Args:
        datalist: with the sections that are used.
        path: of the list, for errors.

    Returns:
        A sentence on every copy within a section.

    Raises:
        SemganError: a copy is in another section, or the files cannot be read.
    """
    first: dict[tuple[object, ...], tuple[str, Entry]] = {}
    found = _Copies(path)
    for section in SECTIONS:
        for entry in getattr(datalist, section):
            if not entry.image.is_file():  # a folder: its slices tell
                continue
            _, size, _, samples = file_state(entry.image)[0]
            key: tuple[object, ...] = (size, samples)
            if key in first and content_digest(first[key][1].image) == content_digest(entry.image):
                found.add(*first[key], section, entry)
            first.setdefault(key, (section, entry))
    return found.notes


def copied_slices(training: SliceSet, validation: SliceSet | None = None, path: Path | None = None) -> list[str]:
    """Tell which volumes give the same slices, whatever their files look like.

    Args:
        training: the training slices.
        validation: those that are scored on.
        path: of the data list, for errors.

    Returns:
        A sentence on every copy within the training or the validation.

    Raises:
        SemganError: a volume is in both.
    """
    first: dict[bytes, tuple[str, Entry]] = {}
    found = _Copies(path)
    for section, entry, digest in _digests(training, validation):
        if digest in first:
            found.add(*first[digest], section, entry)
        first.setdefault(digest, (section, entry))
    return found.notes


def _digests(training: SliceSet, validation: SliceSet | None) -> Iterator[tuple[str, Entry, bytes]]:
    for section, slices in (("training", training), ("validation", validation)):
        for volume in range(slices.num_volumes if slices is not None else 0):
            assert slices is not None
            images = slices.images[slices.volume_slices(volume)].cpu().numpy()
            yield section, slices.entries[volume], hashlib.blake2b(images.tobytes(), digest_size=16).digest()


class _Copies:
    """Collects sentences on copies.

    Args:
        path: of the data list.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.notes: list[str] = []

    def add(self, section: str, entry: Entry, other_section: str, other: Entry) -> None:
        """Take in a copy.

        Raises:
            SemganError: it is in another section.
        """
        names = _told(entry, other)
        if section != other_section:
            problem = f'{names[0]} in "{section}" and {names[1]} in "{other_section}" are the same image'
            raise SemganError(problem, remedy=f"{REMEDY}, or results are too good", path=self.path)
        self.notes.append(f'{names[0]} and {names[1]} in "{section}" are the same image: {REMEDY}')


def _told(one: Entry, other: Entry) -> tuple[str, str]:
    """What two files are called: by their names, or by their paths where these are alike."""
    if one.image.name != other.image.name:
        return one.image.name, other.image.name
    return str(one.image), str(other.image)
