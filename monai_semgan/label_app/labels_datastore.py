"""Labels of the datastore: which there are, and saving and removing them without losing the ones before."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from monailabel.datastore.local import DataModel, LocalDatastore
from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException

from monai_semgan.errors import SemganError
from monai_semgan.label_app.image_ids import is_tag, made_from
from monai_semgan.label_app.label_facts import LabelVersion, described, etag_of, now, with_review
from monai_semgan.label_app.label_versions import FOLDER, LabelVersions
from monai_semgan.label_app.storable import storable

MAX_TAGS = 200
"""Each is a folder; a client could make any number."""

REVIEW = "review"
"""Where a label's info keeps the verdict of a second reader."""


@dataclass(frozen=True)
class PresentLabel:
    """A label that is there.

    Args:
        file: where it lies.
        facts: what it was made by.
    """

    file: Path
    facts: LabelVersion


Condition = Callable[[PresentLabel | None], None]
"""Is shown the label that is there, or None, before anything is changed; raises where that must not be."""


class LabelsDatastore(LocalDatastore):
    """What a datastore does with labels; how images and the list are kept is for the class made from it."""

    _mutex: threading.RLock
    _kept_versions: LabelVersions | None = None

    if TYPE_CHECKING:

        def image_state(self, image_id: str) -> str:
            """Return a hash of the state of an image's file; empty if there is none."""

        def _inside(self, path: str) -> bool: ...

        def _written(self, source: str, destination: Path) -> AbstractContextManager[None]: ...

        def _entry(self, entries: dict[str, Any], key: str, value: Any) -> AbstractContextManager[None]: ...

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """Return the path of a label, or nothing if there is no such label of the present image inside the folder."""
        with self._mutex:
            return self._label_file(label_id, label_tag) if self._is_of_image(label_id, label_tag) else ""

    def get_labels_by_image_id(self, image_id: str) -> dict[str, str]:
        """Return the id of every label of the present image by tag."""
        with self._mutex:
            found = super().get_labels_by_image_id(image_id)
            return {tag: label for tag, label in found.items() if self._is_of_image(image_id, tag)}

    def present_label(self, image_id: str, tag: str) -> PresentLabel | None:
        """Return a label of the present image with its facts; None if there is none."""
        with self._mutex:
            return self._present(image_id, tag) if self._is_of_image(image_id, tag) else None

    def earlier_labels(self, image_id: str, tag: str) -> list[LabelVersion]:
        """Return the versions of a label that others have replaced, the newest first."""
        with self._mutex:
            present = self._present(image_id, tag)
            return self._versions.earlier(image_id, tag, present.facts if present else None)

    def tags_with_versions(self, image_id: str) -> list[str]:
        """Return the tags under which an image has, or had, labels."""
        with self._mutex:
            return sorted({*self.get_labels_by_image_id(image_id), *filter(is_tag, self._versions.tags(image_id))})

    def open_label(self, image_id: str, tag: str) -> tuple[IO[bytes], PresentLabel] | None:
        """Open a label of the present image, with the facts of what was opened; None if there is none."""
        with self._mutex:
            present = self.present_label(image_id, tag)
            return (present.file.open("rb"), present) if present is not None else None

    def open_version(self, image_id: str, tag: str, version: int) -> tuple[IO[bytes], str, str] | None:
        """Open a version of a label, also the present one.

        Returns:
            The file, a name for it and its ETag; None if it is not kept.
        """
        with self._mutex:
            present = self._present(image_id, tag)
            if present is not None and present.facts.version == version:
                return present.file.open("rb"), present.file.name, present.facts.etag
            kept = self._versions.file(image_id, tag, version)
            return (kept.open("rb"), f"{image_id}_{kept.name}", etag_of(kept)) if kept is not None else None

    def may_train(self, image_id: str) -> bool:
        """Tell whether an image's final label may be trained with: it is of the present image, and not rejected."""
        with self._mutex:
            tag = DefaultLabelTag.FINAL.value
            review = self.get_label_info(image_id, tag).get(REVIEW)
            rejected = isinstance(review, dict) and review.get("verdict") == "rejected"
            return not rejected and self._is_of_image(image_id, tag)

    def check_model_may_save(self, image_id: str, tag: str) -> None:
        """Make sure, before it computes, that a model's label would replace none of a reader.

        Raises:
            SemganError: it would.
        """
        with self._mutex:
            present = self._present(image_id, tag)
            if present is not None and not present.facts.by_model:
                raise SemganError(
                    f"a reader's label is there under the tag {tag}, which the model does not replace",
                    remedy="choose another label_tag, or remove that label",
                )

    def save_label(
        self,
        image_id: str,
        label_filename: str,
        label_tag: str,
        label_info: dict[str, Any],
        condition: Condition | None = None,
    ) -> str:
        """Copy a label into the folder of its tag; the one that was there becomes a version.

        Args:
            image_id: whose label it is.
            label_filename: the file.
            label_tag: such as `final`.
            label_info: what is noted of it.
            condition: what has to hold of the label that is there.

        Returns:
            Its id, which is that of the image.

        Raises:
            ImageNotFoundException: there is no such image.
            SemganError: the tag cannot be one, the info cannot be stored, a model's label would replace a reader's, or
                the label cannot be written.
        """
        if not is_tag(label_tag):
            raise SemganError("the tag of the label cannot be used", remedy="use letters, digits, . _ and -")
        storable(label_info, "params")
        etag_of(label_filename)  # a large file is read before others have to wait
        with self._mutex:
            self._init_from_datastore_file()
            known = self._datastore.objects.get(image_id)
            if known is None:
                raise ImageNotFoundException(f"Image {image_id} not found")
            present, info = self._present(image_id, label_tag), dict(label_info or {})
            facts = self._described((image_id, label_tag), Path(label_filename), info, present)
            if condition is not None and (present is None or present.facts != facts):
                condition(present)
            if facts.by_model:
                self.check_model_may_save(image_id, label_tag)
            if facts.review:
                info[REVIEW] = facts.review
            entry = DataModel(info={**info, "ts": int(time.time())}, ext=facts.ext)
            self._replace((image_id, label_tag), Path(label_filename), entry, facts, present)
        return image_id

    def review_label(self, image_id: str, tag: str, review: dict[str, Any], condition: Condition) -> LabelVersion:
        """Note the verdict of a second reader on a label.

        Args:
            image_id: whose label it is.
            tag: of the label.
            review: `reviewer`, `verdict`, `comment`.
            condition: what has to hold of the label.

        Returns:
            The facts of the label.

        Raises:
            LabelNotFoundException: there is no such label.
            SemganError: it cannot be stored or written.
        """
        storable(review, REVIEW)
        with self._mutex:
            present = self.present_label(image_id, tag)
            if present is None:
                raise LabelNotFoundException(f"Label: {image_id} Tag: {tag} not found")
            condition(present)
            facts = with_review(present.facts, {**review, "when": now()})
            self._versions.note(image_id, tag, facts)
            self.update_label_info(image_id, tag, {REVIEW: facts.review})
            return facts

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Add to what is known of a label.

        Raises:
            LabelNotFoundException: there is no such label.
            SemganError: the info cannot be stored, or the list cannot be written.
        """
        with self._mutex:
            self._init_from_datastore_file()
            known = self._datastore.label(label_id, label_tag)
            if known is None:
                raise LabelNotFoundException(f"Label: {label_id} Tag: {label_tag} not found")
            labels = self._datastore.objects[label_id].labels
            merged = storable({**known.info, **info})
            with self._entry(labels, label_tag, DataModel(info=merged, ext=known.ext)):
                pass

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove a label; that of a reader becomes a version.

        Raises:
            LabelNotFoundException: there is none.
            SemganError: the version cannot be written; the label stays.
        """
        with self._mutex:
            present = self._present(label_id, label_tag)
            if present is None:
                raise LabelNotFoundException(f"Label: {label_id} Tag: {label_tag} not found")
            if not present.facts.by_model:
                self._keep(label_id, label_tag, present)
            present.file.unlink(missing_ok=True)
            self._versions.prune(label_id, label_tag, None)
            self.refresh()

    def remove_leftover_versions(self) -> None:
        """Remove what a killed process left half-written among the versions."""
        for path in (Path(self._datastore.label_path(None)) / FOLDER).glob("*/*/.*.part.*"):
            path.unlink(missing_ok=True)

    @property
    def _versions(self) -> LabelVersions:
        labels = Path(self._datastore.label_path(None))
        kept = self._kept_versions
        if kept is None or kept.labels != labels:
            kept = self._kept_versions = LabelVersions(labels)
        return kept

    def _described(
        self, place: tuple[str, str], file: Path, info: dict[str, Any], present: PresentLabel | None
    ) -> LabelVersion:
        """Facts of a file that is about to be saved; those of the label that is there if it is sent once more.

        Clients do so where the answer was lost.
        """
        number = self._versions.next_number(*place, present.facts if present else None)
        facts = described(info, number, etag_of(file), self._to_id(file.name)[1], now())
        return present.facts if present is not None and _says_the_same(present.facts, facts) else facts

    def _replace(
        self, place: tuple[str, str], file: Path, entry: DataModel, facts: LabelVersion, present: PresentLabel | None
    ) -> None:
        """Put a file in the place of a label; the facts are written first, the list last."""
        image, tag = place
        folder, name = Path(self._datastore.label_path(tag)), self._filename(image, entry.ext)
        self._check_number_of_tags(folder)
        folder.mkdir(parents=True, exist_ok=True)
        entry.info["name"] = name
        with (
            self._noted(place, facts, present),
            self._written(str(file), folder / name),
            self._entry(self._datastore.objects[image].labels, tag, entry),
        ):
            pass
        etag_of(folder / name, known=facts.etag)
        if present is not None and present.file != folder / name:
            present.file.unlink(missing_ok=True)
        self._versions.prune(image, tag, facts.version)

    def _check_number_of_tags(self, folder: Path) -> None:
        tags = [entry for entry in os.scandir(folder.parent) if is_tag(entry.name)]
        if not folder.is_dir() and len(tags) >= MAX_TAGS:
            raise SemganError(f"there are labels of {MAX_TAGS} tags already", remedy="use one of these tags")

    @contextmanager
    def _noted(self, place: tuple[str, str], facts: LabelVersion, present: PresentLabel | None) -> Iterator[None]:
        """Keep the label that is there and write the facts of the next one; a failing block leaves neither."""
        made: list[Path] = []
        try:
            if (
                present is not None
                and present.facts.version != facts.version
                and not (
                    present.facts.by_model and facts.by_model  # the model can make that again
                )
            ):
                made += self._keep(*place, present)
            if present is None or present.facts != facts:
                self._check_place()
                made.append(self._versions.note(*place, facts))
            yield
        except BaseException:
            for path in made:
                path.unlink(missing_ok=True)
            raise

    def _keep(self, image: str, tag: str, present: PresentLabel) -> list[Path]:
        self._check_place()
        return self._versions.keep(image, tag, present.file, present.facts)

    def _check_place(self) -> None:
        if not self._inside(str(self._versions.labels / FOLDER / "file")):
            raise SemganError("the folder of the labels is a link that leads elsewhere", remedy="make it a folder")

    def _present(self, image: str, tag: str) -> PresentLabel | None:
        """A label whatever image it was made from."""
        path = self._label_file(image, tag)
        if not path or not os.path.isfile(path):
            return None
        known = self._datastore.label(image, tag)
        try:
            return PresentLabel(Path(path), self._versions.current((image, tag), path, known.ext, known.info))
        except OSError:  # somebody has just removed it
            return None

    def _label_file(self, label_id: str, tag: str) -> str:
        path = super().get_label_uri(label_id, tag)
        return path if path and self._inside(path) else ""

    def _is_of_image(self, image_id: str, tag: str) -> bool:
        return made_from(self.get_label_info(image_id, tag), self.image_state(image_id))


def _says_the_same(one: LabelVersion, other: LabelVersion) -> bool:
    same = ("etag", "annotator", "model", "edited", "by_model", "ext")
    return all(getattr(one, name) == getattr(other, name) for name in same)
