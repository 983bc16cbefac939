"""All slices of a set of volumes in memory, built once and cached on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from monai_semgan.data.datalist import Entry
from monai_semgan.errors import SemganError
from monai_semgan.losses.label_losses import UNLABELLED
from monai_semgan.slicing.encoding import decode
from monai_semgan.slicing.geometry import SliceGeometry
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.utils.file_state import content_digest
from monai_semgan.utils.files import written_aside

FOLDER_FILES = ("slices.npz", "volumes.json")


@dataclass(frozen=True, eq=False)
class SliceSet:
    """Slices of several volumes, 8 bits per pixel.

    Args:
        images: (N, C, H, W) uint8; 0 .. 255 stands for -1 .. 1. C is 1, or 3 for pictures in colours.
        labels: (N, H, W) uint8 class indices, `UNLABELLED` in volumes without label.
        volume_index: (N,) int64, which volume a slice belongs to; ascending.
        patients: per volume.
        entries: per volume; file names where the set was built.
        geometries: per volume.
        modalities: per volume, `CT` or `MR`.
        preprocessing: settings that the slices were made with.
        file_ids: ids that the label files hold, whether they are of a class or not.
        known: (V, K) bool, which classes the label of a volume knows: its background may be any of the others. None
            where every label knows all of them.
        id_counts: per volume, how many voxels of its label file have an id; empty where that was not counted.
    """

    images: torch.Tensor
    labels: torch.Tensor
    volume_index: torch.Tensor
    patients: tuple[str, ...]
    entries: tuple[Entry, ...]
    geometries: tuple[SliceGeometry, ...]
    modalities: tuple[str, ...]
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    file_ids: tuple[int, ...] = ()
    known: torch.Tensor | None = None
    id_counts: tuple[Mapping[int, int], ...] = ()

    def __len__(self) -> int:
        return self.images.shape[0]

    @property
    def num_volumes(self) -> int:
        """Number of volumes."""
        return len(self.patients)

    @cached_property
    def labelled_indices(self) -> torch.Tensor:
        """(n,) int64: slices of labelled volumes, with organs or without."""
        return torch.nonzero(self.labels[:, 0, 0] != UNLABELLED)[:, 0]

    @cached_property
    def fully_labelled_indices(self) -> torch.Tensor:
        """(n,) int64: slices of volumes whose label knows every class."""
        indices = self.labelled_indices.cpu()  # pixels may lie on a GPU, what is known of volumes does not
        return indices if self.known is None else indices[self.known.all(1)[self.volume_index[indices]]]

    @cached_property
    def partly_labelled(self) -> tuple[int, ...]:
        """Numbers of the volumes whose label knows some classes only."""
        volumes = [] if self.known is None else torch.nonzero(~self.known.all(1))[:, 0].tolist()
        labelled = set(self.volume_index[self.labelled_indices.cpu()].tolist())
        return tuple(volume for volume in volumes if volume in labelled)

    def known_classes(self, indices: torch.Tensor | Sequence[int], device: torch.device | str = "cpu") -> torch.Tensor:
        """(n, K) bool on `device`: which classes the labels of slices know; all where there is no label."""
        index = torch.as_tensor(indices, dtype=torch.long).cpu()
        if self.known is None:
            return torch.ones(len(index), self.preprocessing.num_classes, dtype=torch.bool, device=device)
        return self.known[self.volume_index[index]].to(device, non_blocking=True)

    @cached_property
    def unlabelled_indices(self) -> torch.Tensor:
        """(N,) int64: all slices, since those of labelled volumes serve as unlabelled images as well."""
        return torch.arange(len(self))

    @cached_property
    def organ_indices(self) -> torch.Tensor:
        """(n,) int64: slices of labelled volumes on which a class besides background is seen."""
        flat = self.labels.flatten(1)
        return torch.nonzero(((flat > 0) & (flat != UNLABELLED)).any(1))[:, 0]

    @property
    def class_names(self) -> dict[int, str]:
        """Structure name by class, as the data list tells; empty where it does not."""
        names = next((dict(entry.names) for entry in self.entries if entry.label and entry.names), {})
        ids = self.preprocessing.class_ids
        return {number: names[index] for number, index in enumerate(ids, start=1) if index in names}

    def batch(
        self, indices: torch.Tensor | Sequence[int], device: torch.device | str = "cpu"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Slices as the networks want them.

        Args:
            indices: (n,) slice numbers.
            device: where the batch shall be.

        Returns:
            images (n, C, H, W) float32 in [-1, 1] and labels (n, H, W) int64 (`UNLABELLED` where unknown).
        """
        index = torch.as_tensor(indices, dtype=torch.long, device=self.images.device)
        images, labels = self.images[index], self.labels[index]
        return decode(images.to(device, non_blocking=True)), labels.to(device, non_blocking=True).long()

    def volume_slices(self, volume: int) -> torch.Tensor:
        """(D,) int64: numbers of the slices of one volume, from feet to head."""
        return torch.nonzero(self.volume_index == volume)[:, 0]

    def to(self, device: torch.device | str) -> SliceSet:
        """The same set with the pixels on `device`, for GPUs with room for all of it."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def select(self, volumes: Sequence[int]) -> SliceSet:
        """The volumes with these numbers, as a set of their own."""
        index = torch.cat([self.volume_slices(v) for v in volumes])
        order = torch.cat([torch.full_like(self.volume_slices(v), new) for new, v in enumerate(volumes)])
        names = ("patients", "entries", "geometries", "modalities", *(["id_counts"] if self.id_counts else []))
        pick: dict[str, Any] = {name: tuple(getattr(self, name)[v] for v in volumes) for name in names}
        known = None if self.known is None else self.known[list(volumes)]
        return replace(
            self, images=self.images[index], labels=self.labels[index], volume_index=order, known=known, **pick
        )

    def save(self, folder: str | Path) -> Path:
        """Write the set as two small files, to carry it to another machine.

        Raises:
            SemganError: the folder cannot be written.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SemganError(f"cannot be made: {(error.strerror or str(error)).lower()}", path=folder) from error
        with written_aside(folder / FOLDER_FILES[0]) as temporary, open(temporary, "wb") as stream:
            np.savez_compressed(stream, images=self.images.cpu().numpy(), labels=self.labels.cpu().numpy())
        volumes = [self._describe(index) for index in range(self.num_volumes)]
        described = {
            "preprocessing": self.preprocessing.to_dict(),
            "file_ids": self.file_ids,
            "slices_sha256": content_digest(folder / FOLDER_FILES[0]),
            "volumes": volumes,
        }
        text = json.dumps(described, indent=1)
        with written_aside(folder / FOLDER_FILES[1]) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return folder

    @staticmethod
    def load(folder: str | Path) -> SliceSet:
        """Read what `save` wrote.

        Raises:
            SemganError: files are missing or broken.
        """
        folder = Path(folder)
        try:
            with np.load(folder / FOLDER_FILES[0], allow_pickle=False) as arrays:
                images, labels = (torch.from_numpy(arrays[name]) for name in ("images", "labels"))
            described = json.loads((folder / FOLDER_FILES[1]).read_text(encoding="utf-8"))
            preprocessing = Preprocessing(**described["preprocessing"])
            digest = described.get("slices_sha256")
            if digest not in (None, content_digest(folder / FOLDER_FILES[0])):
                raise ValueError("pixels of another set")
            volumes = [_volume(item) for item in described["volumes"]]
            file_ids = tuple(int(index) for index in described.get("file_ids", ()))
            if not len(images) == len(labels) == sum(geometry.num_slices for _, _, geometry in volumes):
                raise ValueError("pixels and volumes do not belong together")
        except FileNotFoundError as error:
            raise SemganError("no slice set here", remedy="build it first", path=folder) from error
        except Exception as error:
            raise SemganError("the slice set is broken", remedy="build it again", path=folder) from error
        joined = join_volumes(preprocessing, images, labels, volumes)
        return replace(joined, file_ids=file_ids, known=_known_of(described["volumes"], preprocessing.num_classes))

    def _describe(self, index: int) -> dict[str, Any]:
        entry, geometry = self.entries[index], self.geometries[index]
        return {
            "image": str(entry.image),
            "label": str(entry.label) if entry.label else None,
            "patient": entry.patient,
            "modality": self.modalities[index],
            "names": [list(name) for name in entry.names],
            "geometry": geometry.to_dict(),
            **({} if self.known is None else {"known": torch.nonzero(self.known[index])[:, 0].tolist()}),
        }


def only_known(labels: torch.Tensor, volume_index: torch.Tensor, known: torch.Tensor | None) -> torch.Tensor:
    """Take out of labels (N, H, W) what they show of classes that they do not know, volume by volume (V, K)."""
    if known is None:
        return labels
    labels = labels.clone()
    for volume in torch.nonzero(~known.all(1))[:, 0]:
        rows, unknown = volume_index == volume, torch.nonzero(~known[volume])[:, 0].to(labels.dtype)
        part = labels[rows]
        labels[rows] = torch.where(torch.isin(part, unknown), 0, part)
    return labels


def _known_of(volumes: Sequence[Mapping[str, Any]], num_classes: int) -> torch.Tensor | None:
    """Which classes labels know (V, K), as `save` wrote it; None where all know everything."""
    if not any("known" in item for item in volumes):
        return None
    known = torch.ones(len(volumes), num_classes, dtype=torch.bool)
    for row, item in zip(known, volumes, strict=True):
        if "known" in item:
            row.fill_(False)
            row[item["known"]] = True
    return known


def _volume(item: dict[str, Any]) -> tuple[Entry, str, SliceGeometry]:
    label = Path(item["label"]) if item["label"] else None
    names = tuple((int(index), str(name)) for index, name in item.get("names", ()))
    entry = Entry(Path(item["image"]), label, item["patient"], item["modality"], names)
    return entry, item["modality"], SliceGeometry.from_dict(item["geometry"])


def join_volumes(
    preprocessing: Preprocessing,
    images: torch.Tensor,
    labels: torch.Tensor,
    volumes: list[tuple[Entry, str, SliceGeometry]],
) -> SliceSet:
    """Make a set of the slices (N, C, H, W) and labels (N, H, W) of volumes, with entry, modality and geometry each."""
    entries, modalities, geometries = zip(*volumes, strict=True)
    counts = torch.tensor([geometry.num_slices for geometry in geometries])
    return SliceSet(
        images,
        labels,
        torch.repeat_interleave(torch.arange(len(volumes)), counts),
        tuple(entry.patient for entry in entries),
        entries,
        geometries,
        modalities,
        preprocessing,
    )
