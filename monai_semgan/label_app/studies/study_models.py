"""What the list of images and labels holds: MONAI Label's, with the place of every image."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from monailabel.datastore.local import DataModel, ImageLabelModel, LocalDatastoreModel


@dataclass(frozen=True)
class LeftOut:
    """Something in the folder that is not served.

    Args:
        name: path below the folder, as text.
        reason: why, and what helps.
    """

    name: str
    reason: str

    def told(self) -> dict[str, str]:
        """Return it as answers tell it."""
        return asdict(self)


class StudyImage(DataModel):
    """An image and where it lies.

    Attributes:
        source: path below the studies, or below the images that clients sent; of a series its folder.
        series: what the reader of DICOM takes; empty for a file.
        uploaded: whether a client has sent it. All others are originals, which are never written.
    """

    source: str = ""
    series: str = ""
    uploaded: bool = False

    @property
    def place(self) -> str:
        """Tell it apart from every other original."""
        return place_of(self.source, self.series)


class StudyEntry(ImageLabelModel):
    """An image with its labels."""

    image: StudyImage


class StudiesModel(LocalDatastoreModel):
    """The list.

    Attributes:
        objects: image and labels by id.
        missing: of images whose files are gone, which count again when their files come back.
        hidden: places of originals that an administrator has removed from the list.
    """

    objects: dict[str, StudyEntry] = {}  # type: ignore[assignment]
    missing: dict[str, StudyEntry] = {}
    hidden: list[str] = []

    def told(self) -> dict[str, Any]:
        """Return what MONAI Label's clients read of it."""
        objects = {
            image: {"image": _told(entry.image), "labels": {tag: _told(label) for tag, label in entry.labels.items()}}
            for image, entry in self.objects.items()
        }
        facts = {"name": self.name, "description": self.description}
        return {**facts, "images_dir": self.images_dir, "labels_dir": self.labels_dir, "objects": objects}


def place_of(source: str, series: str = "") -> str:
    """Return what stands for a file or a series in the list of hidden originals."""
    return f"{source}#{series}" if series else source


def _told(model: DataModel) -> dict[str, Any]:
    return {"ext": model.ext, "info": model.info}
