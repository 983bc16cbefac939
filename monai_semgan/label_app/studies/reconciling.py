"""Brings the list up to date with what lies in the folders."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from monailabel.datastore.local import DataModel

from monai_semgan.label_app.studies.catalogue import Originals
from monai_semgan.label_app.studies.study_ids import SERVED_ENDINGS, candidates, shown, split_ending
from monai_semgan.label_app.studies.study_models import LeftOut, StudiesModel, StudyEntry, StudyImage, place_of

CONVERTED = ".nrrd"
PAIRS = (".hdr", ".hdr.gz")
"""NIfTI in two files becomes NIfTI in one, which keeps both forms of its grid."""


class Reconciling:
    """Changes the list; every method returns how much it has changed.

    Args:
        model: the list.
        originals: what was found in the studies.
        uploads: folder of the images that clients have sent.
    """

    def __init__(self, model: StudiesModel, originals: Originals, uploads: Path) -> None:
        self.model, self.originals, self.uploads = model, originals, uploads

    @property
    def ambiguous(self) -> list[LeftOut]:
        """Originals that have got no id, since others have those that they could have."""
        served = {entry.image.source for entry in self.model.objects.values() if not entry.image.uploaded}
        hidden = set(self.model.hidden)
        left = [file for file in self.originals.files if file not in served and file not in hidden]
        reason = "other images have the ids {}; rename it"
        return [LeftOut(file, reason.format(" and ".join(dict.fromkeys(candidates(file))))) for file in left]

    @property
    def away(self) -> list[LeftOut]:
        """Labelled images whose files are not there, as after a folder got another name."""
        reason = "it is not there any more; its labels (image {}) count again when it is back in this place"
        told = []
        for image, entry in self.model.missing.items():
            if entry.labels and not (entry.image.series and self.originals.pending):  # that may just be read
                place = f"{self.uploads.name}/{entry.image.source}" if entry.image.uploaded else entry.image.source
                told.append(LeftOut(shown(place) or ".", reason.format(image)))
        return told

    def images(self) -> int:
        """Take new images, and put those aside whose files are gone."""
        objects, missing = self.model.objects, self.model.missing
        changes = self._places_of_old_lists()
        there = self._there()
        for image in [image for image, entry in objects.items() if not self._is_there(image, entry, there)]:
            missing[image] = objects.pop(image)
            changes += 1
        for image in [image for image, entry in missing.items() if self._is_there(image, entry, there)]:
            if image not in objects:
                objects[image] = missing.pop(image)
                changes += 1
        return changes + self._new_series() + self._new_files()

    def labels(self, there: Mapping[str, Mapping[str, Iterable[str]]]) -> int:
        """Take new labels, and forget those whose files are gone.

        Args:
            there: endings of the labels by tag and id.
        """
        changes = 0
        for image, entry in self.model.objects.items():
            for tag in [
                tag for tag, label in entry.labels.items() if label.ext not in there.get(tag, {}).get(image, ())
            ]:
                del entry.labels[tag]
                changes += 1
        for tag, found in there.items():
            for image, endings in found.items():
                if image in self.model.objects and tag not in self.model.objects[image].labels:
                    ext = sorted(endings)[0]
                    info = {"ts": int(time.time()), "name": image + ext}
                    self.model.objects[image].labels[tag] = DataModel(info=info, ext=ext)
                    changes += 1
        return changes

    def _places_of_old_lists(self) -> int:
        """Note where images lie that were listed by a version in which their ids told that."""
        old = [(image, entry) for image, entry in self.model.objects.items() if not entry.image.source]
        for image, entry in old:
            entry.image.source = image + entry.image.ext
        return len(old)

    def _there(self) -> set[str]:
        hidden = set(self.model.hidden)
        return {file for file in self.originals.files if file not in hidden}

    def _is_there(self, image: str, entry: StudyEntry, there: set[str]) -> bool:
        if entry.image.uploaded:
            name = entry.image.source
            return (
                Path(name).name == name and (self.uploads / name).is_file() and not (self.uploads / name).is_symlink()
            )
        if entry.image.series:
            series = self.originals.series.get(image)
            return series is not None and place_of(series.source, series.series) not in self.model.hidden
        return entry.image.source in there

    def _new_series(self) -> int:
        changes = 0
        for image, series in self.originals.series.items():
            if place_of(series.source, series.series) in self.model.hidden:
                continue
            known = self.model.objects.get(image)
            if known is None:
                self._take(image, StudyImage(ext=CONVERTED, source=series.source, series=series.series))
                changes += 1
            elif (known.image.source, known.image.series) != (series.source, series.series) and known.image.series:
                known.image.source, known.image.series = series.source, series.series  # its folder has another name now
                changes += 1
        return changes

    def _new_files(self) -> int:
        served = {entry.image.source for entry in self.model.objects.values() if not entry.image.uploaded}
        new = [file for file in self.originals.files if file not in served and file not in self.model.hidden]
        changes = 0
        for file in sorted(new, key=_rank):
            ending = split_ending(file)[1]
            plain, whole = candidates(file)
            free = [image for image in (plain, whole) if image not in self.model.objects]
            if not free:
                continue
            as_it_is = ending.lower() in SERVED_ENDINGS
            ext = ending if as_it_is else ".nii.gz" if ending.lower() in PAIRS else CONVERTED
            self._take(free[0], StudyImage(ext="" if free[0] == whole and as_it_is else ext, source=file))
            changes += 1
        return changes

    def _take(self, image: str, found: StudyImage) -> None:
        """Put an image into the list; what was noted of one of that id, whose file is gone, counts for it."""
        before = self.model.missing.pop(image, None)
        name = image + found.ext.lower()
        found.info = {**(before.image.info if before else {}), "ts": int(time.time()), "name": name}
        self.model.objects[image] = StudyEntry(image=found, labels=before.labels if before else {})


def _rank(file: str) -> int:
    """Tell which of several new files that differ in their endings alone gets the plain id: the lowest."""
    ending = split_ending(file)[1].lower()
    return SERVED_ENDINGS.index(ending) if ending in SERVED_ENDINGS else len(SERVED_ENDINGS)
